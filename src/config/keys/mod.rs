//! The table of keys: Kafka 4.3's broker, topic, group and client metrics configurations, one row a key.
//! Enters: nothing. Leaves: rows. A key that has no row here is unknown. What Ottla sets differently is in `OTTLA_DEFAULTS`.

mod broker_coordinators;
mod broker_log;
mod broker_security;
mod broker_server;
mod client_metrics;
mod group;
mod topic;

use super::key::{self, Honour, Importance, Key, Kind, Rule, Update};
use std::collections::BTreeMap;
use std::sync::LazyLock;

pub use client_metrics::CLIENT_METRICS;
pub use group::GROUP;
pub use topic::{CONFLUENT_PREFIX, RECORD_NAME_STRATEGY, TOPIC, TOPIC_RECORD_NAME_STRATEGY};

/// The broker's keys, by subject.
const BROKER: [&[Key]; 4] =
    [broker_coordinators::COORDINATORS, broker_log::LOG, broker_security::SECURITY, broker_server::SERVER];

/// Defaults that differ from Kafka's on purpose: key, Ottla's default, reason. COMPATIBILITY.md repeats this table.
pub const OTTLA_DEFAULTS: &[(&str, &str, &str)] = &[
    ("broker.id", "1", "one node needs no numbering; the value that compose files use"),
    ("node.id", "1", "one node needs no numbering; the value that compose files use"),
    ("process.roles", "broker,controller", "one process is the whole cluster"),
    (
        "controller.listener.names",
        "CONTROLLER",
        "the name that every configuration uses; no such listener opens",
    ),
    ("listeners", "PLAINTEXT://localhost:9092", "nothing is open to the network until somebody asks for it"),
    ("log.dir", "./data", "no set-up step, and /tmp may vanish"),
    ("group.initial.rebalance.delay.ms", "0", "a test must not wait three seconds for its first record"),
    (
        "group.streams.initial.rebalance.delay.ms",
        "0",
        "a test must not wait three seconds for its first record",
    ),
    ("group.consumer.min.heartbeat.interval.ms", "1000", "a test must not wait five seconds for a rebalance"),
    ("group.consumer.heartbeat.interval.ms", "1000", "a test must not wait five seconds for a rebalance"),
    ("group.share.min.heartbeat.interval.ms", "1000", "a test must not wait five seconds for a rebalance"),
    ("group.share.heartbeat.interval.ms", "1000", "a test must not wait five seconds for a rebalance"),
    ("group.streams.min.heartbeat.interval.ms", "1000", "a test must not wait five seconds for a rebalance"),
    ("group.streams.heartbeat.interval.ms", "1000", "a test must not wait five seconds for a rebalance"),
    ("offsets.topic.replication.factor", "1", "one node holds one replica"),
    ("transaction.state.log.replication.factor", "1", "one node holds one replica"),
    ("transaction.state.log.min.isr", "1", "one node holds one replica"),
    ("share.coordinator.state.topic.replication.factor", "1", "one node holds one replica"),
    ("share.coordinator.state.topic.min.isr", "1", "one node holds one replica"),
];

static BROKER_BY_NAME: LazyLock<BTreeMap<&'static str, &'static Key>> =
    LazyLock::new(|| BROKER.iter().flat_map(|part| part.iter()).map(|key| (key.name, key)).collect());

/// All broker keys, by name in order.
pub fn broker_keys() -> impl Iterator<Item = &'static Key> {
    BROKER_BY_NAME.values().copied()
}

pub fn broker_key(name: &str) -> Option<&'static Key> {
    BROKER_BY_NAME.get(name).copied()
}

/// Broker keys that exist only as dynamic ones: they have no default and no place in a file.
const DYNAMIC_ONLY: [Key; 3] = [
    dynamic_only(
        "follower.replication.throttled.rate",
        "Most bytes per second that throttled replicas copy in.",
    ),
    dynamic_only(
        "leader.replication.throttled.rate",
        "Most bytes per second that throttled replicas copy out.",
    ),
    dynamic_only(
        "replica.alter.log.dirs.io.max.bytes.per.second",
        "Most bytes per second that are moved between log directories.",
    ),
];

const fn dynamic_only(name: &'static str, doc: &'static str) -> Key {
    let (update, honour) = (Update::ClusterWide, Honour::NotYet);
    key::broker(name, Kind::Long, None, Rule::AtLeast(0), Importance::Medium, update, honour, doc)
}

pub fn dynamic_only_key(name: &str) -> Option<&'static Key> {
    static KEYS: [Key; 3] = DYNAMIC_ONLY;
    KEYS.iter().find(|key| key.name == name)
}

pub fn topic_key(name: &str) -> Option<&'static Key> {
    TOPIC.iter().find(|key| key.name == name)
}

pub fn group_key(name: &str) -> Option<&'static Key> {
    GROUP.iter().find(|key| key.name == name)
}

pub fn client_metrics_key(name: &str) -> Option<&'static Key> {
    CLIENT_METRICS.iter().find(|key| key.name == name)
}

/// The default that holds in Ottla: its own if it has one, else Kafka's; None is Kafka's null.
pub fn broker_default(key: &Key) -> Option<&'static str> {
    let own = OTTLA_DEFAULTS.iter().find(|(name, ..)| *name == key.name);
    own.map(|(_, value, _)| *value).or(key.default)
}

/// The keys that set the same thing as `name`, the most specific first; `name` alone for most keys.
pub fn broker_synonyms(name: &str) -> Vec<&str> {
    const CHAINS: [&[&str]; 3] = [
        &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
        &["log.roll.ms", "log.roll.hours"],
        &["log.roll.jitter.ms", "log.roll.jitter.hours"],
    ];
    if name == "log.flush.interval.ms" {
        // One way only: the scheduler's interval stands on its own when it is looked at itself.
        return vec![name, "log.flush.scheduler.interval.ms"];
    }
    match CHAINS.iter().find(|chain| chain.contains(&name)) {
        Some(chain) => chain.to_vec(),
        None => vec![name],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_unique_and_defaults_are_allowed() {
        let rows: usize = BROKER.iter().map(|part| part.len()).sum();
        assert_eq!(rows, broker_keys().count(), "a name has two rows");
        for key in broker_keys().chain(TOPIC).chain(GROUP).chain(CLIENT_METRICS) {
            if let Some(default) = key.default {
                key.parse(default).unwrap_or_else(|e| panic!("{e}"));
            }
            assert!(key.doc.ends_with('.'), "{} has no sentence", key.name);
        }
        for (name, value, _) in OTTLA_DEFAULTS {
            let key = broker_key(name).expect("known");
            key.parse(value).unwrap_or_else(|e| panic!("{e}"));
            assert_ne!(key.default, Some(*value), "{name} is Kafka's default anyway");
        }
    }

    #[test]
    fn resource_rows_fall_back_to_broker_rows() {
        for key in TOPIC.iter().chain(GROUP) {
            for name in key.fallbacks {
                assert!(broker_key(name).is_some(), "{} falls back to {name}, which is no key", key.name);
            }
        }
    }
}
