//! Schemas as a registry of Confluent's kind sees them: what a text means, how it is written in one way only, and whether
//! data of one version can be read by another. Pure: no clock, no network, no files.
//!
//! | room | what is in it |
//! |---|---|
//! | [`compatibility`] | the seven modes, over lists of earlier versions |
//! | [`tags`] | tags of records and fields |
//! | [`avro`], [`json`], [`protobuf`] | one format each: parsing, canonical text, rules |

pub mod avro;
pub mod compatibility;
mod jackson;
pub mod json;
mod names;
pub mod protobuf;
pub mod tags;

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

pub use self::names::RecordNames;

use self::compatibility::Policy;
use self::tags::Tagged;

/// No schema is larger, references not counted.
pub const MAX_SCHEMA_BYTES: usize = 1 << 20;

/// The formats, by the names that the API has for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SchemaType {
    #[default]
    Avro,
    Json,
    Protobuf,
}

impl SchemaType {
    pub const ALL: [Self; 3] = [Self::Json, Self::Protobuf, Self::Avro];

    pub fn name(self) -> &'static str {
        match self {
            Self::Avro => "AVRO",
            Self::Json => "JSON",
            Self::Protobuf => "PROTOBUF",
        }
    }
}

impl fmt::Display for SchemaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SchemaType {
    type Err = InvalidSchema;

    fn from_str(name: &str) -> Result<Self, InvalidSchema> {
        let found = Self::ALL.into_iter().find(|of| of.name() == name);
        found.ok_or_else(|| InvalidSchema(format!("Invalid schema type {name}")))
    }
}

/// A schema that another refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency {
    /// What it is called where it is referred to: a full name (Avro), a URI (JSON Schema), an import (Protobuf).
    pub name: String,
    /// Its text.
    pub schema: String,
}

/// Why a text is no schema, in words for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidSchema(pub String);

impl fmt::Display for InvalidSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidSchema {}

/// How a message names the two schemas that it compares: which one is new depends on the direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    pub reader: &'static str,
    pub writer: &'static str,
}

/// The new schema reads what was written with the old one.
pub const BACKWARD: Words = Words { reader: "new", writer: "old" };
/// The old schema reads what is written with the new one.
pub const FORWARD: Words = Words { reader: "old", writer: "new" };

/// A schema that was understood.
#[derive(Debug, Clone)]
pub enum ParsedSchema {
    Avro(avro::Schema),
    Json(json::Schema),
    Protobuf(protobuf::Schema),
}

impl ParsedSchema {
    /// Reads a schema. `dependencies`: all that it refers to, directly or not, each after those that it refers to itself.
    pub fn parse(
        schema_type: SchemaType,
        text: &str,
        dependencies: &[Dependency],
    ) -> Result<Self, InvalidSchema> {
        if text.len() > MAX_SCHEMA_BYTES {
            return Err(InvalidSchema(format!("The schema is larger than {MAX_SCHEMA_BYTES} bytes")));
        }
        Ok(match schema_type {
            SchemaType::Avro => Self::Avro(avro::Schema::parse(text, dependencies)?),
            SchemaType::Json => Self::Json(json::Schema::parse(text, dependencies)?),
            SchemaType::Protobuf => Self::Protobuf(protobuf::Schema::parse(text, dependencies)?),
        })
    }

    pub fn schema_type(&self) -> SchemaType {
        match self {
            Self::Avro(_) => SchemaType::Avro,
            Self::Json(_) => SchemaType::Json,
            Self::Protobuf(_) => SchemaType::Protobuf,
        }
    }

    /// The text that Confluent's registry stores and returns (`canonicalString`): two texts with the same one are the same
    /// schema.
    pub fn canonical(&self) -> String {
        match self {
            Self::Avro(schema) => schema.canonical(),
            Self::Json(schema) => schema.canonical(),
            Self::Protobuf(schema) => schema.canonical(),
        }
    }

    /// The canonical text after `normalize=true`: also what differs without meaning is the same.
    pub fn normalized(&self) -> String {
        match self {
            Self::Avro(schema) => schema.normalized(),
            Self::Json(schema) => schema.normalized(),
            Self::Protobuf(schema) => schema.normalized(),
        }
    }

    /// The text in one of the format's other forms (`format=resolved`, `serialized`, ...); an unknown or empty one is the canonical.
    pub fn formatted(&self, format: &str) -> Result<String, InvalidSchema> {
        match self {
            Self::Avro(schema) => schema.formatted(format),
            Self::Json(schema) => schema.formatted(format),
            Self::Protobuf(schema) => schema.formatted(format),
        }
    }

    /// Whether the defaults that it has are values of their types. Confluent's registry asks this of a new schema that is registered with
    /// `normalize=true`, and of Avro alone.
    pub fn check_defaults(&self) -> Result<(), InvalidSchema> {
        match self {
            Self::Avro(schema) => schema.check_defaults(),
            Self::Json(_) | Self::Protobuf(_) => Ok(()),
        }
    }

    /// Whether its fields may be called as they are: what Confluent's registry asks of JSON Schemas where `validateFields` is set.
    pub fn check_field_names(&self) -> Result<(), InvalidSchema> {
        match self {
            Self::Json(schema) => schema.check_field_names(),
            Self::Avro(_) | Self::Protobuf(_) => Ok(()),
        }
    }

    /// The names of its fields: of an Avro record, of a JSON Schema's properties, of all messages that a Protobuf file declares at its top.
    pub fn top_level_fields(&self) -> HashSet<String> {
        match self {
            Self::Avro(schema) => schema.top_level_fields(),
            Self::Json(schema) => schema.top_level_fields(),
            Self::Protobuf(schema) => schema.top_level_fields(),
        }
    }

    /// What has tags in it, in its order.
    pub fn tagged_entities(&self) -> Vec<Tagged> {
        match self {
            Self::Avro(schema) => schema.tagged_entities(),
            Self::Json(schema) => schema.tagged_entities(),
            Self::Protobuf(schema) => schema.tagged_entities(),
        }
    }

    /// Its canonical text with other tags. An error when it has no such entity.
    pub fn with_tags(&self, add: &[Tagged], remove: &[Tagged]) -> Result<String, InvalidSchema> {
        let changes = tags::changes(add, remove)?;
        match self {
            Self::Avro(schema) => schema.with_tags(&changes),
            Self::Json(schema) => schema.with_tags(&changes),
            Self::Protobuf(schema) => schema.with_tags(&changes),
        }
    }

    /// What its records are called.
    pub fn record_names(&self) -> RecordNames {
        let one = |name: Option<String>| name.map_or(RecordNames::None, RecordNames::One);
        match self {
            Self::Avro(schema) => one(schema.record_name()),
            Self::Json(schema) => one(schema.title()),
            Self::Protobuf(schema) => schema.message_names(),
        }
    }

    /// Why `self` cannot read what was written with `writer`: Confluent's lines, such as
    /// `{errorType:'TYPE_MISMATCH', description:'...', additionalInfo:'...'}`; empty when it can.
    pub fn incompatibilities(&self, writer: &Self, policy: Policy, words: Words) -> Vec<String> {
        match (self, writer) {
            (Self::Avro(reader), Self::Avro(writer)) => avro::incompatibilities(reader, writer, words),
            (Self::Json(reader), Self::Json(writer)) => {
                json::incompatibilities(reader, writer, policy, words)
            }
            (Self::Protobuf(reader), Self::Protobuf(writer)) => {
                protobuf::incompatibilities(reader, writer, words)
            }
            (reader, writer) => vec![compatibility::other_type(reader.schema_type(), writer.schema_type())],
        }
    }
}
