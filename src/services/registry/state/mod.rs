//! What the topic's records say, and what follows from it. Pure: no clock, no chance, no IO.
//!
//! Enters: records, in the topic's order ([`State::replay`]); operations. Leaves: answers; for a write, an [`Outcome`] whose
//! records are to be appended. Nothing changes but by replay.

mod check;
mod delete;
mod draft;
mod lists;
mod lookup;
mod register;
mod replay;
mod settings;
mod tags;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use imbl::OrdMap;

use super::guid::Guid;
use super::model::{Config, Metadata, Mode, RuleSet, Schema, SchemaReference};
use super::records::Record;
use super::subject::Qualified;

pub use check::validate_rules;

/// The answer to a write, once its records are in the topic.
#[derive(Debug)]
pub struct Outcome<T> {
    pub answer: T,
    pub records: Vec<Record>,
}

/// All that a registry knows. A copy costs a few pointers, so that who looks for long holds up no one who writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    subjects: OrdMap<Arc<str>, Versions>,
    /// The versions that a schema may be found by without saying the same ([`Content::is_special`]): few, where versions are many.
    special: OrdMap<Arc<str>, BTreeSet<i32>>,
    contexts: OrdMap<String, Context>,
    /// By subject, `:.context:`, or none for the default context.
    configs: OrdMap<Option<String>, Config>,
    modes: OrdMap<Option<String>, Mode>,
    /// By subject and version: which schemas, by context and id, refer to it, and how many of their versions are not deleted.
    referenced: OrdMap<(String, i32), BTreeMap<(String, i32), u32>>,
}

type Versions = BTreeMap<i32, Version>;

/// A version of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    id: i32,
    content: Arc<Content>,
    deleted: bool,
    /// When its record was written.
    ts: i64,
}

/// What a schema says, shared by all subjects of a context that have it.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    schema_type: Cow<'static, str>,
    references: Vec<SchemaReference>,
    metadata: Option<Metadata>,
    rule_set: Option<RuleSet>,
    schema: Box<str>,
    guid: Guid,
}

impl Content {
    /// With references, it may be asked for with these resolved; with metadata, without the version in them.
    fn is_special(&self) -> bool {
        !self.references.is_empty() || self.metadata.is_some()
    }
}

/// A space of ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Context {
    /// Whether the topic names it; the default one it does not.
    is_recorded: bool,
    by_id: OrdMap<i32, Holders>,
    by_guid: OrdMap<Guid, i32>,
    /// The highest id that was ever given out.
    max_id: i32,
}

/// The subjects that have a schema, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Holders(Vec<Holder>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Holder {
    subject: Arc<str>,
    /// The one that got the schema last.
    version: i32,
    /// Imported twice, a schema may have older versions in the same subject.
    is_repeated: bool,
}

impl Holders {
    fn version_of(&self, subject: &str) -> Option<i32> {
        self.find(subject).ok().map(|at| self.0[at].version)
    }

    fn set(&mut self, subject: &Arc<str>, version: i32) {
        match self.find(subject) {
            Ok(at) => {
                let holder = &mut self.0[at];
                holder.is_repeated |= holder.version != version;
                holder.version = version;
            }
            Err(at) => {
                self.0.insert(at, Holder { subject: Arc::clone(subject), version, is_repeated: false });
            }
        }
    }

    fn find(&self, subject: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|holder| holder.subject.as_ref().cmp(subject))
    }
}

/// What was found: a version, with its subject and number.
#[derive(Debug, Clone)]
struct Found {
    subject: Arc<str>,
    number: i32,
    version: Version,
}

impl Found {
    /// All that is known of it.
    fn entity(&self) -> Schema {
        let content = &self.version.content;
        Schema {
            subject: Some(self.subject.to_string()),
            version: Some(self.number),
            id: Some(self.version.id),
            guid: Some(content.guid.to_string()),
            schema_type: Some(content.schema_type.to_string()),
            references: content.references.clone(),
            metadata: content.metadata.clone(),
            rule_set: content.rule_set.clone(),
            schema: Some(content.schema.to_string()),
            ts: Some(self.version.ts),
            deleted: Some(self.version.deleted),
            ..Schema::default()
        }
    }
}

impl State {
    fn context_of(&self, subject: &str) -> Option<&Context> {
        self.contexts.get(Qualified::parse(subject).context)
    }

    /// The contexts that the topic names, which are all but the default one.
    fn named_contexts(&self) -> impl Iterator<Item = &str> {
        self.contexts.iter().filter(|(_, context)| context.is_recorded).map(|(name, _)| name.as_str())
    }

    fn found(&self, subject: &str, number: i32) -> Option<Found> {
        let (subject, versions) = self.subjects.get_key_value(subject)?;
        let version = versions.get(&number)?.clone();
        Some(Found { subject: Arc::clone(subject), number, version })
    }

    fn versions_of(&self, subject: &str) -> impl DoubleEndedIterator<Item = (i32, &Version)> {
        self.subjects.get(subject).into_iter().flatten().map(|(number, version)| (*number, version))
    }

    fn latest(&self, subject: &str) -> Option<Found> {
        let (number, _) = self.versions_of(subject).rev().find(|(_, version)| !version.deleted)?;
        self.found(subject, number)
    }
}
