//! What groups of the consumer protocol are told by the configuration, under Kafka's names.

use super::super::Ranged;
use super::super::assignors::Assignor;
use crate::coordinator::ClusterView;

/// Limits and delays. The defaults are Kafka's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// `group.consumer.session.timeout.ms`, and what a group may change it to.
    pub session_timeout_ms: Ranged,
    /// `group.consumer.heartbeat.interval.ms`, and what a group may change it to.
    pub heartbeat_interval_ms: Ranged,
    /// `group.consumer.assignment.interval.ms`, and what a group may change it to.
    pub assignment_interval_ms: Ranged,
    /// `group.consumer.max.size`, in members.
    pub max_size: usize,
    /// `group.consumer.assignors`; the first is for groups whose members name none.
    pub assignors: Vec<Assignor>,
    /// `group.consumer.regex.refresh.interval.ms`.
    pub regex_refresh_interval_ms: i64,
}

impl ConsumerConfig {
    /// The least time between two resolutions of a group's regular expressions; Kafka has no name for it.
    pub const REGEX_MIN_INTERVAL_MS: i64 = 10_000;

    pub fn session_timeout_ms(&self, group_id: &str, view: &dyn ClusterView) -> i64 {
        self.session_timeout_ms.of_group(group_id, "consumer.session.timeout.ms", view).into()
    }

    pub fn heartbeat_interval_ms(&self, group_id: &str, view: &dyn ClusterView) -> i32 {
        self.heartbeat_interval_ms.of_group(group_id, "consumer.heartbeat.interval.ms", view)
    }

    pub fn assignment_interval_ms(&self, group_id: &str, view: &dyn ClusterView) -> i64 {
        self.assignment_interval_ms.of_group(group_id, "consumer.assignment.interval.ms", view).into()
    }

    pub fn default_assignor(&self) -> Assignor {
        self.assignors.first().copied().unwrap_or(Assignor::Uniform)
    }
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        ConsumerConfig {
            session_timeout_ms: Ranged { value: 45_000, min: 45_000, max: 60_000 },
            heartbeat_interval_ms: Ranged { value: 5_000, min: 5_000, max: 15_000 },
            assignment_interval_ms: Ranged { value: 1_000, min: 0, max: 15_000 },
            max_size: i32::MAX as usize,
            assignors: Assignor::ALL.to_vec(),
            regex_refresh_interval_ms: 10 * 60 * 1000,
        }
    }
}
