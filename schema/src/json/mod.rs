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
//! | `parts`, `tags` | what has tags, by which paths, and changing them |

mod build;
mod diff;
mod documents;
mod draft;
mod graph;
mod parts;
mod tags;
#[cfg(test)]
mod tests;
mod text;
mod uri;

use std::collections::HashSet;

use serde_json::Value;

use crate::compatibility::Policy;
use crate::tags::{Change, Tagged};
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

    /// The names in `properties`.
    pub fn top_level_fields(&self) -> HashSet<String> {
        let value = text::read(&self.canonical).unwrap_or_default();
        property_names(&value).cloned().collect()
    }

    /// Properties of the outermost object whose names begin with `$$` are Confluent's own.
    pub fn check_field_names(&self) -> Result<(), InvalidSchema> {
        let value = text::read(&self.canonical)?;
        match tags::is_object(&value) && property_names(&value).any(|name| name.starts_with("$$")) {
            true => Err(InvalidSchema("#: Field names cannot start with $$ prefix".to_owned())),
            false => Ok(()),
        }
    }

    /// Objects and properties with tags, by paths such as `object.orders.array.object.id`.
    pub fn tagged_entities(&self) -> Vec<Tagged> {
        text::read(&self.canonical).map_or_else(|_| Vec::new(), |value| tags::entities(&value))
    }

    pub(crate) fn with_tags(&self, changes: &[Change<'_>]) -> Result<String, InvalidSchema> {
        let mut value = text::read(&self.canonical)?;
        tags::change(&mut value, changes)?;
        Ok(text::write(&value))
    }

    /// There is but one form: formats that are not known give the canonical text.
    pub fn formatted(&self, _format: &str) -> Result<String, InvalidSchema> {
        Ok(self.canonical.clone())
    }
}

fn property_names(schema: &Value) -> impl Iterator<Item = &String> {
    schema.get("properties").and_then(Value::as_object).into_iter().flat_map(|properties| properties.keys())
}

/// Why `reader` cannot read what was written with `writer`: a line for each difference that is not compatible, such as
/// `{errorType:"TYPE_CHANGED", description:"A type at path '#/properties/a' is different between the new schema and the old schema"}`.
pub fn incompatibilities(reader: &Schema, writer: &Schema, policy: Policy, words: Words) -> Vec<String> {
    diff::compare(&writer.graph, &reader.graph, policy, words)
}
