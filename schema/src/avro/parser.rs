//! From JSON to the graph, step by step as Java's `Schema.Parser`, so that of two mistakes the same one is told.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::graph::{
    Enum, Field, Fixed, Graph, Id, Kind, Name, Named, Node, Order, Primitive, Properties, Record,
};
use super::text;
use super::write::{self, Style};
use crate::InvalidSchema;

/// A full name is no longer. A namespace holds for all that is within it: without a limit a text of a megabyte has room for names of
/// gigabytes.
const MAX_NAME_BYTES: usize = 1024;
/// The largest array of a Java machine.
const MAX_FIXED_BYTES: i32 = i32::MAX - 8;

const SCHEMA_RESERVED: [&str; 10] =
    ["doc", "fields", "items", "name", "namespace", "size", "symbols", "values", "type", "aliases"];
const ENUM_RESERVED: [&str; 11] = [
    "doc",
    "fields",
    "items",
    "name",
    "namespace",
    "size",
    "symbols",
    "values",
    "type",
    "aliases",
    "default",
];
const FIELD_RESERVED: [&str; 6] = ["default", "doc", "name", "order", "type", "aliases"];

type Space<'a> = Option<&'a Arc<str>>;

/// Reads texts one after another; each may use what those before it defined.
#[derive(Debug, Default)]
pub struct Parser {
    graph: Graph,
    types: HashMap<String, Id>,
}

impl Parser {
    pub fn parse(&mut self, schema: &str) -> Result<Id, InvalidSchema> {
        let json = text::read(schema)?;
        let first = self.graph.nodes.len();
        let root = self.schema(&json, None)?;
        self.resolve(first)?;
        match &self.graph.node(root).kind {
            Kind::Unresolved(name) => fail(format!("Undefined schema: {name}")),
            // Of a type that was known already the first definition counts.
            _ => Ok(self.known(root).unwrap_or(root)),
        }
    }

    pub fn finish(self) -> Graph {
        self.graph
    }

    fn known(&self, id: Id) -> Option<Id> {
        let named = self.graph.node(id).named()?;
        self.types.get(&named.name.full()).copied()
    }

    fn add(&mut self, kind: Kind, properties: Properties) -> Id {
        self.graph.nodes.push(Node { kind, properties });
        self.graph.nodes.len() - 1
    }

    fn schema(&mut self, json: &Value, space: Space<'_>) -> Result<Id, InvalidSchema> {
        match json {
            Value::String(name) => Ok(self.find(name, space)),
            Value::Array(branches) => self.union(branches, space),
            Value::Object(object) => {
                let kind = required(json, "type", "No type")?;
                match kind {
                    "record" | "error" => self.record(json, object, space, kind == "error"),
                    "enum" => self.enumeration(json, object, space),
                    "fixed" => self.fixed(json, object, space),
                    "array" => match object.get("items") {
                        Some(items) => {
                            let items = self.schema(items, space)?;
                            Ok(self.add(Kind::Array(items), properties(object, &SCHEMA_RESERVED)))
                        }
                        None => fail(format!("Array has no items type: {}", text::to_string(json))),
                    },
                    "map" => match object.get("values") {
                        Some(values) => {
                            let values = self.schema(values, space)?;
                            Ok(self.add(Kind::Map(values), properties(object, &SCHEMA_RESERVED)))
                        }
                        None => fail(format!("Map has no values type: {}", text::to_string(json))),
                    },
                    name => match Primitive::of(name) {
                        Some(primitive) => {
                            let properties = properties(object, &SCHEMA_RESERVED);
                            Ok(self.add(Kind::Primitive(primitive), properties))
                        }
                        None => Ok(self.find(name, space)),
                    },
                }
            }
            other => fail(format!("Schema not yet supported: {}", text::to_string(other))),
        }
    }

    /// What a name stands for: in the namespace, else without one; what is not there yet may come later in the text.
    fn find(&mut self, name: &str, space: Space<'_>) -> Id {
        if let Some(primitive) = Primitive::of(name) {
            return self.add(Kind::Primitive(primitive), Properties::new());
        }
        let full = match space {
            Some(space) if !name.contains('.') => format!("{space}.{name}"),
            _ => name.to_owned(),
        };
        match self.types.get(&full).or_else(|| self.types.get(name)) {
            Some(id) => *id,
            None => self.add(Kind::Unresolved(full), Properties::new()),
        }
    }

    fn record(
        &mut self,
        json: &Value,
        object: &Map<String, Value>,
        space: Space<'_>,
        is_error: bool,
    ) -> Result<Id, InvalidSchema> {
        let mut named = named(json, space)?;
        let Some(Value::Array(list)) = object.get("fields") else {
            return fail(format!("Record has no fields: {}", text::to_string(json)));
        };
        let mut fields = Vec::new();
        for field in list {
            fields.push(self.field(field, named.name.space.as_ref())?);
        }
        let by_name = self.by_name(&named.name, &fields)?;
        named.aliases = name_aliases(json, &named.name)?;
        let record = Record { named, is_error, fields, by_name };
        self.define(Kind::Record(Box::new(record)), properties(object, &SCHEMA_RESERVED))
    }

    fn field(&mut self, json: &Value, space: Space<'_>) -> Result<Field, InvalidSchema> {
        let name = required(json, "name", "No field name")?;
        let Some(kind) = json.get("type") else {
            return fail(format!("No field type: {}", text::to_string(json)));
        };
        let schema = self.schema(kind, space)?;
        let order = match json.get("order") {
            None => Order::Ascending,
            Some(order) => read_order(order)?,
        };
        let mut default = json.get("default").cloned();
        if let (Some(Value::String(number)), true) = (&default, self.graph.node(schema).is_float()) {
            default = Some(text::double(text::parse_double(number)?));
        }
        validate_name(name)?;
        Ok(Field {
            name: name.to_owned(),
            doc: optional(json, "doc").map(str::to_owned),
            schema,
            default,
            order,
            aliases: aliases(json)?,
            properties: json
                .as_object()
                .map(|object| properties(object, &FIELD_RESERVED))
                .unwrap_or_default(),
        })
    }

    fn by_name(&self, record: &Name, fields: &[Field]) -> Result<HashMap<String, usize>, InvalidSchema> {
        let mut by_name = HashMap::with_capacity(fields.len());
        for (index, field) in fields.iter().enumerate() {
            if let Some(before) = by_name.insert(field.name.clone(), index) {
                let described = |index: usize| describe_field(&self.graph, &fields[index], index);
                return fail(format!(
                    "Duplicate field {} in record {}: {} and {}.",
                    field.name,
                    record.full(),
                    described(index),
                    described(before)
                ));
            }
        }
        Ok(by_name)
    }

    fn enumeration(
        &mut self,
        json: &Value,
        object: &Map<String, Value>,
        space: Space<'_>,
    ) -> Result<Id, InvalidSchema> {
        let mut named = named(json, space)?;
        let Some(Value::Array(list)) = object.get("symbols") else {
            return fail(format!("Enum has no symbols: {}", text::to_string(json)));
        };
        let mut symbols = Vec::with_capacity(list.len());
        let mut seen = HashSet::with_capacity(list.len());
        for symbol in list {
            let Value::String(symbol) = symbol else { return fail("Null name".to_owned()) };
            validate_name(symbol)?;
            if !seen.insert(symbol) {
                return fail(format!("Duplicate enum symbol: {symbol}"));
            }
            symbols.push(symbol.clone());
        }
        let default = optional(json, "default").map(str::to_owned);
        if let Some(default) = default.as_ref().filter(|default| !seen.contains(default)) {
            return fail(format!(
                "The Enum Default: {default} is not in the enum symbol set: [{}]",
                symbols.join(", ")
            ));
        }
        named.aliases = name_aliases(json, &named.name)?;
        let of = Enum { named, symbols, default };
        self.define(Kind::Enum(Box::new(of)), properties(object, &ENUM_RESERVED))
    }

    fn fixed(
        &mut self,
        json: &Value,
        object: &Map<String, Value>,
        space: Space<'_>,
    ) -> Result<Id, InvalidSchema> {
        let mut named = named(json, space)?;
        let size = match object.get("size") {
            Some(Value::Number(size)) => size.as_str().parse::<i32>().ok(),
            _ => None,
        };
        let Some(size) = size else {
            return fail(format!("Invalid or no size: {}", text::to_string(json)));
        };
        if size < 0 {
            return fail(format!("Malformed data. Length is negative: {size}"));
        }
        if size > MAX_FIXED_BYTES {
            return fail(format!("Cannot read arrays longer than {MAX_FIXED_BYTES} bytes in Java library"));
        }
        named.aliases = name_aliases(json, &named.name)?;
        self.define(Kind::Fixed(Box::new(Fixed { named, size })), properties(object, &SCHEMA_RESERVED))
    }

    fn union(&mut self, list: &[Value], space: Space<'_>) -> Result<Id, InvalidSchema> {
        let mut branches = Vec::with_capacity(list.len());
        for branch in list {
            branches.push(self.schema(branch, space)?);
        }
        let union = self.add(Kind::Union(branches), Properties::new());
        self.check_branches(union)?;
        Ok(union)
    }

    fn check_branches(&self, union: Id) -> Result<(), InvalidSchema> {
        let Kind::Union(branches) = &self.graph.node(union).kind else { return Ok(()) };
        let mut names = HashSet::with_capacity(branches.len());
        for branch in branches {
            let node = self.graph.node(*branch);
            match &node.kind {
                Kind::Union(_) => {
                    let text = write::text(&self.graph, union, &[], Style::Canonical)?;
                    return fail(format!("Nested union: {text}"));
                }
                // Looked at again when it is known what it is.
                Kind::Unresolved(_) => continue,
                _ => {}
            }
            let name = node.branch_name();
            if names.contains(&name) {
                return fail(format!("Duplicate in union:{name}"));
            }
            names.insert(name);
        }
        Ok(())
    }

    /// Makes a type known. A second definition must say the same as the first.
    fn define(&mut self, kind: Kind, properties: Properties) -> Result<Id, InvalidSchema> {
        let id = self.add(kind, properties);
        let full = self.graph.node(id).branch_name();
        validate_full_name(&full)?;
        match self.types.get(&full) {
            None => {
                self.types.insert(full, id);
            }
            Some(known) if self.graph.says_the_same(*known, id) => {}
            Some(_) => return fail(format!("Can't redefine: {full}")),
        }
        Ok(id)
    }

    /// Puts the types in place of the names that were used before their definition.
    fn resolve(&mut self, first: Id) -> Result<(), InvalidSchema> {
        let mut replaced = HashMap::new();
        for (id, node) in self.graph.nodes.iter().enumerate().skip(first) {
            if let Kind::Unresolved(name) = &node.kind {
                match self.types.get(name) {
                    Some(target) => replaced.insert(id, *target),
                    None => return fail(format!("Undefined schema: {name}")),
                };
            }
        }
        if replaced.is_empty() {
            return Ok(());
        }
        let mut unions = Vec::new();
        for (id, node) in self.graph.nodes.iter_mut().enumerate().skip(first) {
            let replace = |part: &mut Id| {
                let target = replaced.get(part);
                *part = *target.unwrap_or(part);
                target.is_some()
            };
            match &mut node.kind {
                Kind::Array(items) => _ = replace(items),
                Kind::Map(values) => _ = replace(values),
                Kind::Record(record) => {
                    record.fields.iter_mut().for_each(|field| _ = replace(&mut field.schema))
                }
                Kind::Union(branches) => {
                    let is_changed =
                        branches.iter_mut().fold(false, |changed, branch| replace(branch) | changed);
                    unions.extend(is_changed.then_some(id));
                }
                _ => {}
            }
        }
        unions.into_iter().try_for_each(|union| self.check_branches(union))
    }
}

/// A field as Java's messages describe it.
pub fn describe_field(graph: &Graph, field: &Field, index: usize) -> String {
    let kind = graph.node(field.schema).type_name().to_uppercase();
    format!("{} type:{kind} pos:{index}", field.name)
}

fn fail<T>(message: String) -> Result<T, InvalidSchema> {
    Err(InvalidSchema(message))
}

fn optional<'a>(json: &'a Value, key: &str) -> Option<&'a str> {
    json.get(key)?.as_str()
}

fn required<'a>(json: &'a Value, key: &str, error: &str) -> Result<&'a str, InvalidSchema> {
    optional(json, key).ok_or_else(|| InvalidSchema(format!("{error}: {}", text::to_string(json))))
}

fn properties(object: &Map<String, Value>, reserved: &[&str]) -> Properties {
    let free = object.iter().filter(|(key, _)| !reserved.contains(&key.as_str()));
    free.map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn named(json: &Value, space: Space<'_>) -> Result<Named, InvalidSchema> {
    let own: Option<Arc<str>> = optional(json, "namespace").map(Arc::from);
    let name = new_name(required(json, "name", "No name in schema")?, own.as_ref().or(space))?;
    if name.space.is_none() && Primitive::of(&name.short).is_some() {
        return fail(format!("Schemas may not be named after primitives: {}", name.short));
    }
    Ok(Named { name, doc: optional(json, "doc").map(str::to_owned), aliases: Vec::new() })
}

/// A name with dots has its own namespace.
fn new_name(text: &str, space: Space<'_>) -> Result<Name, InvalidSchema> {
    let (space, short) = match text.rsplit_once('.') {
        Some((space, short)) => (Some(Arc::from(space)), short),
        None => (space.cloned(), text),
    };
    validate_name(short)?;
    let space = space.filter(|space| !space.is_empty());
    if short.len() + space.as_ref().map_or(0, |space| space.len()) > MAX_NAME_BYTES {
        return fail(format!("A name is longer than {MAX_NAME_BYTES} bytes"));
    }
    Ok(Name { space, short: short.to_owned() })
}

fn validate_full_name(full: &str) -> Result<(), InvalidSchema> {
    let mut parts: Vec<&str> = full.split('.').collect();
    let name = parts.pop();
    let spaces = parts.into_iter().map(|part| ("Namespace part", part));
    for (what, part) in spaces.chain(name.map(|name| ("Name", name))) {
        validate_name(part)
            .map_err(|InvalidSchema(why)| InvalidSchema(format!("{what} \"{part}\" is invalid: {why}")))?;
    }
    Ok(())
}

/// Java's `UTF_VALIDATOR`, which knows letters of every script but those beyond the first plane of Unicode.
fn validate_name(name: &str) -> Result<(), InvalidSchema> {
    let mut chars = name.chars();
    let is_letter = |c: char| c == '_' || (c.is_alphabetic() && c <= '\u{ffff}');
    match chars.next() {
        None => return fail("Empty name".to_owned()),
        Some(first) if !is_letter(first) => return fail(format!("Illegal initial character: {name}")),
        Some(_) => {}
    }
    match chars.all(|c| is_letter(c) || (c.is_numeric() && c <= '\u{ffff}')) {
        true => Ok(()),
        false => fail(format!("Illegal character in: {name}")),
    }
}

fn read_order(order: &Value) -> Result<Order, InvalidSchema> {
    let Value::String(order) = order else {
        return fail(format!("Invalid order: {}", text::to_string(order)));
    };
    let order = order.to_uppercase();
    match order.as_str() {
        "ASCENDING" => Ok(Order::Ascending),
        "DESCENDING" => Ok(Order::Descending),
        "IGNORE" => Ok(Order::Ignore),
        _ => fail(format!("No enum constant org.apache.avro.Schema.Field.Order.{order}")),
    }
}

/// Each alias once, in the order given.
fn aliases(json: &Value) -> Result<Vec<String>, InvalidSchema> {
    let list = match json.get("aliases") {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return fail(format!("aliases not an array: {}", text::to_string(json))),
    };
    let mut seen = HashSet::with_capacity(list.len());
    let mut aliases = Vec::with_capacity(list.len());
    for alias in list {
        let Value::String(alias) = alias else {
            return fail(format!("alias not a string: {}", text::to_string(alias)));
        };
        if seen.insert(alias) {
            aliases.push(alias.clone());
        }
    }
    Ok(aliases)
}

/// The aliases of a type are in its namespace unless they say another.
fn name_aliases(json: &Value, name: &Name) -> Result<Vec<Name>, InvalidSchema> {
    let mut seen = HashSet::new();
    let mut names = Vec::new();
    for alias in aliases(json)? {
        let alias = new_name(&alias, name.space.as_ref())?;
        if seen.insert(alias.clone()) {
            names.push(alias);
        }
    }
    Ok(names)
}
