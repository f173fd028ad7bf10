//! Confluent's metadata in a descriptor: documentation, parameters and tags of a file, its messages, enums and fields. They are
//! extensions of their options (`confluent/meta.proto`), which a decoder of descriptors does not know: this reads them, and
//! nothing else, from the same bytes. What is at one index in a list here is at that index there.

use prost::Message;

use super::element::{OptionElement, Value};

#[derive(Clone, PartialEq, Message)]
pub struct FileMeta {
    #[prost(message, repeated, tag = "4")]
    pub messages: Vec<MessageMeta>,
    #[prost(message, repeated, tag = "5")]
    pub enums: Vec<EnumMeta>,
    #[prost(message, repeated, tag = "7")]
    pub extensions: Vec<OptionsMeta>,
    #[prost(message, optional, tag = "8")]
    pub options: Option<Extended>,
}

#[derive(Clone, PartialEq, Message)]
pub struct MessageMeta {
    #[prost(message, repeated, tag = "2")]
    pub fields: Vec<OptionsMeta>,
    #[prost(message, repeated, tag = "3")]
    pub messages: Vec<MessageMeta>,
    #[prost(message, repeated, tag = "4")]
    pub enums: Vec<EnumMeta>,
    #[prost(message, repeated, tag = "6")]
    pub extensions: Vec<OptionsMeta>,
    #[prost(message, optional, tag = "7")]
    pub options: Option<Extended>,
}

#[derive(Clone, PartialEq, Message)]
pub struct EnumMeta {
    #[prost(message, repeated, tag = "2")]
    pub constants: Vec<ConstantMeta>,
    #[prost(message, optional, tag = "3")]
    pub options: Option<Extended>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ConstantMeta {
    #[prost(message, optional, tag = "3")]
    pub options: Option<Extended>,
}

/// A field.
#[derive(Clone, PartialEq, Message)]
pub struct OptionsMeta {
    #[prost(message, optional, tag = "8")]
    pub options: Option<Extended>,
}

/// Options, as far as they are Confluent's.
#[derive(Clone, PartialEq, Message)]
pub struct Extended {
    #[prost(message, optional, tag = "1088")]
    meta: Option<Meta>,
}

#[derive(Clone, PartialEq, Message)]
struct Meta {
    #[prost(string, tag = "1")]
    doc: String,
    /// A map, in its order.
    #[prost(message, repeated, tag = "2")]
    params: Vec<Param>,
    #[prost(string, repeated, tag = "3")]
    tags: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Param {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// `name`: of the extension, without its package.
pub fn option(name: &str, options: Option<&Extended>) -> Option<OptionElement> {
    let meta = options?.meta.as_ref()?;
    let string = |value: &String| Value::String(value.clone());
    let mut fields = Vec::new();
    if !meta.doc.is_empty() {
        fields.push(("doc", string(&meta.doc)));
    }
    if !meta.params.is_empty() {
        fields.push(("params", Value::List(meta.params.iter().map(param).collect())));
    }
    if !meta.tags.is_empty() {
        fields.push(("tags", Value::List(meta.tags.iter().map(string).collect())));
    }
    let fields: Vec<_> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    (!fields.is_empty()).then(|| OptionElement {
        name: format!("confluent.{name}"),
        is_custom: true,
        value: Value::Map(fields),
    })
}

fn param(param: &Param) -> Value {
    let key = ("key".to_owned(), Value::String(param.key.clone()));
    let value = ("value".to_owned(), Value::String(param.value.clone()));
    // Those of a decimal come in this order from Confluent's registry, since its first version.
    Value::Map(match param.key.as_str() {
        "precision" | "scale" => vec![value, key],
        _ => vec![key, value],
    })
}
