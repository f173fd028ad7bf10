//! The seven modes: which earlier versions a schema is held against, and in which direction.

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

    fn is_transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
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

/// An earlier version of a subject.
#[derive(Debug)]
pub struct Earlier<'a> {
    pub version: i32,
    pub schema: &'a ParsedSchema,
}

/// What is wrong with `new` after these versions, which come oldest first: Confluent's lines, with the first version that it
/// does not go with; empty when it may follow.
pub fn check(new: &ParsedSchema, earlier: &[Earlier<'_>], mode: Mode) -> Vec<String> {
    let held = match mode.is_transitive() {
        true => earlier,
        false => &earlier[earlier.len().saturating_sub(1)..],
    };
    for old in held.iter().rev() {
        let mut lines = Vec::new();
        if mode.is_backward() {
            lines.extend(new.incompatibilities(old.schema, BACKWARD));
        }
        if mode.is_forward() {
            lines.extend(old.schema.incompatibilities(new, FORWARD));
        }
        if !lines.is_empty() {
            lines.push(format!("{{oldSchemaVersion: {}}}", old.version));
            lines.push(format!("{{oldSchema: '{}'}}", old.schema.canonical()));
            return lines;
        }
    }
    Vec::new()
}

pub(crate) fn other_type(_reader: SchemaType, _writer: SchemaType) -> String {
    "Incompatible because of different schema type".to_owned()
}
