//! Names held against the patterns of `patternProperties`.

use std::collections::HashMap;

use fancy_regex::{Regex, RegexBuilder};

use super::matching::Budget;

/// How often a search may go back, and how large a compiled pattern may be.
const MAX_STEPS: usize = 2000;
const MAX_COMPILED_BYTES: usize = 1 << 18;
/// What it costs to compile a pattern, and to look for one.
const COMPILE_STEPS: usize = 2000;
const FIND_STEPS: usize = 50;

/// The patterns that were used, compiled. One that this engine cannot compile, though Java's may, matches nothing.
#[derive(Default)]
pub(super) struct Patterns {
    compiled: HashMap<String, Option<Regex>>,
}

impl Patterns {
    /// Whether the pattern is found in `name`, as far as the budget goes.
    pub(super) fn find(&mut self, pattern: &str, name: &str, budget: &mut Budget) -> bool {
        if !budget.spend(FIND_STEPS + name.len() / 64) {
            return false;
        }
        if !self.compiled.contains_key(pattern) {
            if !budget.spend(COMPILE_STEPS) {
                return false;
            }
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
            assert_eq!(patterns.find(pattern, name, &mut Budget::new(100_000)), expected, "{pattern}");
        }
    }
}
