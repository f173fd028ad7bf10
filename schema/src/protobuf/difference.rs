//! What makes one schema unable to read another's data, in Confluent's words. What is allowed leaves no difference here:
//! messages, fields and constants that come, fields that go, names that change, enums that go.

use crate::Words;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    PackageChanged,
    MessageRemoved,
    FieldKindChanged,
    FieldScalarKindChanged,
    FieldNamedTypeChanged,
    FieldNumericLabelChanged,
    RequiredFieldAdded,
    RequiredFieldRemoved,
    OneofFieldRemoved,
    MultipleFieldsMovedToOneof,
    FieldMovedToExistingOneof,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::PackageChanged => "PACKAGE_CHANGED",
            Self::MessageRemoved => "MESSAGE_REMOVED",
            Self::FieldKindChanged => "FIELD_KIND_CHANGED",
            Self::FieldScalarKindChanged => "FIELD_SCALAR_KIND_CHANGED",
            Self::FieldNamedTypeChanged => "FIELD_NAMED_TYPE_CHANGED",
            Self::FieldNumericLabelChanged => "FIELD_NUMERIC_LABEL_CHANGED",
            Self::RequiredFieldAdded => "REQUIRED_FIELD_ADDED",
            Self::RequiredFieldRemoved => "REQUIRED_FIELD_REMOVED",
            Self::OneofFieldRemoved => "ONEOF_FIELD_REMOVED",
            Self::MultipleFieldsMovedToOneof => "MULTIPLE_FIELDS_MOVED_TO_ONEOF",
            Self::FieldMovedToExistingOneof => "FIELD_MOVED_TO_EXISTING_ONEOF",
        }
    }

    fn description(self, path: &str, Words { reader, writer }: Words) -> String {
        let missing = format!("The {reader} schema is missing a");
        let in_reader = format!("at path '{path}' in the {reader} schema");
        let in_writer = format!("at path '{path}' in the {writer} schema");
        match self {
            Self::PackageChanged => format!(
                "The package at '{path}' in the {reader} schema does not match the package in the {writer} schema"
            ),
            Self::MessageRemoved => format!("{missing} MESSAGE type {in_writer}"),
            Self::FieldKindChanged => {
                format!("The type of a field {in_reader} does not match the {writer} schema")
            }
            Self::FieldScalarKindChanged => {
                format!(
                    "The kind of a SCALAR field {in_reader} does not match its kind in the {writer} schema"
                )
            }
            Self::FieldNamedTypeChanged => {
                format!(
                    "The type of a MESSAGE field {in_reader} does not match its type in the {writer} schema"
                )
            }
            Self::FieldNumericLabelChanged => {
                format!(
                    "The label for a NUMERIC field {in_reader} does not match its label in the {writer} schema"
                )
            }
            // The two spaces are Confluent's, and so is the colon below.
            Self::RequiredFieldAdded => {
                format!("A required field  {in_reader} is missing in the {writer} schema")
            }
            Self::RequiredFieldRemoved => {
                format!("{missing} required field at path: '{path}' in the {writer} schema")
            }
            Self::OneofFieldRemoved => format!("{missing} oneof field {in_writer}"),
            Self::MultipleFieldsMovedToOneof => {
                format!("Multiple fields in the oneof {in_reader} are outside a oneof in the {writer} schema")
            }
            Self::FieldMovedToExistingOneof => format!(
                "A field in the oneof {in_reader} is outside an existing oneof in the {writer} schema"
            ),
        }
    }
}

/// A difference, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub kind: Kind,
    pub path: String,
}

impl Difference {
    pub fn line(&self, words: Words) -> String {
        let description = self.kind.description(&self.path, words);
        format!("{{errorType:\"{}\", description:\"{description}\"}}", self.kind.name())
    }
}
