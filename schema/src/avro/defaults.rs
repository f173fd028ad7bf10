//! The defaults of fields: whether they are values of the field's type, and how Confluent's normalization writes them.

use serde_json::{Map, Number, Value};

use super::graph::{Graph, Id, Kind, Node, Primitive};
use super::text;
use super::write::{self, Style};
use crate::InvalidSchema;

/// A default that names a record's fields has those of the fields that it leaves out: without end where types are recursive.
const MAX_DEPTH: usize = 128;
/// How many values are looked at, all defaults of a schema together.
const MAX_STEPS: usize = 1 << 20;

pub fn check(graph: &Graph) -> Result<(), InvalidSchema> {
    let mut checker = Checker { graph, steps: 0 };
    for node in &graph.nodes {
        let Kind::Record(record) = &node.kind else { continue };
        for field in &record.fields {
            let Some(default) = &field.default else { continue };
            if !is_beyond_json(graph.node(field.schema), default)
                && !checker.is_valid(field.schema, default, 0)
            {
                let schema = write::text(graph, field.schema, &[], Style::Canonical)?;
                let default = text::to_string(default);
                return Err(InvalidSchema(format!(
                    "Invalid default for field {}: {default} not a {schema}",
                    field.name
                )));
            }
        }
    }
    Ok(())
}

/// A text in a float's place was read as its number, unless JSON does not have it: NaN, or without end.
fn is_beyond_json(node: &Node, default: &Value) -> bool {
    default.is_string() && node.is_float()
}

struct Checker<'a> {
    graph: &'a Graph,
    steps: usize,
}

impl Checker<'_> {
    fn is_valid(&mut self, schema: Id, value: &Value, depth: usize) -> bool {
        self.steps += 1;
        if depth > MAX_DEPTH || self.steps > MAX_STEPS {
            return false;
        }
        let graph = self.graph;
        match (&graph.node(schema).kind, value) {
            (Kind::Primitive(primitive), value) => is_valid_primitive(*primitive, value),
            (Kind::Enum(_) | Kind::Fixed(_), value) => value.is_string(),
            (Kind::Array(items), Value::Array(elements)) => {
                elements.iter().all(|element| self.is_valid(*items, element, depth + 1))
            }
            (Kind::Map(values), Value::Object(entries)) => {
                entries.values().all(|value| self.is_valid(*values, value, depth + 1))
            }
            (Kind::Union(branches), value) => {
                branches.iter().any(|branch| self.is_valid(*branch, value, depth + 1))
            }
            (Kind::Record(record), Value::Object(entries)) => record.fields.iter().all(|field| {
                let value = entries.get(&field.name).or(field.default.as_ref());
                value.is_some_and(|value| self.is_valid(field.schema, value, depth + 1))
            }),
            _ => false,
        }
    }
}

fn is_valid_primitive(primitive: Primitive, value: &Value) -> bool {
    match (primitive, value) {
        (Primitive::String | Primitive::Bytes, Value::String(_)) => true,
        (Primitive::Int, Value::Number(number)) => number.as_str().parse::<i32>().is_ok(),
        (Primitive::Long, Value::Number(number)) => number.as_str().parse::<i64>().is_ok(),
        (Primitive::Float | Primitive::Double, Value::Number(_)) => true,
        (Primitive::Boolean, Value::Bool(_)) => true,
        (Primitive::Null, Value::Null) => true,
        _ => false,
    }
}

/// The default as Java has it in memory, written again: 1 is 1.0 where a double belongs. None where Java has nothing at all,
/// because the value is not of the type, or of another than a union's first.
pub fn normalized(graph: &Graph, schema: Id, default: &Value) -> Option<Value> {
    if is_beyond_json(graph.node(schema), default) {
        return Some(default.clone());
    }
    convert(graph, Some(schema), default).unwrap_or_else(|NotOfType| Some(default.clone()))
}

/// Where Java throws.
struct NotOfType;

fn convert(graph: &Graph, schema: Option<Id>, value: &Value) -> Result<Option<Value>, NotOfType> {
    let node = match schema.map(|schema| graph.node(schema)) {
        Some(Node { kind: Kind::Union(branches), .. }) => {
            let first = branches.first().ok_or(NotOfType)?;
            return convert(graph, Some(*first), value);
        }
        node => node,
    };
    Ok(match value {
        Value::Null | Value::Bool(_) => Some(value.clone()),
        Value::Number(number) => convert_number(node, number),
        Value::String(text) => convert_string(node, text),
        Value::Array(elements) => {
            let items = match node.map(|node| &node.kind) {
                None => None,
                Some(Kind::Array(items)) => Some(*items),
                Some(_) => return Err(NotOfType),
            };
            let converted = elements.iter().map(|element| convert(graph, items, element)?.ok_or(NotOfType));
            Some(Value::Array(converted.collect::<Result<_, _>>()?))
        }
        Value::Object(entries) => {
            let mut converted = Map::new();
            for (key, value) in entries {
                let schema = match node.map(|node| &node.kind) {
                    Some(Kind::Map(values)) => Some(*values),
                    Some(Kind::Record(record)) => {
                        let index = *record.by_name.get(key).ok_or(NotOfType)?;
                        Some(record.fields[index].schema)
                    }
                    _ => None,
                };
                let value = convert(graph, schema, value)?.ok_or(NotOfType)?;
                converted.insert(key.clone(), value);
            }
            Some(Value::Object(converted))
        }
    })
}

fn convert_number(node: Option<&Node>, number: &Number) -> Option<Value> {
    let kept = || Some(Value::Number(number.clone()));
    let Some(node) = node else { return kept() };
    let Kind::Primitive(primitive) = node.kind else { return None };
    let is_long = text::is_integer(number) && number.as_str().parse::<i64>().is_ok();
    match primitive {
        Primitive::Int | Primitive::Long if is_long => kept(),
        Primitive::Float | Primitive::Double if is_long || !text::is_integer(number) => {
            let value: f64 = number.as_str().parse().ok()?;
            Some(text::double(if primitive == Primitive::Float { as_float(value) } else { value }))
        }
        _ => None,
    }
}

/// The double that is written with the digits of the nearest float.
fn as_float(value: f64) -> f64 {
    let float = value as f32;
    format!("{float:e}").parse().unwrap_or_else(|_| f64::from(float))
}

fn convert_string(node: Option<&Node>, text: &str) -> Option<Value> {
    let text = match node.map(|node| &node.kind) {
        None | Some(Kind::Enum(_) | Kind::Primitive(Primitive::String)) => text.to_owned(),
        // Bytes are the characters of Latin 1; others become question marks.
        Some(Kind::Fixed(_) | Kind::Primitive(Primitive::Bytes)) => {
            text.chars().map(|c| if c <= '\u{ff}' { c } else { '?' }).collect()
        }
        Some(_) => return None,
    };
    Some(Value::String(text))
}
