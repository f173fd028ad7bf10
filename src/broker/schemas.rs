//! Which records a topic with schema validation takes: those whose key and value name a schema that is registered for it, as on
//! Confluent Server.
//!
//! The registry is a service above the broker, known here by what it is asked.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use ottla_protocol::Uuid;
use ottla_protocol::batch::{Part, RecordCheck, SchemaId, SchemaMarks, read_message_path};
use tokio::time::timeout;
use tracing::error;

use crate::config::{SchemaValidation, SubjectNameStrategy};

/// What knows which schemas are registered.
pub trait SchemaRegistry: Send + Sync {
    /// Takes in all that was registered until now: what is asked afterwards is answered with it.
    fn catch_up(&self) -> CatchUp<'_>;

    /// Whether the schema is a version of the subject, be it deleted softly.
    fn is_registered(&self, subject: &str, id: SchemaId) -> bool;

    /// What the records of a schema are called. `message`: the path to one of its messages, if it is of Protobuf.
    fn record_name(&self, id: SchemaId, message: &[i32]) -> RecordName;
}

/// Ends with the reason when the schemas cannot be read.
pub type CatchUp<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordName {
    /// There is no such schema, or no name in it.
    Unknown,
    /// Of all its records.
    OfAll(String),
    /// Of those of that message.
    OfMessage(String),
}

/// Why no record can be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemasUnavailable {
    /// There is no registry.
    NoRegistry,
    /// It cannot be asked now.
    NotNow(String),
}

/// How long a Produce request waits for the registry to have read its topic.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(10);

/// The registry of this process, if it has one.
#[derive(Default)]
pub struct Schemas {
    registry: OnceLock<Weak<dyn SchemaRegistry>>,
    has_complained: AtomicBool,
}

impl Schemas {
    /// To be called once, before the first request.
    pub fn set_registry(&self, registry: Weak<dyn SchemaRegistry>) {
        let first = self.registry.set(registry);
        assert!(first.is_ok(), "a broker has one schema registry");
    }

    /// The registry, when it knows all that was registered until now.
    pub async fn caught_up(&self, topic: &str) -> Result<Arc<dyn SchemaRegistry>, SchemasUnavailable> {
        let Some(registry) = self.registry.get() else {
            if !self.has_complained.swap(true, Ordering::Relaxed) {
                error!(
                    topic,
                    "a topic validates schemas, but there is no schema registry: it takes no records"
                );
            }
            return Err(SchemasUnavailable::NoRegistry);
        };
        let not_now = |why: &str| SchemasUnavailable::NotNow(why.to_owned());
        let registry = registry.upgrade().ok_or_else(|| not_now("the schema registry is being stopped"))?;
        match timeout(CATCH_UP_TIMEOUT, registry.catch_up()).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => return Err(SchemasUnavailable::NotNow(why)),
            Err(_) => return Err(not_now("the schema registry is still reading its topic")),
        }
        Ok(registry)
    }
}

/// Checks the records of one batch.
pub struct SchemaIdCheck<'a> {
    registry: &'a dyn SchemaRegistry,
    topic: &'a str,
    validation: SchemaValidation,
    /// What was found out of schemas whose records all belong to one subject.
    known: RefCell<HashMap<(Part, SchemaId), bool>>,
}

/// Schemas of one batch that are remembered at once.
const KNOWN_MAX: usize = 1024;

/// Where a schema has to be registered.
struct Subject {
    /// None: its record has no name.
    name: Option<String>,
    is_of_all: bool,
}

impl<'a> SchemaIdCheck<'a> {
    pub fn new(registry: &'a dyn SchemaRegistry, topic: &'a str, validation: SchemaValidation) -> Self {
        Self { registry, topic, validation, known: RefCell::default() }
    }

    /// The parts that are looked at: with their strategy, and where their id stands.
    fn checked<'m>(
        &self,
        marks: &'m SchemaMarks,
    ) -> impl Iterator<Item = (Part, SubjectNameStrategy, &'m [u8])> {
        let SchemaValidation { key, value } = self.validation;
        let parts = [(Part::Key, key), (Part::Value, value)].into_iter();
        parts.filter_map(|(part, strategy)| {
            let mark = marks.of(part);
            Some((part, strategy?, mark.bytes())).filter(|_| !mark.is_null())
        })
    }

    fn accepts_part(&self, part: Part, strategy: SubjectNameStrategy, bytes: &[u8]) -> bool {
        let Some((id, rest)) = SchemaId::read(bytes) else { return false };
        if let Some(accepted) = self.known.borrow().get(&(part, id)) {
            return *accepted;
        }
        let subject = self.subject(part, strategy, id, rest);
        let accepted = subject.name.is_some_and(|name| self.registry.is_registered(&name, id));
        if subject.is_of_all {
            let mut known = self.known.borrow_mut();
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert((part, id), accepted);
        }
        accepted
    }

    fn subject(&self, part: Part, strategy: SubjectNameStrategy, id: SchemaId, rest: &[u8]) -> Subject {
        if strategy == SubjectNameStrategy::TopicName {
            return Subject { name: Some(format!("{}-{}", self.topic, part.name())), is_of_all: true };
        }
        let message = read_message_path(rest).unwrap_or_default();
        let (name, is_of_all) = match self.registry.record_name(id, &message) {
            RecordName::Unknown => (None, false),
            RecordName::OfAll(name) => (Some(name), true),
            RecordName::OfMessage(name) => (Some(name), false),
        };
        let name = match strategy {
            SubjectNameStrategy::TopicRecordName => name.map(|name| format!("{}-{name}", self.topic)),
            _ => name,
        };
        Subject { name, is_of_all }
    }

    fn complaint(&self, part: Part, strategy: SubjectNameStrategy, bytes: &[u8]) -> String {
        let part_name = part.name();
        let Some((id, rest)) = SchemaId::read(bytes) else {
            return format!(
                "its {part_name} names no schema: there is neither a header __{part_name}_schema_id nor a magic byte and an id at its beginning"
            );
        };
        let shown = match id {
            SchemaId::Id(id) => format!("id {id}"),
            SchemaId::Guid(guid) => format!("guid {}", Uuid::from_bytes(guid)),
        };
        match self.subject(part, strategy, id, rest).name {
            Some(subject) => {
                format!("the schema of its {part_name}, {shown}, is not registered under subject {subject}")
            }
            None => format!("the schema of its {part_name}, {shown}, is not registered or has no name"),
        }
    }
}

impl RecordCheck for SchemaIdCheck<'_> {
    fn accepts(&self, marks: &SchemaMarks) -> bool {
        self.checked(marks).all(|(part, strategy, bytes)| self.accepts_part(part, strategy, bytes))
    }

    fn reason(&self, marks: &SchemaMarks) -> String {
        // The name is Confluent's: people and programs look for it.
        const INTERCEPTOR: &str = "io.confluent.kafka.schemaregistry.validator.RecordSchemaValidator";
        let mut refused =
            self.checked(marks).filter(|(part, strategy, bytes)| !self.accepts_part(*part, *strategy, bytes));
        let why = refused.next().map(|(part, strategy, bytes)| self.complaint(part, strategy, bytes));
        format!("the record interceptor {INTERCEPTOR}: {}", why.unwrap_or_default())
    }
}

impl fmt::Debug for SchemaIdCheck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchemaIdCheck")
            .field("topic", &self.topic)
            .field("validation", &self.validation)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A registry that is read, or not.
    struct Fake(Result<(), &'static str>);

    impl SchemaRegistry for Fake {
        fn catch_up(&self) -> CatchUp<'_> {
            Box::pin(async { self.0.map_err(str::to_owned) })
        }

        fn is_registered(&self, _subject: &str, _id: SchemaId) -> bool {
            true
        }

        fn record_name(&self, _id: SchemaId, _message: &[i32]) -> RecordName {
            RecordName::Unknown
        }
    }

    async fn caught_up(schemas: &Schemas) -> Result<(), SchemasUnavailable> {
        schemas.caught_up("t").await.map(|_| ())
    }

    #[tokio::test]
    async fn nothing_is_said_of_schemas_that_cannot_be_read() {
        let not_now = |why: &str| Err(SchemasUnavailable::NotNow(why.to_owned()));
        let schemas = Schemas::default();
        assert_eq!(caught_up(&schemas).await, Err(SchemasUnavailable::NoRegistry));
        let offline: Arc<dyn SchemaRegistry> = Arc::new(Fake(Err("offline")));
        schemas.set_registry(Arc::downgrade(&offline));
        assert_eq!(caught_up(&schemas).await, not_now("offline"));
        drop(offline);
        assert_eq!(caught_up(&schemas).await, not_now("the schema registry is being stopped"));
        let (schemas, readable) = (Schemas::default(), Arc::new(Fake(Ok(()))));
        let asked: Weak<Fake> = Arc::downgrade(&readable);
        schemas.set_registry(asked);
        assert_eq!(caught_up(&schemas).await, Ok(()));
    }
}
