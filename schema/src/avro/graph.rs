//! What a schema is once it was read: nodes that refer to each other by number. Each place where a type is written has a node of its
//! own; a reference by name is the number of the node that it names.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::text::same;
use crate::jackson::java_order;

pub type Id = usize;

/// What a schema says beyond what Avro knows, in the order given.
pub type Properties = Map<String, Value>;

#[derive(Debug, Default)]
pub struct Graph {
    pub nodes: Vec<Node>,
}

#[derive(Debug)]
pub struct Node {
    pub kind: Kind,
    pub properties: Properties,
}

#[derive(Debug)]
pub enum Kind {
    Primitive(Primitive),
    Array(Id),
    Map(Id),
    Union(Vec<Id>),
    Record(Box<Record>),
    Enum(Box<Enum>),
    Fixed(Box<Fixed>),
    /// A full name that nothing has had yet. None is left when a text was read.
    Unresolved(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Primitive {
    String,
    Bytes,
    Int,
    Long,
    Float,
    Double,
    Boolean,
    Null,
}

impl Primitive {
    const ALL: [(Self, &'static str); 8] = [
        (Self::String, "string"),
        (Self::Bytes, "bytes"),
        (Self::Int, "int"),
        (Self::Long, "long"),
        (Self::Float, "float"),
        (Self::Double, "double"),
        (Self::Boolean, "boolean"),
        (Self::Null, "null"),
    ];

    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, of)| *of == name).map(|(primitive, _)| *primitive)
    }

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(of, _)| *of == self).map_or("", |(_, name)| name)
    }
}

#[derive(Debug)]
pub struct Named {
    pub name: Name,
    pub doc: Option<String>,
    pub aliases: Vec<Name>,
}

#[derive(Debug)]
pub struct Record {
    pub named: Named,
    /// An `error`, as protocols have them: a record otherwise.
    pub is_error: bool,
    pub fields: Vec<Field>,
    pub by_name: HashMap<String, usize>,
}

#[derive(Debug)]
pub struct Field {
    pub name: String,
    pub doc: Option<String>,
    pub schema: Id,
    pub default: Option<Value>,
    pub order: Order,
    pub aliases: Vec<String>,
    pub properties: Properties,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
    Ignore,
}

impl Order {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ascending => "ascending",
            Self::Descending => "descending",
            Self::Ignore => "ignore",
        }
    }
}

#[derive(Debug)]
pub struct Enum {
    pub named: Named,
    pub symbols: Vec<String>,
    pub default: Option<String>,
}

#[derive(Debug)]
pub struct Fixed {
    pub named: Named,
    pub size: i32,
}

/// A name and the namespace that it is in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    pub space: Option<Arc<str>>,
    pub short: String,
}

impl Name {
    pub fn full(&self) -> String {
        match &self.space {
            Some(space) => format!("{space}.{}", self.short),
            None => self.short.clone(),
        }
    }

    pub fn is_full(&self, full: &str) -> bool {
        match &self.space {
            Some(space) => full
                .strip_prefix(&**space)
                .and_then(|rest| rest.strip_prefix('.'))
                .is_some_and(|short| short == self.short),
            None => self.short == full,
        }
    }

    /// How Java sorts the aliases of a type: by their full names, one without a namespace beginning with a dot where the type has one.
    pub fn java_order(&self, other: &Self, of: &Self) -> Ordering {
        if self.space == other.space {
            return java_order(&self.short, &other.short);
        }
        let full = |name: &Self| match (&name.space, &of.space) {
            (None, Some(_)) => format!(".{}", name.short),
            _ => name.full(),
        };
        java_order(&full(self), &full(other))
    }

    /// How a text within a namespace refers to it. A type that is called like one of Avro's own needs its namespace.
    pub fn within(&self, space: Option<&str>) -> String {
        match (&self.space, space) {
            (Some(own), Some(space)) if **own == *space && !is_type_name(&self.short) => self.short.clone(),
            _ => self.full(),
        }
    }
}

fn is_type_name(name: &str) -> bool {
    Primitive::of(name).is_some() || ["record", "enum", "array", "map", "union", "fixed"].contains(&name)
}

impl Node {
    pub fn named(&self) -> Option<&Named> {
        match &self.kind {
            Kind::Record(record) => Some(&record.named),
            Kind::Enum(of) => Some(&of.named),
            Kind::Fixed(fixed) => Some(&fixed.named),
            _ => None,
        }
    }

    /// `record`, `union`, `int`: Java's `Schema.Type`.
    pub fn type_name(&self) -> &'static str {
        match &self.kind {
            Kind::Primitive(primitive) => primitive.name(),
            Kind::Array(_) => "array",
            Kind::Map(_) => "map",
            Kind::Union(_) => "union",
            Kind::Record(_) | Kind::Unresolved(_) => "record",
            Kind::Enum(_) => "enum",
            Kind::Fixed(_) => "fixed",
        }
    }

    /// The full name of a named type, the type's otherwise: no two branches of a union have the same.
    pub fn branch_name(&self) -> String {
        self.named().map_or_else(|| self.type_name().to_owned(), |named| named.name.full())
    }

    pub fn is_float(&self) -> bool {
        matches!(self.kind, Kind::Primitive(Primitive::Float | Primitive::Double))
    }
}

impl Graph {
    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// Whether two nodes say the same, as Java's `Schema.equals` sees it: documentation and aliases do not count. Types that are
    /// named alike were compared when they were read, so that their names are enough below the top.
    pub fn says_the_same(&self, one: Id, other: Id) -> bool {
        let (left, right) = (self.node(one), self.node(other));
        if !same_properties(&left.properties, &right.properties) {
            return false;
        }
        match (&left.kind, &right.kind) {
            (Kind::Record(left), Kind::Record(right)) => {
                left.named.name == right.named.name
                    && left.fields.len() == right.fields.len()
                    && left.fields.iter().zip(&right.fields).all(|(left, right)| self.same_field(left, right))
            }
            (Kind::Enum(left), Kind::Enum(right)) => {
                left.named.name == right.named.name && left.symbols == right.symbols
            }
            (Kind::Fixed(left), Kind::Fixed(right)) => {
                left.named.name == right.named.name && left.size == right.size
            }
            (Kind::Primitive(left), Kind::Primitive(right)) => left == right,
            (Kind::Array(left), Kind::Array(right)) | (Kind::Map(left), Kind::Map(right)) => {
                self.same_part(*left, *right)
            }
            (Kind::Union(left), Kind::Union(right)) => {
                left.len() == right.len()
                    && left.iter().zip(right).all(|(left, right)| self.same_part(*left, *right))
            }
            _ => one == other,
        }
    }

    fn same_part(&self, one: Id, other: Id) -> bool {
        match (self.node(one).named(), self.node(other).named()) {
            (Some(one), Some(other)) => one.name == other.name,
            (None, None) => self.says_the_same(one, other),
            _ => false,
        }
    }

    fn same_field(&self, one: &Field, other: &Field) -> bool {
        let same_default = match (&one.default, &other.default) {
            (Some(one), Some(other)) => same(one, other),
            (None, None) => true,
            _ => false,
        };
        same_default
            && one.name == other.name
            && one.order == other.order
            && same_properties(&one.properties, &other.properties)
            && self.same_part(one.schema, other.schema)
    }
}

fn same_properties(one: &Properties, other: &Properties) -> bool {
    one.len() == other.len()
        && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
}
