//! What the broker asks of the registry, where a topic validates schemas. Ids are those of the default context.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ottla_protocol::batch::SchemaId;
use ottla_schema::RecordNames;

use super::Registry;
use super::guid::Guid;
use crate::broker::{CatchUp, RecordName, SchemaRegistry, in_place};

impl SchemaRegistry for Registry {
    fn catch_up(&self) -> CatchUp<'_> {
        Box::pin(async { self.storage.catch_up().await.map_err(|error| error.message) })
    }

    fn is_registered(&self, subject: &str, id: SchemaId) -> bool {
        let state = self.storage.known();
        let subject = state.subject(subject);
        match id {
            SchemaId::Id(id) => state.holds(&subject, id),
            SchemaId::Guid(guid) => state.holds_guid(&subject, Guid::of_bytes(guid)),
        }
    }

    fn record_name(&self, id: SchemaId, message: &[i32]) -> RecordName {
        let state = self.storage.known();
        let Some(guid) = state.guid_of(id) else { return RecordName::Unknown };
        let names = self.names.get(guid).unwrap_or_else(|| {
            let parsed = in_place(|| state.parse_by_id(id, &self.parser));
            match parsed {
                Some((parsed, bytes)) => self.names.keep(guid, parsed.record_names(), bytes),
                None => self.names.keep(guid, RecordNames::None, 0),
            }
        });
        match &*names {
            RecordNames::None => RecordName::Unknown,
            RecordNames::One(name) => RecordName::OfAll(name.clone()),
            names @ RecordNames::Messages { .. } => {
                names.of_message(message).map_or(RecordName::Unknown, RecordName::OfMessage)
            }
        }
    }
}

/// The names in schemas that were asked for: a schema is read once for many records.
#[derive(Debug, Default)]
pub struct Names(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_guid: HashMap<Guid, Arc<RecordNames>>,
    /// Of the schemas' texts: names take a few times as much at most, and mostly next to nothing.
    text_bytes: usize,
}

const SCHEMAS_MAX: usize = 1024;
const TEXT_BYTES_MAX: usize = 4 << 20;

impl Names {
    fn get(&self, guid: Guid) -> Option<Arc<RecordNames>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_guid.get(&guid).cloned()
    }

    fn keep(&self, guid: Guid, names: RecordNames, text_bytes: usize) -> Arc<RecordNames> {
        let names = Arc::new(names);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.by_guid.len() >= SCHEMAS_MAX || kept.text_bytes > TEXT_BYTES_MAX {
            *kept = Kept::default();
        }
        kept.text_bytes += text_bytes;
        kept.by_guid.insert(guid, Arc::clone(&names));
        names
    }
}
