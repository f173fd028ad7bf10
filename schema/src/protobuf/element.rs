//! A file as its text says it, names not looked up: what the parser and the descriptors' reader make, and the writer writes.

/// `max` in a range of field numbers.
pub const MAX_TAG: i32 = (1 << 29) - 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    Proto2,
    Proto3,
}

impl Syntax {
    pub fn name(self) -> &'static str {
        match self {
            Self::Proto2 => "proto2",
            Self::Proto3 => "proto3",
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        [Self::Proto2, Self::Proto3].into_iter().find(|syntax| syntax.name() == name)
    }
}

#[derive(Debug, Clone, Default)]
pub struct File {
    pub syntax: Option<Syntax>,
    pub package: Option<String>,
    pub imports: Vec<String>,
    pub public_imports: Vec<String>,
    pub weak_imports: Vec<String>,
    pub options: Vec<OptionElement>,
    pub types: Vec<Type>,
    pub extends: Vec<Extend>,
    pub services: Vec<Service>,
}

#[derive(Debug, Clone)]
pub enum Type {
    Message(Message),
    Enum(Enum),
}

impl Type {
    pub fn as_message(&self) -> Option<&Message> {
        if let Self::Message(message) = self { Some(message) } else { None }
    }

    pub fn as_message_mut(&mut self) -> Option<&mut Message> {
        if let Self::Message(message) = self { Some(message) } else { None }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Message {
    pub name: String,
    /// One list for each statement.
    pub reserved: Vec<Vec<Reserved>>,
    pub options: Vec<OptionElement>,
    pub fields: Vec<Field>,
    pub oneofs: Vec<OneOf>,
    pub groups: Vec<Group>,
    /// One list for each statement.
    pub extensions: Vec<Vec<Reserved>>,
    pub extends: Vec<Extend>,
    pub types: Vec<Type>,
}

impl Message {
    /// What a compiler makes of a field `map<K, V>`, where the schema came as a descriptor.
    pub fn map_entry(&self) -> Option<FieldType> {
        let is_entry = |option: &OptionElement| {
            option.name == "map_entry" && option.value == Value::Boolean(true.to_string())
        };
        self.options.iter().find(|option| is_entry(option))?;
        let scalar_or_name = |name: &str| {
            let field = self.fields.iter().find(|field| field.name == name)?;
            match &field.type_name {
                FieldType::Named(name) => Some(name.clone()),
                FieldType::Map { .. } => None,
            }
        };
        Some(FieldType::Map { key: scalar_or_name("key")?, value: scalar_or_name("value")? })
    }
}

/// A number, a range (both ends belong to it) or a name that may not be used, or a number that extensions may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reserved {
    Name(String),
    Number(i32),
    Range(i32, i32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    Optional,
    Required,
    Repeated,
}

impl Label {
    pub fn name(self) -> &'static str {
        match self {
            Self::Optional => "optional",
            Self::Required => "required",
            Self::Repeated => "repeated",
        }
    }
}

#[derive(Debug, Clone)]
pub struct Field {
    pub label: Option<Label>,
    pub type_name: FieldType,
    pub name: String,
    pub tag: i32,
    pub default: Option<String>,
    pub json_name: Option<String>,
    pub options: Vec<OptionElement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldType {
    /// A scalar's name or a type's.
    Named(String),
    Map {
        key: String,
        value: String,
    },
}

#[derive(Debug, Clone)]
pub struct OneOf {
    pub name: String,
    pub options: Vec<OptionElement>,
    pub fields: Vec<Field>,
    pub groups: Vec<Group>,
}

#[derive(Debug, Clone)]
pub struct Group {
    pub label: Option<Label>,
    pub name: String,
    pub tag: i32,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone)]
pub struct Enum {
    pub name: String,
    /// One list for each statement.
    pub reserved: Vec<Vec<Reserved>>,
    pub options: Vec<OptionElement>,
    pub constants: Vec<Constant>,
}

#[derive(Debug, Clone)]
pub struct Constant {
    pub name: String,
    pub tag: i32,
    pub options: Vec<OptionElement>,
}

#[derive(Debug, Clone)]
pub struct Extend {
    pub name: String,
    pub fields: Vec<Field>,
}

#[derive(Debug, Clone)]
pub struct Service {
    pub name: String,
    pub options: Vec<OptionElement>,
    pub rpcs: Vec<Rpc>,
}

#[derive(Debug, Clone)]
pub struct Rpc {
    pub name: String,
    pub request: String,
    pub response: String,
    pub request_streaming: bool,
    pub response_streaming: bool,
    pub options: Vec<OptionElement>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OptionElement {
    pub name: String,
    /// It stands in parentheses: an extension of `google.protobuf.*Options`.
    pub is_custom: bool,
    pub value: Value,
}

/// Booleans and numbers stay as they were written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Value {
    String(String),
    Boolean(String),
    Number(String),
    Enum(String),
    Map(Vec<(String, Value)>),
    List(Vec<Value>),
    /// `(name).inner = ...`
    Option(Box<OptionElement>),
}

/// Scalars, in the groups whose members can be read as each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarKind {
    GeneralNumber,
    SignedNumber,
    StringOrBytes,
    Fixed32,
    Fixed64,
    Float,
    Double,
}

impl ScalarKind {
    pub fn of(type_name: &str) -> Option<Self> {
        Some(match type_name {
            "int32" | "int64" | "uint32" | "uint64" | "bool" => Self::GeneralNumber,
            "sint32" | "sint64" => Self::SignedNumber,
            "string" | "bytes" => Self::StringOrBytes,
            "fixed32" | "sfixed32" => Self::Fixed32,
            "fixed64" | "sfixed64" => Self::Fixed64,
            "float" => Self::Float,
            "double" => Self::Double,
            _ => return None,
        })
    }
}
