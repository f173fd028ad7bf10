//! Patterns of names in RE2's language: of topics that members subscribe to (KIP-848), of transactional ids (KIP-1152).
//!
//! Kafka reads them with RE2/J; the regex crate's language differs in what it allows and in what brackets mean. So a
//! pattern is read here, by RE2's rules and with its complaints, and written anew for the crate.

use std::collections::HashSet;

use regex::{Regex, RegexBuilder};

/// The longest pattern, in bytes.
const MAX_LENGTH: usize = 64 * 1024;
/// The most of memory that one compiled pattern may take, in bytes.
const SIZE_LIMIT: usize = 1 << 20;
/// RE2's own limit of a repetition's counts.
const MAX_REPETITIONS: u32 = 1000;

const MISSING_ARGUMENT: &str = "missing argument to repetition operator";
const NESTED_REPETITION: &str = "invalid nested repetition operator";
const INVALID_COUNT: &str = "invalid repeat count";
const MISSING_PARENTHESIS: &str = "missing closing )";
const UNEXPECTED_PARENTHESIS: &str = "regexp/syntax: internal error";
const MISSING_BRACKET: &str = "missing closing ]";
const INVALID_RANGE: &str = "invalid character class range";
const INVALID_ESCAPE: &str = "invalid escape sequence";
const TRAILING_BACKSLASH: &str = "trailing backslash at end of expression";
const INVALID_NAME: &str = "invalid named capture";
const DUPLICATE_NAME: &str = "duplicate capture group name";
const UNSUPPORTED_PERL: &str = "invalid or unsupported Perl syntax";
const TOO_DEEP: &str = "expression nests too deeply";
const TOO_LARGE: &str = "expression too large";

/// A pattern that whole names match or do not match.
#[derive(Debug, Clone)]
pub struct NamePattern(Regex);

impl NamePattern {
    /// Fails with RE2/J's description of what is wrong.
    pub fn new(pattern: &str) -> Result<Self, &'static str> {
        if pattern.len() > MAX_LENGTH {
            return Err(TOO_LARGE);
        }
        let translated = Translation::of(pattern)?;
        let regex = RegexBuilder::new(&format!(r"\A(?:{translated})\z")).size_limit(SIZE_LIMIT).build();
        regex.map(NamePattern).map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => TOO_LARGE,
            _ if translated.contains(r"\p") || translated.contains(r"\P") => INVALID_RANGE,
            _ => TOO_DEEP,
        })
    }

    /// Whether the whole of `name` matches.
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

/// What may follow: a repetition needs something to repeat, and is not repeated itself.
#[derive(PartialEq)]
enum Last {
    Nothing,
    Atom,
    Repetition,
}

struct Translation<'a> {
    rest: Rest<'a>,
    /// No `:]` comes any more once less than so much is left.
    least_rest_of_posix_class: usize,
    out: String,
    last: Last,
    open_groups: usize,
    group_names: HashSet<String>,
}

impl<'a> Translation<'a> {
    fn of(pattern: &'a str) -> Result<String, &'static str> {
        let mut it = Translation {
            rest: Rest(pattern),
            least_rest_of_posix_class: pattern.rfind(":]").map_or(usize::MAX, |at| pattern.len() - at),
            out: String::new(),
            last: Last::Nothing,
            open_groups: 0,
            group_names: HashSet::new(),
        };
        while let Some(char) = it.rest.next() {
            it.translate(char)?;
        }
        if it.open_groups > 0 { Err(MISSING_PARENTHESIS) } else { Ok(it.out) }
    }

    fn translate(&mut self, char: char) -> Result<(), &'static str> {
        match char {
            '*' | '+' | '?' => self.repeat(&char.to_string()),
            '{' => match self.counts()? {
                Some(counts) => self.repeat(&counts),
                None => self.atom(r"\{"),
            },
            '(' => self.open_group(),
            ')' => self.close_group(),
            '|' => {
                self.out.push('|');
                self.last = Last::Nothing;
                Ok(())
            }
            '^' | '$' | '.' => self.atom(&char.to_string()),
            '[' => self.class(),
            '\\' => self.escape(),
            _ => self.literal(char),
        }
    }

    fn atom(&mut self, text: &str) -> Result<(), &'static str> {
        self.out.push_str(text);
        self.last = Last::Atom;
        Ok(())
    }

    fn literal(&mut self, char: char) -> Result<(), &'static str> {
        self.atom(&code_point(char))
    }

    fn repeat(&mut self, operator: &str) -> Result<(), &'static str> {
        match self.last {
            Last::Nothing => return Err(MISSING_ARGUMENT),
            Last::Repetition => return Err(NESTED_REPETITION),
            Last::Atom => self.out.push_str(operator),
        }
        if self.rest.next_if_eq('?').is_some() {
            self.out.push('?');
        }
        self.last = Last::Repetition;
        Ok(())
    }

    /// `n}`, `n,}` or `n,m}` after an opening brace; anything else makes the brace a character like others.
    fn counts(&mut self) -> Result<Option<String>, &'static str> {
        let is_of_counts = |byte: u8| byte.is_ascii_digit() || byte == b',';
        let text = self.rest.0;
        let length = text.bytes().position(|byte| !is_of_counts(byte)).unwrap_or(text.len());
        let (text, after) = text.split_at(length);
        let (least, most) = text.split_once(',').unwrap_or((text, text));
        if !after.starts_with('}') || least.is_empty() || most.contains(',') {
            return Ok(None);
        }
        let within = |text: &str| text.parse().ok().filter(|count: &u32| *count <= MAX_REPETITIONS);
        let least = within(least).ok_or(INVALID_COUNT)?;
        if !most.is_empty() && within(most).is_none_or(|most| most < least) {
            return Err(INVALID_COUNT);
        }
        self.rest.skip(length + 1);
        Ok(Some(format!("{{{text}}}")))
    }

    fn open_group(&mut self) -> Result<(), &'static str> {
        self.last = Last::Nothing;
        if self.rest.next_if_eq('?').is_none() {
            self.out.push_str("(?:");
            self.open_groups += 1;
            return Ok(());
        }
        let rest = self.rest.0;
        match rest.strip_prefix("P<").or_else(|| rest.strip_prefix('<')) {
            Some(named) => self.named_group(named),
            None => self.flags(),
        }
    }

    fn named_group(&mut self, named: &'a str) -> Result<(), &'static str> {
        let (name, rest) = named.split_once('>').ok_or(INVALID_NAME)?;
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(INVALID_NAME);
        }
        if !self.group_names.insert(name.to_string()) {
            return Err(DUPLICATE_NAME);
        }
        self.rest = Rest(rest);
        self.out.push_str("(?:");
        self.open_groups += 1;
        Ok(())
    }

    /// `flags)` or `flags:`, where flags are `imsU` with a `-` before those that are switched off.
    fn flags(&mut self) -> Result<(), &'static str> {
        let mut flags = String::from("(?");
        let mut is_any_after_minus = true;
        loop {
            let char = self.rest.next().ok_or(UNSUPPORTED_PERL)?;
            flags.push(char);
            match char {
                'i' | 'm' | 's' | 'U' if !flags[..flags.len() - 1].ends_with(char) => {
                    is_any_after_minus = true
                }
                '-' if !flags[..flags.len() - 1].contains('-') => is_any_after_minus = false,
                ':' | ')' if is_any_after_minus => break,
                _ => return Err(UNSUPPORTED_PERL),
            }
        }
        match flags.as_str() {
            // No flags at all; the crate wants one.
            "(?)" => {}
            _ => self.out.push_str(&flags),
        }
        if flags.ends_with(':') {
            self.open_groups += 1;
        }
        Ok(())
    }

    fn close_group(&mut self) -> Result<(), &'static str> {
        self.open_groups = self.open_groups.checked_sub(1).ok_or(UNEXPECTED_PARENTHESIS)?;
        self.atom(")")
    }

    fn escape(&mut self) -> Result<(), &'static str> {
        match self.rest.peek() {
            Some(assertion @ ('A' | 'b' | 'B' | 'z')) => {
                self.rest.next();
                self.atom(&format!("\\{assertion}"))
            }
            Some('Q') => {
                self.rest.next();
                self.quoted()
            }
            _ => match self.perl_class()? {
                Some(class) => self.atom(&format!("[{class}]")),
                None => {
                    let char = self.escaped_char()?;
                    self.literal(char)
                }
            },
        }
    }

    /// Up to `\E` or the end, where nothing has a meaning.
    fn quoted(&mut self) -> Result<(), &'static str> {
        while let Some(char) = self.rest.next() {
            if char == '\\' && self.rest.next_if_eq('E').is_some() {
                break;
            }
            self.literal(char)?;
        }
        Ok(())
    }

    /// A class of characters after a backslash, as it stands inside of brackets.
    fn perl_class(&mut self) -> Result<Option<String>, &'static str> {
        let class = match self.rest.peek() {
            Some('d') => "0-9",
            Some('D') => "[^0-9]",
            Some('s') => r"\t\n\x0c\r\x20",
            Some('S') => r"[^\t\n\x0c\r\x20]",
            Some('w') => "0-9A-Za-z_",
            Some('W') => "[^0-9A-Za-z_]",
            Some('p' | 'P') => return self.unicode_class().map(Some),
            _ => return Ok(None),
        };
        self.rest.next();
        Ok(Some(class.to_string()))
    }

    /// `pN`, `p{Name}`, `p{^Name}`: which names there are, the crate knows.
    fn unicode_class(&mut self) -> Result<String, &'static str> {
        let mut is_negated = self.rest.next() == Some('P');
        let mut name = match self.rest.next().ok_or(INVALID_RANGE)? {
            '{' => self.rest.until('}').ok_or(INVALID_RANGE)?.to_owned(),
            char => char.to_string(),
        };
        if let Some(rest) = name.strip_prefix('^') {
            is_negated = !is_negated;
            name = rest.to_string();
        }
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(INVALID_RANGE);
        }
        Ok(format!("\\{}{{{name}}}", if is_negated { 'P' } else { 'p' }))
    }

    /// One character after a backslash.
    fn escaped_char(&mut self) -> Result<char, &'static str> {
        let char = self.rest.next().ok_or(TRAILING_BACKSLASH)?;
        let is_octal = |char: char| ('0'..='7').contains(&char);
        match char {
            // One digit alone would refer back to a group, which RE2 cannot do.
            '1'..='7' if !self.rest.peek().is_some_and(is_octal) => Err(INVALID_ESCAPE),
            '0'..='7' => {
                let mut code = u32::from(char) - u32::from('0');
                for _ in 0..2 {
                    let Some(digit) = self.rest.peek().filter(|char| is_octal(*char)) else { break };
                    self.rest.next();
                    code = code * 8 + u32::from(digit) - u32::from('0');
                }
                char::from_u32(code).ok_or(INVALID_ESCAPE)
            }
            'x' => self.hexadecimal(),
            'a' => Ok('\x07'),
            'f' => Ok('\x0c'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\x0b'),
            _ if char.is_ascii() && !char.is_ascii_alphanumeric() => Ok(char),
            _ => Err(INVALID_ESCAPE),
        }
    }

    fn hexadecimal(&mut self) -> Result<char, &'static str> {
        let digits = match self.rest.next_if_eq('{') {
            None => self.rest.take(2).ok_or(INVALID_ESCAPE)?,
            Some(_) => self.rest.until('}').ok_or(INVALID_ESCAPE)?,
        };
        if digits.starts_with('+') {
            return Err(INVALID_ESCAPE);
        }
        u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).ok_or(INVALID_ESCAPE)
    }

    fn class(&mut self) -> Result<(), &'static str> {
        let mut class = String::from("[");
        if self.rest.next_if_eq('^').is_some() {
            class.push('^');
        }
        let mut is_first = true;
        loop {
            match self.rest.peek() {
                None => return Err(MISSING_BRACKET),
                Some(']') if !is_first => break,
                _ => class.push_str(&self.class_item()?),
            }
            is_first = false;
        }
        self.rest.next();
        class.push(']');
        self.atom(&class)
    }

    fn class_item(&mut self) -> Result<String, &'static str> {
        if let Some(named) = self.posix_class()? {
            return Ok(named);
        }
        let escaped = self.rest.0.strip_prefix('\\');
        if escaped.is_some_and(|escaped| escaped.starts_with(['d', 'D', 's', 'S', 'w', 'W', 'p', 'P'])) {
            self.rest.next();
            return self.perl_class().map(Option::unwrap_or_default);
        }
        let low = self.class_char()?;
        let after_minus = self.rest.0.strip_prefix('-').filter(|after| !after.is_empty());
        if after_minus.is_none_or(|after| after.starts_with(']')) {
            return Ok(code_point(low));
        }
        self.rest.next();
        let high = self.class_char()?;
        if high < low {
            return Err(INVALID_RANGE);
        }
        Ok(format!("{}-{}", code_point(low), code_point(high)))
    }

    fn class_char(&mut self) -> Result<char, &'static str> {
        match self.rest.next().ok_or(MISSING_BRACKET)? {
            '\\' => self.escaped_char(),
            char => Ok(char),
        }
    }

    /// `[:name:]` or `[:^name:]` inside of brackets.
    fn posix_class(&mut self) -> Result<Option<String>, &'static str> {
        const NAMES: [&str; 14] = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
            "space", "upper", "word", "xdigit",
        ];
        if self.rest.0.len() < self.least_rest_of_posix_class {
            return Ok(None);
        }
        let named = self.rest.0.strip_prefix("[:").and_then(|rest| rest.split_once(":]"));
        let Some((name, rest)) = named else {
            return Ok(None);
        };
        if !NAMES.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(INVALID_RANGE);
        }
        self.rest = Rest(rest);
        Ok(Some(format!("[:{name}:]")))
    }
}

/// What has not been read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn peek(&self) -> Option<char> {
        self.0.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.skip(char.len_utf8());
        Some(char)
    }

    fn next_if_eq(&mut self, expected: char) -> Option<char> {
        self.peek().filter(|char| *char == expected)?;
        self.next()
    }

    /// So many bytes, if whole characters end there.
    fn take(&mut self, bytes: usize) -> Option<&'a str> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    /// What stands before `end`, which is taken too.
    fn until(&mut self, end: char) -> Option<&'a str> {
        let (before, rest) = self.0.split_once(end)?;
        self.0 = rest;
        Some(before)
    }

    fn skip(&mut self, bytes: usize) {
        self.0 = self.0.get(bytes..).unwrap_or("");
    }
}

/// A character that means nothing but itself.
fn code_point(char: char) -> String {
    format!("\\u{{{:x}}}", u32::from(char))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What RE2/J 1.8 says of each.
    #[test]
    fn refuses_as_re2_does() {
        let cases = [
            ("*", MISSING_ARGUMENT),
            ("a|*", MISSING_ARGUMENT),
            ("(*)", MISSING_ARGUMENT),
            ("a**", NESTED_REPETITION),
            ("a*+", NESTED_REPETITION),
            ("a++", NESTED_REPETITION),
            ("x{2}{3}", NESTED_REPETITION),
            ("(", MISSING_PARENTHESIS),
            ("((((a", MISSING_PARENTHESIS),
            ("(?:", MISSING_PARENTHESIS),
            ("a)", UNEXPECTED_PARENTHESIS),
            ("[", MISSING_BRACKET),
            ("[a", MISSING_BRACKET),
            ("[^]", MISSING_BRACKET),
            ("[b-a]", INVALID_RANGE),
            ("[[:foo:]]", INVALID_RANGE),
            (r"\p{Foo}", INVALID_RANGE),
            ("a{2,1}", INVALID_COUNT),
            ("a{1001}", INVALID_COUNT),
            ("a{0,1001}", INVALID_COUNT),
            (r"\", TRAILING_BACKSLASH),
            (r"a\", TRAILING_BACKSLASH),
            (r"[a\", TRAILING_BACKSLASH),
            (r"\8", INVALID_ESCAPE),
            (r"\1", INVALID_ESCAPE),
            (r"\y", INVALID_ESCAPE),
            (r"\C", INVALID_ESCAPE),
            (r"\Z", INVALID_ESCAPE),
            (r"\E", INVALID_ESCAPE),
            (r"\xg", INVALID_ESCAPE),
            (r"\x{110000}", INVALID_ESCAPE),
            (r"[a-\d]", INVALID_ESCAPE),
            ("(?P<n>a)(?P<n>b)", DUPLICATE_NAME),
            ("(?P<n", INVALID_NAME),
            ("(?<=a)", INVALID_NAME),
            ("(?x)a", UNSUPPORTED_PERL),
            ("(?=a)", UNSUPPORTED_PERL),
            ("(?!a)", UNSUPPORTED_PERL),
            ("(?P=n)", UNSUPPORTED_PERL),
            ("(?i", UNSUPPORTED_PERL),
            ("(?", UNSUPPORTED_PERL),
        ];
        for (pattern, description) in cases {
            assert_eq!(NamePattern::new(pattern).err(), Some(description), "{pattern}");
        }
    }

    #[test]
    fn matches_whole_names_as_re2_does() {
        let cases: [(&str, &[&str], &[&str]); 26] = [
            ("t*", &["", "t", "ttt"], &["ta", "at"]),
            ("a*?", &["", "aa"], &["b"]),
            ("a|b", &["a", "b"], &["ab"]),
            ("topic-[0-9]+", &["topic-1", "topic-42"], &["topic-", "topic-1x", "a.topic-1"]),
            (r"a\.b", &["a.b"], &["axb"]),
            ("a.b", &["a.b", "axb"], &["ab"]),
            (r"\Qa.b\E*", &["a.b", "a.bb", "a."], &["axb"]),
            (r"\d\w\s", &["1a "], &["aa "]),
            (r"[\d-z]", &["1", "-", "z"], &["y"]),
            (r"\D\S\W", &["ab-"], &["1b-"]),
            ("[a&&b]+", &["a&b"], &["c"]),
            ("[[a]+", &["[a"], &["]"]),
            ("[]a]+", &["]a"], &["b"]),
            ("[^]a]", &["b"], &["]", "a"]),
            ("[a-c-]+", &["a-c"], &["d"]),
            ("[[:alpha:]_]+", &["ab_"], &["1"]),
            ("[[:^digit:]]", &["a"], &["1"]),
            ("(?i)A(?-i)b", &["ab", "Ab"], &["aB"]),
            ("(?i:a)b", &["Ab"], &["AB"]),
            ("(?P<n>a)(?<m>b)", &["ab"], &["a"]),
            ("a{,2}", &["a{,2}"], &["aa"]),
            ("{", &["{"], &[""]),
            ("a{1,2}?", &["a", "aa"], &["aaa", ""]),
            (r"\x41\x{42}\103\07", &["ABC\x07"], &["ABC"]),
            (r"\pL\p{Lu}\PN", &["aB-"], &["a1-", "ab-"]),
            (r"^\A(a$|\z)", &["a", ""], &["b"]),
        ];
        for (pattern, good, bad) in cases {
            let compiled = NamePattern::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            good.iter().for_each(|name| assert!(compiled.matches(name), "{pattern} and {name:?}"));
            bad.iter().for_each(|name| assert!(!compiled.matches(name), "{pattern} but not {name:?}"));
        }
    }

    #[test]
    fn what_would_take_too_much_memory_is_refused() {
        assert_eq!(NamePattern::new("((a{100}){100}){100}").err(), Some(TOO_LARGE));
        assert_eq!(NamePattern::new(&"(".repeat(5000)).err(), Some(MISSING_PARENTHESIS));
        let deep = format!("{}a{}", "(".repeat(5000), ")".repeat(5000));
        assert_eq!(NamePattern::new(&deep).err(), Some(TOO_DEEP));
    }
}
