//! Kafka's own records as JSON, read over the table of their fields.

use std::fmt;

use bytes::{Buf, Bytes};
use ottla_protocol::record_formats::schema::{Default, Field, Kind, Schema};
use ottla_protocol::wire::*;
use ottla_protocol::{StrBytes, kafka_id};

use super::java;

/// A value, which is displayed as Jackson writes it.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(i64),
    Double(f64),
    Text(String),
    /// Shown as base64.
    Binary(Bytes),
    Array(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

/// A message in a version; what follows it stays in `buf`.
pub fn read(buf: &mut Bytes, schema: &Schema, version: i16) -> Result<Json, WireError> {
    if !schema.versions.contains(version) {
        return Err(WireError::UnsupportedVersion(version));
    }
    let is_flexible = schema.flexible.contains(version);
    let layout = Layout::flexible(is_flexible);
    let mut values: Vec<Option<Json>> = Vec::with_capacity(schema.fields.len());
    for field in schema.fields {
        let is_here = field.tag.is_none() && field.versions.contains(version);
        values.push(if is_here { Some(read_field(buf, field, layout, version)?) } else { None });
    }
    if is_flexible {
        get_tagged_fields(buf, |number, value| {
            let known = schema.fields.iter().position(|field| {
                field.tag.as_ref().is_some_and(|tag| tag.number == number) && field.versions.contains(version)
            });
            match known {
                Some(at) => values[at] = Some(read_field(value, &schema.fields[at], layout, version)?),
                None => value.advance(value.len()),
            }
            Ok(())
        })?;
    }
    let fields = schema.fields.iter().zip(values);
    let set = fields.filter_map(|(field, value)| {
        let value = value?;
        // A tagged field at its default is not there, whether it was written or not.
        let is_default = field.tag.as_ref().is_some_and(|tag| value == default(tag.default, &field.kind));
        (!is_default).then_some((field.name, value))
    });
    Ok(Json::Object(set.collect()))
}

fn read_field(buf: &mut Bytes, field: &Field, layout: Layout, version: i16) -> Result<Json, WireError> {
    let is_nullable = field.nullable.contains(version);
    match &field.kind {
        Kind::String if is_nullable => Ok(get_nullable_string(buf, layout)?.map_or(Json::Null, text)),
        Kind::Bytes if is_nullable => Ok(get_nullable_bytes(buf, layout)?.map_or(Json::Null, Json::Binary)),
        Kind::Array(element) if is_nullable => {
            let elements = get_nullable_array(buf, layout, |buf| read_value(buf, element, layout, version))?;
            Ok(elements.map_or(Json::Null, Json::Array))
        }
        Kind::Struct(schema) if is_nullable => {
            // In a tag a varint says whether it is there, elsewhere a byte.
            let is_null = match field.tag {
                Some(_) => get_varint(buf)? == 0,
                None => get_i8(buf)? < 0,
            };
            if is_null { Ok(Json::Null) } else { read(buf, schema, version) }
        }
        kind => read_value(buf, kind, layout, version),
    }
}

fn read_value(buf: &mut Bytes, kind: &Kind, layout: Layout, version: i16) -> Result<Json, WireError> {
    Ok(match kind {
        Kind::Bool => Json::Bool(get_bool(buf)?),
        Kind::Int8 => Json::Number(get_i8(buf)?.into()),
        Kind::Int16 => Json::Number(get_i16(buf)?.into()),
        Kind::Uint16 => Json::Number(get_u16(buf)?.into()),
        Kind::Int32 => Json::Number(get_i32(buf)?.into()),
        Kind::Int64 => Json::Number(get_i64(buf)?),
        Kind::Float64 => Json::Double(get_f64(buf)?),
        Kind::Uuid => Json::Text(kafka_id(&get_uuid(buf)?)),
        Kind::String => text(get_string(buf, layout)?),
        Kind::Bytes => Json::Binary(get_bytes(buf, layout)?),
        Kind::Array(element) => {
            Json::Array(get_array(buf, layout, |buf| read_value(buf, element, layout, version))?)
        }
        Kind::Struct(schema) => read(buf, schema, version)?,
    })
}

fn text(text: StrBytes) -> Json {
    Json::Text(text.as_str().to_owned())
}

fn default(default: Default, kind: &Kind) -> Json {
    match (default, kind) {
        (Default::Null, _) => Json::Null,
        (Default::Number(number), _) => Json::Number(number),
        (Default::Empty, Kind::Bytes) => Json::Binary(Bytes::new()),
        (Default::Empty, Kind::Uuid) => Json::Text(kafka_id(&uuid::Uuid::nil())),
        (Default::Empty, Kind::Struct(schema)) => unset(schema),
        (Default::Empty, _) => Json::Array(Vec::new()),
    }
}

/// A struct in which nothing was set.
fn unset(schema: &Schema) -> Json {
    let zero = |field: &Field| match &field.kind {
        Kind::Bool => Json::Bool(false),
        Kind::Float64 => Json::Double(0.0),
        Kind::String => Json::Text(String::new()),
        Kind::Bytes | Kind::Uuid | Kind::Array(_) | Kind::Struct(_) => default(Default::Empty, &field.kind),
        _ => Json::Number(0),
    };
    let plain = schema.fields.iter().filter(|field| field.tag.is_none());
    Json::Object(plain.map(|field| (field.name, zero(field))).collect())
}

/// The versions of a message that is inside another's bytes begin with its own.
pub fn read_embedded(bytes: &Bytes, schema: &Schema) -> Result<Json, WireError> {
    let mut rest = bytes.clone();
    let version = get_i16(&mut rest)?;
    read(&mut rest, schema, version)
}

impl Json {
    pub fn get(&self, name: &str) -> Option<&Json> {
        let Json::Object(fields) = self else { return None };
        fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut Json> {
        let Json::Object(fields) = self else { return None };
        fields.iter_mut().find(|(field, _)| *field == name).map(|(_, value)| value)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => value.fmt(f),
            Json::Number(value) => value.fmt(f),
            Json::Double(value) => f.write_str(&java::double(*value)),
            Json::Text(text) => write_quoted(f, text),
            Json::Binary(bytes) => write_base64(f, bytes),
            Json::Array(elements) => {
                f.write_str("[")?;
                for (at, element) in elements.iter().enumerate() {
                    write!(f, "{}{element}", if at == 0 { "" } else { "," })?;
                }
                f.write_str("]")
            }
            Json::Object(fields) => {
                f.write_str("{")?;
                for (at, (name, value)) in fields.iter().enumerate() {
                    write!(f, "{}\"{name}\":{value}", if at == 0 { "" } else { "," })?;
                }
                f.write_str("}")
            }
        }
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\u{8}' => f.write_str("\\b")?,
            '\t' => f.write_str("\\t")?,
            '\n' => f.write_str("\\n")?,
            '\u{c}' => f.write_str("\\f")?,
            '\r' => f.write_str("\\r")?,
            c if (c as u32) < 0x20 => write!(f, "\\u{:04X}", c as u32)?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn write_base64(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_str("\"")?;
    for group in bytes.chunks(3) {
        let bits =
            group.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..4 {
            let digit = BASE64[(bits >> (18 - 6 * at)) as usize & 0x3f];
            f.write_str(if at <= group.len() { str_of(&digit) } else { "=" })?;
        }
    }
    f.write_str("\"")
}

fn str_of(digit: &u8) -> &str {
    std::str::from_utf8(std::slice::from_ref(digit)).unwrap_or("=")
}

/// `RegisterBrokerRecord` as `REGISTER_BROKER_RECORD`.
pub fn type_name(schema: &Schema) -> String {
    let mut name = String::new();
    for (at, c) in schema.name.chars().enumerate() {
        if at > 0 && c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_jackson_writes_them() {
        let json = Json::Object(vec![
            ("text", Json::Text("a\"b\\c\n\u{1}\u{e4}".to_owned())),
            ("bytes", Json::Array((0..4).map(|n| Json::Binary(Bytes::from(vec![0xfb; n]))).collect())),
            ("nothing", Json::Null),
            ("rate", Json::Double(1e7)),
        ]);
        let expected =
            r#"{"text":"a\"b\\c\n\u0001ä","bytes":["","+w==","+/s=","+/v7"],"nothing":null,"rate":1.0E7}"#;
        assert_eq!(json.to_string(), expected);
    }
}
