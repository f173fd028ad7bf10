//! Records become what is known.

use std::borrow::Cow;
use std::sync::Arc;

use imbl::OrdMap;
use ottla_schema::SchemaType;

use super::{Content, Context, State, Version, Versions};
use crate::services::registry::guid::Guid;
use crate::services::registry::records::{Record, SchemaValue};
use crate::services::registry::subject::{self, Qualified};

/// A record that contradicts the ones before it and counts for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Skipped {
    /// Its id is that of another schema.
    IdTaken { subject: String, version: i32, id: i32 },
    /// Ids and versions begin at 0 and 1.
    OutOfRange { subject: String, version: i32, id: i32 },
}

impl State {
    /// Takes the next record in. `ts`: when it was written.
    pub fn replay(&mut self, record: Record, ts: i64) -> Result<(), Skipped> {
        match record {
            Record::Schema { subject, version, value: Some(value) } => {
                return self.put_version(&subject::normalize(&subject), version, *value, ts);
            }
            Record::Schema { subject, version, value: None } => {
                self.remove_version(&subject::normalize(&subject), version);
            }
            Record::Config { subject, value } => {
                set(&mut self.configs, subject, value.map(|value| *value));
            }
            Record::Mode { subject, value } => set(&mut self.modes, subject, value),
            Record::DeleteSubject { subject, version: Some(up_to) } => {
                self.mark_deleted(&subject::normalize(&subject), up_to);
            }
            Record::ClearSubject { subject, is_set: true } => self.forget_deleted(subject.as_deref()),
            Record::Context { context, is_set } => {
                self.contexts.entry(context).or_default().is_recorded = is_set;
            }
            Record::DeleteSubject { version: None, .. }
            | Record::ClearSubject { is_set: false, .. }
            | Record::Other => {}
        }
        Ok(())
    }

    fn put_version(
        &mut self,
        subject: &str,
        number: i32,
        value: SchemaValue,
        ts: i64,
    ) -> Result<(), Skipped> {
        let (id, deleted) = (value.id, value.deleted);
        if number < 1 || id < 0 {
            return Err(Skipped::OutOfRange { subject: subject.to_owned(), version: number, id });
        }
        let holder = self.holder_of(subject, id);
        if holder.as_ref().is_some_and(|content| *content.schema != *value.schema) {
            return Err(Skipped::IdTaken { subject: subject.to_owned(), version: number, id });
        }
        let content = content_of(value);
        let content = holder.filter(|holder| **holder == content).unwrap_or_else(|| Arc::new(content));
        self.remove_version(subject, number);
        self.link(subject, number, Version { id, content, deleted, ts });
        Ok(())
    }

    /// What the schema with this id says, in the subject's context.
    pub(super) fn holder_of(&self, subject: &str, id: i32) -> Option<Arc<Content>> {
        let holder = self.context_of(subject)?.by_id.get(&id)?.0.first()?;
        Some(Arc::clone(&self.subjects.get(&holder.subject)?.get(&holder.version)?.content))
    }

    fn link(&mut self, subject: &str, number: i32, version: Version) {
        if !version.deleted {
            self.count_references(subject, &version, Step::Up);
        }
        let name = match self.subjects.get_key_value(subject) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(subject),
        };
        let context = self.contexts.entry(Qualified::parse(subject).context.to_owned()).or_default();
        context.by_id.entry(version.id).or_default().set(&name, number);
        context.by_guid.insert(version.content.guid, version.id);
        context.max_id = context.max_id.max(version.id);
        if version.content.is_special() {
            self.special.entry(Arc::clone(&name)).or_default().insert(number);
        }
        self.subjects.entry(name).or_default().insert(number, version);
    }

    fn remove_version(&mut self, subject: &str, number: i32) {
        let Some(versions) = self.subjects.get_mut(subject) else { return };
        let Some(version) = versions.remove(&number) else { return };
        if let Some(context) = self.contexts.get_mut(Qualified::parse(subject).context) {
            context.unlink(subject, number, &version, versions);
        }
        if versions.is_empty() {
            self.subjects.remove(subject);
        }
        if let Some(special) = self.special.get_mut(subject) {
            special.remove(&number);
            if special.is_empty() {
                self.special.remove(subject);
            }
        }
        if !version.deleted {
            self.count_references(subject, &version, Step::Down);
        }
    }

    fn mark_deleted(&mut self, subject: &str, up_to: i32) {
        let Some(versions) = self.subjects.get_mut(subject) else { return };
        let mut deleted = Vec::new();
        for (_, version) in versions.range_mut(..=up_to).filter(|(_, version)| !version.deleted) {
            version.deleted = true;
            deleted.push(version.clone());
        }
        for version in &deleted {
            self.count_references(subject, version, Step::Down);
        }
    }

    fn forget_deleted(&mut self, asked: Option<&str>) {
        let mut gone = Vec::new();
        for (name, versions) in &self.subjects {
            if subject::matches(asked, name) {
                let deleted = versions.iter().filter(|(_, version)| version.deleted);
                gone.extend(deleted.map(|(number, _)| (Arc::clone(name), *number)));
            }
        }
        for (name, number) in gone {
            self.remove_version(&name, number);
        }
    }

    fn count_references(&mut self, subject: &str, version: &Version, step: Step) {
        let referrer = (Qualified::parse(subject).context.to_owned(), version.id);
        for reference in &version.content.references {
            let referred = (subject::within(subject, &reference.subject), reference.version);
            match step {
                Step::Up => {
                    *self.referenced.entry(referred).or_default().entry(referrer.clone()).or_default() += 1;
                }
                Step::Down => {
                    let Some(referrers) = self.referenced.get_mut(&referred) else { continue };
                    if let Some(count) = referrers.get_mut(&referrer) {
                        *count -= 1;
                        if *count == 0 {
                            referrers.remove(&referrer);
                        }
                    }
                    if referrers.is_empty() {
                        self.referenced.remove(&referred);
                    }
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Step {
    Up,
    Down,
}

impl Context {
    /// A version is gone; these are the others of its subject.
    fn unlink(&mut self, subject: &str, number: i32, version: &Version, others: &Versions) {
        let Some(holders) = self.by_id.get_mut(&version.id) else { return };
        let Ok(at) = holders.find(subject) else { return };
        let holder = &mut holders.0[at];
        if holder.version != number {
            return;
        }
        let other = match holder.is_repeated {
            true => others.iter().rev().find(|(_, other)| other.id == version.id),
            false => None,
        };
        match other {
            Some((other, _)) => holder.version = *other,
            None => drop(holders.0.remove(at)),
        }
        if holders.0.is_empty() {
            self.by_id.remove(&version.id);
            if self.by_guid.get(&version.content.guid) == Some(&version.id) {
                self.by_guid.remove(&version.content.guid);
            }
        }
    }
}

fn set<V: Clone>(map: &mut OrdMap<Option<String>, V>, subject: Option<String>, value: Option<V>) {
    let subject = subject.map(|subject| subject::normalize(&subject)).filter(|subject| !subject.is_empty());
    match value {
        Some(value) => map.insert(subject, value),
        None => map.remove(&subject),
    };
}

fn content_of(value: SchemaValue) -> Content {
    let schema_type = match value.schema_type {
        None => Cow::Borrowed(SchemaType::Avro.name()),
        Some(name) => match name.parse::<SchemaType>() {
            Ok(known) => Cow::Borrowed(known.name()),
            Err(_) => Cow::Owned(name),
        },
    };
    let references = value.references.unwrap_or_default();
    let guid = Guid::of(&value.schema, &references, value.metadata.as_ref(), value.rule_set.as_ref());
    Content {
        schema_type,
        references,
        metadata: value.metadata,
        rule_set: value.rule_set,
        schema: value.schema.into_boxed_str(),
        guid,
    }
}
