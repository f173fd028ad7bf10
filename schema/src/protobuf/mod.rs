//! Protobuf as Confluent's registry has it. Enters: `.proto` text or a descriptor in base64, and what it imports. Leaves: its
//! canonical and its normalized text, its descriptor, and why data of one schema cannot be read with another.
//!
//! | file | what |
//! |---|---|
//! | `reader`, `options`, `parser` | text to elements, as Square's Wire reads it |
//! | `descriptor`, `meta` | a descriptor to elements |
//! | `element` | a file as it was written, names not looked up |
//! | `types` | what is declared, by name, and looking it up |
//! | `writer`, `normal` | elements to text |
//! | `compare`, `difference` | two schemas against each other |
//! | `known`, `imports/` | the imports that nobody registers |
//! | `encode` | elements to a descriptor |
//! | `tags` | what has tags, and changing them |

mod compare;
mod descriptor;
mod difference;
mod element;
mod encode;
#[cfg(test)]
mod hostile_tests;
mod known;
mod meta;
mod normal;
mod options;
mod parser;
mod reader;
mod tags;
#[cfg(test)]
mod tests;
mod types;
mod writer;

use std::collections::HashSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost::Message;

use self::element::{File, Type};
use self::types::Types;
use self::writer::Form;
use crate::tags::{Change, Tagged};
use crate::{Dependency, InvalidSchema, MAX_SCHEMA_BYTES, RecordNames, Words, names};

/// A schema that was understood.
#[derive(Debug, Clone)]
pub struct Schema {
    file: Arc<File>,
    imports: Arc<Vec<Import>>,
    /// Whether there may be a use of what need not be registered.
    uses_known: bool,
}

#[derive(Debug)]
struct Import {
    name: String,
    file: File,
}

impl Schema {
    /// Every type that it uses must be declared, there or in `dependencies` or in an import that every registry has.
    pub fn parse(text: &str, dependencies: &[Dependency]) -> Result<Self, InvalidSchema> {
        let import = |of: &Dependency| Ok(Import { name: of.name.clone(), file: read(&of.schema)? });
        let schema = Self {
            file: Arc::new(read(text)?),
            imports: Arc::new(dependencies.iter().map(import).collect::<Result<_, _>>()?),
            uses_known: may_use_known(text) || dependencies.iter().any(|of| may_use_known(&of.schema)),
        };
        let types = schema.types();
        types.check_lengths()?;
        let texts =
            [Form::Canonical, Form::Normalized(&types)].map(|form| writer::write(&schema.file, &form));
        for text in texts {
            // Indentation and full names make it longer, and what is stored must be read again.
            if text?.len() > MAX_SCHEMA_BYTES {
                let what = format!("The canonical text is larger than {MAX_SCHEMA_BYTES} bytes");
                return Err(InvalidSchema(what));
            }
        }
        drop(types);
        Ok(schema)
    }

    pub fn canonical(&self) -> String {
        self.written(&Form::Canonical)
    }

    pub fn normalized(&self) -> String {
        self.written(&Form::Normalized(&self.types()))
    }

    /// `serialized`: the descriptor in base64; `ignore_extensions`: without custom options and extensions.
    pub fn formatted(&self, format: &str) -> Result<String, InvalidSchema> {
        match format {
            "ignore_extensions" => Ok(self.written(&Form::IgnoreExtensions)),
            "serialized" => Ok(STANDARD.encode(encode::descriptor(&self.file, &self.types()))),
            _ => Ok(self.canonical()),
        }
    }

    /// As a path in a record counts them: messages without enums, in their order.
    pub fn message_names(&self) -> RecordNames {
        RecordNames::Messages { package: self.file.package.clone(), messages: names(&self.file.types) }
    }

    /// Those of all messages that are not within another one.
    pub fn top_level_fields(&self) -> HashSet<String> {
        let messages = self.file.types.iter().filter_map(Type::as_message);
        messages.flat_map(|message| message.fields.iter().map(|field| field.name.clone())).collect()
    }

    /// Messages and fields with tags, by their paths without the package.
    pub fn tagged_entities(&self) -> Vec<Tagged> {
        tags::entities(&self.file)
    }

    pub(crate) fn with_tags(&self, changes: &[Change<'_>]) -> Result<String, InvalidSchema> {
        let mut file = File::clone(&self.file);
        tags::change(&mut file, changes)?;
        writer::write(&file, &Form::Canonical)
    }

    fn written(&self, form: &Form<'_>) -> String {
        // It fails for types that are not declared, and those were looked for when it was parsed.
        writer::write(&self.file, form).unwrap_or_default()
    }

    fn types(&self) -> Types<'_> {
        Types::new(&self.file, &self.imported())
    }

    /// Those that are known, unless a dependency has their name, then the dependencies.
    fn imported(&self) -> Vec<&File> {
        let is_given = |name: &str| self.imports.iter().any(|import| import.name == name);
        let known = if self.uses_known { known::files() } else { &[] };
        let known = known.iter().filter(|(name, _)| !is_given(name)).map(|(_, file)| file);
        let given = self.imports.iter().map(|import| &import.file);
        known.chain(given).collect()
    }
}

/// Why `reader` cannot read what was written with `writer`.
pub fn incompatibilities(reader: &Schema, writer: &Schema, words: Words) -> Vec<String> {
    let packages = [writer.file.package.as_deref(), reader.file.package.as_deref()];
    let differences = compare::compare(&writer.types(), &reader.types(), packages);
    differences.iter().map(|difference| difference.line(words)).collect()
}

/// Text, or a descriptor in base64.
fn read(text: &str) -> Result<File, InvalidSchema> {
    parser::parse(text).or_else(|error| {
        let bytes = STANDARD.decode(text).map_err(|_| error.clone())?;
        let file = prost_types::FileDescriptorProto::decode(&bytes[..]).map_err(|_| error.clone())?;
        let metas = meta::FileMeta::decode(&bytes[..]).map_err(|_| error)?;
        descriptor::read(&file, &metas)
    })
}

/// A descriptor may, whatever its text is.
fn may_use_known(text: &str) -> bool {
    !text.contains(';') || known::PACKAGES.iter().any(|package| text.contains(package))
}

fn names(of: &[Type]) -> Vec<names::Message> {
    let message =
        |of: &element::Message| names::Message { name: of.name.clone(), messages: names(&of.types) };
    of.iter().filter_map(Type::as_message).map(message).collect()
}
