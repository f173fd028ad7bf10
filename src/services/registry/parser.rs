//! Schemas that were read, kept for a while: a registration reads the earlier versions again and again.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use md5::{Digest, Md5};
use ottla_schema::{Dependency, ParsedSchema, SchemaType};

use super::error::Error;

/// Reads texts, and remembers some of those that it has read.
#[derive(Debug, Default)]
pub struct Parser {
    kept: Mutex<Kept>,
}

/// Texts of one generation, in bytes. What is read takes a few times as much.
const MAX_GENERATION_BYTES: usize = 256 * 1024;

/// Two generations: what was used lately is in the young one.
#[derive(Debug, Default)]
struct Kept {
    young: HashMap<Key, Entry>,
    old: HashMap<Key, Entry>,
    young_bytes: usize,
}

type Key = [u8; 16];

#[derive(Debug, Clone)]
struct Entry {
    schema: Arc<ParsedSchema>,
    bytes: usize,
}

impl Parser {
    /// Reads a schema of the named type.
    pub fn parse(
        &self,
        schema_type: &str,
        text: &str,
        dependencies: &[Dependency],
    ) -> Result<Arc<ParsedSchema>, Error> {
        let known: SchemaType = schema_type
            .parse()
            .map_err(|_| Error::invalid_schema(format!("Invalid schema type {schema_type}")))?;
        let key = key(known, text, dependencies);
        if let Some(schema) = self.lock().get(key) {
            return Ok(schema);
        }
        let schema = ParsedSchema::parse(known, text, dependencies).map_err(|error| {
            Error::invalid_schema(format!("Invalid schema of type {schema_type}, details: {error}"))
        })?;
        let schema = Arc::new(schema);
        let bytes = text.len() + dependencies.iter().map(|other| other.schema.len()).sum::<usize>();
        self.lock().put(key, Entry { schema: Arc::clone(&schema), bytes });
        Ok(schema)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn get(&mut self, key: Key) -> Option<Arc<ParsedSchema>> {
        if let Some(entry) = self.young.get(&key) {
            return Some(Arc::clone(&entry.schema));
        }
        let entry = self.old.remove(&key)?;
        let schema = Arc::clone(&entry.schema);
        self.put(key, entry);
        Some(schema)
    }

    fn put(&mut self, key: Key, entry: Entry) {
        if self.young_bytes + entry.bytes > MAX_GENERATION_BYTES {
            self.old = mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if entry.bytes <= MAX_GENERATION_BYTES {
            self.young_bytes += entry.bytes;
            self.young.insert(key, entry);
        }
    }
}

fn key(schema_type: SchemaType, text: &str, dependencies: &[Dependency]) -> Key {
    let mut hash = Md5::new();
    hash.update(schema_type.name());
    hash.update(text.len().to_be_bytes());
    hash.update(text);
    for Dependency { name, schema } in dependencies {
        for part in [name, schema] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
    }
    hash.finalize().into()
}
