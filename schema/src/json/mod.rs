//! JSON Schema, drafts 4 to 2020-12. Enters: a schema's text and those that it refers to. Leaves: its canonical text, and what
//! of one version another cannot read, in Confluent's words. Pure; what is nested, long or recursive costs bounded stack and time.
//!
//! | file | what is in it |
//! |---|---|
//! | `text` | JSON as Confluent's registry reads and writes it |
//! | `draft` | the drafts and the keywords that tell them apart |
//! | `uri` | references resolved against a base |
//! | `documents` | where a `$ref` points to, in this schema or a dependency |
//! | `build` | the keywords, checked, become a `graph` of rules: one form for all drafts |
//! | `diff` | two graphs compared |

mod build;
mod diff;
mod documents;
mod draft;
mod graph;
#[cfg(test)]
mod tests;
mod text;
mod uri;

use crate::compatibility::Policy;
use crate::{Dependency, InvalidSchema, Words};

/// A schema that was understood.
#[derive(Debug, Clone)]
pub struct Schema {
    canonical: String,
    graph: graph::Graph,
}

impl Schema {
    /// Reads a schema of the draft that its `$schema` names; draft 7 when it names none. What a `$ref` points to is looked for
    /// in the schema itself, then among `dependencies`: nothing is fetched.
    pub fn parse(text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        let read = || {
            let value = text::read(text)?;
            let graph = build::build(&value, dependencies)?;
            Ok(Self { canonical: text::write(&value), graph })
        };
        read().map_err(|InvalidSchema(why)| InvalidSchema(format!("Invalid JSON schema: {why}")))
    }

    /// Compact JSON, with the keys as they were given.
    pub fn canonical(&self) -> String {
        self.canonical.clone()
    }

    /// Compact JSON with the keys of every object sorted.
    pub fn normalized(&self) -> String {
        match text::read(&self.canonical) {
            Ok(value) => text::write_sorted(&value),
            Err(_) => self.canonical.clone(),
        }
    }

    /// `title`, which stands for a name.
    pub fn title(&self) -> Option<String> {
        let value = text::read(&self.canonical).ok()?;
        Some(value.get("title")?.as_str()?.to_owned())
    }

    /// There is but one form: formats that are not known give the canonical text.
    pub fn formatted(&self, _format: &str) -> Result<String, InvalidSchema> {
        Ok(self.canonical.clone())
    }
}

/// Why `reader` cannot read what was written with `writer`: a line for each difference that is not compatible, such as
/// `{errorType:"TYPE_CHANGED", description:"A type at path '#/properties/a' is different between the new schema and the old schema"}`.
pub fn incompatibilities(reader: &Schema, writer: &Schema, policy: Policy, words: Words) -> Vec<String> {
    diff::compare(&writer.graph, &reader.graph, policy, words)
}
