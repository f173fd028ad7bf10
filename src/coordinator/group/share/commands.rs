//! What can be asked of a share group, and what it answers.

use ottla_protocol::{StrBytes, Uuid};

use crate::coordinator::group::assignors::TopicPartitions;
use crate::coordinator::group::{GroupError, Refusal};
use crate::coordinator::share::InitializeState;

/// The epoch in which a member leaves.
pub const LEAVE_EPOCH: i32 = -1;

/// ShareGroupHeartbeat.
#[derive(Debug, Clone)]
pub struct ShareHeartbeat {
    pub group_id: StrBytes,
    pub member_id: StrBytes,
    /// 0 joins, -1 leaves.
    pub member_epoch: i32,
    /// `None` leaves it as it is.
    pub rack_id: Option<StrBytes>,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
    /// `None` leaves it as it is; whoever says it is told the whole assignment.
    pub subscribed_topic_names: Option<Vec<StrBytes>>,
}

impl ShareHeartbeat {
    /// What is wrong with the request itself, in Kafka's order.
    pub fn check(&self) -> Result<(), Refusal> {
        let invalid = |message: &str| Err(GroupError::InvalidRequest.because(message));
        if self.member_id.trim().is_empty() {
            return invalid("MemberId can't be empty.");
        }
        if self.group_id.trim().is_empty() {
            return invalid("GroupId can't be empty.");
        }
        if self.rack_id.as_ref().is_some_and(|rack| rack.trim().is_empty()) {
            return invalid("RackId can't be empty.");
        }
        if self.member_epoch == 0 && self.subscribed_topic_names.as_ref().is_none_or(Vec::is_empty) {
            return invalid("SubscribedTopicNames must be set in first request.");
        }
        if self.member_epoch < LEAVE_EPOCH {
            return invalid("MemberEpoch is invalid.");
        }
        Ok(())
    }
}

/// The answer to ShareGroupHeartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareHeartbeatAnswer {
    pub member_id: StrBytes,
    pub member_epoch: i32,
    pub heartbeat_interval_ms: i32,
    /// All that is the member's, when it has changed or the member said all of itself.
    pub assignment: Option<TopicPartitions>,
}

/// AlterShareGroupOffsets, of topics that exist or not.
#[derive(Debug, Clone)]
pub struct AlterShareOffsets {
    pub group_id: StrBytes,
    pub topics: Vec<AlterShareTopic>,
}

/// The new start offsets of one topic's share partitions.
#[derive(Debug, Clone)]
pub struct AlterShareTopic {
    pub name: StrBytes,
    pub partitions: Vec<(i32, i64)>,
}

/// What the group's part of AlterShareGroupOffsets is: which partitions there are. The share coordinator does the rest.
#[derive(Debug, Clone, PartialEq)]
pub struct AlteredShareOffsets {
    pub topics: Vec<AlteredShareTopic>,
    pub initialize: Vec<InitializeState>,
}

/// One topic of [`AlteredShareOffsets`]; nil if it is not there.
#[derive(Debug, Clone, PartialEq)]
pub struct AlteredShareTopic {
    pub name: StrBytes,
    pub topic_id: Uuid,
    pub partitions: Vec<(i32, Existing)>,
}

/// Whether the cluster has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    Yes,
    No,
}

/// The group's part of DeleteShareGroupOffsets: what the share coordinator shall forget, and what cannot be forgotten.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DeleteShareOffsets {
    pub delete: Vec<ShareTopicPartitions>,
    pub refused: Vec<(StrBytes, NoOffsets)>,
}

/// Share partitions of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareTopicPartitions {
    pub topic_id: Uuid,
    pub name: StrBytes,
    pub partitions: Vec<i32>,
}

/// Why a topic has no offsets to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoOffsets {
    UnknownTopic,
    NotInitialized,
}

/// A group in ShareGroupDescribe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedShareGroup {
    pub state: &'static str,
    pub epoch: i32,
    pub assignment_epoch: i32,
    pub assignor: &'static str,
    pub members: Vec<DescribedShareMember>,
}

/// A member in ShareGroupDescribe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedShareMember {
    pub member_id: StrBytes,
    pub rack_id: Option<StrBytes>,
    pub member_epoch: i32,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
    pub subscribed_topic_names: Vec<StrBytes>,
    pub assignment: Vec<ShareTopicPartitions>,
}
