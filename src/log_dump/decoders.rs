//! Keys and values of records as text.

use std::path::Path;

use bytes::Bytes;
use ottla_protocol::record_formats::schema::{self, Pair};
use ottla_protocol::wire::{WireError, get_i16, get_varint};

use super::java;
use super::json::{self, Json};

/// KRaft's frame around a metadata record has had one version so far.
const METADATA_FRAME_VERSION: u32 = 1;

/// How records are to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoder {
    Plain { key: Plain, value: Plain },
    Offsets,
    TransactionLog,
    ShareGroupState,
    ClusterMetadata,
}

/// Kafka's decoders of single keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    String,
    Integer,
    Long,
}

/// What is to be printed of a record.
#[derive(Debug, PartialEq, Eq)]
pub struct Shown {
    pub key: Option<String>,
    pub value: Option<String>,
}

impl Decoder {
    pub const STRINGS: Decoder = Decoder::Plain { key: Plain::String, value: Plain::String };

    /// The one that suits the directory that a file is in.
    pub fn for_topic(file: &Path) -> Decoder {
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let dir = absolute.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        match dir.and_then(|dir| dir.rsplit_once('-')).map(|(topic, _)| topic) {
            Some("__consumer_offsets") => Decoder::Offsets,
            Some("__transaction_state") => Decoder::TransactionLog,
            Some("__share_group_state") => Decoder::ShareGroupState,
            Some("__cluster_metadata") => Decoder::ClusterMetadata,
            _ => Decoder::STRINGS,
        }
    }

    /// An error when the record cannot be of the kind that was asked for.
    pub fn show(&self, key: Option<Bytes>, value: Option<Bytes>, offset: i64) -> Result<Shown, String> {
        let find = match self {
            Decoder::Plain { key: of_key, value: of_value } => {
                let key = key.map(|key| of_key.show(&key)).transpose()?;
                return Ok(Shown { key, value: value.map(|value| of_value.show(&value)).transpose()? });
            }
            Decoder::ClusterMetadata => {
                let shown = metadata(value.unwrap_or_default());
                let value = shown.unwrap_or_else(|why| format!("Error at {offset}, skipping. {why}"));
                return Ok(Shown { key: None, value: Some(value) });
            }
            Decoder::Offsets => schema::group,
            Decoder::TransactionLog => schema::transaction,
            Decoder::ShareGroupState => schema::share,
        };
        let Some(key) = key else {
            return Err(format!(
                "Failed to decode message at offset {offset} using the specified decoder (message had a missing key)"
            ));
        };
        Ok(coordinator(key, value, find).unwrap_or_else(|why| {
            let key = match why {
                Unread::UnknownType(number) => {
                    format!("Unknown record type {number} at offset {offset}, skipping.")
                }
                Unread::Malformed(why) => format!("Error at offset {offset}, skipping. {why}"),
            };
            Shown { key: Some(key), value: None }
        }))
    }
}

impl Plain {
    fn show(self, bytes: &[u8]) -> Result<String, String> {
        let too_short = |name: &str| format!("a key or value of {} bytes is no {name}", bytes.len());
        Ok(match self {
            Plain::String => java::text(bytes).into_owned(),
            Plain::Integer => {
                let first = bytes.first_chunk().ok_or_else(|| too_short("integer"))?;
                i32::from_be_bytes(*first).to_string()
            }
            Plain::Long => {
                let first = bytes.first_chunk().ok_or_else(|| too_short("long"))?;
                i64::from_be_bytes(*first).to_string()
            }
        })
    }
}

enum Unread {
    UnknownType(i16),
    Malformed(String),
}

impl From<WireError> for Unread {
    fn from(error: WireError) -> Self {
        Unread::Malformed(error.to_string())
    }
}

fn coordinator(
    mut key: Bytes,
    value: Option<Bytes>,
    find: fn(i16) -> Option<&'static Pair>,
) -> Result<Shown, Unread> {
    let key_type = get_i16(&mut key)?;
    let pair = find(key_type).ok_or(Unread::UnknownType(key_type))?;
    let key = json::read(&mut key, pair.key, 0)?;
    let value = match value {
        None => "<DELETE>".to_owned(),
        Some(mut value) => {
            let version = get_i16(&mut value)?;
            let mut data = json::read(&mut value, pair.value, version)?;
            read_members(&mut data);
            format!(r#"{{"version":"{version}","data":{data}}}"#)
        }
    };
    let key = format!(r#"{{"type":"{key_type}","data":{key}}}"#);
    Ok(Shown { key: Some(key), value: Some(value) })
}

/// What the members of a classic group of consumers say to each other is shown in place of its bytes.
fn read_members(group: &mut Json) {
    if group.get("protocolType") != Some(&Json::Text("consumer".to_owned())) {
        return;
    }
    let Some(Json::Array(members)) = group.get_mut("members") else { return };
    for member in members {
        for (field, schema) in [
            ("subscription", &schema::CONSUMER_PROTOCOL_SUBSCRIPTION),
            ("assignment", &schema::CONSUMER_PROTOCOL_ASSIGNMENT),
        ] {
            let Some(shown) = member.get_mut(field) else { continue };
            let Json::Binary(bytes) = &*shown else { continue };
            if let Ok(read) = json::read_embedded(bytes, schema) {
                *shown = read;
            }
        }
    }
}

/// What cannot be read is told in the tool's words, since they are on its standard output.
fn metadata(mut value: Bytes) -> Result<String, String> {
    let mut number = |name: &str| get_varint(&mut value).map_err(|_| format!("Error while reading {name}"));
    let frame = number("frame version")?;
    if frame != METADATA_FRAME_VERSION {
        return Err(format!(
            "Could not deserialize metadata record due to unknown frame version {frame}(only frame version \
             {METADATA_FRAME_VERSION} is supported)"
        ));
    }
    let (api_key, version) = (number("type")?, number("version")?);
    let small = |number: u32, name: &str| {
        i16::try_from(number).map_err(|_| format!("Value for {name} was too large."))
    };
    let (api_key, version) = (small(api_key, "type")?, small(version, "version")?);
    let schema = schema::metadata(api_key).ok_or_else(|| format!("Unknown metadata id {api_key}"))?;
    let failed = |_| format!("Failed to deserialize record with type {api_key}");
    let data = json::read(&mut value, schema, version).map_err(failed)?;
    if !value.is_empty() {
        return Err(format!("Found {} byte(s) of garbage after {api_key}", value.len()));
    }
    Ok(format!(r#"{{"type":"{}","version":{version},"data":{data}}}"#, json::type_name(schema)))
}
