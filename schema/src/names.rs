//! What the records of a schema are called: subject name strategies go by it.

/// The names in a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordNames {
    /// It has none: an Avro schema that is no record, a JSON Schema without a title.
    None,
    /// Of all records.
    One(String),
    /// Of the messages of a Protobuf file.
    Messages { package: Option<String>, messages: Vec<Message> },
}

/// A message, and those within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub name: String,
    pub messages: Vec<Message>,
}

impl RecordNames {
    /// The full name of a message. `path`: its place among the file's messages, then among those within that one, and so on.
    pub fn of_message(&self, path: &[i32]) -> Option<String> {
        let RecordNames::Messages { package, messages } = self else { return None };
        let mut within = messages;
        let mut names: Vec<&str> = package.iter().map(String::as_str).collect();
        for place in path {
            let message = within.get(usize::try_from(*place).ok()?)?;
            names.push(&message.name);
            within = &message.messages;
        }
        (!path.is_empty()).then(|| names.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ParsedSchema, SchemaType};

    fn names(schema_type: SchemaType, text: &str) -> RecordNames {
        ParsedSchema::parse(schema_type, text, &[]).unwrap().record_names()
    }

    #[test]
    fn records_are_called_as_confluents_serializers_call_them() {
        let one = |name: &str| RecordNames::One(name.to_owned());
        for (schema_type, text, expected) in [
            (SchemaType::Avro, r#"{"type":"record","name":"R","namespace":"a.b","fields":[]}"#, one("a.b.R")),
            (SchemaType::Avro, r#"{"type":"record","name":"R","fields":[]}"#, one("R")),
            (SchemaType::Avro, r#""string""#, RecordNames::None),
            (SchemaType::Avro, r#"{"type":"enum","name":"E","symbols":["A"]}"#, RecordNames::None),
            (SchemaType::Json, r#"{"title":"Order","type":"object"}"#, one("Order")),
            (SchemaType::Json, r#"{"type":"object"}"#, RecordNames::None),
            (SchemaType::Json, "true", RecordNames::None),
        ] {
            assert_eq!(names(schema_type, text), expected, "{text}");
        }
    }

    #[test]
    fn messages_are_found_by_their_path() {
        let file = r#"syntax = "proto3"; package a.b;
            enum E { X = 0; }
            message First { enum F { Y = 0; } message Inner { message Deep {} } message Other {} }
            message Second {}"#;
        let names = names(SchemaType::Protobuf, file);
        for (path, expected) in [
            (&[0][..], Some("a.b.First")),
            (&[1], Some("a.b.Second")),
            (&[0, 1], Some("a.b.First.Other")),
            (&[0, 0, 0], Some("a.b.First.Inner.Deep")),
            (&[2], None),
            (&[0, 0, 1], None),
            (&[-1], None),
            (&[], None),
        ] {
            assert_eq!(names.of_message(path).as_deref(), expected, "{path:?}");
        }
    }
}
