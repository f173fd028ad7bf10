//! What the library that Confluent's registry reads JSON Schemas with makes of the keywords of one schema, and the order in which
//! the registry goes through the parts of a combined one.

use serde_json::{Map, Value};

use super::build::{ARRAY_KEYWORDS, NUMBER_KEYWORDS, OBJECT_KEYWORDS};
use super::draft::Draft;
use super::graph::{Criterion, comparable};

/// One schema, or what is made of some of its keywords.
#[derive(Debug)]
pub(super) struct Part<'a> {
    members: Option<&'a Map<String, Value>>,
    pub(super) kind: Kind<'a>,
    /// It is all of the schema: title, tags and definitions are its own.
    pub(super) is_whole: bool,
}

/// In the order in which they are sorted.
#[derive(Debug)]
pub(super) enum Kind<'a> {
    Array,
    Boolean,
    /// Its parts are sorted.
    Combined(Criterion, Vec<Part<'a>>),
    Conditional,
    Const,
    Empty,
    Enum,
    False,
    Not,
    Null,
    Number,
    Object,
    Reference,
    String,
    True,
}

/// Keys are compared so far: what is the same until there stays in its order.
const MAX_KEY_BYTES: usize = 4096;

const STRING_KEYWORDS: [&str; 4] = ["minLength", "maxLength", "pattern", "format"];

impl<'a> Part<'a> {
    pub(super) fn of(value: &'a Value, draft: Draft) -> Self {
        let Value::Object(members) = value else {
            let kind = if *value == Value::Bool(false) { Kind::False } else { Kind::True };
            return Self { members: None, kind, is_whole: true };
        };
        let mut kinds = kinds(members, draft);
        let kind = match kinds.len() {
            0 => Kind::Empty,
            1 => kinds.remove(0),
            _ => {
                let part = |kind| Self { members: Some(members), kind, is_whole: false };
                Kind::Combined(Criterion::All, sorted(kinds.into_iter().map(part).collect()))
            }
        };
        Self { members: Some(members), kind, is_whole: true }
    }

    pub(super) fn get(&self, keyword: &str) -> Option<&'a Value> {
        self.members?.get(keyword)
    }

    /// What parts are sorted by.
    pub(super) fn key(&self) -> String {
        let mut key = String::new();
        self.write_key(&mut key);
        key
    }

    fn write_key(&self, key: &mut String) {
        if key.len() > MAX_KEY_BYTES {
            return;
        }
        key.push(self.kind.rank());
        let own = |keyword| self.get(keyword).filter(|_| self.is_whole);
        for keyword in ["title", "description", "default"] {
            write_text(key, own(keyword).map(shown));
        }
        let names = |value: Option<&Value>| -> Vec<String> {
            match value {
                Some(Value::Object(members)) => members.keys().cloned().collect(),
                Some(Value::Array(values)) => values.iter().map(shown).collect(),
                _ => Vec::new(),
            }
        };
        let draft = Draft::Draft7;
        let write_part = |key: &mut String, value: Option<&Value>| match value {
            Some(value) => Part::of(value, draft).write_key(key),
            None => key.push(Kind::Empty.rank()),
        };
        match &self.kind {
            Kind::Const => write_text(key, self.get("const").map(shown)),
            Kind::Enum => write_list(key, names(self.get("enum"))),
            Kind::Object => {
                write_list(key, names(self.get("properties")));
                write_list(key, names(self.get("required")));
            }
            Kind::Array => write_part(key, self.get("items").filter(|items| !items.is_array())),
            Kind::Not => write_part(key, self.get("not")),
            Kind::Conditional => {
                ["if", "then", "else"].into_iter().for_each(|branch| write_part(key, self.get(branch)));
            }
            Kind::Combined(criterion, parts) => {
                write_text(key, Some(criterion.name().to_owned()));
                key.push_str(&format!("{:08}", parts.len()));
                parts.iter().for_each(|part| part.write_key(key));
            }
            _ => {}
        }
    }
}

impl Kind<'_> {
    fn rank(&self) -> char {
        match self {
            Self::Array => 'a',
            Self::Boolean => 'b',
            Self::Combined(..) => 'c',
            Self::Conditional => 'd',
            Self::Const => 'e',
            Self::Empty => 'f',
            Self::Enum => 'g',
            Self::False => 'h',
            Self::Not => 'i',
            Self::Null => 'j',
            Self::Number => 'k',
            Self::Object => 'l',
            Self::Reference => 'm',
            Self::String => 'n',
            Self::True => 'o',
        }
    }
}

fn kinds<'a>(members: &'a Map<String, Value>, draft: Draft) -> Vec<Kind<'a>> {
    let has = |keyword: &str| members.contains_key(keyword);
    if has("$ref") && !draft.is_modern() {
        return vec![Kind::Reference];
    }
    let mut kinds = Vec::new();
    kinds.extend(has("$ref").then_some(Kind::Reference));
    kinds.extend(has("enum").then_some(Kind::Enum));
    for (keyword, criterion) in Criterion::KEYWORDS {
        if let Some(Value::Array(values)) = members.get(keyword) {
            let parts = values.iter().map(|value| Part::of(value, draft)).collect();
            kinds.push(Kind::Combined(criterion, sorted(parts)));
        }
    }
    kinds.extend(has("not").then_some(Kind::Not));
    kinds.extend(has("const").then_some(Kind::Const));
    let is_conditional = draft >= Draft::Draft7 && (has("if") || has("then") || has("else"));
    kinds.extend(is_conditional.then_some(Kind::Conditional));
    let mut named = Vec::new();
    match members.get("type") {
        Some(Value::String(name)) => {
            kinds.extend(of_type(name));
            named.push(name.as_str());
        }
        Some(Value::Array(names)) => {
            named.extend(names.iter().filter_map(Value::as_str));
            let part = |kind| Part { members: Some(members), kind, is_whole: false };
            let parts = named.iter().filter_map(|name| of_type(name)).map(part).collect();
            kinds.push(Kind::Combined(Criterion::Any, sorted(parts)));
        }
        _ => {}
    }
    // Rules for values of a type that is not named.
    let rules: [(&[&str], &[&str], Kind<'_>); 4] = [
        (&["string"], &STRING_KEYWORDS, Kind::String),
        (&["number", "integer"], &NUMBER_KEYWORDS, Kind::Number),
        (&["array"], &ARRAY_KEYWORDS, Kind::Array),
        (&["object"], &OBJECT_KEYWORDS, Kind::Object),
    ];
    for (types, keywords, kind) in rules {
        let is_named = types.iter().any(|name| named.contains(name));
        if !is_named && keywords.iter().any(|keyword| has(keyword)) {
            kinds.push(kind);
        }
    }
    kinds
}

fn of_type(name: &str) -> Option<Kind<'static>> {
    Some(match name {
        "array" => Kind::Array,
        "boolean" => Kind::Boolean,
        "null" => Kind::Null,
        "number" | "integer" => Kind::Number,
        "object" => Kind::Object,
        "string" => Kind::String,
        _ => return None,
    })
}

fn sorted(mut parts: Vec<Part<'_>>) -> Vec<Part<'_>> {
    if parts.len() > 1 {
        parts.sort_by_cached_key(Part::key);
    }
    parts
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| comparable(value), str::to_owned)
}

/// Nothing comes first.
fn write_text(key: &mut String, text: Option<String>) {
    match text {
        Some(text) => {
            key.push('\u{1}');
            key.push_str(&text);
            key.push('\0');
        }
        None => key.push('\0'),
    }
}

/// Shorter ones first.
fn write_list(key: &mut String, mut list: Vec<String>) {
    key.push_str(&format!("{:08}", list.len()));
    list.sort();
    list.into_iter().for_each(|text| write_text(key, Some(text)));
}
