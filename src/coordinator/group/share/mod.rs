//! Share groups: their members and what they are given (KIP-932). Pure.
//!
//! Enters: heartbeats, due sessions, what administrators ask of offsets. Leaves: outcomes; errands for the share
//! coordinator, which keeps how far the group is with each partition.
//!
//! | file | what |
//! |---|---|
//! | `commands.rs` | what can be asked |
//! | `group.rs` | what is in the log, and its replay |
//! | `states.rs` | which share partitions the share coordinator knows, shall know or shall forget |
//! | `heartbeat.rs` | joining, staying, leaving; the assignment |
//! | `initialize.rs` | the share coordinator's answers |
//! | `offsets.rs` | offsets altered and deleted; the whole group deleted |
//! | `describe.rs` | ListGroups, ShareGroupDescribe |
//! | `records.rs` | the bytes of the records |
//!
//! A partition is assigned only once its state is initialized. So a group's first heartbeat assigns nothing and sends
//! an errand; the heartbeat after the share coordinator's answer finds partitions to assign.

pub mod commands;
mod describe;
mod group;
mod heartbeat;
mod initialize;
mod offsets;
pub mod records;
mod states;

#[cfg(test)]
mod simulator;
#[cfg(test)]
mod transcripts;

use ottla_protocol::StrBytes;

use super::{GroupError, GroupRecord, GroupShard, Ranged, Refusal};
use crate::coordinator::share::InitializeState;

pub use group::{CurrentAssignment, MemberMetadata, ShareGroup, ShareMember, ShareRecord};
pub use states::{ShareStates, StateTopic};

/// What a share group asks of the share coordinator.
#[derive(Debug, Clone, PartialEq)]
pub struct ShareErrand {
    pub group_id: StrBytes,
    /// The share partitions that members subscribe to for the first time.
    pub initialize: Vec<InitializeState>,
}

/// What share groups are told by the configuration. The defaults are Kafka's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareGroupConfig {
    /// `group.share.session.timeout.ms`.
    pub session_timeout_ms: Ranged,
    /// `group.share.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: Ranged,
    /// `group.share.assignment.interval.ms`.
    pub assignment_interval_ms: Ranged,
    /// `group.share.max.size`, in members.
    pub max_size: usize,
    /// `group.share.initialize.retry.interval.ms`.
    pub initialize_retry_interval_ms: i64,
}

impl Default for ShareGroupConfig {
    fn default() -> Self {
        ShareGroupConfig {
            session_timeout_ms: Ranged { value: 45_000, min: 45_000, max: 60_000 },
            heartbeat_interval_ms: Ranged { value: 5_000, min: 5_000, max: 15_000 },
            assignment_interval_ms: Ranged { value: 1_000, min: 0, max: 15_000 },
            max_size: 200,
            initialize_retry_interval_ms: 30_000,
        }
    }
}

impl GroupShard {
    /// The share group, or `None` if the name is free. A group of another kind is refused.
    fn find_share_group(&self, group_id: &StrBytes) -> Result<Option<&ShareGroup>, Refusal> {
        let group = self.hard.share_group(group_id);
        if group.is_none() && self.any_group(group_id).is_some() {
            let message = format!("Group {group_id} is not a share group.");
            return Err(GroupError::GroupIdNotFound.because(message));
        }
        Ok(group)
    }

    /// The share group, which must be there.
    fn share_group(&self, group_id: &StrBytes) -> Result<&ShareGroup, Refusal> {
        let not_found = || GroupError::GroupIdNotFound.because(format!("Group {group_id} not found."));
        self.find_share_group(group_id)?.ok_or_else(not_found)
    }
}

fn record(group_id: &StrBytes, record: ShareRecord) -> GroupRecord {
    GroupRecord::Share { group_id: group_id.clone(), record }
}
