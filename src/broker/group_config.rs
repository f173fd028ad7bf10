//! What the group coordinator is told of the configuration.

use crate::config::key::Value;
use crate::config::{ServerConfig, ShareConfig};
use crate::coordinator::group::assignors::Assignor;
use crate::coordinator::group::consumer::ConsumerConfig;
use crate::coordinator::group::{GroupConfig, MigrationPolicy, Ranged, ShareGroupConfig, StreamsConfig};

pub fn group_config(config: &ServerConfig) -> GroupConfig {
    GroupConfig {
        initial_rebalance_delay_ms: config.group_initial_rebalance_delay_ms.max(0),
        min_session_timeout_ms: config.group_min_session_timeout_ms,
        max_session_timeout_ms: config.group_max_session_timeout_ms,
        max_size: size(config.group_max_size),
        migration_policy: migration_policy(config),
        offset_metadata_max_bytes: size(config.offset_metadata_max_bytes),
        offsets_retention_ms: config.offsets_retention_ms,
        offsets_retention_check_interval_ms: config.offsets_retention_check_interval_ms,
        share: share_config(config),
        consumer: consumer_config(config),
        streams: streams_config(config),
    }
}

fn migration_policy(config: &ServerConfig) -> MigrationPolicy {
    let name = match config.value("group.consumer.migration.policy") {
        Some(Value::Text(name)) => name,
        _ => String::new(),
    };
    MigrationPolicy::by_name(&name).unwrap_or(MigrationPolicy::Bidirectional)
}

fn consumer_config(config: &ServerConfig) -> ConsumerConfig {
    let ranged = |name| ranged(config, "group.consumer", name);
    let assignors = match config.value("group.consumer.assignors") {
        Some(Value::List(names)) => names.iter().filter_map(|name| Assignor::by_name(name)).collect(),
        _ => Assignor::ALL.to_vec(),
    };
    let regex_refresh_interval_ms =
        int(config, "group.consumer.regex.refresh.interval.ms").unwrap_or(i32::MAX);
    ConsumerConfig {
        session_timeout_ms: ranged("session.timeout.ms"),
        heartbeat_interval_ms: ranged("heartbeat.interval.ms"),
        assignment_interval_ms: ranged("assignment.interval.ms"),
        max_size: size(int(config, "group.consumer.max.size").unwrap_or(i32::MAX)),
        assignors,
        regex_refresh_interval_ms: regex_refresh_interval_ms.into(),
    }
}

fn share_config(config: &ServerConfig) -> ShareGroupConfig {
    let share = ShareConfig::new(config);
    let ranged = |name| ranged(config, "group.share", name);
    ShareGroupConfig {
        session_timeout_ms: ranged("session.timeout.ms"),
        heartbeat_interval_ms: ranged("heartbeat.interval.ms"),
        assignment_interval_ms: ranged("assignment.interval.ms"),
        max_size: size(share.max_size),
        initialize_retry_interval_ms: share.initialize_retry_interval_ms,
    }
}

fn streams_config(config: &ServerConfig) -> StreamsConfig {
    let ranged = |name| ranged(config, "group.streams", name);
    StreamsConfig {
        session_timeout_ms: ranged("session.timeout.ms"),
        heartbeat_interval_ms: ranged("heartbeat.interval.ms"),
        assignment_interval_ms: ranged("assignment.interval.ms"),
        num_standby_replicas: ranged("num.standby.replicas"),
        initial_rebalance_delay_ms: ranged("initial.rebalance.delay.ms"),
        max_size: size(int(config, "group.streams.max.size").unwrap_or(i32::MAX)),
    }
}

/// A key of one kind of groups with its bounds: `group.streams.session.timeout.ms` with
/// `group.streams.min.session.timeout.ms` and `group.streams.max.session.timeout.ms`, as far as there are any.
fn ranged(config: &ServerConfig, kind: &str, name: &str) -> Ranged {
    let bounded = name.strip_prefix("num.").unwrap_or(name);
    Ranged {
        value: int(config, &format!("{kind}.{name}")).unwrap_or(0),
        min: int(config, &format!("{kind}.min.{bounded}")).unwrap_or(0),
        max: int(config, &format!("{kind}.max.{bounded}")).unwrap_or(i32::MAX),
    }
}

fn int(config: &ServerConfig, key: &str) -> Option<i32> {
    match config.value(key) {
        Some(Value::Integer(value)) => i32::try_from(value).ok(),
        _ => None,
    }
}

fn size(number: i32) -> usize {
    usize::try_from(number).unwrap_or(0)
}
