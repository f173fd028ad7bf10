//! What streams groups are told by the configuration, under Kafka's names.

use std::collections::BTreeMap;

use ottla_protocol::StrBytes;

use super::super::config::Ranged;
use crate::coordinator::ClusterView;

/// Limits and delays. The defaults are Kafka's, but for the initial delay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamsConfig {
    /// `group.streams.session.timeout.ms`, and what a group may change it to.
    pub session_timeout_ms: Ranged,
    /// `group.streams.heartbeat.interval.ms`, and what a group may change it to.
    pub heartbeat_interval_ms: Ranged,
    /// `group.streams.assignment.interval.ms`, and what a group may change it to.
    pub assignment_interval_ms: Ranged,
    /// `group.streams.num.standby.replicas`, and what a group may change it to.
    pub num_standby_replicas: Ranged,
    /// `group.streams.initial.rebalance.delay.ms`: how long an empty group waits for more members before its first
    /// assignment.
    pub initial_rebalance_delay_ms: Ranged,
    /// `group.streams.max.size`, in members.
    pub max_size: usize,
}

impl StreamsConfig {
    pub fn session_timeout_ms(&self, group_id: &str, view: &dyn ClusterView) -> i64 {
        self.session_timeout_ms.of_group(group_id, "streams.session.timeout.ms", view).into()
    }

    pub fn heartbeat_interval_ms(&self, group_id: &str, view: &dyn ClusterView) -> i32 {
        self.heartbeat_interval_ms.of_group(group_id, "streams.heartbeat.interval.ms", view)
    }

    pub fn assignment_interval_ms(&self, group_id: &str, view: &dyn ClusterView) -> i64 {
        self.assignment_interval_ms.of_group(group_id, "streams.assignment.interval.ms", view).into()
    }

    pub fn initial_rebalance_delay_ms(&self, group_id: &str, view: &dyn ClusterView) -> i64 {
        self.initial_rebalance_delay_ms.of_group(group_id, "streams.initial.rebalance.delay.ms", view).into()
    }

    /// How many copies of each task an assignment shall keep warm.
    pub fn standby_replicas(&self, group_id: &str, view: &dyn ClusterView) -> usize {
        let replicas = self.num_standby_replicas.of_group(group_id, "streams.num.standby.replicas", view);
        usize::try_from(replicas).unwrap_or(0)
    }
}

/// The configurations that an assignment rests on, as the group's record has them.
pub fn assignment_configs(standby_replicas: usize) -> BTreeMap<StrBytes, StrBytes> {
    BTreeMap::from([(STANDBY_REPLICAS, StrBytes::from_string(standby_replicas.to_string()))])
}

/// The number of copies in a group's record, if it has one.
pub fn logged_standby_replicas(assignment_configs: &BTreeMap<StrBytes, StrBytes>) -> Option<usize> {
    assignment_configs.get(&STANDBY_REPLICAS).and_then(|replicas| replicas.parse().ok())
}

const STANDBY_REPLICAS: StrBytes = StrBytes::from_static_str("num.standby.replicas");

impl Default for StreamsConfig {
    fn default() -> Self {
        StreamsConfig {
            session_timeout_ms: Ranged { value: 45_000, min: 45_000, max: 60_000 },
            heartbeat_interval_ms: Ranged { value: 5_000, min: 5_000, max: 15_000 },
            assignment_interval_ms: Ranged { value: 1_000, min: 0, max: 15_000 },
            num_standby_replicas: Ranged { value: 0, min: 0, max: 2 },
            initial_rebalance_delay_ms: Ranged { value: 0, min: 0, max: i32::MAX },
            max_size: i32::MAX as usize,
        }
    }
}
