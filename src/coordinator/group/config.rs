//! What a group coordinator is told by the configuration, under Kafka's names.

use super::MigrationPolicy;
use super::consumer::ConsumerConfig;
use super::{ShareGroupConfig, StreamsConfig};
use crate::coordinator::ClusterView;

/// Limits and delays of groups. The defaults are Kafka's, but for the initial delay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.initial.rebalance.delay.ms`: how long an empty group waits for more members before its first
    /// generation. Ottla's default is 0, Kafka's is 3000.
    pub initial_rebalance_delay_ms: i32,
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout_ms: i32,
    /// `group.max.size`, in members.
    pub max_size: usize,
    /// `group.consumer.migration.policy`.
    pub migration_policy: MigrationPolicy,
    /// `offset.metadata.max.bytes`: the longest metadata of a commit.
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: i64,
    pub consumer: ConsumerConfig,
    pub share: ShareGroupConfig,
    pub streams: StreamsConfig,
}

/// A value of the broker's that a group may replace by its own, within limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranged {
    pub value: i32,
    pub min: i32,
    pub max: i32,
}

impl Ranged {
    /// The group's own value of `key`, brought within the limits, or else the broker's.
    pub fn of_group(&self, group_id: &str, key: &str, view: &dyn ClusterView) -> i32 {
        let own = view.group_config(group_id, key).and_then(|value| value.trim().parse::<i32>().ok());
        own.map_or(self.value, |own| own.min(self.max).max(self.min))
    }
}

impl GroupConfig {
    /// How long a member that has no id yet may wait for its first generation; Kafka has no name for it.
    pub const NEW_MEMBER_JOIN_TIMEOUT_MS: i32 = 5 * 60 * 1000;
}

impl Default for GroupConfig {
    fn default() -> Self {
        GroupConfig {
            initial_rebalance_delay_ms: 0,
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            max_size: i32::MAX as usize,
            migration_policy: MigrationPolicy::Bidirectional,
            offset_metadata_max_bytes: 4096,
            offsets_retention_ms: 7 * 24 * 60 * 60 * 1000,
            offsets_retention_check_interval_ms: 10 * 60 * 1000,
            consumer: ConsumerConfig::default(),
            share: ShareGroupConfig::default(),
            streams: StreamsConfig::default(),
        }
    }
}
