//! A schema as a request gives it, on its way to what is kept: read, written in the one way, its references looked up.

use std::collections::HashSet;
use std::sync::Arc;

use ottla_schema::{Dependency, MAX_SCHEMA_BYTES, ParsedSchema, SchemaType};

use super::{Content, Found, State};
use crate::services::registry::error::Error;
use crate::services::registry::guid::Guid;
use crate::services::registry::model::{
    Metadata, RegisterSchemaRequest, RuleSet, SchemaReference, VersionId,
};
use crate::services::registry::parser::Parser;
use crate::services::registry::records::SchemaValue;
use crate::services::registry::subject;

/// A schema that is asked about or to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub subject: String,
    /// 0: not given; -1: the one after the latest.
    pub version: i32,
    /// Only where the request gives one.
    pub id: Option<i32>,
    pub schema_type: String,
    pub references: Vec<SchemaReference>,
    pub metadata: Option<Metadata>,
    pub rule_set: Option<RuleSet>,
    pub schema: String,
}

/// Schemas that one refers to, directly or not, at most.
const MAX_DEPENDENCIES: usize = 1000;
/// Their texts together.
const MAX_DEPENDENCIES_BYTES: usize = 16 * MAX_SCHEMA_BYTES;
/// References that are looked at on the way, however often they lead to the same.
const MAX_REFERENCES: usize = 100_000;
/// How long a chain of references may be.
const MAX_DEPTH: usize = 64;
const TOO_MANY: &str = "The references lead to too many schemas";

impl Draft {
    pub fn new(subject: &str, request: RegisterSchemaRequest) -> Draft {
        Draft {
            subject: subject.to_owned(),
            version: request.version.unwrap_or(0),
            id: request.id.filter(|id| *id >= 0),
            schema_type: request.schema_type.unwrap_or_else(|| SchemaType::Avro.name().to_owned()),
            references: request.references.unwrap_or_default(),
            metadata: request.metadata,
            rule_set: request.rule_set,
            schema: request.schema.unwrap_or_default(),
        }
    }

    /// A version that is there.
    pub fn of(found: &Found) -> Draft {
        let content = &found.version.content;
        Draft {
            subject: found.subject.to_string(),
            version: found.number,
            id: Some(found.version.id),
            schema_type: content.schema_type.to_string(),
            references: content.references.clone(),
            metadata: content.metadata.clone(),
            rule_set: content.rule_set.clone(),
            schema: content.schema.to_string(),
        }
    }

    /// As it is kept under this id.
    pub fn into_value(self, id: i32) -> SchemaValue {
        SchemaValue {
            subject: self.subject,
            version: self.version,
            id,
            schema_type: Some(self.schema_type).filter(|name| name != SchemaType::Avro.name()),
            references: Some(self.references).filter(|references| !references.is_empty()),
            metadata: self.metadata,
            rule_set: self.rule_set,
            schema: self.schema,
            deleted: false,
        }
    }

    pub fn invalid(&self, why: &str) -> Error {
        Error::invalid_schema(format!("Invalid schema of type {}, details: {why}", self.schema_type))
    }

    pub fn is_blank(&self) -> bool {
        self.schema.trim().is_empty()
    }

    pub fn guid(&self) -> Guid {
        Guid::of(&self.schema, &self.references, self.metadata.as_ref(), self.rule_set.as_ref())
    }

    pub fn says_the_same_as(&self, content: &Content) -> bool {
        self.schema_type == content.schema_type
            && *self.schema == *content.schema
            && self.references == content.references
            && self.metadata == content.metadata
            && self.rule_set == content.rule_set
    }
}

impl State {
    /// Reads a draft and writes it in the one way: `None` when it has no text. What is new may not refer to deleted versions.
    pub(super) fn canonicalize(
        &self,
        draft: &mut Draft,
        normalize: bool,
        references: References,
        parser: &Parser,
    ) -> Result<Option<Arc<ParsedSchema>>, Error> {
        if draft.is_blank() {
            return Ok(None);
        }
        for reference in &mut draft.references {
            self.settle(&draft.subject, reference);
        }
        let dependencies = self.dependencies(&draft.subject, &draft.references, references);
        let dependencies = dependencies.map_err(|why| draft.invalid(&why))?;
        let parsed = parser.parse(&draft.schema_type, &draft.schema, &dependencies)?;
        if self.validates_fields(&draft.subject) && !self.is_importing(&draft.subject) {
            parsed.check_field_names().map_err(|error| draft.invalid(&error.0))?;
        }
        if normalize {
            draft.schema = parsed.normalized();
            draft.references.sort_by(|a, b| (&a.subject, a.version).cmp(&(&b.subject, b.version)));
            draft.references.dedup();
        } else {
            draft.schema = parsed.canonical();
        }
        Ok(Some(parsed))
    }

    /// Reads what is kept.
    pub(super) fn parse(
        &self,
        subject: &str,
        content: &Content,
        parser: &Parser,
    ) -> Result<Arc<ParsedSchema>, Error> {
        let dependencies = self
            .dependencies(subject, &content.references, References::ToAll)
            .map_err(Error::invalid_schema)?;
        parser.parse(&content.schema_type, &content.schema, &dependencies)
    }

    /// A reference to the latest version is to the one that is the latest now.
    fn settle(&self, parent: &str, reference: &mut SchemaReference) {
        if reference.version == -1
            && let Some(latest) = self.latest(&subject::within(parent, &reference.subject))
        {
            reference.version = latest.number;
        }
    }

    /// All that these references lead to, each after what it refers to itself.
    fn dependencies(
        &self,
        parent: &str,
        references: &[SchemaReference],
        to: References,
    ) -> Result<Vec<Dependency>, String> {
        let mut walk = Walk {
            state: self,
            to,
            seen: HashSet::new(),
            names: HashSet::new(),
            references: 0,
            bytes: 0,
            found: Vec::new(),
        };
        walk.follow(parent, references, MAX_DEPTH)?;
        Ok(walk.found)
    }
}

/// What references may lead to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum References {
    /// Deleted versions, too: they are still there for those that have referred to them.
    ToAll,
    ToUndeleted,
}

struct Walk<'a> {
    state: &'a State,
    to: References,
    /// Subjects and versions.
    seen: HashSet<(String, i32)>,
    names: HashSet<String>,
    references: usize,
    bytes: usize,
    found: Vec<Dependency>,
}

impl Walk<'_> {
    fn follow(
        &mut self,
        parent: &str,
        references: &[SchemaReference],
        depth_left: usize,
    ) -> Result<(), String> {
        for reference in references {
            self.references += 1;
            if self.references > MAX_REFERENCES {
                return Err(TOO_MANY.to_owned());
            }
            let SchemaReference { name, subject, version } = reference;
            if name.is_empty() || subject.is_empty() || *version == 0 {
                return Err(invalid(reference));
            }
            let subject = subject::within(parent, subject);
            if !self.seen.insert((subject.clone(), *version)) && self.names.contains(name) {
                continue;
            }
            let found = match version {
                -1 => self.state.latest(&subject),
                number => {
                    self.state.numbered(&subject, VersionId::Number(*number), self.to == References::ToAll)
                }
            };
            let found = found.ok_or_else(|| {
                format!("No schema reference found for subject \"{subject}\" and version {version}")
            })?;
            if depth_left == 0 {
                return Err("The references go too deep".to_owned());
            }
            let content = &found.version.content;
            self.follow(&subject, &content.references, depth_left - 1)?;
            if self.names.insert(name.clone()) {
                self.bytes += content.schema.len();
                self.found.push(Dependency { name: name.clone(), schema: content.schema.to_string() });
            }
            if self.found.len() > MAX_DEPENDENCIES || self.bytes > MAX_DEPENDENCIES_BYTES {
                return Err(TOO_MANY.to_owned());
            }
        }
        Ok(())
    }
}

/// What is not given is null there.
fn invalid(SchemaReference { name, subject, version }: &SchemaReference) -> String {
    let [name, subject] = [name, subject].map(|text| if text.is_empty() { "null" } else { text });
    let version = if *version == 0 { "null".to_owned() } else { version.to_string() };
    format!("Invalid reference: {{name='{name}', subject='{subject}', version={version}}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::registry::records::{Record, SchemaValue};

    #[test]
    fn references_are_looked_at_so_often_and_no_more() {
        let mut state = State::default();
        let value = SchemaValue {
            subject: "a".to_owned(),
            version: 1,
            id: 1,
            schema: "{}".to_owned(),
            ..SchemaValue::default()
        };
        let record = Record::Schema { subject: "a".to_owned(), version: 1, value: Some(Box::new(value)) };
        state.replay(record, 0).unwrap();
        let to_a = SchemaReference { name: "a".to_owned(), subject: "a".to_owned(), version: 1 };
        let found = |count| state.dependencies("b", &vec![to_a.clone(); count], References::ToAll);
        assert_eq!(found(MAX_REFERENCES).unwrap().len(), 1);
        assert_eq!(found(MAX_REFERENCES + 1).unwrap_err(), TOO_MANY);
    }
}
