//! The seven modes: which earlier versions a schema is held against, and in which direction; and the policies: how strictly.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use crate::{BACKWARD, FORWARD, InvalidSchema, ParsedSchema, SchemaType};

/// `compatibility` of a subject, as the API spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    None,
    #[default]
    Backward,
    BackwardTransitive,
    Forward,
    ForwardTransitive,
    Full,
    FullTransitive,
}

impl Mode {
    const ALL: [(Self, &'static str); 7] = [
        (Self::None, "NONE"),
        (Self::Backward, "BACKWARD"),
        (Self::BackwardTransitive, "BACKWARD_TRANSITIVE"),
        (Self::Forward, "FORWARD"),
        (Self::ForwardTransitive, "FORWARD_TRANSITIVE"),
        (Self::Full, "FULL"),
        (Self::FullTransitive, "FULL_TRANSITIVE"),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(mode, _)| *mode == self).map_or("", |(_, name)| name)
    }

    /// How many of the versions before it a schema is held against, the newest first.
    fn reach(self) -> usize {
        match self {
            Self::None => 0,
            Self::Backward | Self::Forward | Self::Full => 1,
            Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive => usize::MAX,
        }
    }

    fn is_backward(self) -> bool {
        matches!(self, Self::Backward | Self::BackwardTransitive | Self::Full | Self::FullTransitive)
    }

    fn is_forward(self) -> bool {
        matches!(self, Self::Forward | Self::ForwardTransitive | Self::Full | Self::FullTransitive)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Mode {
    type Err = InvalidSchema;

    fn from_str(name: &str) -> Result<Self, InvalidSchema> {
        let found = Self::ALL.into_iter().find(|(_, of)| of.eq_ignore_ascii_case(name));
        found.map(|(mode, _)| mode).ok_or_else(|| InvalidSchema(format!("{name} is no compatibility level")))
    }
}

/// `compatibilityPolicy` of a subject. Only JSON Schemas can be compared leniently: what an open object takes is then nobody's loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    #[default]
    Strict,
    Lenient,
}

impl FromStr for Policy {
    type Err = InvalidSchema;

    fn from_str(name: &str) -> Result<Self, InvalidSchema> {
        match name {
            _ if name.eq_ignore_ascii_case("STRICT") => Ok(Self::Strict),
            _ if name.eq_ignore_ascii_case("LENIENT") => Ok(Self::Lenient),
            _ => Err(InvalidSchema(format!("{name} is no compatibility policy"))),
        }
    }
}

/// An earlier version of a subject.
#[derive(Debug)]
pub struct Earlier<S> {
    pub version: i32,
    pub schema: S,
}

/// Of a longer schema a line has the beginning.
const MAX_SHOWN: usize = 10 * 1024;

/// What is wrong with `new` after these versions, which come newest first: Confluent's lines, with the newest version that it
/// does not go with; empty when it may follow. Of the versions no more are asked for than the mode needs, nor any behind one
/// that `new` does not go with: an iterator may read them as it goes. What cannot be read ends it.
pub fn check<S: Borrow<ParsedSchema>, E>(
    new: &ParsedSchema,
    earlier: impl IntoIterator<Item = Result<Earlier<S>, E>>,
    mode: Mode,
    policy: Policy,
) -> Result<Vec<String>, E> {
    for old in earlier.into_iter().take(mode.reach()) {
        let old = old?;
        let lines = lines(new, old.version, old.schema.borrow(), mode, policy);
        if !lines.is_empty() {
            return Ok(lines);
        }
    }
    Ok(Vec::new())
}

fn lines(new: &ParsedSchema, version: i32, old: &ParsedSchema, mode: Mode, policy: Policy) -> Vec<String> {
    if new.schema_type() != old.schema_type() {
        return vec![other_type(new.schema_type(), old.schema_type())];
    }
    let mut lines = Vec::new();
    if mode.is_forward() {
        lines.extend(old.incompatibilities(new, policy, FORWARD));
    }
    let mut is_shown = !lines.is_empty();
    if mode.is_backward() {
        let backward = new.incompatibilities(old, policy, BACKWARD);
        // Confluent's registry shows the old schema after what it was held against last.
        is_shown = !backward.is_empty();
        lines.extend(backward);
    }
    if is_shown {
        lines.push(format!("{{oldSchemaVersion: {version}}}"));
        lines.push(shown(&old.canonical()));
    }
    lines
}

fn shown(schema: &str) -> String {
    match schema.char_indices().nth(MAX_SHOWN) {
        None => format!("{{oldSchema: '{schema}'}}"),
        Some((end, _)) => format!("{{oldSchema: <truncated> '{}...'}}", &schema[..end]),
    }
}

pub(crate) fn other_type(_reader: SchemaType, _writer: SchemaType) -> String {
    "Incompatible because of different schema type".to_owned()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn avro(text: &str) -> ParsedSchema {
        ParsedSchema::parse(SchemaType::Avro, text, &[]).expect("a schema")
    }

    /// The lines about one schema that is there as version 1.
    fn check_one(new: &ParsedSchema, old: &ParsedSchema, mode: Mode, policy: Policy) -> Vec<String> {
        let earlier: [Result<_, Infallible>; 1] = [Ok(Earlier { version: 1, schema: old })];
        let Ok(lines) = check(new, earlier, mode, policy);
        lines
    }

    /// The kinds of lines, and the versions that are shown. `earlier`: oldest first.
    fn check_modes(new: &str, earlier: &[&str], expected: &[(&str, &str)]) {
        let new = avro(new);
        let earlier: Vec<ParsedSchema> = earlier.iter().map(|text| avro(text)).collect();
        for (mode, expected) in expected {
            let versions = earlier.iter().enumerate().rev();
            let versions =
                versions.map(|(at, schema)| Ok::<_, Infallible>(Earlier { version: at as i32 + 1, schema }));
            let Ok(lines) = check(&new, versions, mode.parse().expect("a mode"), Policy::Strict);
            let shortened: Vec<&str> = lines
                .iter()
                .map(|line| match line.strip_prefix("{errorType:'") {
                    Some(rest) if line.contains("in the new schema") => {
                        ["TYPE>", "BRANCH>"][usize::from(!rest.starts_with("TYPE"))]
                    }
                    Some(rest) => ["TYPE<", "BRANCH<"][usize::from(!rest.starts_with("TYPE"))],
                    None => line.trim_matches(['{', '}']).trim_start_matches("oldSchema"),
                })
                .collect();
            assert_eq!(shortened.join(" "), *expected, "{mode}");
        }
    }

    #[test]
    fn each_mode_holds_it_against_its_versions() {
        let (int, long, string) = (r#""int""#, r#""long""#, r#""string""#);
        check_modes(
            long,
            &[string, int],
            &[
                ("NONE", ""),
                ("BACKWARD", ""),
                ("BACKWARD_TRANSITIVE", r#"TYPE> Version: 1 : '"string"'"#),
                ("FORWARD", r#"TYPE< Version: 2 : '"int"'"#),
                ("FORWARD_TRANSITIVE", r#"TYPE< Version: 2 : '"int"'"#),
                // Only the forward direction fails, and then nothing is shown.
                ("FULL", "TYPE<"),
                ("FULL_TRANSITIVE", "TYPE<"),
            ],
        );
        check_modes(
            string,
            &[int, string],
            &[
                ("FULL", ""),
                ("FULL_TRANSITIVE", r#"TYPE< TYPE> Version: 1 : '"int"'"#),
                ("BACKWARD_TRANSITIVE", r#"TYPE> Version: 1 : '"int"'"#),
            ],
        );
        check_modes(string, &[], &[("FULL_TRANSITIVE", "")]);
    }

    #[test]
    fn another_type_is_never_compatible_but_without_a_mode() {
        let json = ParsedSchema::parse(SchemaType::Json, "{}", &[]).expect("a schema");
        let old = avro(r#""int""#);
        assert!(check_one(&json, &old, Mode::None, Policy::Strict).is_empty());
        assert_eq!(
            check_one(&json, &old, Mode::Full, Policy::Lenient),
            ["Incompatible because of different schema type"]
        );
    }

    #[test]
    fn no_more_versions_are_read_than_the_mode_needs() {
        let (int, string) = (avro(r#""int""#), avro(r#""string""#));
        let earlier = |schema| Ok(Earlier { version: 1, schema });
        let unread = || Err("read");
        for (mode, fits) in [(Mode::None, &string), (Mode::Full, &int)] {
            let versions = [earlier(fits), unread()].into_iter().skip(usize::from(mode == Mode::None));
            assert_eq!(check(&int, versions, mode, Policy::Strict), Ok(Vec::new()), "{mode}");
        }
        assert!(check(&int, [earlier(&string), unread()], Mode::FullTransitive, Policy::Strict).is_ok());
        assert_eq!(check(&int, [earlier(&int), unread()], Mode::FullTransitive, Policy::Strict), Err("read"));
    }

    #[test]
    fn of_a_long_schema_the_beginning_is_shown() {
        let long = avro(&format!(r#"{{"type":"string","note":"{}"}}"#, "ü".repeat(20_000)));
        let lines = check_one(&avro(r#""int""#), &long, Mode::Backward, Policy::Strict);
        let shown = lines.last().expect("a line");
        assert!(shown.starts_with(r#"{oldSchema: <truncated> '{"type":"string","note":"ü"#), "{shown}");
        assert!(shown.ends_with("ü...'}"), "{shown}");
        assert_eq!(shown.chars().count(), MAX_SHOWN + r#"{oldSchema: <truncated> '...'}"#.len());
    }
}
