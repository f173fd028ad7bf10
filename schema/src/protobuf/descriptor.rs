//! From a descriptor (`google.protobuf.FileDescriptorProto`) to a [`File`]: some clients register those, in base64. Custom
//! options are not looked at, but for Confluent's own.

use prost_types::field_descriptor_proto::{Label as ProtoLabel, Type as ProtoType};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, FileOptions, MethodDescriptorProto, ServiceDescriptorProto, field_options,
    file_options, method_options,
};

use super::element::{
    Constant, Enum, Extend, Field, FieldType, File, Label, Message, OneOf, OptionElement, Reserved, Rpc,
    Service, Syntax, Type, Value,
};
use super::meta::{self, EnumMeta, Extended, FileMeta, MessageMeta, OptionsMeta};
use super::parser::{MAX_DEPTH, MAX_PACKAGE_PARTS};
use crate::InvalidSchema;

const MAX_NAME_BYTES: usize = 512;

type Read<T> = Result<T, InvalidSchema>;

pub fn read(file: &FileDescriptorProto, metas: &FileMeta) -> Read<File> {
    let syntax = Syntax::of(file.syntax());
    let package = Some(file.package()).filter(|package| !package.is_empty()).map(name).transpose()?;
    if package.as_ref().is_some_and(|package| package.split('.').count() > MAX_PACKAGE_PARTS) {
        return Err(InvalidSchema(format!("The package has more than {MAX_PACKAGE_PARTS} parts")));
    }
    let mut types = Vec::new();
    for (index, of) in file.message_type.iter().enumerate() {
        types.push(Type::Message(message(syntax, of, metas.messages.get(index), 0)?));
    }
    for (index, of) in file.enum_type.iter().enumerate() {
        types.push(Type::Enum(enumeration(of, metas.enums.get(index))?));
    }
    let (mut imports, mut public_imports) = (Vec::new(), Vec::new());
    for (index, import) in file.dependency.iter().enumerate() {
        let is_public = file.public_dependency.iter().any(|public| usize::try_from(*public) == Ok(index));
        let imports = if is_public { &mut public_imports } else { &mut imports };
        imports.push(import_name(import)?);
    }
    let mut options = file.options.as_ref().map(file_options).unwrap_or_default();
    options.extend(meta::option("file_meta", metas.options.as_ref()));
    Ok(File {
        syntax,
        package,
        imports,
        public_imports,
        weak_imports: Vec::new(),
        options,
        types,
        extends: extends(syntax, &file.extension, &metas.extensions)?,
        services: file.service.iter().map(service).collect::<Read<_>>()?,
    })
}

fn message(
    syntax: Option<Syntax>,
    of: &DescriptorProto,
    metas: Option<&MessageMeta>,
    depth: usize,
) -> Read<Message> {
    if depth == MAX_DEPTH {
        return Err(InvalidSchema(format!("Messages are nested deeper than {MAX_DEPTH}")));
    }
    let mut message = Message { name: name(of.name())?, ..Message::default() };
    for oneof in &of.oneof_decl {
        let (options, fields, groups) = Default::default();
        message.oneofs.push(OneOf { name: name(oneof.name())?, options, fields, groups });
    }
    for (index, field) in of.field.iter().enumerate() {
        let meta = metas.and_then(|metas| metas.fields.get(index)?.options.as_ref());
        let place = field.oneof_index.filter(|_| !field.proto3_optional());
        match place.map(|index| usize::try_from(index).ok().and_then(|index| message.oneofs.get_mut(index))) {
            Some(Some(oneof)) => oneof.fields.push(Field { label: None, ..read_field(syntax, field, meta)? }),
            Some(None) => return Err(InvalidSchema("A field is in a oneof that is not declared".to_owned())),
            None => message.fields.push(read_field(syntax, field, meta)?),
        }
    }
    // Those of proto3's optional fields are a compiler's.
    message.oneofs.retain(|oneof| !oneof.fields.is_empty());
    for (index, nested) in of.nested_type.iter().enumerate() {
        let metas = metas.and_then(|metas| metas.messages.get(index));
        message.types.push(Type::Message(self::message(syntax, nested, metas, depth + 1)?));
    }
    for (index, nested) in of.enum_type.iter().enumerate() {
        message.types.push(Type::Enum(enumeration(nested, metas.and_then(|metas| metas.enums.get(index)))?));
    }
    // The ends do not belong to these ranges.
    message.reserved =
        of.reserved_range.iter().map(|of| vec![range(of.start(), of.end().saturating_sub(1))]).collect();
    message.reserved.extend(reserved_names(&of.reserved_name));
    let extensions = of.extension_range.iter();
    message.extensions = extensions.map(|of| vec![range(of.start(), of.end().saturating_sub(1))]).collect();
    message.extends = extends(syntax, &of.extension, metas.map_or(&[], |metas| &metas.extensions))?;
    if let Some(options) = &of.options {
        let flags = [
            ("no_standard_descriptor_accessor", options.no_standard_descriptor_accessor),
            ("deprecated", options.deprecated),
            ("map_entry", options.map_entry),
        ];
        message.options = flags.into_iter().filter_map(flag).collect();
    }
    message.options.extend(meta::option("message_meta", metas.and_then(|metas| metas.options.as_ref())));
    Ok(message)
}

fn read_field(syntax: Option<Syntax>, of: &FieldDescriptorProto, meta: Option<&Extended>) -> Read<Field> {
    let is_proto3 = syntax == Some(Syntax::Proto3);
    let label = match of.label() {
        _ if of.proto3_optional() => Some(Label::Optional),
        ProtoLabel::Repeated => Some(Label::Repeated),
        _ if is_proto3 => None,
        ProtoLabel::Required => Some(Label::Required),
        ProtoLabel::Optional => Some(Label::Optional),
    };
    let type_name = match of.type_name() {
        "" => scalar(of.r#type())?.to_owned(),
        type_name => name(type_name)?,
    };
    let mut options = of.options.as_ref().map(field_options).unwrap_or_default();
    options.extend(meta::option("field_meta", meta));
    Ok(Field {
        label,
        type_name: FieldType::Named(type_name),
        name: name(of.name())?,
        tag: of.number(),
        default: of.default_value.clone().filter(|_| !is_proto3),
        json_name: of.json_name.clone(),
        options,
    })
}

fn scalar(of: ProtoType) -> Read<&'static str> {
    Ok(match of {
        ProtoType::Double => "double",
        ProtoType::Float => "float",
        ProtoType::Int64 => "int64",
        ProtoType::Uint64 => "uint64",
        ProtoType::Int32 => "int32",
        ProtoType::Fixed64 => "fixed64",
        ProtoType::Fixed32 => "fixed32",
        ProtoType::Bool => "bool",
        ProtoType::String => "string",
        ProtoType::Bytes => "bytes",
        ProtoType::Uint32 => "uint32",
        ProtoType::Sfixed32 => "sfixed32",
        ProtoType::Sfixed64 => "sfixed64",
        ProtoType::Sint32 => "sint32",
        ProtoType::Sint64 => "sint64",
        ProtoType::Group | ProtoType::Message | ProtoType::Enum => {
            return Err(InvalidSchema("A field has no type".to_owned()));
        }
    })
}

fn enumeration(of: &EnumDescriptorProto, metas: Option<&EnumMeta>) -> Read<Enum> {
    let reserved = of.reserved_range.iter().map(|of| vec![range(of.start(), of.end())]);
    let options = of.options.as_ref();
    let flags = [
        ("allow_alias", options.and_then(|options| options.allow_alias)),
        ("deprecated", options.and_then(|options| options.deprecated)),
    ];
    let meta = meta::option("enum_meta", metas.and_then(|metas| metas.options.as_ref()));
    let constants = of.value.iter().enumerate().map(|(index, of)| {
        constant(of, metas.and_then(|metas| metas.constants.get(index)?.options.as_ref()))
    });
    Ok(Enum {
        name: name(of.name())?,
        reserved: reserved.chain(reserved_names(&of.reserved_name)).collect(),
        options: flags.into_iter().filter_map(flag).chain(meta).collect(),
        constants: constants.collect::<Read<_>>()?,
    })
}

fn constant(of: &EnumValueDescriptorProto, meta: Option<&Extended>) -> Read<Constant> {
    let deprecated = of.options.as_ref().and_then(|options| options.deprecated);
    Ok(Constant {
        name: name(of.name())?,
        tag: of.number(),
        options: flag(("deprecated", deprecated))
            .into_iter()
            .chain(meta::option("enum_value_meta", meta))
            .collect(),
    })
}

/// One statement for each type that is extended, in the order in which they come first.
fn extends(
    syntax: Option<Syntax>,
    fields: &[FieldDescriptorProto],
    metas: &[OptionsMeta],
) -> Read<Vec<Extend>> {
    let mut extends: Vec<Extend> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (index, field) in fields.iter().enumerate() {
        let meta = metas.get(index).and_then(|meta| meta.options.as_ref());
        let place = *places.entry(field.extendee()).or_insert(extends.len());
        if place == extends.len() {
            extends.push(Extend { name: name(field.extendee())?, fields: Vec::new() });
        }
        extends[place].fields.push(read_field(syntax, field, meta)?);
    }
    Ok(extends)
}

fn service(of: &ServiceDescriptorProto) -> Read<Service> {
    let deprecated = of.options.as_ref().and_then(|options| options.deprecated);
    Ok(Service {
        name: name(of.name())?,
        options: flag(("deprecated", deprecated)).into_iter().collect(),
        rpcs: of.method.iter().map(rpc).collect::<Read<_>>()?,
    })
}

fn rpc(of: &MethodDescriptorProto) -> Read<Rpc> {
    let deprecated = of.options.as_ref().and_then(|options| options.deprecated);
    let level = of.options.as_ref().and_then(|options| options.idempotency_level);
    let level = level.and_then(|level| method_options::IdempotencyLevel::try_from(level).ok());
    let mut options: Vec<_> = flag(("deprecated", deprecated)).into_iter().collect();
    options.extend(level.map(|level| word("idempotency_level", level.as_str_name())));
    Ok(Rpc {
        name: name(of.name())?,
        request: name(of.input_type())?,
        response: name(of.output_type())?,
        request_streaming: of.client_streaming(),
        response_streaming: of.server_streaming(),
        options,
    })
}

fn file_options(of: &FileOptions) -> Vec<OptionElement> {
    let mode = of.optimize_for.and_then(|mode| file_options::OptimizeMode::try_from(mode).ok());
    #[expect(deprecated, reason = "a schema may have it all the same")]
    let equals_and_hash = of.java_generate_equals_and_hash;
    let options = [
        text("java_package", &of.java_package),
        text("java_outer_classname", &of.java_outer_classname),
        flag(("java_multiple_files", of.java_multiple_files)),
        flag(("java_generate_equals_and_hash", equals_and_hash)),
        flag(("java_string_check_utf8", of.java_string_check_utf8)),
        mode.map(|mode| word("optimize_for", mode.as_str_name())),
        text("go_package", &of.go_package),
        flag(("cc_generic_services", of.cc_generic_services)),
        flag(("java_generic_services", of.java_generic_services)),
        flag(("py_generic_services", of.py_generic_services)),
        flag(("deprecated", of.deprecated)),
        flag(("cc_enable_arenas", of.cc_enable_arenas)),
        text("objc_class_prefix", &of.objc_class_prefix),
        text("csharp_namespace", &of.csharp_namespace),
        text("swift_prefix", &of.swift_prefix),
        text("php_class_prefix", &of.php_class_prefix),
        text("php_namespace", &of.php_namespace),
        text("php_metadata_namespace", &of.php_metadata_namespace),
        text("ruby_package", &of.ruby_package),
    ];
    options.into_iter().flatten().collect()
}

fn field_options(of: &prost_types::FieldOptions) -> Vec<OptionElement> {
    let ctype = of.ctype.and_then(|ctype| field_options::CType::try_from(ctype).ok());
    let jstype = of.jstype.and_then(|jstype| field_options::JsType::try_from(jstype).ok());
    let options = [
        ctype.map(|ctype| word("ctype", ctype.as_str_name())),
        flag(("packed", of.packed)),
        jstype.map(|jstype| word("jstype", jstype.as_str_name())),
        flag(("deprecated", of.deprecated)),
    ];
    options.into_iter().flatten().collect()
}

fn range(start: i32, end: i32) -> Reserved {
    match start == end {
        true => Reserved::Number(start),
        false => Reserved::Range(start, end),
    }
}

fn reserved_names(names: &[String]) -> impl Iterator<Item = Vec<Reserved>> + '_ {
    names.iter().map(|name| vec![Reserved::Name(name.clone())])
}

fn option(name: &str, value: Value) -> OptionElement {
    OptionElement { name: name.to_owned(), is_custom: false, value }
}

fn flag((name, value): (&str, Option<bool>)) -> Option<OptionElement> {
    value.map(|value| option(name, Value::Boolean(value.to_string())))
}

fn text(name: &str, value: &Option<String>) -> Option<OptionElement> {
    value.as_ref().map(|value| option(name, Value::String(value.clone())))
}

fn word(name: &str, value: &str) -> OptionElement {
    option(name, Value::Enum(value.to_owned()))
}

/// A name that text can have.
fn name(name: &str) -> Read<String> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    match !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.bytes().all(is_word) {
        true => Ok(name.to_owned()),
        false => Err(InvalidSchema(format!(
            "Invalid name in a descriptor: {}",
            name.escape_debug().take(100).collect::<String>()
        ))),
    }
}

fn import_name(name: &str) -> Read<String> {
    match name.bytes().any(|byte| matches!(byte, b'"' | b'\\' | b'\n')) {
        true => Err(InvalidSchema("Invalid name of an import in a descriptor".to_owned())),
        false => Ok(name.to_owned()),
    }
}
