//! Keys and values of the topic's records, byte for byte as Confluent's registry writes them: a compacted topic that both
//! write to has one record per key only if both write the key alike.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::model::{Config, Metadata, Mode, RuleSet, SchemaReference};

/// A record's key and value; without a value it takes the key away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    Schema {
        subject: String,
        version: i32,
        value: Option<Box<SchemaValue>>,
    },
    /// Settings: of a subject, a context (`:.context:`) or all.
    Config {
        subject: Option<String>,
        value: Option<Box<Config>>,
    },
    Mode {
        subject: Option<String>,
        value: Option<Mode>,
    },
    /// All versions of a subject up to this one are soft deleted.
    DeleteSubject {
        subject: String,
        version: Option<i32>,
    },
    /// What is soft deleted of this is forgotten.
    ClearSubject {
        subject: Option<String>,
        is_set: bool,
    },
    Context {
        context: String,
        is_set: bool,
    },
    /// Says nothing: a writer finds the topic's end with it; or a kind that is not known here.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SchemaValue {
    pub subject: String,
    pub version: i32,
    pub id: i32,
    /// Not written for Avro.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub references: Option<Vec<SchemaReference>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_set: Option<RuleSet>,
    pub schema: String,
    pub deleted: bool,
}

impl Record {
    /// A version of a subject.
    pub fn version(value: SchemaValue) -> Record {
        Record::Schema {
            subject: value.subject.clone(),
            version: value.version,
            value: Some(Box::new(value)),
        }
    }

    /// The bytes of key and value.
    pub fn encode(&self) -> (Bytes, Option<Bytes>) {
        match self {
            Record::Schema { subject, version, value } => {
                let key = VersionKey { keytype: "SCHEMA", subject, version: *version, magic: 1 };
                (json(&key), value.as_ref().map(json))
            }
            Record::Config { subject, value } => {
                let value = value.as_ref().map(|config| ConfigValue { subject: subject.clone(), config });
                (subject_key("CONFIG", subject.as_deref()), value.as_ref().map(json))
            }
            Record::Mode { subject, value } => {
                let value = value.map(|mode| ModeValue { subject: subject.clone(), mode });
                (subject_key("MODE", subject.as_deref()), value.as_ref().map(json))
            }
            Record::DeleteSubject { subject, version } => {
                let value = version.map(|version| SubjectVersionValue { subject: subject.clone(), version });
                (subject_key("DELETE_SUBJECT", Some(subject)), value.as_ref().map(json))
            }
            Record::ClearSubject { subject, is_set } => {
                let value = is_set.then(|| json(&SubjectValue { subject: subject.clone() }));
                (subject_key("CLEAR_SUBJECT", subject.as_deref()), value)
            }
            Record::Context { context, is_set } => {
                let key = ContextKey { keytype: "CONTEXT", tenant: DEFAULT_TENANT, context, magic: 0 };
                let value = is_set.then(|| json(&ContextValue { tenant: DEFAULT_TENANT, context }));
                (json(&key), value)
            }
            Record::Other => (json(&PlainKey { keytype: "NOOP", magic: 0 }), None),
        }
    }

    /// Reads a record. A kind that is not known is [`Record::Other`]; an error is a record that says it is of a known kind and is
    /// not.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Record, serde_json::Error> {
        let key: AnyKey = serde_json::from_slice(key)?;
        let subject = || key.subject.clone().unwrap_or_default();
        Ok(match key.keytype.as_str() {
            "SCHEMA" => {
                let value = read(value)?;
                Record::Schema { subject: subject(), version: key.version.unwrap_or(0), value }
            }
            "CONFIG" => Record::Config { value: read(value)?, subject: key.subject },
            "MODE" => {
                let value: Option<ModeValue> = read(value)?;
                Record::Mode { subject: key.subject, value: value.map(|value| value.mode) }
            }
            "DELETE_SUBJECT" => {
                let value: Option<SubjectVersionValue> = read(value)?;
                Record::DeleteSubject { subject: subject(), version: value.map(|value| value.version) }
            }
            "CLEAR_SUBJECT" => Record::ClearSubject { is_set: value.is_some(), subject: key.subject },
            "CONTEXT" => match key.context {
                Some(context) => Record::Context { context, is_set: value.is_some() },
                None => Record::Other,
            },
            _ => Record::Other,
        })
    }
}

const DEFAULT_TENANT: &str = "default";

#[derive(Serialize)]
struct VersionKey<'a> {
    keytype: &'static str,
    subject: &'a str,
    version: i32,
    magic: i32,
}

/// Its subject is written also where it is null.
#[derive(Serialize)]
struct SubjectKey<'a> {
    keytype: &'static str,
    subject: Option<&'a str>,
    magic: i32,
}

#[derive(Serialize)]
struct ContextKey<'a> {
    keytype: &'static str,
    tenant: &'static str,
    context: &'a str,
    magic: i32,
}

#[derive(Serialize)]
struct PlainKey {
    keytype: &'static str,
    magic: i32,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct AnyKey {
    keytype: String,
    subject: Option<String>,
    version: Option<i32>,
    context: Option<String>,
}

#[derive(Serialize)]
struct ConfigValue<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(flatten)]
    config: &'a Config,
}

#[derive(Serialize, Deserialize)]
struct ModeValue {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    subject: Option<String>,
    mode: Mode,
}

#[derive(Serialize, Deserialize)]
struct SubjectVersionValue {
    #[serde(default)]
    subject: String,
    version: i32,
}

#[derive(Serialize)]
struct SubjectValue {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
}

#[derive(Serialize)]
struct ContextValue<'a> {
    tenant: &'static str,
    context: &'a str,
}

fn subject_key(keytype: &'static str, subject: Option<&str>) -> Bytes {
    json(&SubjectKey { keytype, subject, magic: 0 })
}

fn json<T: Serialize>(value: &T) -> Bytes {
    // Maps with keys of strings and plain values: there is nothing in them that JSON has not.
    serde_json::to_vec(value).unwrap_or_default().into()
}

fn read<T: serde::de::DeserializeOwned>(value: Option<&[u8]>) -> Result<Option<T>, serde_json::Error> {
    value.map(serde_json::from_slice).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes, there and back.
    #[track_caller]
    fn check(record: &Record, key: &str, value: Option<&str>) {
        let (key_bytes, value_bytes) = record.encode();
        assert_eq!(std::str::from_utf8(&key_bytes).unwrap(), key);
        assert_eq!(value_bytes.as_deref().map(|bytes| std::str::from_utf8(bytes).unwrap()), value);
        assert_eq!(&Record::decode(key.as_bytes(), value.map(str::as_bytes)).unwrap(), record);
    }

    fn schema(schema_type: Option<&str>, references: Option<Vec<SchemaReference>>, deleted: bool) -> Record {
        let value = SchemaValue {
            subject: "orders-value".to_owned(),
            version: 2,
            id: 7,
            schema_type: schema_type.map(str::to_owned),
            references,
            metadata: None,
            rule_set: None,
            schema: "\"string\"".to_owned(),
            deleted,
        };
        Record::Schema { subject: "orders-value".to_owned(), version: 2, value: Some(Box::new(value)) }
    }

    const KEY: &str = r#"{"keytype":"SCHEMA","subject":"orders-value","version":2,"magic":1}"#;

    #[test]
    fn schemas() {
        check(
            &schema(None, None, false),
            KEY,
            Some(r#"{"subject":"orders-value","version":2,"id":7,"schema":"\"string\"","deleted":false}"#),
        );
        let reference = SchemaReference { name: "a.proto".to_owned(), subject: "a".to_owned(), version: 1 };
        check(
            &schema(Some("PROTOBUF"), Some(vec![reference]), true),
            KEY,
            Some(
                r#"{"subject":"orders-value","version":2,"id":7,"schemaType":"PROTOBUF","references":[{"name":"a.proto","subject":"a","version":1}],"schema":"\"string\"","deleted":true}"#,
            ),
        );
        let tombstone = Record::Schema { subject: "orders-value".to_owned(), version: 2, value: None };
        check(&tombstone, KEY, None);
    }

    #[test]
    fn settings_and_deletions() {
        let subject = Some("s".to_owned());
        let level = |level: &str| Config { compatibility_level: Some(level.to_owned()), ..Config::default() };
        let config =
            |subject: Option<String>| Record::Config { subject, value: Some(Box::new(level("FULL"))) };
        let cases = [
            (
                config(None),
                r#"{"keytype":"CONFIG","subject":null,"magic":0}"#,
                Some(r#"{"compatibilityLevel":"FULL"}"#),
            ),
            (
                config(subject.clone()),
                r#"{"keytype":"CONFIG","subject":"s","magic":0}"#,
                Some(r#"{"subject":"s","compatibilityLevel":"FULL"}"#),
            ),
            (
                Record::Config { subject: subject.clone(), value: None },
                r#"{"keytype":"CONFIG","subject":"s","magic":0}"#,
                None,
            ),
            (
                Record::Mode { subject: None, value: Some(Mode::ReadOnlyOverride) },
                r#"{"keytype":"MODE","subject":null,"magic":0}"#,
                Some(r#"{"mode":"READONLY_OVERRIDE"}"#),
            ),
            (
                Record::Mode { subject: subject.clone(), value: Some(Mode::Import) },
                r#"{"keytype":"MODE","subject":"s","magic":0}"#,
                Some(r#"{"subject":"s","mode":"IMPORT"}"#),
            ),
            (
                Record::DeleteSubject { subject: "s".to_owned(), version: Some(3) },
                r#"{"keytype":"DELETE_SUBJECT","subject":"s","magic":0}"#,
                Some(r#"{"subject":"s","version":3}"#),
            ),
            (
                Record::ClearSubject { subject, is_set: true },
                r#"{"keytype":"CLEAR_SUBJECT","subject":"s","magic":0}"#,
                Some(r#"{"subject":"s"}"#),
            ),
            (
                Record::Context { context: ".c".to_owned(), is_set: true },
                r#"{"keytype":"CONTEXT","tenant":"default","context":".c","magic":0}"#,
                Some(r#"{"tenant":"default","context":".c"}"#),
            ),
            (Record::Other, r#"{"keytype":"NOOP","magic":0}"#, None),
        ];
        for (record, key, value) in &cases {
            check(record, key, *value);
        }
    }

    /// Keys of Karapace's, of the first registries, and of kinds that only others have.
    #[test]
    fn what_others_write_is_read() {
        let decode =
            |key: &str, value: Option<&str>| Record::decode(key.as_bytes(), value.map(str::as_bytes));
        let old = r#"{"subject":"s","version":1,"id":1,"schema":"\"int\""}"#;
        let read = decode(r#"{"subject":"s","version":1,"magic":0,"keytype":"SCHEMA"}"#, Some(old)).unwrap();
        let Record::Schema { value: Some(value), .. } = read else { panic!("a schema") };
        assert_eq!((value.id, value.deleted, value.schema.as_str()), (1, false, "\"int\""));
        let more = r#"{"subject":"s","version":1,"id":1,"md5":"x","schema":"\"int\"","deleted":false,"offset":1,"ts":2}"#;
        assert!(decode(KEY, Some(more)).is_ok());
        assert_eq!(decode(r#"{"keytype":"ASSOC","magic":0}"#, Some("{}")).unwrap(), Record::Other);
        let config =
            decode(r#"{"magic":0,"keytype":"CONFIG"}"#, Some(r#"{"compatibilityLevel":"NONE"}"#)).unwrap();
        assert!(matches!(config, Record::Config { subject: None, value: Some(_) }));
        assert!(decode("no json", None).is_err());
        assert!(decode(KEY, Some("7")).is_err());
    }
}
