//! What share groups and their coordinator are configured to.

use super::key::Value;
use super::server_config::ServerConfig;

/// The broker's configuration of share groups and of their state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareConfig {
    pub state_topic_num_partitions: i32,
    pub state_topic_replication_factor: i32,
    pub state_topic_min_isr: i32,
    pub state_topic_segment_bytes: i32,
    pub snapshot_update_records_per_snapshot: i32,
    pub cold_partition_snapshot_interval_ms: i64,
    pub prune_interval_ms: i64,
    pub record_lock_duration_ms: i64,
    pub delivery_count_limit: i32,
    pub partition_max_record_locks: i64,
    pub max_share_sessions: i32,
    pub max_size: i32,
    pub initialize_retry_interval_ms: i64,
}

impl ShareConfig {
    pub fn new(config: &ServerConfig) -> ShareConfig {
        let coordinator = |name: &str| int(config, &format!("share.coordinator.{name}"));
        let group = |name: &str| int(config, &format!("group.share.{name}"));
        ShareConfig {
            state_topic_num_partitions: coordinator("state.topic.num.partitions"),
            state_topic_replication_factor: coordinator("state.topic.replication.factor"),
            state_topic_min_isr: coordinator("state.topic.min.isr"),
            state_topic_segment_bytes: coordinator("state.topic.segment.bytes"),
            snapshot_update_records_per_snapshot: coordinator("snapshot.update.records.per.snapshot"),
            cold_partition_snapshot_interval_ms: coordinator("cold.partition.snapshot.interval.ms").into(),
            prune_interval_ms: coordinator("state.topic.prune.interval.ms").into(),
            record_lock_duration_ms: int(config, "group.share.record.lock.duration.ms").into(),
            delivery_count_limit: int(config, "group.share.delivery.count.limit"),
            partition_max_record_locks: int(config, "group.share.partition.max.record.locks").into(),
            max_share_sessions: int(config, "group.share.max.share.sessions"),
            max_size: group("max.size"),
            initialize_retry_interval_ms: group("initialize.retry.interval.ms").into(),
        }
    }
}

fn int(config: &ServerConfig, name: &str) -> i32 {
    match config.value(name) {
        Some(Value::Integer(number)) => i32::try_from(number).unwrap_or(i32::MAX),
        other => unreachable!("{name} is a number, not {other:?}"),
    }
}
