//! Avro.

use crate::{Dependency, InvalidSchema, Words};

/// A schema that was understood.
#[derive(Debug, Clone)]
pub struct Schema {
    canonical: String,
}

impl Schema {
    pub fn parse(text: &str, _dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        Ok(Self { canonical: text.to_owned() })
    }

    pub fn canonical(&self) -> String {
        self.canonical.clone()
    }

    pub fn normalized(&self) -> String {
        self.canonical.clone()
    }

    pub fn formatted(&self, _format: &str) -> Result<String, InvalidSchema> {
        Ok(self.canonical.clone())
    }
}

/// Why `reader` cannot read what was written with `writer`.
pub fn incompatibilities(_reader: &Schema, _writer: &Schema, _words: Words) -> Vec<String> {
    Vec::new()
}
