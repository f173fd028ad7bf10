//! A schema's text, as Java's `Schema.toString` writes it.

use std::collections::HashSet;

use serde_json::Value;

use super::defaults;
use super::graph::{Field, Graph, Id, Kind, Named, Node, Order, Record};
use super::logical;
use super::text;
use crate::{InvalidSchema, MAX_SCHEMA_BYTES, jackson};

/// A written text can be read back: it is no deeper than [`text::read`] allows.
const MAX_DEPTH: usize = 127;
/// References may be written longer than they were read.
const MAX_WRITTEN_BYTES: usize = 4 * MAX_SCHEMA_BYTES;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    Canonical,
    /// What differs without meaning is written in one way.
    Normalized,
}

pub fn text(graph: &Graph, root: Id, referred: &[String], style: Style) -> Result<String, InvalidSchema> {
    Writer::new(graph, referred, style).write(root, None)
}

#[derive(Debug)]
pub struct Writer<'a> {
    graph: &'a Graph,
    style: Style,
    out: String,
    /// What was written, or must not be: only its name is.
    known: HashSet<String>,
    depth: usize,
    most_bytes: usize,
}

impl<'a> Writer<'a> {
    pub fn new(graph: &'a Graph, referred: &[String], style: Style) -> Self {
        let known = referred.iter().cloned().collect();
        Self { graph, style, out: String::new(), known, depth: 0, most_bytes: MAX_WRITTEN_BYTES }
    }

    pub fn within(self, most_bytes: usize) -> Self {
        Self { most_bytes, ..self }
    }

    pub fn write(mut self, root: Id, space: Option<&str>) -> Result<String, InvalidSchema> {
        self.schema(root, space)?;
        Ok(self.out)
    }

    fn schema(&mut self, id: Id, space: Option<&str>) -> Result<(), InvalidSchema> {
        let graph = self.graph;
        let node = graph.node(id);
        if let Some(named) = node.named() {
            let full = named.name.full();
            if self.known.contains(&full) {
                jackson::write_string(&mut self.out, &named.name.within(space));
                return self.check();
            }
            self.known.insert(full);
        }
        match &node.kind {
            Kind::Primitive(_) | Kind::Unresolved(_) if node.properties.is_empty() => {
                jackson::write_string(&mut self.out, node.type_name());
                self.check()
            }
            Kind::Union(branches) => self.nested('[', ']', |writer| {
                for (index, branch) in branches.iter().enumerate() {
                    if index > 0 {
                        writer.out.push(',');
                    }
                    writer.schema(*branch, space)?;
                }
                Ok(())
            }),
            _ => self.nested('{', '}', |writer| writer.object(node, space)),
        }
    }

    fn object(&mut self, node: &Node, space: Option<&str>) -> Result<(), InvalidSchema> {
        let kind = match &node.kind {
            // Confluent's normalization forgets that it was an error.
            Kind::Record(record) if record.is_error && self.style == Style::Canonical => "error",
            _ => node.type_name(),
        };
        self.out.push_str("\"type\":");
        jackson::write_string(&mut self.out, kind);
        if let Some(named) = node.named() {
            self.name(named, space);
        }
        match &node.kind {
            Kind::Array(items) => self.part("items", *items, space)?,
            Kind::Map(values) => self.part("values", *values, space)?,
            Kind::Record(record) => self.fields(record)?,
            Kind::Enum(of) => {
                self.strings("symbols", of.symbols.iter());
                if let Some(default) = &of.default {
                    self.string("default", default);
                }
            }
            Kind::Fixed(fixed) => self.out.push_str(&format!(",\"size\":{}", fixed.size)),
            Kind::Primitive(_) | Kind::Union(_) | Kind::Unresolved(_) => {}
        }
        self.properties(node.properties.iter(), &logical::properties(node));
        if let Some(named) = node.named() {
            self.type_aliases(named);
        }
        self.check()
    }

    fn name(&mut self, named: &Named, space: Option<&str>) {
        self.string("name", &named.name.short);
        match (named.name.space.as_deref(), space) {
            (Some(own), space) if space != Some(own) => self.string("namespace", own),
            (None, Some(_)) => self.string("namespace", ""),
            _ => {}
        }
        match &named.doc {
            Some(doc) if self.style == Style::Canonical || !doc.is_empty() => self.string("doc", doc),
            _ => {}
        }
    }

    fn fields(&mut self, record: &Record) -> Result<(), InvalidSchema> {
        let space = record.named.name.space.as_deref();
        self.out.push_str(",\"fields\":");
        self.nested('[', ']', |writer| {
            for (index, field) in record.fields.iter().enumerate() {
                if index > 0 {
                    writer.out.push(',');
                }
                writer.nested('{', '}', |writer| writer.field(field, space))?;
            }
            Ok(())
        })
    }

    fn field(&mut self, field: &Field, space: Option<&str>) -> Result<(), InvalidSchema> {
        self.out.push_str("\"name\":");
        jackson::write_string(&mut self.out, &field.name);
        self.part("type", field.schema, space)?;
        if let Some(doc) = &field.doc {
            self.string("doc", doc);
        }
        match (&field.default, self.style) {
            (None, _) => {}
            (Some(default), Style::Canonical) => {
                self.out.push_str(",\"default\":");
                text::write(&mut self.out, default);
            }
            (Some(default), Style::Normalized) => {
                if let Some(default) = defaults::normalized(self.graph, field.schema, default) {
                    self.out.push_str(",\"default\":");
                    text::write_sorted(&mut self.out, &default);
                }
            }
        }
        if field.order != Order::Ascending {
            self.string("order", field.order.name());
        }
        if !field.aliases.is_empty() {
            let mut aliases: Vec<&String> = field.aliases.iter().collect();
            if self.style == Style::Normalized {
                aliases.sort_by(|one, other| jackson::java_order(one, other));
            }
            self.strings("aliases", aliases.into_iter());
        }
        self.properties(field.properties.iter(), &[]);
        self.check()
    }

    fn type_aliases(&mut self, named: &Named) {
        if named.aliases.is_empty() {
            return;
        }
        let mut aliases: Vec<_> = named.aliases.iter().collect();
        if self.style == Style::Normalized {
            aliases.sort_by(|one, other| one.java_order(other, &named.name));
        }
        let space = named.name.space.as_deref();
        let written: Vec<String> = aliases.into_iter().map(|alias| alias.within(space)).collect();
        self.strings("aliases", written.iter());
    }

    fn properties<'p>(&mut self, properties: impl Iterator<Item = (&'p String, &'p Value)>, first: &[&str]) {
        let mut properties: Vec<_> = properties.collect();
        if self.style == Style::Normalized {
            let rank = |key: &str| first.iter().position(|of| *of == key).unwrap_or(first.len());
            properties.sort_by(|(one, _), (other, _)| {
                rank(one).cmp(&rank(other)).then_with(|| jackson::java_order(one, other))
            });
        }
        for (key, value) in properties {
            self.out.push(',');
            jackson::write_string(&mut self.out, key);
            self.out.push(':');
            match self.style {
                Style::Canonical => text::write(&mut self.out, value),
                Style::Normalized => text::write_sorted(&mut self.out, value),
            }
        }
    }

    fn part(&mut self, key: &str, id: Id, space: Option<&str>) -> Result<(), InvalidSchema> {
        self.out.push_str(",\"");
        self.out.push_str(key);
        self.out.push_str("\":");
        self.schema(id, space)
    }

    fn string(&mut self, key: &str, value: &str) {
        self.out.push_str(",\"");
        self.out.push_str(key);
        self.out.push_str("\":");
        jackson::write_string(&mut self.out, value);
    }

    fn strings<'s>(&mut self, key: &str, values: impl Iterator<Item = &'s String>) {
        self.out.push_str(",\"");
        self.out.push_str(key);
        self.out.push_str("\":[");
        for (index, value) in values.enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            jackson::write_string(&mut self.out, value);
        }
        self.out.push(']');
    }

    fn nested(
        &mut self,
        open: char,
        close: char,
        write: impl FnOnce(&mut Self) -> Result<(), InvalidSchema>,
    ) -> Result<(), InvalidSchema> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(InvalidSchema(format!("The schema is deeper than {MAX_DEPTH} levels")));
        }
        self.out.push(open);
        write(self)?;
        self.out.push(close);
        self.depth -= 1;
        Ok(())
    }

    fn check(&self) -> Result<(), InvalidSchema> {
        match self.out.len() > self.most_bytes {
            true => Err(InvalidSchema(format!("The schema's text is longer than {} bytes", self.most_bytes))),
            false => Ok(()),
        }
    }
}
