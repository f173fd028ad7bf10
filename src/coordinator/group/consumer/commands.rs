//! What is asked of a group of the consumer protocol, and what it answers.

use ottla_protocol::StrBytes;
use uuid::Uuid;

/// Partitions of some topics, as requests and answers list them.
pub type TopicPartitionList = Vec<(Uuid, Vec<i32>)>;

/// ConsumerGroupHeartbeat. `None` is what the member leaves unsaid because it has not changed.
#[derive(Debug, Clone)]
pub struct ConsumerHeartbeat {
    pub group_id: StrBytes,
    /// Empty for a new member of version 0: the coordinator names it.
    pub member_id: StrBytes,
    pub member_epoch: i32,
    pub instance_id: Option<StrBytes>,
    pub rack_id: Option<StrBytes>,
    pub rebalance_timeout_ms: Option<i32>,
    pub subscribed_topic_names: Option<Vec<StrBytes>>,
    pub subscribed_topic_regex: Option<StrBytes>,
    pub server_assignor: Option<StrBytes>,
    /// What the member owns.
    pub topic_partitions: Option<TopicPartitionList>,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
    /// From version 1 on a member brings an id of its own.
    pub must_name_itself: bool,
    /// The id of a member that has none.
    pub unique: Uuid,
}

/// What a member is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    pub member_id: StrBytes,
    pub member_epoch: i32,
    /// 0 for a member that leaves.
    pub heartbeat_interval_ms: i32,
    /// What it shall own; `None` if that has not changed.
    pub assignment: Option<TopicPartitionList>,
}

/// A group in ConsumerGroupDescribe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedConsumerGroup {
    pub group_id: StrBytes,
    pub state: &'static str,
    pub group_epoch: i32,
    pub assignment_epoch: i32,
    pub assignor: &'static str,
    pub members: Vec<DescribedConsumerMember>,
}

/// A member in ConsumerGroupDescribe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedConsumerMember {
    pub member_id: StrBytes,
    pub instance_id: Option<StrBytes>,
    pub rack_id: Option<StrBytes>,
    pub member_epoch: i32,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
    pub subscribed_topic_names: Vec<StrBytes>,
    pub subscribed_topic_regex: StrBytes,
    /// What it owns, with what it has not given up yet.
    pub assignment: Vec<DescribedTopic>,
    pub target_assignment: Vec<DescribedTopic>,
    pub uses_classic_protocol: bool,
}

/// A topic that exists, and the partitions of it that a member has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedTopic {
    pub topic_id: Uuid,
    pub topic_name: StrBytes,
    pub partitions: Vec<i32>,
}
