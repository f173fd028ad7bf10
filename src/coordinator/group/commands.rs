//! What can be asked of a group, and what it answers: plain values, the same for all versions of an API.

use bytes::Bytes;
use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::{GroupError, Producer};
use crate::coordinator::Ticket;

/// One way to share partitions that a member offers, with what it tells the leader (for consumers: its topics).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protocol {
    pub name: StrBytes,
    pub metadata: Bytes,
}

/// JoinGroup. Its answer, a [`JoinAnswer`], leaves under `ticket`.
#[derive(Debug, Clone)]
pub struct Join {
    pub ticket: Ticket,
    pub group_id: StrBytes,
    /// Empty for a member that has no id yet.
    pub member_id: StrBytes,
    pub group_instance_id: Option<StrBytes>,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
    pub session_timeout_ms: i32,
    pub rebalance_timeout_ms: i32,
    pub protocol_type: StrBytes,
    pub protocols: Vec<Protocol>,
    /// From version 4 on a dynamic member joins twice: once to learn its id (KIP-394).
    pub must_know_member_id: bool,
    /// From version 9 on a returning static leader can be told to keep the assignment (KIP-814).
    pub may_skip_assignment: bool,
    /// The chance in a new member's id.
    pub unique: Uuid,
}

/// The answer to JoinGroup: the new generation, or why not and the member id that goes with it.
pub type JoinAnswer = Result<Joined, JoinRefused>;

/// A member's place in a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    pub member_id: StrBytes,
    pub generation_id: i32,
    pub protocol_type: Option<StrBytes>,
    pub protocol_name: Option<StrBytes>,
    pub leader: StrBytes,
    pub skip_assignment: bool,
    /// All members for the leader, none for the others.
    pub members: Vec<JoinedMember>,
}

/// A member as its leader is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    pub member_id: StrBytes,
    pub group_instance_id: Option<StrBytes>,
    pub metadata: Bytes,
}

/// Why a member could not join. `member_id` is what Kafka puts beside the error: often empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRefused {
    pub member_id: StrBytes,
    pub error: GroupError,
}

/// SyncGroup. Its answer, a [`SyncAnswer`], leaves under `ticket`.
#[derive(Debug, Clone)]
pub struct Sync {
    pub ticket: Ticket,
    pub group_id: StrBytes,
    pub member_id: StrBytes,
    pub group_instance_id: Option<StrBytes>,
    pub generation_id: i32,
    /// Checked when given (version 5 on).
    pub protocol_type: Option<StrBytes>,
    /// Checked when given (version 5 on).
    pub protocol_name: Option<StrBytes>,
    /// From the leader: what each member gets, by member id.
    pub assignments: Vec<(StrBytes, Bytes)>,
}

/// The answer to SyncGroup.
pub type SyncAnswer = Result<Synced, GroupError>;

/// A member's assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    pub protocol_type: Option<StrBytes>,
    pub protocol_name: Option<StrBytes>,
    pub assignment: Bytes,
}

/// Heartbeat.
#[derive(Debug, Clone)]
pub struct Heartbeat {
    pub group_id: StrBytes,
    pub member_id: StrBytes,
    pub group_instance_id: Option<StrBytes>,
    pub generation_id: i32,
}

/// LeaveGroup, of one or more members.
#[derive(Debug, Clone)]
pub struct Leave {
    pub group_id: StrBytes,
    pub members: Vec<Leaver>,
}

/// A member that leaves; an empty `member_id` lets an administrator name a static member by its instance alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaver {
    pub member_id: StrBytes,
    pub group_instance_id: Option<StrBytes>,
}

/// What became of each leaver, in the order asked.
pub type LeaveAnswer = Vec<(Leaver, Result<(), GroupError>)>;

/// OffsetCommit.
#[derive(Debug, Clone)]
pub struct Commit {
    pub group_id: StrBytes,
    pub member_id: StrBytes,
    pub group_instance_id: Option<StrBytes>,
    /// -1 for a consumer that is no member.
    pub generation_id: i32,
    /// Versions 2 to 4 could ask to keep the offset for so long.
    pub retention_ms: Option<i64>,
    /// From version 9 on a missing group has its own error, and members of the newer protocols may commit.
    pub api_version: i16,
    pub topics: Vec<CommitTopic>,
}

/// TxnOffsetCommit.
#[derive(Debug, Clone)]
pub struct TransactionalCommit {
    pub group_id: StrBytes,
    pub producer: Producer,
    pub claim: MemberClaim,
    pub topics: Vec<CommitTopic>,
}

impl TransactionalCommit {
    /// Each partition with its topic.
    pub fn partitions(&self) -> impl Iterator<Item = (&CommitTopic, &CommitPartition)> {
        self.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |partition| (topic, partition)))
    }
}

/// Who a commit says that it comes from: nobody, in the first versions of TxnOffsetCommit.
#[derive(Debug, Clone, Default)]
pub struct MemberClaim {
    pub member_id: StrBytes,
    pub group_instance_id: Option<StrBytes>,
    /// -1 for none. A member epoch in the newer kinds of groups.
    pub generation_id: i32,
}

impl MemberClaim {
    pub fn is_nobody(&self) -> bool {
        self.generation_id < 0 && self.member_id.is_empty() && self.group_instance_id.is_none()
    }
}

/// The offsets of one topic in a commit.
#[derive(Debug, Clone)]
pub struct CommitTopic {
    pub name: StrBytes,
    /// Nil if the request had names only.
    pub topic_id: Uuid,
    pub partitions: Vec<CommitPartition>,
}

/// One offset in a commit; `leader_epoch` is -1 if unknown.
#[derive(Debug, Clone)]
pub struct CommitPartition {
    pub index: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: StrBytes,
}

/// What became of each partition, in the order asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicResults {
    pub name: StrBytes,
    pub topic_id: Uuid,
    pub partitions: Vec<(i32, Result<(), GroupError>)>,
}

/// The partitions of one topic in OffsetFetch and OffsetDelete.
#[derive(Debug, Clone)]
pub struct TopicPartitions {
    pub name: StrBytes,
    /// Nil if the request had names only.
    pub topic_id: Uuid,
    pub partitions: Vec<i32>,
}

/// OffsetFetch, of one group.
#[derive(Debug, Clone)]
pub struct FetchOffsets {
    pub group_id: StrBytes,
    /// A member of one of the newer protocols says who it is (version 9 on), and its epoch.
    pub member_id: Option<StrBytes>,
    /// -1 if nothing was said.
    pub member_epoch: i32,
    /// Says so of an offset that an open transaction may change (KIP-447), instead of what it is.
    pub require_stable: bool,
    /// `None` asks for all topics.
    pub topics: Option<Vec<TopicPartitions>>,
}

/// The committed offsets of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedTopic {
    pub name: StrBytes,
    pub topic_id: Uuid,
    pub partitions: Vec<FetchedOffset>,
}

/// A committed offset; -1 where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedOffset {
    pub index: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: StrBytes,
    /// Not told, since an open transaction may change it.
    pub is_unstable: bool,
}

/// OffsetDelete.
#[derive(Debug, Clone)]
pub struct DeleteOffsets {
    pub group_id: StrBytes,
    pub topics: Vec<TopicPartitions>,
}

/// A group in ListGroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGroup {
    pub group_id: StrBytes,
    pub protocol_type: StrBytes,
    pub state: &'static str,
    pub group_type: &'static str,
}

/// A group in DescribeGroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedGroup {
    pub group_id: StrBytes,
    pub state: &'static str,
    pub protocol_type: StrBytes,
    /// The chosen protocol, when the group is stable.
    pub protocol: StrBytes,
    pub members: Vec<DescribedMember>,
}

/// A member in DescribeGroups; `metadata` is empty unless the group is stable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedMember {
    pub member_id: StrBytes,
    pub group_instance_id: Option<StrBytes>,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
    pub metadata: Bytes,
    pub assignment: Bytes,
}
