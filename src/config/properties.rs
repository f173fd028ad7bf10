//! The text of a `.properties` file, as java.util.Properties reads it.
//! Enters: the text. Leaves: keys and values with the line on which each begins.

/// One `key=value` of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    pub key: String,
    pub value: String,
    /// Counted from 1.
    pub line: usize,
}

/// All properties in their order; a key may come again, and the last one counts.
pub fn parse(text: &str) -> Vec<Property> {
    let mut list = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((at, first)) = lines.next() {
        let first = trim_start(first);
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while is_continued(&logical) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(trim_start(next));
        }
        list.push(property(&logical, at + 1));
    }
    list
}

fn property(logical: &str, line: usize) -> Property {
    let mut escaped = false;
    let end = logical.find(|c: char| {
        let ends = !escaped && (c == '=' || c == ':' || is_blank(c));
        escaped = !escaped && c == '\\';
        ends
    });
    let (key, rest) = logical.split_at(end.unwrap_or(logical.len()));
    let rest = trim_start(rest);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    Property { key: unescape(key), value: unescape(trim_start(value)), line }
}

/// Whether the line ends with an odd number of backslashes.
fn is_continued(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('t') => out.push('\t'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('f') => out.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.clone().take(4).collect();
                match u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32) {
                    Some(c) if digits.len() == 4 => {
                        out.push(c);
                        chars.nth(3);
                    }
                    _ => out.push('u'),
                }
            }
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

fn trim_start(text: &str) -> &str {
    text.trim_start_matches(is_blank)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str, usize)]) {
        let found = parse(text);
        let found: Vec<_> = found.iter().map(|p| (p.key.as_str(), p.value.as_str(), p.line)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn reads_as_java_does() {
        check(
            "a=1\nb = 2\nc:3\nd 4\ne\n",
            &[("a", "1", 1), ("b", "2", 2), ("c", "3", 3), ("d", "4", 4), ("e", "", 5)],
        );
        check("# no\n  ! no\n\n  a=b # yes\r\n", &[("a", "b # yes", 4)]);
        check("a=b,\\\n   c,\\\n   d\nx=y", &[("a", "b,c,d", 1), ("x", "y", 4)]);
        check("a=end\\\\\nb=2", &[("a", "end\\", 1), ("b", "2", 2)]);
        check("a\\=b\\:c=d\\te\\u0041\\q", &[("a=b:c", "d\teAq", 1)]);
        check("a==b", &[("a", "=b", 1)]);
        check("path=C:\\\\x\\", &[("path", "C:\\x", 1)]);
        check("short=\\u12", &[("short", "u12", 1)]);
    }
}
