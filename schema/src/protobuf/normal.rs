//! What normalization changes: full names, options merged and sorted, numbers in one spelling. Confluent's rules.

use std::collections::{HashMap, HashSet};

use super::element::{Extend, FieldType, Label, OptionElement, ScalarKind, Value};
use super::types::{Declared, Node, ROOT, Types};
use crate::InvalidSchema;

pub fn type_name(types: &Types<'_>, scope: Node, name: &str) -> Result<String, InvalidSchema> {
    Ok(format!(".{}", types.full_name(find(types, scope, name)?)))
}

fn find(types: &Types<'_>, scope: Node, name: &str) -> Result<Node, InvalidSchema> {
    types.find_type(scope, name).ok_or_else(|| InvalidSchema(format!("Could not resolve type: {name}")))
}

pub fn field_type(types: &Types<'_>, scope: Node, of: &FieldType) -> Result<FieldType, InvalidSchema> {
    let of = match of {
        FieldType::Named(name) if ScalarKind::of(name).is_none() => {
            let node = find(types, scope, name)?;
            map_entry(types, node).unwrap_or_else(|| FieldType::Named(format!(".{}", types.full_name(node))))
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
pub fn map_entry(types: &Types<'_>, node: Node) -> Option<FieldType> {
    match types.declared(node)? {
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
    let mut merged = Vec::new();
    for same in options.chunk_by(|a, b| a.name == b.name) {
        let extension = types.find_extension(ROOT, &same[0].name).and_then(|node| types.extension(node));
        match extension {
            Some(field) if field.label != Some(Label::Repeated) => merged.extend(merge(same)),
            _ => merged.extend_from_slice(same),
        }
    }
    merged
}

fn full_option(types: &Types<'_>, scope: Node, option: &OptionElement) -> OptionElement {
    let node = option.is_custom.then(|| types.find_extension(scope, &option.name)).flatten();
    match node {
        Some(node) => {
            let name = types.full_name(node).to_owned();
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

/// One option of several. Fields that are said more than once become lists; what is no message is replaced.
fn merge(options: &[OptionElement]) -> Option<OptionElement> {
    let last = options.last()?;
    // Only what follows the last that is no message counts, and that itself if nothing does.
    let maps = options.iter().rev().take_while(|option| matches!(option.value, Value::Map(_))).count();
    let maps = &options[options.len() - maps..];
    if maps.len() < 2 {
        return Some(last.clone());
    }
    let mut fields: Vec<(String, Value)> = Vec::new();
    let mut places = HashMap::new();
    let mut known: Vec<Option<HashSet<Value>>> = Vec::new();
    for option in maps {
        let Value::Map(map) = &option.value else { continue };
        for (name, value) in map {
            let place = *places.entry(name).or_insert(fields.len());
            if place == fields.len() {
                fields.push((name.clone(), value.clone()));
                known.push(None);
                continue;
            }
            let first = std::mem::replace(&mut fields[place].1, Value::List(Vec::new()));
            let mut list = Vec::new();
            let known = known[place].get_or_insert_default();
            // Once it is a list of this kind its values are known.
            match known.is_empty() {
                true => add_new(&mut list, known, first),
                false => list = values(first),
            }
            add_new(&mut list, known, value.clone());
            fields[place].1 = Value::List(list);
        }
    }
    Some(OptionElement { value: Value::Map(fields), ..last.clone() })
}

fn add_new(list: &mut Vec<Value>, known: &mut HashSet<Value>, of: Value) {
    list.extend(values(of).into_iter().filter(|value| known.insert(value.clone())));
}

fn values(of: Value) -> Vec<Value> {
    match of {
        Value::List(values) => values,
        value => vec![value],
    }
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
