//! Tags of messages and fields: `(confluent.message_meta).tags`, `(confluent.field_meta).tags`.

use std::collections::HashMap;

use super::element::{Field, File, Message, OptionElement, Type, Value};
use crate::InvalidSchema;
use crate::tags::{Change, EntityKind, Found, Tagged, distinct};

const MESSAGE_META: &str = "confluent.message_meta";
const FIELD_META: &str = "confluent.field_meta";
const TAGS: &str = "tags";

pub(super) fn entities(file: &File) -> Vec<Tagged> {
    let mut found = Found::default();
    for message in file.types.iter().filter_map(Type::as_message) {
        add(&mut found, "", message);
    }
    found.tagged()
}

/// As deep as messages stand in each other, which has its limit.
fn add(found: &mut Found, outer: &str, message: &Message) {
    let path = format!("{outer}{}", message.name);
    found.add(EntityKind::Record, tags_of(&message.options, MESSAGE_META), || path.clone());
    let in_oneofs = message.oneofs.iter().flat_map(|oneof| &oneof.fields);
    for field in message.fields.iter().chain(in_oneofs) {
        let tags = tags_of(&field.options, FIELD_META);
        found.add(EntityKind::Field, tags, || format!("{path}.{}", field.name));
    }
    for inner in message.types.iter().filter_map(Type::as_message) {
        add(found, &format!("{path}."), inner);
    }
}

/// Of all statements of one option.
fn tags_of(options: &[OptionElement], meta: &str) -> Vec<String> {
    let fields = options.iter().filter(|option| is_meta(option, meta)).flat_map(fields);
    distinct(fields.filter(|(name, _)| *name == TAGS).flat_map(|(_, value)| texts(value)))
}

fn is_meta(option: &OptionElement, meta: &str) -> bool {
    option.is_custom && option.name.strip_prefix('.').unwrap_or(&option.name) == meta
}

/// Of `(meta) = { name: value }` and `(meta).name = value`.
fn fields(option: &OptionElement) -> Vec<(&str, &Value)> {
    match &option.value {
        Value::Map(fields) => fields.iter().map(|(name, value)| (name.as_str(), value)).collect(),
        Value::Option(inner) => vec![(inner.name.as_str(), &inner.value)],
        _ => Vec::new(),
    }
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::List(values) => values.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn change(file: &mut File, changes: &[Change<'_>]) -> Result<(), InvalidSchema> {
    for change in changes {
        let path: Vec<&str> = change.entity.path.split('.').collect();
        let (name, outer) = path.split_last().ok_or_else(|| no_message(""))?;
        match change.entity.kind {
            EntityKind::Record => {
                let message = find_message(&mut file.types, &path)?;
                put(&mut message.options, MESSAGE_META, change);
            }
            EntityKind::Field => put(&mut find_field(file, outer, name)?.options, FIELD_META, change),
        }
    }
    Ok(())
}

fn find_message<'a>(types: &'a mut [Type], path: &[&str]) -> Result<&'a mut Message, InvalidSchema> {
    let mut types = types;
    let mut found = None;
    for (depth, name) in path.iter().enumerate() {
        let mut messages = types.iter_mut().filter_map(Type::as_message_mut);
        let message = messages.find(|message| message.name == **name).ok_or_else(|| no_message(name))?;
        if depth + 1 == path.len() {
            found = Some(message);
            break;
        }
        types = &mut message.types;
    }
    found.ok_or_else(|| no_message(""))
}

/// `outer`: messages within each other, after which the name of a `oneof` may stand.
fn find_field<'a>(file: &'a mut File, outer: &[&str], name: &str) -> Result<&'a mut Field, InvalidSchema> {
    let no_field = || InvalidSchema(format!("No matching Field with name '{name}' found in the schema"));
    let is_message = find_message(&mut file.types, outer).is_ok();
    let (path, oneof) = match outer.split_last() {
        _ if is_message => (outer, None),
        Some((oneof, path)) if !path.is_empty() => (path, Some(*oneof)),
        _ => return Err(no_field()),
    };
    let message = find_message(&mut file.types, path)?;
    let of_message = message.fields.iter_mut().filter(|_| oneof.is_none());
    let oneofs = message.oneofs.iter_mut().filter(|of| oneof.is_none_or(|name| of.name == name));
    let mut fields = of_message.chain(oneofs.flat_map(|of| &mut of.fields));
    fields.find(|field| field.name == name).ok_or_else(no_field)
}

fn no_message(name: &str) -> InvalidSchema {
    InvalidSchema(format!("No matching Message with name '{name}' found in the schema"))
}

/// One option says it all afterwards, where the first one stood.
fn put(options: &mut Vec<OptionElement>, meta: &str, change: &Change<'_>) {
    let tags = change.apply(tags_of(options, meta));
    let place = options.iter().position(|option| is_meta(option, meta)).unwrap_or(options.len());
    let mut said: Vec<(String, Value)> = Vec::new();
    let mut places = HashMap::new();
    for (name, value) in options.iter().filter(|option| is_meta(option, meta)).flat_map(fields) {
        let at = *places.entry(name).or_insert(said.len());
        match at == said.len() {
            true => said.push((name.to_owned(), value.clone())),
            false => said[at].1 = value.clone(),
        }
    }
    let list = Value::List(tags.iter().cloned().map(Value::String).collect());
    match said.iter().position(|(name, _)| name == TAGS) {
        Some(at) if tags.is_empty() => drop(said.remove(at)),
        Some(at) => said[at].1 = list,
        None if tags.is_empty() => {}
        None => said.push((TAGS.to_owned(), list)),
    }
    options.retain(|option| !is_meta(option, meta));
    if !said.is_empty() {
        let option = OptionElement { name: meta.to_owned(), is_custom: true, value: Value::Map(said) };
        options.insert(place.min(options.len()), option);
    }
}
