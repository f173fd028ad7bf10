//! The differences that are not compatible, with what Confluent's registry says of them. All others it finds and passes over, so
//! they have no name here.

use crate::Words;
use crate::compatibility::Policy;

/// A kind of difference: the name that the API has for it, and what its sentence is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    name: &'static str,
    sentence: Sentence,
}

#[derive(Debug, PartialEq, Eq)]
enum Sentence {
    KeywordAdded,
    ValueIncreased,
    ValueDecreased,
    ValueChanged,
    Fewer,
    More,
    TypeChanged,
    AddedToOpen,
    RequiredAddedToUnopen,
    RemovedFromClosed,
    RemovedUncovered,
    AddedUncovered,
    /// This one has no words.
    None,
}

macro_rules! differences {
    ($($name:ident $sentence:ident,)*) => {
        $(pub(super) const $name: Difference = Difference { name: stringify!($name), sentence: Sentence::$sentence };)*
    };
}

differences! {
    SCHEMA_ADDED None,
    TYPE_CHANGED TypeChanged,
    TYPE_NARROWED TypeChanged,
    MAX_LENGTH_ADDED KeywordAdded,
    MAX_LENGTH_DECREASED ValueDecreased,
    MIN_LENGTH_ADDED KeywordAdded,
    MIN_LENGTH_INCREASED ValueIncreased,
    PATTERN_ADDED KeywordAdded,
    PATTERN_CHANGED ValueChanged,
    MAXIMUM_ADDED KeywordAdded,
    MAXIMUM_DECREASED ValueDecreased,
    MINIMUM_ADDED KeywordAdded,
    MINIMUM_INCREASED ValueIncreased,
    EXCLUSIVE_MAXIMUM_ADDED KeywordAdded,
    EXCLUSIVE_MAXIMUM_DECREASED ValueDecreased,
    EXCLUSIVE_MINIMUM_ADDED KeywordAdded,
    EXCLUSIVE_MINIMUM_INCREASED ValueIncreased,
    MULTIPLE_OF_ADDED KeywordAdded,
    MULTIPLE_OF_EXPANDED ValueIncreased,
    MULTIPLE_OF_CHANGED ValueChanged,
    REQUIRED_ATTRIBUTE_ADDED KeywordAdded,
    MAX_PROPERTIES_ADDED KeywordAdded,
    MAX_PROPERTIES_DECREASED ValueDecreased,
    MIN_PROPERTIES_ADDED KeywordAdded,
    MIN_PROPERTIES_INCREASED ValueIncreased,
    ADDITIONAL_PROPERTIES_REMOVED KeywordAdded,
    ADDITIONAL_PROPERTIES_NARROWED Fewer,
    UNEVALUATED_PROPERTIES_REMOVED KeywordAdded,
    UNEVALUATED_PROPERTIES_NARROWED Fewer,
    DEPENDENCY_ARRAY_ADDED KeywordAdded,
    DEPENDENCY_ARRAY_EXTENDED More,
    DEPENDENCY_ARRAY_CHANGED ValueChanged,
    DEPENDENCY_SCHEMA_ADDED KeywordAdded,
    REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL AddedToOpen,
    REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL AddedToOpen,
    OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL AddedToOpen,
    REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL RequiredAddedToUnopen,
    PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL RemovedFromClosed,
    PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL RemovedUncovered,
    PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL AddedUncovered,
    MAX_ITEMS_ADDED KeywordAdded,
    MAX_ITEMS_DECREASED ValueDecreased,
    MIN_ITEMS_ADDED KeywordAdded,
    MIN_ITEMS_INCREASED ValueIncreased,
    MAX_CONTAINS_ADDED KeywordAdded,
    MAX_CONTAINS_DECREASED ValueDecreased,
    MIN_CONTAINS_ADDED KeywordAdded,
    MIN_CONTAINS_INCREASED ValueIncreased,
    UNIQUE_ITEMS_ADDED KeywordAdded,
    ADDITIONAL_ITEMS_REMOVED KeywordAdded,
    ADDITIONAL_ITEMS_NARROWED Fewer,
    UNEVALUATED_ITEMS_REMOVED KeywordAdded,
    UNEVALUATED_ITEMS_NARROWED Fewer,
    ITEM_ADDED_TO_OPEN_CONTENT_MODEL AddedToOpen,
    ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL RemovedFromClosed,
    ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL RemovedUncovered,
    ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL AddedUncovered,
    ENUM_ARRAY_NARROWED Fewer,
    ENUM_ARRAY_CHANGED TypeChanged,
    COMBINED_TYPE_CHANGED TypeChanged,
    COMBINED_TYPE_SUBSCHEMAS_CHANGED TypeChanged,
    PRODUCT_TYPE_EXTENDED More,
    SUM_TYPE_NARROWED Fewer,
    NOT_TYPE_EXTENDED More,
}

/// What a lenient comparison lets pass.
const TOLERATED: [Difference; 8] = [
    ADDITIONAL_PROPERTIES_REMOVED,
    ADDITIONAL_PROPERTIES_NARROWED,
    UNEVALUATED_PROPERTIES_REMOVED,
    UNEVALUATED_PROPERTIES_NARROWED,
    OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL,
    REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL,
    PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,
    PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL,
];

impl Difference {
    pub(super) fn is_tolerated(&self, policy: Policy) -> bool {
        policy == Policy::Lenient && TOLERATED.contains(self)
    }

    /// The line of an answer. `path` is where, such as `#/properties/a`.
    pub(super) fn line(&self, path: &str, words: Words) -> String {
        format!("{{errorType:\"{}\", description:\"{}\"}}", self.name, self.description(path, words))
    }

    fn description(&self, path: &str, Words { reader, writer }: Words) -> String {
        match self.sentence {
            Sentence::KeywordAdded => {
                format!(
                    "The keyword at path '{path}' in the {reader} schema is not present in the {writer} schema"
                )
            }
            Sentence::ValueIncreased => format!(
                "The value at path '{path}' in the {reader} schema is more than its value in the {writer} schema"
            ),
            Sentence::ValueDecreased => format!(
                "The value at path '{path}' in the {reader} schema is less than its value in the {writer} schema"
            ),
            Sentence::ValueChanged => {
                format!("The value at path '{path}' is different between the {reader} and {writer} schema")
            }
            Sentence::Fewer => format!(
                "An array or combined type at path '{path}' has fewer elements in the {reader} schema than the \
                 {writer} schema"
            ),
            Sentence::More => format!(
                "An array or combined type at path '{path}' has more elements in the {reader} schema than the \
                 {writer} schema"
            ),
            Sentence::TypeChanged => format!(
                "A type at path '{path}' is different between the {reader} schema and the {writer} schema"
            ),
            Sentence::AddedToOpen => format!(
                "The {reader} schema has an open content model and has a property or item at path '{path}' which is \
                 missing in the {writer} schema"
            ),
            Sentence::RequiredAddedToUnopen => format!(
                "The {reader} schema has an unopen content model and has a required property at path '{path}' which \
                 is missing in the {writer} schema"
            ),
            Sentence::RemovedFromClosed => format!(
                "The {reader} schema has a closed content model and is missing a property or item present at path \
                 '{path}' in the {writer} schema"
            ),
            Sentence::RemovedUncovered => format!(
                "A property or item is missing in the {reader} schema but present at path '{path}' in the {writer} \
                 schema and is not covered by its partially open content model"
            ),
            Sentence::AddedUncovered => format!(
                "The {reader} schema has a property or item at path '{path}' which is missing in the {writer} schema \
                 and is not covered by its partially open content model"
            ),
            Sentence::None => String::new(),
        }
    }
}
