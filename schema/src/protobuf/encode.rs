//! From a [`File`] to its descriptor (`google.protobuf.FileDescriptorProto`), in bytes: what clients build their messages from.
//! It has all that a schema declares and, as at Confluent's, the options that every schema can have, and Confluent's metadata.
//! Nothing is checked that a registration did not check.

use super::element::{
    Constant, Enum, Extend, Field, FieldType, File, Group, Label, Message, OneOf, OptionElement, Reserved,
    Rpc, Service, Syntax, Type, Value,
};
use super::normal;
use super::types::{Declared, Node, Types};

/// What Confluent calls a schema that has no name as a file.
const NAME: &str = "default";

/// Kinds of values of the options that every schema can have, and their numbers.
#[derive(Clone, Copy)]
enum Kind {
    Text(u32),
    Flag(u32),
    /// The words stand at their numbers.
    Word(u32, &'static [&'static str]),
}

type Known = &'static [(&'static str, Kind)];

const FILE_OPTIONS: Known = &[
    ("java_package", Kind::Text(1)),
    ("java_outer_classname", Kind::Text(8)),
    ("optimize_for", Kind::Word(9, &["", "SPEED", "CODE_SIZE", "LITE_RUNTIME"])),
    ("java_multiple_files", Kind::Flag(10)),
    ("go_package", Kind::Text(11)),
    ("cc_generic_services", Kind::Flag(16)),
    ("java_generic_services", Kind::Flag(17)),
    ("py_generic_services", Kind::Flag(18)),
    ("java_generate_equals_and_hash", Kind::Flag(20)),
    ("deprecated", Kind::Flag(23)),
    ("java_string_check_utf8", Kind::Flag(27)),
    ("cc_enable_arenas", Kind::Flag(31)),
    ("objc_class_prefix", Kind::Text(36)),
    ("csharp_namespace", Kind::Text(37)),
    ("swift_prefix", Kind::Text(39)),
    ("php_class_prefix", Kind::Text(40)),
    ("php_namespace", Kind::Text(41)),
    ("php_metadata_namespace", Kind::Text(44)),
    ("ruby_package", Kind::Text(45)),
];
const MESSAGE_OPTIONS: Known = &[
    ("no_standard_descriptor_accessor", Kind::Flag(2)),
    ("deprecated", Kind::Flag(3)),
    ("map_entry", Kind::Flag(7)),
];
const FIELD_OPTIONS: Known = &[
    ("ctype", Kind::Word(1, &["STRING", "CORD", "STRING_PIECE"])),
    ("packed", Kind::Flag(2)),
    ("deprecated", Kind::Flag(3)),
    ("jstype", Kind::Word(6, &["JS_NORMAL", "JS_STRING", "JS_NUMBER"])),
];
const ENUM_OPTIONS: Known = &[("allow_alias", Kind::Flag(2)), ("deprecated", Kind::Flag(3))];
const CONSTANT_OPTIONS: Known = &[("deprecated", Kind::Flag(1))];
const SERVICE_OPTIONS: Known = &[("deprecated", Kind::Flag(33))];
const METHOD_OPTIONS: Known = &[
    ("deprecated", Kind::Flag(33)),
    ("idempotency_level", Kind::Word(34, &["IDEMPOTENCY_UNKNOWN", "NO_SIDE_EFFECTS", "IDEMPOTENT"])),
];

/// The number of Confluent's extension of any options.
const META: u32 = 1088;

/// Scalars at their numbers as types of fields.
const SCALARS: [&str; 19] = [
    "", "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "", "",
    "bytes", "uint32", "", "sfixed32", "sfixed64", "sint32", "sint64",
];
const TYPE_GROUP: usize = 10;
const TYPE_MESSAGE: usize = 11;
const TYPE_ENUM: usize = 14;

pub fn descriptor(file: &File, types: &Types<'_>) -> Vec<u8> {
    let encoder = Encoder { types, is_proto3: file.syntax == Some(Syntax::Proto3) };
    encoder.file(file).0
}

struct Encoder<'a> {
    types: &'a Types<'a>,
    is_proto3: bool,
}

/// A message in its bytes.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn named(name: &str) -> Self {
        let mut bytes = Self::default();
        bytes.text(1, name);
        bytes
    }

    fn varint(&mut self, value: u64) {
        let mut rest = value;
        while rest >= 0x80 {
            self.0.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
    }

    fn number(&mut self, tag: u32, number: i32) {
        self.varint(u64::from(tag) << 3);
        // Negative ones have all 64 bits.
        self.varint(i64::from(number) as u64);
    }

    fn index(&mut self, tag: u32, index: usize) {
        self.number(tag, i32::try_from(index).unwrap_or(i32::MAX));
    }

    fn text(&mut self, tag: u32, text: &str) {
        self.bytes(tag, text.as_bytes());
    }

    fn message(&mut self, tag: u32, message: &Self) {
        self.bytes(tag, &message.0);
    }

    fn bytes(&mut self, tag: u32, bytes: &[u8]) {
        self.varint(u64::from(tag) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Nothing is said of options where there are none.
    fn options(&mut self, tag: u32, known: Known, options: &[OptionElement]) {
        let options = encoded_options(known, options);
        if !options.0.is_empty() {
            self.message(tag, &options);
        }
    }

    /// A range whose end is at `past` behind the last number.
    fn range(&mut self, tag: u32, of: &Reserved, past: i32) {
        let (start, end) = match of {
            Reserved::Number(number) => (*number, *number),
            Reserved::Range(start, end) => (*start, *end),
            Reserved::Name(_) => return,
        };
        let mut range = Self::default();
        range.number(1, start);
        range.number(2, end.saturating_add(past));
        self.message(tag, &range);
    }

    fn reserved(&mut self, [ranges, names]: [u32; 2], statements: &[Vec<Reserved>], past: i32) {
        for value in statements.iter().flatten() {
            match value {
                Reserved::Name(name) => self.text(names, name),
                range => self.range(ranges, range, past),
            }
        }
    }
}

impl Encoder<'_> {
    fn file(&self, file: &File) -> Bytes {
        let scope = self.types.package;
        let mut bytes = Bytes::named(NAME);
        if let Some(package) = &file.package {
            bytes.text(2, package);
        }
        let kinds = [(None, &file.imports), (Some(10), &file.public_imports), (Some(11), &file.weak_imports)];
        let mut index = 0;
        for (kind, imports) in kinds {
            for import in imports {
                bytes.text(3, import);
                if let Some(tag) = kind {
                    bytes.index(tag, index);
                }
                index += 1;
            }
        }
        self.types(&mut bytes, [4, 5], scope, &file.types);
        for service in &file.services {
            bytes.message(6, &self.service(scope, service));
        }
        self.extends(&mut bytes, 7, scope, &file.extends);
        bytes.options(8, FILE_OPTIONS, &file.options);
        if let Some(syntax) = file.syntax {
            bytes.text(12, syntax.name());
        }
        bytes
    }

    fn types(&self, bytes: &mut Bytes, [messages, enums]: [u32; 2], scope: Node, types: &[Type]) {
        for declared in types {
            match declared {
                Type::Message(message) => {
                    let scope = self.types.within(scope, &message.name).unwrap_or(scope);
                    bytes.message(messages, &self.message(scope, message));
                }
                Type::Enum(of) => bytes.message(enums, &enumeration(of)),
            }
        }
    }

    fn message(&self, scope: Node, message: &Message) -> Bytes {
        let mut bytes = Bytes::named(&message.name);
        self.types(&mut bytes, [3, 4], scope, &message.types);
        let mut oneofs = Vec::new();
        for oneof in &message.oneofs {
            self.oneof(&mut bytes, scope, oneof, oneofs.len());
            oneofs.push(oneof.name.clone());
        }
        // What is made for maps comes behind what the schema has: a message's index stays.
        for field in &message.fields {
            let mut encoded = self.field(scope, field);
            if let FieldType::Map { key, value } = &field.type_name {
                bytes.message(3, &self.map_entry(scope, &field.name, key, value));
            }
            if self.is_proto3 && field.label == Some(Label::Optional) {
                encoded.index(9, oneofs.len());
                encoded.number(17, 1);
                oneofs.push(format!("_{}", field.name));
            }
            bytes.message(2, &encoded);
        }
        for group in &message.groups {
            self.group(&mut bytes, scope, group, None);
        }
        for extension in message.extensions.iter().flatten() {
            bytes.range(5, extension, 1);
        }
        self.extends(&mut bytes, 6, scope, &message.extends);
        bytes.options(7, MESSAGE_OPTIONS, &message.options);
        for oneof in &oneofs {
            bytes.message(8, &Bytes::named(oneof));
        }
        bytes.reserved([9, 10], &message.reserved, 1);
        bytes
    }

    fn oneof(&self, bytes: &mut Bytes, scope: Node, oneof: &OneOf, index: usize) {
        for field in &oneof.fields {
            let mut field = self.field(scope, field);
            field.index(9, index);
            bytes.message(2, &field);
        }
        for group in &oneof.groups {
            self.group(bytes, scope, group, Some(index));
        }
    }

    /// A message and a field of its type.
    fn group(&self, bytes: &mut Bytes, scope: Node, group: &Group, oneof: Option<usize>) {
        let mut message = Bytes::named(&group.name);
        for field in &group.fields {
            message.message(2, &self.field(scope, field));
        }
        bytes.message(3, &message);
        let mut field = Bytes::named(&group.name.to_ascii_lowercase());
        field.number(3, group.tag);
        field.number(4, label(group.label, false));
        field.index(5, TYPE_GROUP);
        field.text(6, &format!(".{}.{}", self.types.full_name(scope), group.name));
        if let Some(index) = oneof {
            field.index(9, index);
        }
        bytes.message(2, &field);
    }

    fn field(&self, scope: Node, field: &Field) -> Bytes {
        let mut bytes = Bytes::named(&field.name);
        bytes.number(3, field.tag);
        let is_map = matches!(field.type_name, FieldType::Map { .. });
        bytes.number(4, label(field.label, is_map));
        match &field.type_name {
            FieldType::Named(name) => self.field_type(&mut bytes, scope, name),
            FieldType::Map { .. } => {
                bytes.index(5, TYPE_MESSAGE);
                bytes.text(6, &format!(".{}.{}", self.types.full_name(scope), entry_name(&field.name)));
            }
        }
        if let Some(default) = &field.default {
            bytes.text(7, default);
        }
        bytes.options(8, FIELD_OPTIONS, &field.options);
        if let Some(json_name) = &field.json_name {
            bytes.text(10, json_name);
        }
        bytes
    }

    fn field_type(&self, bytes: &mut Bytes, scope: Node, name: &str) {
        if let Some(scalar) = SCALARS.iter().position(|scalar| *scalar == name) {
            return bytes.index(5, scalar);
        }
        // One that is not declared is left to whoever reads it.
        let Some(node) = self.types.find_type(scope, name) else {
            return bytes.text(6, name);
        };
        bytes.index(
            5,
            match self.types.declared(node) {
                Some(Declared::Enum) => TYPE_ENUM,
                _ => TYPE_MESSAGE,
            },
        );
        bytes.text(6, &format!(".{}", self.types.full_name(node)));
    }

    fn map_entry(&self, scope: Node, field: &str, key: &str, value: &str) -> Bytes {
        let mut bytes = Bytes::named(&entry_name(field));
        for (name, number, type_name) in [("key", 1, key), ("value", 2, value)] {
            let mut field = Bytes::named(name);
            field.number(3, number);
            field.number(4, label(None, false));
            self.field_type(&mut field, scope, type_name);
            bytes.message(2, &field);
        }
        let mut options = Bytes::default();
        options.number(7, 1);
        bytes.message(7, &options);
        bytes
    }

    fn extends(&self, bytes: &mut Bytes, tag: u32, scope: Node, extends: &[Extend]) {
        for extend in extends {
            let extendee = normal::type_name(self.types, scope, &extend.name);
            let extendee = extendee.unwrap_or_else(|_| extend.name.clone());
            for field in &extend.fields {
                let mut encoded = self.field(scope, field);
                encoded.text(2, &extendee);
                bytes.message(tag, &encoded);
            }
        }
    }

    fn service(&self, scope: Node, service: &Service) -> Bytes {
        let mut bytes = Bytes::named(&service.name);
        for rpc in &service.rpcs {
            bytes.message(2, &self.rpc(scope, rpc));
        }
        bytes.options(3, SERVICE_OPTIONS, &service.options);
        bytes
    }

    fn rpc(&self, scope: Node, rpc: &Rpc) -> Bytes {
        let mut bytes = Bytes::named(&rpc.name);
        for (tag, name) in [(2, &rpc.request), (3, &rpc.response)] {
            let full_name = normal::type_name(self.types, scope, name);
            bytes.text(tag, &full_name.unwrap_or_else(|_| name.clone()));
        }
        bytes.options(4, METHOD_OPTIONS, &rpc.options);
        for (tag, is_streaming) in [(5, rpc.request_streaming), (6, rpc.response_streaming)] {
            if is_streaming {
                bytes.number(tag, 1);
            }
        }
        bytes
    }
}

fn enumeration(of: &Enum) -> Bytes {
    let mut bytes = Bytes::named(&of.name);
    for constant in &of.constants {
        bytes.message(2, &self::constant(constant));
    }
    bytes.options(3, ENUM_OPTIONS, &of.options);
    // The ends of an enum's ranges belong to them.
    bytes.reserved([4, 5], &of.reserved, 0);
    bytes
}

fn constant(of: &Constant) -> Bytes {
    let mut bytes = Bytes::named(&of.name);
    bytes.number(2, of.tag);
    bytes.options(3, CONSTANT_OPTIONS, &of.options);
    bytes
}

fn label(label: Option<Label>, is_map: bool) -> i32 {
    match label {
        _ if is_map => 3,
        Some(Label::Repeated) => 3,
        Some(Label::Required) => 2,
        Some(Label::Optional) | None => 1,
    }
}

/// As protoc calls what a map field `a_name` stands for: `ANameEntry`.
fn entry_name(field: &str) -> String {
    let parts = field.split('_').map(|part| match part.split_at_checked(1) {
        Some((first, rest)) => format!("{}{rest}", first.to_ascii_uppercase()),
        None => String::new(),
    });
    format!("{}Entry", parts.collect::<String>())
}

fn encoded_options(known: Known, options: &[OptionElement]) -> Bytes {
    let mut bytes = Bytes::default();
    for option in options {
        if option.is_custom {
            if is_meta(&option.name) {
                let mut meta = Bytes::default();
                encode_meta(&mut meta, &option.value);
                // Several of them are merged by whoever reads them.
                bytes.message(META, &meta);
            }
            continue;
        }
        let kind = known.iter().find(|(name, _)| *name == option.name).map(|(_, kind)| *kind);
        match (kind, &option.value) {
            (Some(Kind::Text(tag)), Value::String(text)) => bytes.text(tag, text),
            (Some(Kind::Flag(tag)), Value::Boolean(flag)) => bytes.number(tag, i32::from(flag == "true")),
            (Some(Kind::Word(tag, words)), Value::Enum(word)) => {
                if let Some(index) = words.iter().position(|known| known == word) {
                    bytes.index(tag, index);
                }
            }
            _ => {}
        }
    }
    bytes
}

fn is_meta(name: &str) -> bool {
    let name = name.strip_prefix('.').unwrap_or(name);
    name.strip_prefix("confluent.").is_some_and(|name| name.ends_with("_meta"))
}

fn encode_meta(meta: &mut Bytes, value: &Value) {
    match value {
        Value::Map(fields) => fields.iter().for_each(|(name, value)| encode_meta_field(meta, name, value)),
        Value::Option(field) => encode_meta_field(meta, &field.name, &field.value),
        _ => {}
    }
}

fn encode_meta_field(meta: &mut Bytes, name: &str, value: &Value) {
    match (name, value) {
        (_, Value::List(values)) => values.iter().for_each(|value| encode_meta_field(meta, name, value)),
        ("doc", Value::String(doc)) => meta.text(1, doc),
        ("params", Value::Map(fields)) => {
            let mut param = Bytes::default();
            for (name, value) in fields {
                match (name.as_str(), value) {
                    ("key", Value::String(key)) => param.text(1, key),
                    ("value", Value::String(value)) => param.text(2, value),
                    _ => {}
                }
            }
            meta.message(2, &param);
        }
        ("tags", Value::String(tag)) => meta.text(3, tag),
        _ => {}
    }
}
