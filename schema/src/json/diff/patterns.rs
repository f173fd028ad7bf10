//! Names held against the patterns of `patternProperties`.

use std::collections::HashMap;

use fancy_regex::{Regex, RegexBuilder};

const MAX_STEPS: usize = 10_000;
const MAX_COMPILED_BYTES: usize = 1 << 18;

/// The patterns that were used, compiled. One that this engine cannot compile, though Java's may, matches nothing.
#[derive(Default)]
pub(super) struct Patterns {
    compiled: HashMap<String, Option<Regex>>,
}

impl Patterns {
    /// Whether the pattern is found in `name`.
    pub(super) fn find(&mut self, pattern: &str, name: &str) -> bool {
        if !self.compiled.contains_key(pattern) {
            self.compiled.insert(pattern.to_owned(), compile(pattern));
        }
        let compiled = self.compiled.get(pattern).and_then(Option::as_ref);
        compiled.is_some_and(|regex| regex.is_match(name).unwrap_or(false))
    }
}

fn compile(pattern: &str) -> Option<Regex> {
    let mut builder = RegexBuilder::new(pattern);
    builder.backtrack_limit(MAX_STEPS).delegate_size_limit(MAX_COMPILED_BYTES);
    builder.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_found_anywhere() {
        let long = "a".repeat(5000);
        let cases = [
            ("^x-", "x-a", true),
            ("^x-", "ax-", false),
            ("b", "abc", true),
            ("^(?!x-)", "abc", true),
            ("^(?!x-)", "x-a", false),
            ("(a)\\1", "aa", true),
            ("^[a-z]{2,3}$", "abcd", false),
            ("^\\p{L}+$", "é", true),
            // Too much work for any name, and not a pattern here.
            ("^(a+)+(?<!b)$\\1", long.as_str(), false),
            ("\\p{javaLowerCase}", "a", false),
        ];
        let mut patterns = Patterns::default();
        for (pattern, name, expected) in cases {
            assert_eq!(patterns.find(pattern, name), expected, "{pattern}");
        }
    }
}
