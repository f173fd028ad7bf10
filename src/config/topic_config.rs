//! What a topic is configured to: its own overrides over the broker's configuration over the defaults, as typed values.
//! Enters: `ServerConfig` and the topic's overrides (checked texts). Leaves: `TopicConfig`, for the log and the produce path.

use super::key::{Invalid, Key, Value};
use super::keys::{self, TOPIC};
use super::server_config::ServerConfig;
use std::collections::BTreeMap;

/// Texts by key: a topic's overrides, or one layer of a broker's configuration.
pub type Texts = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    /// `cleanup.policy` has `delete`.
    pub cleanup_delete: bool,
    /// `cleanup.policy` has `compact`.
    pub cleanup_compact: bool,
    pub compression: Compression,
    pub delete_retention_ms: i64,
    pub file_delete_delay_ms: i64,
    /// Records between flushes; `i64::MAX` is never.
    pub flush_messages: i64,
    /// `i64::MAX` is never.
    pub flush_ms: i64,
    pub index_interval_bytes: i32,
    pub max_compaction_lag_ms: i64,
    /// The largest batch as it arrives, in bytes.
    pub max_message_bytes: i32,
    pub message_timestamp_type: TimestampType,
    pub message_timestamp_before_max_ms: i64,
    pub message_timestamp_after_max_ms: i64,
    pub min_cleanable_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    pub min_insync_replicas: i32,
    pub preallocate: bool,
    /// -1 is no limit.
    pub retention_bytes: i64,
    /// -1 is no limit.
    pub retention_ms: i64,
    pub segment_bytes: i32,
    pub segment_index_bytes: i32,
    pub segment_jitter_ms: i64,
    pub segment_ms: i64,
    pub unclean_leader_election_enable: bool,
    pub schema_validation: SchemaValidation,
}

/// `confluent.{key,value}.schema.validation`: for a part whose schemas are looked for, under which subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SchemaValidation {
    pub key: Option<SubjectNameStrategy>,
    pub value: Option<SubjectNameStrategy>,
}

impl SchemaValidation {
    pub fn is_on(&self) -> bool {
        self.key.is_some() || self.value.is_some()
    }
}

/// Which subject a schema is registered under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectNameStrategy {
    /// `topic-key`, `topic-value`.
    TopicName,
    /// The record's full name.
    RecordName,
    /// `topic-record`.
    TopicRecordName,
}

/// `message.timestamp.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// `compression.type`, with the level of its codec (KIP-390).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Batches stay as the producer made them.
    Producer,
    Uncompressed,
    /// Level 1 to 9, or -1 for the codec's own default.
    Gzip(i32),
    Snappy,
    /// Level 1 to 17.
    Lz4(i32),
    /// Level -131072 to 22.
    Zstd(i32),
}

impl TopicConfig {
    /// The configuration of a topic. Overrides that are unknown or invalid do not count: they cannot come in through
    /// `validate_topic`, so they were written by another version.
    pub fn new(server: &ServerConfig, overrides: &Texts) -> TopicConfig {
        let values = Values { server, overrides };
        let policy = values.list("cleanup.policy");
        TopicConfig {
            cleanup_delete: policy.iter().any(|entry| entry == "delete"),
            cleanup_compact: policy.iter().any(|entry| entry == "compact"),
            compression: values.compression(),
            delete_retention_ms: values.long("delete.retention.ms"),
            file_delete_delay_ms: values.long("file.delete.delay.ms"),
            flush_messages: values.long("flush.messages"),
            flush_ms: values.long("flush.ms"),
            index_interval_bytes: values.int("index.interval.bytes"),
            max_compaction_lag_ms: values.long("max.compaction.lag.ms"),
            max_message_bytes: values.int("max.message.bytes"),
            message_timestamp_type: match values.text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            message_timestamp_before_max_ms: values.long("message.timestamp.before.max.ms"),
            message_timestamp_after_max_ms: values.long("message.timestamp.after.max.ms"),
            min_cleanable_dirty_ratio: values.double("min.cleanable.dirty.ratio"),
            min_compaction_lag_ms: values.long("min.compaction.lag.ms"),
            min_insync_replicas: values.int("min.insync.replicas"),
            preallocate: values.flag("preallocate"),
            retention_bytes: values.long("retention.bytes"),
            retention_ms: values.long("retention.ms"),
            segment_bytes: values.segment_bytes(),
            segment_index_bytes: values.int("segment.index.bytes"),
            segment_jitter_ms: values.long("segment.jitter.ms"),
            segment_ms: values.long("segment.ms"),
            unclean_leader_election_enable: values.flag("unclean.leader.election.enable"),
            schema_validation: SchemaValidation {
                key: values.validated_under(
                    "confluent.key.schema.validation",
                    "confluent.key.subject.name.strategy",
                ),
                value: values.validated_under(
                    "confluent.value.schema.validation",
                    "confluent.value.subject.name.strategy",
                ),
            },
        }
    }
}

/// The value of one topic key; None is Kafka's null.
pub fn topic_value(server: &ServerConfig, overrides: &Texts, key: &Key) -> Option<Value> {
    let own = overrides.get(key.name).and_then(|text| key.parse(text).ok());
    own.or_else(|| inherited(server, key))
}

/// A refusal of a topic's configuration, with Kafka's message; the error code is INVALID_CONFIG.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicConfigError(pub String);

impl std::fmt::Display for TopicConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Invalid> for TopicConfigError {
    fn from(invalid: Invalid) -> TopicConfigError {
        TopicConfigError(invalid.to_string())
    }
}

/// Checks a topic's overrides as CreateTopics and AlterConfigs do: names, then values, then how they fit together.
/// `previous` are the topic's overrides before the change, none for a new topic.
pub fn validate_topic(
    server: &ServerConfig,
    previous: &Texts,
    overrides: &Texts,
) -> Result<(), TopicConfigError> {
    if let Some(name) = overrides.keys().find(|name| keys::topic_key(name).is_none()) {
        return Err(TopicConfigError(format!("Unknown topic config name: {name}")));
    }
    for key in TOPIC {
        if let Some(text) = overrides.get(key.name) {
            key.parse(text)?;
        }
    }
    let values = Values { server, overrides };
    let (least, most) = (values.long("min.compaction.lag.ms"), values.long("max.compaction.lag.ms"));
    if least > most {
        return Err(TopicConfigError(format!(
            "conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"
        )));
    }
    let before = Values { server, overrides: previous };
    if values.flag("remote.storage.enable") && !before.flag("remote.storage.enable") {
        let message = "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.";
        return Err(TopicConfigError(message.to_owned()));
    }
    Ok(())
}

/// What the broker's configuration says for a topic key: the most specific of its keys that is set, in the key's unit.
fn inherited(server: &ServerConfig, key: &Key) -> Option<Value> {
    for name in key.fallbacks {
        let Some(value) = server.value(name) else { continue };
        let factor = match name.rsplit('.').next() {
            Some("hours") => 60 * 60 * 1000,
            Some("minutes") => 60 * 1000,
            _ => 1,
        };
        // Any negative time of retention is "no limit", which is written -1.
        let is_retention_time = name.starts_with("log.retention.") && *name != "log.retention.bytes";
        return match value {
            Value::Integer(number) if number < 0 && is_retention_time => Some(Value::Integer(-1)),
            Value::Integer(number) => Some(Value::Integer(number * factor)),
            other => Some(other),
        };
    }
    key.default.map(|text| key.parse(text).expect("the table's defaults are tested"))
}

struct Values<'a> {
    server: &'a ServerConfig,
    overrides: &'a Texts,
}

impl Values<'_> {
    fn value(&self, name: &str) -> Option<Value> {
        let key = keys::topic_key(name).expect("a row of the table");
        topic_value(self.server, self.overrides, key)
    }

    fn long(&self, name: &str) -> i64 {
        match self.value(name) {
            Some(Value::Integer(number)) => number,
            other => unreachable!("{name} is a number, not {other:?}"),
        }
    }

    fn int(&self, name: &str) -> i32 {
        i32::try_from(self.long(name)).expect("the type of the key is int")
    }

    fn double(&self, name: &str) -> f64 {
        match self.value(name) {
            Some(Value::Double(number)) => number,
            other => unreachable!("{name} is a number, not {other:?}"),
        }
    }

    fn flag(&self, name: &str) -> bool {
        self.value(name) == Some(Value::Boolean(true))
    }

    fn text(&self, name: &str) -> String {
        self.value(name).map(|value| value.to_string()).unwrap_or_default()
    }

    fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(Value::List(list)) => list,
            _ => Vec::new(),
        }
    }

    fn compression(&self) -> Compression {
        match self.text("compression.type").as_str() {
            "uncompressed" => Compression::Uncompressed,
            "gzip" => Compression::Gzip(self.int("compression.gzip.level")),
            "snappy" => Compression::Snappy,
            "lz4" => Compression::Lz4(self.int("compression.lz4.level")),
            "zstd" => Compression::Zstd(self.int("compression.zstd.level")),
            _ => Compression::Producer,
        }
    }

    fn validated_under(&self, flag: &str, strategy: &str) -> Option<SubjectNameStrategy> {
        self.flag(flag).then(|| match self.text(strategy).as_str() {
            keys::RECORD_NAME_STRATEGY => SubjectNameStrategy::RecordName,
            keys::TOPIC_RECORD_NAME_STRATEGY => SubjectNameStrategy::TopicRecordName,
            _ => SubjectNameStrategy::TopicName,
        })
    }

    /// `internal.segment.bytes` lets a test have segments below the smallest that `segment.bytes` allows.
    fn segment_bytes(&self) -> i32 {
        match self.value("internal.segment.bytes") {
            Some(Value::Integer(bytes)) => i32::try_from(bytes).expect("the type of the key is int"),
            _ => self.int("segment.bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(pairs: &[(&str, &str)]) -> Texts {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn server(given: &[(&str, &str)]) -> ServerConfig {
        ServerConfig::new(texts(given)).unwrap()
    }

    #[test]
    fn refusals_are_those_of_the_reference() {
        let server = server(&[]);
        for line in include_str!("testdata/validate-topic.tsv").lines() {
            let mut fields = line.splitn(3, '\t');
            let [name, text, expected] = std::array::from_fn(|_| fields.next().expect("three fields"));
            let found = match validate_topic(&server, &Texts::new(), &texts(&[(name, text)])) {
                Ok(()) => "ok".to_owned(),
                Err(error) => error.to_string(),
            };
            assert_eq!(found, expected, "{name}={text}");
        }
    }

    #[test]
    fn an_override_wins_over_the_broker_over_the_default() {
        let server =
            server(&[("log.retention.minutes", "2"), ("log.retention.hours", "3"), ("log.roll.hours", "5")]);
        let plain = TopicConfig::new(&server, &Texts::new());
        assert_eq!(plain.retention_ms, 2 * 60 * 1000);
        assert_eq!(plain.segment_ms, 5 * 60 * 60 * 1000);
        assert_eq!(plain.segment_bytes, 1 << 30);
        let own = TopicConfig::new(&server, &texts(&[("retention.ms", "7"), ("segment.bytes", " 2000000 ")]));
        assert_eq!((own.retention_ms, own.segment_bytes), (7, 2_000_000));
    }

    #[test]
    fn the_keys_of_confluent_server_are_checked_and_understood() {
        let server = server(&[]);
        let record_name = "io.confluent.kafka.serializers.subject.RecordNameStrategy";
        let of = |pairs: &[(&str, &str)]| {
            let own = texts(pairs);
            validate_topic(&server, &Texts::new(), &own)
                .map(|()| TopicConfig::new(&server, &own).schema_validation)
                .map_err(|error| error.0)
        };
        let both = SchemaValidation {
            key: Some(SubjectNameStrategy::RecordName),
            value: Some(SubjectNameStrategy::TopicName),
        };
        assert_eq!(of(&[]), Ok(SchemaValidation::default()));
        assert_eq!(
            of(&[("confluent.key.subject.name.strategy", record_name)]),
            Ok(SchemaValidation::default())
        );
        assert_eq!(
            of(&[
                ("confluent.key.schema.validation", "TRUE"),
                ("confluent.value.schema.validation", "true"),
                ("confluent.key.subject.name.strategy", record_name),
            ]),
            Ok(both)
        );
        for (name, text, message) in [
            ("schema.validation", "yes", "Expected value to be either true or false"),
            (
                "subject.name.strategy",
                "MyStrategy",
                "String must be one of: io.confluent.kafka.serializers.subject.TopicNameStrategy, \
                 io.confluent.kafka.serializers.subject.RecordNameStrategy, \
                 io.confluent.kafka.serializers.subject.TopicRecordNameStrategy",
            ),
        ] {
            let name = format!("confluent.value.{name}");
            let message = format!("Invalid value {text} for configuration {name}: {message}");
            assert_eq!(of(&[(&name, text)]), Err(message));
        }
    }

    #[test]
    fn a_dynamic_default_reaches_topics_and_a_read_only_key_does_not_change() {
        let server = server(&[("log.retention.hours", "3")]);
        let cluster = texts(&[("log.retention.ms", "9"), ("num.partitions", "9"), ("listeners", "nonsense")]);
        let changed = server.with_dynamic(&cluster, &texts(&[("message.max.bytes", "77")])).unwrap();
        assert_eq!(changed.topic_defaults().retention_ms, 9);
        assert_eq!(changed.topic_defaults().max_message_bytes, 77);
        assert_eq!(changed.num_partitions, 1);
        assert_eq!(
            changed.with_dynamic(&Texts::new(), &Texts::new()).unwrap().topic_defaults(),
            server.topic_defaults()
        );
    }
}
