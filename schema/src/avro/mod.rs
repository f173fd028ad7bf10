//! Avro, by the rules of its Java implementation 1.12, which is what Confluent's registry uses: what it accepts is accepted, with
//! its words for what it does not; what it writes is written. The `apache-avro` crate agrees with neither: it refuses or
//! forgets some of what a schema's text may hold and must keep (namespaces, properties, the order of aliases, references
//! to what is defined later).
//!
//! Enters: schema texts. Leaves: their canonical, normalized and resolved texts, their fingerprints, and whether one reads what was written
//! with another. Uses nothing but the JSON reader and the digests.
//!
//! A schema is a [`graph`] of nodes that refer to each other by number, so that recursive types need no care. Texts are at most
//! 128 levels deep, so that walking them needs little stack; whatever walks the graph counts its steps.

mod compatibility;
mod defaults;
mod fingerprint;
mod graph;
#[cfg(test)]
mod hostile_tests;
mod logical;
mod parser;
mod tags;
#[cfg(test)]
mod tests;
mod text;
mod write;

use std::collections::HashSet;
use std::sync::Arc;

pub use compatibility::incompatibilities;
pub use fingerprint::{crc_64_avro, md5, sha_256};

use crate::tags::{Change, Tagged};
use crate::{Dependency, InvalidSchema, MAX_SCHEMA_BYTES};
use graph::{Graph, Id};
use write::{Style, Writer};

/// With what it refers to, a schema's resolved text is no longer than this.
const MAX_RESOLVED_BYTES: usize = 16 * MAX_SCHEMA_BYTES;

/// A schema that was understood.
#[derive(Debug, Clone)]
pub struct Schema {
    understood: Arc<Understood>,
}

#[derive(Debug)]
struct Understood {
    graph: Graph,
    root: Id,
    /// The full names of what the dependencies define at their top: references to them stay references.
    referred: Vec<String>,
    canonical: String,
}

impl Schema {
    /// Reads a schema after its dependencies, whose types it may use by their full names.
    pub fn parse(text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        let mut parser = parser::Parser::default();
        let mut tops = Vec::new();
        for dependency in dependencies {
            tops.push(parser.parse(&dependency.schema)?);
        }
        let root = parser.parse(text)?;
        let graph = parser.finish();
        let referred: Vec<String> =
            tops.into_iter().filter_map(|top| Some(graph.node(top).named()?.name.full())).collect();
        // Written at once: whoever parses a schema wants this text, and it shows that the text can be read back.
        let canonical = write::text(&graph, root, &referred, Style::Canonical)?;
        Ok(Self { understood: Arc::new(Understood { graph, root, referred, canonical }) })
    }

    /// What Java's `Schema.toString` writes, with references by name to what the dependencies define.
    pub fn canonical(&self) -> String {
        self.understood.canonical.clone()
    }

    /// The canonical text of Confluent's `AvroSchema.normalize`: properties and aliases sorted, defaults as their types have them.
    pub fn normalized(&self) -> String {
        let Understood { graph, root, referred, canonical } = &*self.understood;
        write::text(graph, *root, referred, Style::Normalized).unwrap_or_else(|_| canonical.clone())
    }

    /// `resolved` has in it what the canonical text refers to.
    pub fn formatted(&self, format: &str) -> Result<String, InvalidSchema> {
        let Understood { graph, root, .. } = &*self.understood;
        match format {
            "resolved" => {
                Writer::new(graph, &[], Style::Canonical).within(MAX_RESOLVED_BYTES).write(*root, None)
            }
            _ => Ok(self.canonical()),
        }
    }

    /// The full name, if it is a record.
    pub fn record_name(&self) -> Option<String> {
        match &self.understood.graph.node(self.understood.root).kind {
            graph::Kind::Record(record) => Some(record.named.name.full()),
            _ => None,
        }
    }

    /// None, if it is no record.
    pub fn top_level_fields(&self) -> HashSet<String> {
        match &self.understood.graph.node(self.understood.root).kind {
            graph::Kind::Record(record) => record.by_name.keys().cloned().collect(),
            _ => HashSet::new(),
        }
    }

    /// Records and fields with tags, those of the schemas that it refers to as well.
    pub fn tagged_entities(&self) -> Vec<Tagged> {
        tags::entities(&self.understood.graph, self.understood.root)
    }

    pub(crate) fn with_tags(&self, changes: &[Change<'_>]) -> Result<String, InvalidSchema> {
        tags::changed(&self.understood.canonical, changes)
    }

    /// Whether every default is a value of its field's type. Confluent's registry asks when a schema is registered with
    /// `normalize=true`, or always with `avro.validate.defaults`.
    pub fn check_defaults(&self) -> Result<(), InvalidSchema> {
        defaults::check(&self.understood.graph)
    }

    /// The specification's Parsing Canonical Form: what matters to a reader, and nothing else.
    pub fn parsing_form(&self) -> String {
        fingerprint::parsing_form(&self.understood.graph, self.understood.root)
    }
}
