//! Options: `name = value`, where a value may be a message in text format.

use super::element::{OptionElement, Value};
use super::reader::Reader;
use crate::InvalidSchema;

/// Messages and lists within an option's value.
const MAX_VALUE_DEPTH: usize = 32;

/// Fields of one message within an option's value.
const MAX_MAP_ENTRIES: usize = 1024;

/// `[a = 1, b = 2]`, if it comes next.
pub fn read_options(reader: &mut Reader<'_>) -> Result<Vec<OptionElement>, InvalidSchema> {
    let mut options = Vec::new();
    if !reader.take(b'[')? {
        return Ok(options);
    }
    loop {
        options.push(read_option(reader, b'=', 0)?);
        if reader.take(b']')? {
            return Ok(options);
        }
        if !reader.take(b',')? {
            return Err(reader.error("Expected ',' or ']'"));
        }
    }
}

/// A name, `separator` and a value; `depth`: how many messages and lists it stands in.
pub fn read_option(
    reader: &mut Reader<'_>,
    separator: u8,
    depth: usize,
) -> Result<OptionElement, InvalidSchema> {
    let first = reader.peek()?;
    let mut name = reader.name()?.to_owned();
    if first == b'[' {
        name = format!("[{name}]");
    }
    // A point within a word belongs to it: this one follows a closing bracket.
    let inner = match reader.take(b'.')? {
        true => Some(reader.name()?),
        false => None,
    };
    let parts = inner.map_or(0, |inner| inner.split('.').count());
    // In text format a message may follow without a separator.
    let is_left_out = separator == b':' && reader.peek()? == b'{';
    if !is_left_out && !reader.take(separator)? {
        return Err(reader.error(&format!("expected '{}' in option", separator as char)));
    }
    // Normalization writes what is said by names of parts as messages, and must be read again.
    let value = read_value(reader, depth + parts)?;
    // `(a).b.c = 1` is an option within an option within an option.
    let value = inner.iter().flat_map(|inner| inner.rsplit('.')).fold(value, |value, name| {
        Value::Option(Box::new(OptionElement { name: name.to_owned(), is_custom: false, value }))
    });
    Ok(OptionElement { name, is_custom: first == b'(', value })
}

fn read_value(reader: &mut Reader<'_>, depth: usize) -> Result<Value, InvalidSchema> {
    if depth >= MAX_VALUE_DEPTH {
        return Err(reader.error(&format!("an option's value is nested deeper than {MAX_VALUE_DEPTH}")));
    }
    Ok(match reader.peek()? {
        b'{' => Value::Map(read_map(reader, depth)?),
        b'[' => Value::List(read_list(reader, depth)?),
        b'"' | b'\'' => Value::String(reader.string()?),
        b'0'..=b'9' | b'-' => Value::Number(reader.word()?.to_owned()),
        _ => match reader.word()? {
            word @ ("true" | "false") => Value::Boolean(word.to_owned()),
            word => Value::Enum(word.to_owned()),
        },
    })
}

fn read_list(reader: &mut Reader<'_>, depth: usize) -> Result<Vec<Value>, InvalidSchema> {
    reader.require(b'[')?;
    let mut values = Vec::new();
    loop {
        if reader.take(b']')? {
            return Ok(values);
        }
        values.push(read_value(reader, depth + 1)?);
        if !reader.take(b',')? && reader.peek()? != b']' {
            return Err(reader.error("expected ',' or ']'"));
        }
    }
}

fn read_map(reader: &mut Reader<'_>, depth: usize) -> Result<Vec<(String, Value)>, InvalidSchema> {
    reader.require(b'{')?;
    let mut map = Vec::new();
    while !reader.take(b'}')? {
        let option = read_option(reader, b':', depth + 1)?;
        add_to_map(&mut map, option);
        if map.len() > MAX_MAP_ENTRIES {
            return Err(reader.error(&format!("an option's value has more than {MAX_MAP_ENTRIES} fields")));
        }
        if !reader.take(b',')? {
            reader.take(b';')?;
        }
    }
    Ok(map)
}

/// A field that is said again becomes a list.
fn add_to_map(map: &mut Vec<(String, Value)>, option: OptionElement) {
    let previous = map.iter_mut().find(|(name, _)| *name == option.name).map(|(_, value)| value);
    match (previous, option.value) {
        (Some(Value::Map(previous)), Value::Option(inner)) => set(previous, *inner),
        (Some(previous), Value::Option(inner)) => *previous = Value::Map(vec![(inner.name, inner.value)]),
        (None, Value::Option(inner)) => map.push((option.name, Value::Map(vec![(inner.name, inner.value)]))),
        (None, value) => map.push((option.name, value)),
        (Some(Value::List(previous)), Value::List(values)) => previous.extend(values),
        (Some(Value::List(previous)), value) => previous.push(value),
        (Some(previous), value) => {
            let first = std::mem::replace(previous, Value::List(Vec::new()));
            let mut list = vec![first];
            match value {
                Value::List(values) => list.extend(values),
                value => list.push(value),
            }
            *previous = Value::List(list);
        }
    }
}

fn set(map: &mut Vec<(String, Value)>, field: OptionElement) {
    let place = map.iter().position(|(name, _)| *name == field.name);
    match place {
        Some(place) => map[place].1 = field.value,
        None if map.len() < MAX_MAP_ENTRIES => map.push((field.name, field.value)),
        None => {}
    }
}
