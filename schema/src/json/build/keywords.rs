//! The keywords of one schema object, each of the type that it must have.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::{Map, Value};

use super::Rules;
use crate::InvalidSchema;
use crate::json::draft::Draft;
use crate::json::graph::{ArrayRule, Kind, NumberRule, ObjectRule, StringRule};
use crate::json::text::Decimal;

/// Keywords that say what is valid: all others are labels.
const RULES: [&str; 49] = [
    "$ref",
    "$dynamicRef",
    "$defs",
    "type",
    "enum",
    "const",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "format",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "items",
    "prefixItems",
    "additionalItems",
    "unevaluatedItems",
    "contains",
    "minContains",
    "maxContains",
    "minItems",
    "maxItems",
    "uniqueItems",
    "properties",
    "required",
    "patternProperties",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "minProperties",
    "maxProperties",
    "definitions",
    "$schema",
    "$vocabulary",
    "$anchor",
    "$dynamicAnchor",
    "$recursiveAnchor",
];

/// A hash of what a schema says beside its rules; 0 when that is nothing. Since 2019-09 a format is not even that.
pub(super) fn label(members: &Map<String, Value>, draft: Draft) -> u64 {
    let is_label = |name: &str| !RULES.contains(&name) || (name == "format" && !draft.is_modern());
    let labels = members.iter().filter(|(name, _)| is_label(name));
    let hashes = labels.map(|label| {
        let mut hasher = DefaultHasher::new();
        label.hash(&mut hasher);
        hasher.finish()
    });
    // A sum, since the order of keys does not count.
    hashes.fold(0, u64::wrapping_add)
}

/// What a pattern may be is Java's affair; what cannot be one for any engine is refused here.
pub(super) fn check_pattern(pattern: &str) -> Result<(), InvalidSchema> {
    match fancy_regex::Expr::parse_tree(pattern) {
        Ok(_) => Ok(()),
        Err(error) => Err(super::invalid(&format!("the pattern {pattern} is none: {error}"))),
    }
}

/// Jackson's names of types.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NULL",
        Value::Bool(_) => "BOOLEAN",
        Value::Number(_) => "NUMBER",
        Value::String(_) => "STRING",
        Value::Array(_) => "ARRAY",
        Value::Object(_) => "OBJECT",
    }
}

pub(super) fn string_set(keyword: &str, value: &Value) -> Result<BTreeSet<String>, InvalidSchema> {
    let strings = value.as_array().ok_or_else(|| mistyped(keyword, "an array", value))?;
    let string = |value: &Value| {
        value.as_str().map(str::to_owned).ok_or_else(|| mistyped(keyword, "an array of strings", value))
    };
    strings.iter().map(string).collect()
}

/// The schema of a type that `type` names, with those of the rules that are for it.
pub(super) fn kind_of_type(name: &str, rules: &Rules) -> Result<Kind, InvalidSchema> {
    Ok(match name {
        "string" => Kind::String(StringRule { is_typed: true, ..rules.string.clone().unwrap_or_default() }),
        "integer" | "number" => Kind::Number(NumberRule {
            is_typed: true,
            requires_integer: name == "integer",
            ..rules.number.clone().unwrap_or_default()
        }),
        "boolean" => Kind::Boolean,
        "null" => Kind::Null,
        "array" => {
            Kind::Array(Box::new(ArrayRule { is_typed: true, ..*rules.array.clone().unwrap_or_default() }))
        }
        "object" => {
            Kind::Object(Box::new(ObjectRule { is_typed: true, ..*rules.object.clone().unwrap_or_default() }))
        }
        other => return Err(super::invalid(&format!("unknown type: [{other}]"))),
    })
}

impl Rules {
    /// Drops the rules that went into the schema of a type.
    pub(super) fn forget(&mut self, name: &str) {
        match name {
            "string" => self.string = None,
            "integer" | "number" => self.number = None,
            "array" => self.array = None,
            "object" => self.object = None,
            _ => (),
        }
    }
}

pub(super) struct Keywords<'a> {
    pub(super) members: &'a Map<String, Value>,
    pub(super) draft: Draft,
}

impl<'a> Keywords<'a> {
    pub(super) fn get(&self, keyword: &str) -> Option<&'a Value> {
        self.members.get(keyword)
    }

    pub(super) fn has_any(&self, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.members.contains_key(*keyword))
    }

    pub(super) fn string(&self, keyword: &str) -> Result<Option<&'a str>, InvalidSchema> {
        self.typed(keyword, "a string", Value::as_str)
    }

    pub(super) fn boolean(&self, keyword: &str) -> Result<Option<bool>, InvalidSchema> {
        self.typed(keyword, "a boolean", Value::as_bool)
    }

    pub(super) fn array(&self, keyword: &str) -> Result<Option<&'a [Value]>, InvalidSchema> {
        self.typed(keyword, "an array", |value| value.as_array().map(Vec::as_slice))
    }

    pub(super) fn object(&self, keyword: &str) -> Result<Option<&'a Map<String, Value>>, InvalidSchema> {
        self.typed(keyword, "an object", Value::as_object)
    }

    pub(super) fn strings(&self, keyword: &str) -> Result<Option<BTreeSet<String>>, InvalidSchema> {
        self.get(keyword).map(|value| string_set(keyword, value)).transpose()
    }

    /// A length or a count: an integer of 32 bits, since 2019-09 any number, whose fraction does not count.
    pub(super) fn integer(&self, keyword: &str) -> Result<Option<i64>, InvalidSchema> {
        let is_modern = self.draft.is_modern();
        self.typed(keyword, "an integer", |value| match is_modern {
            true => whole(value),
            false => value.as_i64().filter(|&count| i32::try_from(count).is_ok()),
        })
    }

    /// A count in a keyword that drafts before 2019-09 do not have: there it may be anything.
    pub(super) fn loose_integer(&self, keyword: &str) -> Option<i64> {
        self.get(keyword).and_then(whole)
    }

    fn number(&self, keyword: &str) -> Result<Option<String>, InvalidSchema> {
        self.typed(keyword, "a number", |value| value.as_number().map(|number| number.as_str().to_owned()))
    }

    pub(super) fn string_rule(&self) -> Result<Option<StringRule>, InvalidSchema> {
        // Nothing compares formats. Since 2019-09 they do not even make a string.
        let has_format = self.string("format")?.is_some() && !self.draft.is_modern();
        if !has_format && !self.has_any(&["minLength", "maxLength", "pattern"]) {
            return Ok(None);
        }
        let pattern = self.string("pattern")?;
        pattern.map_or(Ok(()), check_pattern)?;
        Ok(Some(StringRule {
            is_typed: false,
            min_length: self.integer("minLength")?,
            max_length: self.integer("maxLength")?,
            pattern: pattern.map(str::to_owned),
        }))
    }

    pub(super) fn number_rule(&self) -> Result<Option<NumberRule>, InvalidSchema> {
        if !self.has_any(&NUMBER_KEYWORDS) {
            return Ok(None);
        }
        let mut rule = NumberRule {
            minimum: self.number("minimum")?,
            maximum: self.number("maximum")?,
            multiple_of: self.number("multipleOf")?,
            ..NumberRule::default()
        };
        let is_zero = rule.multiple_of.as_deref().and_then(Decimal::parse).is_some_and(|of| of.digits == "0");
        if is_zero && !self.draft.is_modern() {
            return Err(super::invalid("multipleOf should not be 0"));
        }
        if self.draft == Draft::Draft4 {
            // Here they say of the other limit that it is exclusive: nothing compares them.
            self.boolean("exclusiveMinimum")?;
            self.boolean("exclusiveMaximum")?;
        } else {
            rule.exclusive_minimum = self.number("exclusiveMinimum")?;
            rule.exclusive_maximum = self.number("exclusiveMaximum")?;
        }
        Ok(Some(rule))
    }

    pub(super) fn has_array_keyword(&self) -> bool {
        match self.draft {
            Draft::Draft4 => self.has_any(&ARRAY_KEYWORDS[..5]),
            Draft::Draft6 | Draft::Draft7 => self.has_any(&ARRAY_KEYWORDS),
            _ => self.has_any(&MODERN_ARRAY_KEYWORDS),
        }
    }

    /// Since 2019-09 no properties say nothing.
    pub(super) fn has_object_keyword(&self) -> Result<bool, InvalidSchema> {
        Ok(match self.draft {
            Draft::Draft4 => self.has_any(&OBJECT_KEYWORDS[..7]),
            Draft::Draft6 | Draft::Draft7 => self.has_any(&OBJECT_KEYWORDS[..8]),
            _ => {
                let names_some = |of: Option<&Map<String, Value>>| of.is_some_and(|map| !map.is_empty());
                self.has_any(&MODERN_OBJECT_KEYWORDS)
                    || names_some(self.object("properties")?)
                    || names_some(self.object("patternProperties")?)
            }
        })
    }

    pub(super) fn array_counts(&self) -> Result<ArrayRule, InvalidSchema> {
        Ok(ArrayRule {
            min_items: self.integer("minItems")?,
            max_items: self.integer("maxItems")?,
            has_unique_items: self.boolean("uniqueItems")?.unwrap_or(false),
            min_contains: self.loose_integer("minContains"),
            max_contains: self.loose_integer("maxContains"),
            ..ArrayRule::default()
        })
    }

    pub(super) fn object_counts(&self) -> Result<ObjectRule, InvalidSchema> {
        Ok(ObjectRule {
            required: self.strings("required")?.unwrap_or_default(),
            min_properties: self.integer("minProperties")?,
            max_properties: self.integer("maxProperties")?,
            ..ObjectRule::default()
        })
    }

    fn typed<T>(
        &self,
        keyword: &str,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, InvalidSchema> {
        let read = |value| read(value).ok_or_else(|| mistyped(keyword, expected, value));
        self.get(keyword).map(read).transpose()
    }
}

pub(in crate::json) const NUMBER_KEYWORDS: [&str; 5] =
    ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
/// Of the drafts before 2019-09, of which draft 4 lacks the last.
pub(in crate::json) const ARRAY_KEYWORDS: [&str; 6] =
    ["items", "additionalItems", "minItems", "maxItems", "uniqueItems", "contains"];
const MODERN_ARRAY_KEYWORDS: [&str; 7] =
    ["items", "prefixItems", "unevaluatedItems", "minItems", "maxItems", "uniqueItems", "contains"];
/// The last is of 2019-09, the one before it not of draft 4.
pub(in crate::json) const OBJECT_KEYWORDS: [&str; 9] = [
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "dependencies",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
    "dependentRequired",
];
const MODERN_OBJECT_KEYWORDS: [&str; 8] = [
    "required",
    "minProperties",
    "maxProperties",
    "dependentRequired",
    "dependentSchemas",
    "additionalProperties",
    "unevaluatedProperties",
    "propertyNames",
];

fn whole(value: &Value) -> Option<i64> {
    value.as_f64().map(|number| number as i64)
}

fn mistyped(keyword: &str, expected: &str, found: &Value) -> InvalidSchema {
    super::invalid(&format!("{keyword}: expected {expected}, found {}", type_name(found)))
}
