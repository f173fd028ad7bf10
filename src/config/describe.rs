//! DescribeConfigs' view of the configuration: every key with its value, source and synonyms, as Kafka tells them.
//! Enters: `ServerConfig`, a resource's overrides. Leaves: `ConfigEntry` rows, by name in order (Kafka's order is that of a
//! hash table).

use super::alter::listener_key;
use super::key::{Key, Kind, Update};
use super::keys::{self, CLIENT_METRICS, CONFLUENT_PREFIX, GROUP, TOPIC};
use super::server_config::{ConfigSource, ServerConfig};
use super::topic_config::{Texts, topic_value};
use std::collections::BTreeSet;

/// One row of the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    /// None for null, and for a sensitive value.
    pub value: Option<String>,
    pub read_only: bool,
    pub source: ConfigSource,
    pub sensitive: bool,
    /// All settings that could have given the value, the one that did first.
    pub synonyms: Vec<Synonym>,
    /// None is UNKNOWN: somebody set a key that is not in the table.
    pub kind: Option<Kind>,
    /// None is null: the key is not in the table.
    pub documentation: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synonym {
    pub name: String,
    pub value: Option<String>,
    pub source: ConfigSource,
}

/// The layers of a broker's configuration, the strongest first.
const LAYERS: [ConfigSource; 4] = [
    ConfigSource::DynamicBroker,
    ConfigSource::DynamicDefaultBroker,
    ConfigSource::StaticBroker,
    ConfigSource::Default,
];

/// A topic with its overrides.
pub fn describe_topic(server: &ServerConfig, overrides: &Texts) -> Vec<ConfigEntry> {
    let is_confluent = |name: &str| name.starts_with(CONFLUENT_PREFIX);
    let has_confluent = overrides.keys().any(|name| is_confluent(name));
    let is_shown = |key: &&'static Key| {
        !key.internal || overrides.contains_key(key.name) || has_confluent && is_confluent(key.name)
    };
    let shown = TOPIC.iter().filter(is_shown);
    let entry = |key: &'static Key| {
        let value = topic_value(server, overrides, key).map(|value| value.to_string());
        // Only the first of a chain is looked at: this is how log.retention.hours is missing in Kafka's answer.
        let inherited = key.fallbacks.first().map(|name| broker_synonyms(server, name)).unwrap_or_default();
        resource_entry(key, value, overrides, ConfigSource::Topic, inherited)
    };
    shown.map(entry).collect()
}

/// A group with its overrides.
pub fn describe_group(server: &ServerConfig, overrides: &Texts) -> Vec<ConfigEntry> {
    let entry = |key: &'static Key| {
        let fallback = key.fallbacks.first();
        let own = overrides.get(key.name).and_then(|text| key.parse(text).ok());
        let value = own.or_else(|| match fallback {
            Some(name) => server.value(name),
            None => key.default.and_then(|text| key.parse(text).ok()),
        });
        let value = value.map(|value| value.to_string());
        let inherited = match fallback {
            Some(name) => broker_synonyms(server, name),
            None => vec![own_default(key)],
        };
        resource_entry(key, value, overrides, ConfigSource::Group, inherited)
    };
    GROUP.iter().map(entry).collect()
}

/// A client metrics subscription (KIP-714) with its settings.
pub fn describe_client_metrics(settings: &Texts) -> Vec<ConfigEntry> {
    let entry = |key: &'static Key| {
        let text = settings.get(key.name).map(String::as_str).or(key.default);
        let value = text.and_then(|text| key.parse(text).ok()).map(|value| value.to_string());
        resource_entry(key, value, settings, ConfigSource::ClientMetrics, Vec::new())
    };
    CLIENT_METRICS.iter().map(entry).collect()
}

/// This broker: all keys, and what else somebody has set.
pub fn describe_broker(server: &ServerConfig) -> Vec<ConfigEntry> {
    let known = keys::broker_keys().filter(|key| !key.internal).map(|key| key.name);
    let set = LAYERS.iter().filter_map(|source| server.layer(*source)).flat_map(|layer| layer.keys());
    let names: BTreeSet<&str> = known.chain(set.map(String::as_str)).collect();
    names.into_iter().map(|name| broker_entry(server, name, &LAYERS)).collect()
}

/// What all brokers of the cluster are set to dynamically.
pub fn describe_cluster_default(server: &ServerConfig) -> Vec<ConfigEntry> {
    let source = ConfigSource::DynamicDefaultBroker;
    let set = server.layer(source).expect("a layer");
    set.keys().map(|name| broker_entry(server, name, &[source])).collect()
}

fn broker_entry(server: &ServerConfig, name: &str, layers: &[ConfigSource]) -> ConfigEntry {
    let key = typed_as(name);
    // What is in no table may hold a secret.
    let sensitive = key.is_none_or(Key::is_sensitive);
    let mut synonyms = broker_synonyms(server, name);
    synonyms.retain(|synonym| layers.contains(&synonym.source));
    let value = match keys::broker_key(name) {
        Some(key) if layers.len() == 1 => {
            let text = server.text(layers[0], name);
            text.and_then(|text| key.parse(text).ok()).map(|value| value.to_string())
        }
        Some(_) => server.value(name).map(|value| value.to_string()),
        None => synonyms.first().and_then(|synonym| synonym.value.clone()),
    };
    ConfigEntry {
        name: name.to_owned(),
        value: value.filter(|_| !sensitive),
        read_only: key.is_none_or(|key| key.update == Update::ReadOnly),
        source: synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source),
        sensitive,
        synonyms,
        kind: key.map(|key| key.kind),
        documentation: key.map(|key| key.doc),
    }
}

/// The row that types a name: its own, or for `listener.name.internal.ssl.protocol` that of `ssl.protocol`.
fn typed_as(name: &str) -> Option<&'static Key> {
    let base = |name: &str| {
        let rest = listener_key(name)?;
        let without_mechanism = rest.split_once('.').and_then(|(_, base)| keys::broker_key(base));
        keys::broker_key(rest).or(without_mechanism)
    };
    keys::broker_key(name).or_else(|| keys::dynamic_only_key(name)).or_else(|| base(name))
}

/// All texts that could give the value of a broker key, the strongest first. Those before the first that bears the key's
/// own name are left out, as Kafka does.
fn broker_synonyms(server: &ServerConfig, name: &str) -> Vec<Synonym> {
    let sensitive = typed_as(name).is_none_or(Key::is_sensitive);
    let names = keys::broker_synonyms(name);
    let mut synonyms = Vec::new();
    for source in LAYERS {
        for name in &names {
            if let Some(text) = server.text(source, name) {
                let value = (!sensitive).then(|| text.to_owned());
                synonyms.push(Synonym { name: (*name).to_owned(), value, source });
            }
        }
    }
    synonyms.into_iter().skip_while(|synonym| synonym.name != name).collect()
}

fn own_default(key: &'static Key) -> Synonym {
    let value = key.default.map(str::to_owned);
    Synonym { name: key.name.to_owned(), value, source: ConfigSource::Default }
}

fn resource_entry(
    key: &'static Key,
    value: Option<String>,
    overrides: &Texts,
    own: ConfigSource,
    inherited: Vec<Synonym>,
) -> ConfigEntry {
    let mut synonyms = inherited;
    if overrides.contains_key(key.name) {
        synonyms.insert(0, Synonym { name: key.name.to_owned(), value: value.clone(), source: own });
    }
    ConfigEntry {
        name: key.name.to_owned(),
        value,
        read_only: false,
        source: synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source),
        sensitive: false,
        synonyms,
        kind: Some(key.kind),
        documentation: Some(key.doc),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys::OTTLA_DEFAULTS;

    /// What the recorded broker's server.properties says.
    const GIVEN: &[(&str, &str)] = &[
        ("process.roles", "broker,controller"),
        ("node.id", "1"),
        ("controller.quorum.bootstrap.servers", "127.0.0.1:21202"),
        ("listeners", "PLAINTEXT://127.0.0.1:21201,CONTROLLER://127.0.0.1:21202"),
        ("advertised.listeners", "PLAINTEXT://127.0.0.1:21201,CONTROLLER://127.0.0.1:21202"),
        (
            "listener.security.protocol.map",
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
        ),
        ("controller.listener.names", "CONTROLLER"),
        ("inter.broker.listener.name", "PLAINTEXT"),
        ("log.dirs", "/data"),
        ("offsets.topic.replication.factor", "1"),
        ("transaction.state.log.replication.factor", "1"),
        ("transaction.state.log.min.isr", "1"),
        ("share.coordinator.state.topic.replication.factor", "1"),
        ("share.coordinator.state.topic.min.isr", "1"),
    ];

    fn texts(pairs: &[(&str, &str)]) -> Texts {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    /// As the recorded broker: its file, and the one dynamic configuration that the format step of Kafka 4.1 and later
    /// writes (KIP-966).
    fn server() -> ServerConfig {
        let server = ServerConfig::new(texts(GIVEN)).unwrap();
        server.with_dynamic(&texts(&[("min.insync.replicas", "1")]), &Texts::new()).unwrap()
    }

    /// Whether Ottla has its own default for a key, or for the broker's key that a group's begins with.
    fn has_own_default(key: &str) -> bool {
        OTTLA_DEFAULTS.iter().any(|(name, ..)| *name == key || name.strip_prefix("group.") == Some(key))
    }

    fn line(entry: &ConfigEntry) -> String {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
        let own_default = has_own_default(&entry.name);
        let synonyms = entry.synonyms.iter();
        let synonyms = synonyms.filter(|synonym| !own_default || synonym.source != ConfigSource::Default);
        let synonyms = synonyms.map(|s| format!("{}:{}={}", s.source as i32, s.name, text(&s.value)));
        let value = if own_default && entry.source == ConfigSource::Default {
            "own".to_owned()
        } else {
            text(&entry.value)
        };
        let kind = entry.kind.map_or(0, |kind| kind as i32);
        let head = format!(
            "{}\t{kind}\t{}\t{}\t{}\t{value}",
            entry.name, entry.read_only, entry.sensitive, entry.source as i32
        );
        let line = format!("{head}\t{}", synonyms.collect::<Vec<_>>().join(" "));
        line.trim_end().to_owned()
    }

    /// A recorded line without the default of a key for which Ottla has its own.
    fn without_own_default(line: &str) -> String {
        let mut fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
        if !has_own_default(&fields[0]) {
            return line.to_owned();
        }
        if fields[4] == "5" {
            fields[5] = "own".to_owned();
        }
        if let Some(synonyms) = fields.get_mut(6) {
            let kept: Vec<&str> = synonyms.split(' ').filter(|synonym| !synonym.starts_with("5:")).collect();
            *synonyms = kept.join(" ");
        }
        fields.join("\t").trim_end().to_owned()
    }

    #[track_caller]
    fn check(recorded: &str, entries: &[ConfigEntry]) {
        let expected: Vec<String> = recorded.lines().map(without_own_default).collect();
        let found: Vec<String> = entries.iter().map(line).collect();
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(expected, found);
        }
        assert_eq!(expected.len(), found.len());
    }

    #[test]
    fn answers_are_those_of_the_reference() {
        let overrides = texts(&[("retention.ms", "1000"), ("cleanup.policy", "compact")]);
        let server = server();
        check(include_str!("testdata/describe-topic-plain.tsv"), &describe_topic(&server, &Texts::new()));
        check(include_str!("testdata/describe-topic-overrides.tsv"), &describe_topic(&server, &overrides));
        check(include_str!("testdata/describe-broker.tsv"), &describe_broker(&server));
        check(include_str!("testdata/describe-cluster-default.tsv"), &describe_cluster_default(&server));
        check(include_str!("testdata/describe-group.tsv"), &describe_group(&server, &Texts::new()));
        check(include_str!("testdata/describe-client-metrics.tsv"), &describe_client_metrics(&Texts::new()));
    }

    #[test]
    fn the_keys_of_confluent_server_are_told_of_topics_that_have_one() {
        let of = |overrides| {
            let entries = describe_topic(&server(), &texts(overrides));
            let confluent = entries.into_iter().filter(|entry| entry.name.starts_with(CONFLUENT_PREFIX));
            confluent.map(|entry| line(&entry)).collect::<Vec<_>>()
        };
        assert!(of(&[("retention.ms", "1")]).is_empty());
        let strategy = "io.confluent.kafka.serializers.subject.TopicNameStrategy";
        assert_eq!(
            of(&[("confluent.value.schema.validation", "true")]),
            [
                "confluent.key.schema.validation\t1\tfalse\tfalse\t5\tfalse".to_owned(),
                format!("confluent.key.subject.name.strategy\t2\tfalse\tfalse\t5\t{strategy}"),
                "confluent.value.schema.validation\t1\tfalse\tfalse\t1\ttrue\t1:confluent.value.schema.validation=true"
                    .to_owned(),
                format!("confluent.value.subject.name.strategy\t2\tfalse\tfalse\t5\t{strategy}"),
            ]
        );
    }

    #[test]
    fn what_is_in_no_table_is_told_without_its_value() {
        let mut given = texts(GIVEN);
        given.insert("my.secret".to_owned(), "x".to_owned());
        let entries = describe_broker(&ServerConfig::new(given).unwrap());
        let entry = entries.iter().find(|entry| entry.name == "my.secret").unwrap();
        assert_eq!(line(entry), "my.secret\t0\ttrue\ttrue\t4\tnull\t4:my.secret=null");
    }
}
