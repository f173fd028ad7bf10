//! What normalization changes: full names, options merged and sorted, numbers in one spelling. Confluent's rules.

use std::collections::{HashMap, HashSet};

use super::element::{Extend, FieldType, Label, OptionElement, ScalarKind, Value};
use super::types::{Declared, Node, ROOT, Types};
use crate::InvalidSchema;

/// Values of one option that were written in several.
const MAX_MERGED: usize = 1024;

pub fn type_name(types: &Types<'_>, scope: Node, name: &str) -> Result<String, InvalidSchema> {
    match types.find_type(scope, name) {
        Some(node) => Ok(format!(".{}", types.full_name(node))),
        None => Err(InvalidSchema(format!("Could not resolve type: {name}"))),
    }
}

pub fn field_type(types: &Types<'_>, scope: Node, of: &FieldType) -> Result<FieldType, InvalidSchema> {
    let of = match of {
        FieldType::Named(name) if ScalarKind::of(name).is_none() => {
            let full_name = type_name(types, scope, name)?;
            map_entry(types, scope, &full_name).unwrap_or(FieldType::Named(full_name))
        }
        of => of.clone(),
    };
    Ok(match of {
        FieldType::Map { key, value } => {
            let value = match types.find_type(scope, &value) {
                Some(node) => format!(".{}", types.full_name(node)),
                None => value,
            };
            FieldType::Map { key, value }
        }
        named => named,
    })
}

/// The map that a message stands for where the schema came as a descriptor.
pub fn map_entry(types: &Types<'_>, scope: Node, name: &str) -> Option<FieldType> {
    match types.declared(types.find_type(scope, name)?)? {
        Declared::Message(message) => message.map_entry(),
        Declared::Enum => None,
    }
}

/// One statement for each type that is extended.
pub fn extends(types: &Types<'_>, scope: Node, extends: &[Extend]) -> Result<Vec<Extend>, InvalidSchema> {
    let mut merged: Vec<Extend> = Vec::new();
    let mut places = HashMap::new();
    for extend in extends.iter().filter(|extend| !extend.fields.is_empty()) {
        let name = type_name(types, scope, &extend.name)?;
        let place = *places.entry(name.clone()).or_insert_with(|| {
            merged.push(Extend { name, fields: Vec::new() });
            merged.len() - 1
        });
        merged[place].fields.extend(extend.fields.iter().cloned());
    }
    Ok(merged)
}

pub fn options(types: &Types<'_>, scope: Node, options: &[OptionElement]) -> Vec<OptionElement> {
    let mut options: Vec<OptionElement> =
        options.iter().map(|option| full_option(types, scope, option)).collect();
    options.sort_by(|a, b| a.name.cmp(&b.name));
    let mut merged: Vec<OptionElement> = Vec::new();
    for option in options {
        let extension = types.find_extension(ROOT, &option.name).and_then(|node| types.extension(node));
        let is_repeated = extension.is_none_or(|field| field.label == Some(Label::Repeated));
        match merged.last_mut() {
            Some(last) if last.name == option.name && !is_repeated && has_room(&last.value) => {
                merge(last, option)
            }
            _ => merged.push(option),
        }
    }
    merged
}

fn full_option(types: &Types<'_>, scope: Node, option: &OptionElement) -> OptionElement {
    let node = option.is_custom.then(|| types.find_extension(scope, &option.name)).flatten();
    match node {
        Some(node) => {
            let name = types.full_name(node);
            as_map(OptionElement { name, is_custom: true, value: option.value.clone() })
        }
        None => option.clone(),
    }
}

/// `(a).b.c = 1` as `(a) = { b: { c: 1 } }`.
fn as_map(option: OptionElement) -> OptionElement {
    let mut option = option;
    if let Value::Option(inner) = option.value {
        let inner = as_map(*inner);
        option.value = Value::Map(vec![(inner.name, inner.value)]);
    }
    option
}

/// So that merging stays cheap, whatever the number of options.
fn has_room(value: &Value) -> bool {
    match value {
        Value::Map(map) => {
            let values =
                map.iter().map(|(_, value)| if let Value::List(values) = value { values.len() } else { 1 });
            values.sum::<usize>() < MAX_MERGED
        }
        _ => true,
    }
}

/// Fields that both have become lists. What is no message is replaced.
fn merge(first: &mut OptionElement, then: OptionElement) {
    let (Value::Map(map), Value::Map(fields)) = (&mut first.value, &then.value) else {
        *first = then;
        return;
    };
    for (name, value) in fields {
        match map.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = Value::List(union(known, value)),
            None => map.push((name.clone(), value.clone())),
        }
    }
}

fn union(first: &Value, then: &Value) -> Vec<Value> {
    let list = |of: &Value| match of {
        Value::List(values) => values.clone(),
        value => vec![value.clone()],
    };
    let mut known = HashSet::new();
    let values = list(first).into_iter().chain(list(then));
    values.filter(|value| known.insert(value.clone())).collect()
}

/// Sorted, without empty lists, extensions by their full names.
pub fn map(types: &Types<'_>, scope: Node, map: &[(String, Value)]) -> Vec<(String, Value)> {
    let is_something = |value: &Value| !matches!(value, Value::List(values) if values.is_empty());
    let full_name = |name: &String| {
        let extension = name.strip_prefix('[')?.strip_suffix(']')?;
        let node = types.find_extension(scope, extension)?;
        Some(format!("[{}]", types.full_name(node)))
    };
    let fields = map.iter().filter(|(_, value)| is_something(value));
    let mut fields: Vec<_> = fields
        .map(|(name, value)| (full_name(name).unwrap_or_else(|| name.clone()), value.clone()))
        .collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields.dedup_by(|later, first| later.0 == first.0);
    fields
}

/// Decimal, with three places at most.
pub fn number(text: &str) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let integer =
        |digits: &str, radix| i128::from_str_radix(digits, radix).ok().map(|number| number.to_string());
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let is_decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = match hex {
        Some(digits) => integer(digits, 16),
        None if is_decimal && digits.len() > 1 && digits.starts_with('0') => integer(digits, 8),
        None if is_decimal => Some(digits.to_owned()),
        None => decimal(digits),
    };
    number.map_or_else(|| text.to_owned(), |number| format!("{sign}{number}"))
}

fn decimal(text: &str) -> Option<String> {
    let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
    let rounded = format!("{number:.3}");
    Some(rounded.trim_end_matches('0').trim_end_matches('.').to_owned())
}
