//! What is in a shard's log: the groups' last stable generations and their committed offsets.
//!
//! [`HardState::replay`] is the only code that changes it, live and at a reload.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::consumer::RefreshCheck;
use super::offsets::{PendingOffset, PendingOffsets};
use super::{ConsumerGroup, ConsumerRecord, ShareGroup, ShareRecord, StreamsGroup, StreamsRecord};
use crate::coordinator::marker::TxnMarker;

/// A record of `__consumer_offsets`. `None` is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupRecord {
    /// A committed offset (key type 1).
    Offset { group_id: StrBytes, topic: StrBytes, partition: i32, offset: Option<CommittedOffset> },
    /// A group's generation, members and assignment (key type 2).
    Group { group_id: StrBytes, group: Option<LoggedGroup> },
    /// An offset that counts once its producer's transaction is committed (key type 1, in a transactional batch).
    PendingOffset {
        producer: Producer,
        group_id: StrBytes,
        topic: StrBytes,
        partition: i32,
        offset: CommittedOffset,
    },
    /// The end of a producer's transaction: a control batch.
    Marker(TxnMarker),
    /// Of a group of the consumer protocol (key types 3 to 8, and 16).
    Consumer { group_id: StrBytes, record: ConsumerRecord },
    /// Of a share group (key types 9 to 15).
    Share { group_id: StrBytes, record: ShareRecord },
    /// Of a streams group (key types 17 to 23).
    Streams { group_id: StrBytes, record: StreamsRecord },
}

/// A producer, as its batches name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
}

/// A group as its log has it. A group is of one kind at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HardGroup {
    Classic(LoggedGroup),
    Consumer(Box<ConsumerGroup>),
    Share(Box<ShareGroup>),
    Streams(Box<StreamsGroup>),
}

/// A committed offset, as OffsetCommitValue holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    pub offset: i64,
    /// -1 if the committer did not know it.
    pub leader_epoch: i32,
    pub metadata: StrBytes,
    pub commit_timestamp_ms: i64,
    /// Set by old committers that asked for their own retention.
    pub expire_timestamp_ms: Option<i64>,
    /// Nil if the commit named the topic only.
    pub topic_id: Uuid,
}

/// A group, as GroupMetadataValue holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedGroup {
    /// Empty for a group that nobody has joined.
    pub protocol_type: StrBytes,
    pub generation: i32,
    pub protocol: Option<StrBytes>,
    pub leader: Option<StrBytes>,
    /// When the group came into its state; `None` in records of very old brokers.
    pub current_state_timestamp_ms: Option<i64>,
    pub members: Vec<LoggedMember>,
}

impl LoggedGroup {
    /// It was a consumer group until just now, and its members were told to join anew, but no generation has come of that
    /// yet. Only then nobody leads: whoever was in a generation knows its leader.
    pub fn awaits_rebalance(&self) -> bool {
        self.leader.is_none() && !self.members.is_empty()
    }
}

/// A member, as GroupMetadataValue holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedMember {
    pub member_id: StrBytes,
    pub group_instance_id: Option<StrBytes>,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
    /// -1 in records of very old brokers: the session timeout counts.
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    pub subscription: Bytes,
    pub assignment: Bytes,
}

/// The offsets of a group, by topic and partition.
pub type GroupOffsets = BTreeMap<StrBytes, BTreeMap<i32, CommittedOffset>>;

/// The fold of a shard's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HardState {
    groups: HashMap<StrBytes, HardGroup>,
    offsets: HashMap<StrBytes, GroupOffsets>,
    pending: PendingOffsets,
}

impl HardState {
    /// Applies one record.
    pub fn replay(&mut self, record: &GroupRecord) {
        match record {
            GroupRecord::Group { group_id, group: Some(group) } => {
                self.put_group(group_id, HardGroup::Classic(group.clone()));
            }
            // Where the group became one of another kind, the tombstone is of what it was.
            GroupRecord::Group { group_id, group: None } => {
                if matches!(self.groups.get(group_id), Some(HardGroup::Classic(_))) {
                    self.groups.remove(group_id);
                }
            }
            GroupRecord::Consumer { group_id, record } => self.replay_consumer(group_id, record),
            GroupRecord::Share { group_id, record } => self.replay_share(group_id, record),
            GroupRecord::Streams { group_id, record } => self.replay_streams(group_id, record),
            GroupRecord::Offset { group_id, topic, partition, offset: Some(offset) } => {
                self.pending.overtake(group_id, topic, *partition);
                self.put_offset(group_id, topic, *partition, offset);
            }
            GroupRecord::Offset { group_id, topic, partition, offset: None } => {
                self.pending.remove(group_id, topic, *partition);
                self.remove_offset(group_id, topic, *partition);
            }
            GroupRecord::PendingOffset { producer, group_id, topic, partition, offset } => {
                self.pending.put(producer.id, group_id, topic, *partition, offset);
            }
            GroupRecord::Marker(marker) => {
                let ended = self.pending.end(marker.producer_id);
                for PendingOffset { group_id, topic, partition, number, offset } in ended {
                    if let Some(offset) = offset.filter(|_| marker.is_commit) {
                        self.pending.overtake_before(number, &group_id, &topic, partition);
                        self.put_offset(&group_id, &topic, partition, &offset);
                    }
                }
            }
        }
    }

    /// A logged group of any kind.
    pub fn group(&self, group_id: &StrBytes) -> Option<&HardGroup> {
        self.groups.get(group_id)
    }

    /// A logged group's id, as it is kept here.
    pub fn kept_id(&self, group_id: &StrBytes) -> Option<&StrBytes> {
        self.groups.get_key_value(group_id).map(|(group_id, _)| group_id)
    }

    /// Whether a group of any kind is logged.
    pub fn has(&self, group_id: &StrBytes) -> bool {
        self.groups.contains_key(group_id)
    }

    /// All logged groups.
    pub fn groups(&self) -> impl Iterator<Item = (&StrBytes, &HardGroup)> {
        self.groups.iter()
    }

    pub fn consumer_group(&self, group_id: &StrBytes) -> Option<&ConsumerGroup> {
        match self.groups.get(group_id) {
            Some(HardGroup::Consumer(group)) => Some(group),
            _ => None,
        }
    }

    pub fn share_group(&self, group_id: &StrBytes) -> Option<&ShareGroup> {
        match self.groups.get(group_id) {
            Some(HardGroup::Share(group)) => Some(group),
            _ => None,
        }
    }

    /// All share groups.
    pub fn share_groups(&self) -> impl Iterator<Item = (&StrBytes, &ShareGroup)> {
        self.groups.iter().filter_map(|(group_id, group)| match group {
            HardGroup::Share(group) => Some((group_id, &**group)),
            _ => None,
        })
    }

    pub fn streams_group(&self, group_id: &StrBytes) -> Option<&StreamsGroup> {
        match self.groups.get(group_id) {
            Some(HardGroup::Streams(group)) => Some(group),
            _ => None,
        }
    }

    /// Notes what a group was compared with; it is no part of what the log has.
    pub fn set_consumer_checked(&mut self, group_id: &StrBytes, checked: RefreshCheck) {
        if let Some(HardGroup::Consumer(group)) = self.groups.get_mut(group_id) {
            group.checked = checked;
        }
    }

    /// The committed offsets of a group.
    pub fn offsets(&self, group_id: &StrBytes) -> Option<&GroupOffsets> {
        self.offsets.get(group_id)
    }

    /// The offsets that wait for the end of their transactions.
    pub fn pending(&self) -> &PendingOffsets {
        &self.pending
    }

    /// All groups that have committed offsets.
    pub fn all_offsets(&self) -> impl Iterator<Item = (&StrBytes, &GroupOffsets)> {
        self.offsets.iter()
    }

    /// One committed offset.
    pub fn offset(&self, group_id: &StrBytes, topic: &StrBytes, partition: i32) -> Option<&CommittedOffset> {
        self.offsets.get(group_id)?.get(topic)?.get(&partition)
    }

    // A record makes the group that it is of, as Kafka's replay does; the last tombstone, of the group's epoch, ends it.

    fn replay_consumer(&mut self, group_id: &StrBytes, record: &ConsumerRecord) {
        if self.consumer_group(group_id).is_none() {
            // Of a group that is gone since, or became one of another kind.
            if record.is_tombstone() {
                return;
            }
            self.put_group(group_id, HardGroup::Consumer(Box::default()));
        }
        if let Some(HardGroup::Consumer(group)) = self.groups.get_mut(group_id)
            && group.replay(record) == Existence::Ended
        {
            self.groups.remove(group_id);
        }
    }

    fn replay_share(&mut self, group_id: &StrBytes, record: &ShareRecord) {
        if self.share_group(group_id).is_none() {
            self.put_group(group_id, HardGroup::Share(Box::default()));
        }
        if let Some(HardGroup::Share(group)) = self.groups.get_mut(group_id)
            && group.replay(record) == Existence::Ended
        {
            self.groups.remove(group_id);
        }
    }

    fn replay_streams(&mut self, group_id: &StrBytes, record: &StreamsRecord) {
        if self.streams_group(group_id).is_none() {
            self.put_group(group_id, HardGroup::Streams(Box::default()));
        }
        if let Some(HardGroup::Streams(group)) = self.groups.get_mut(group_id)
            && group.replay(record) == Existence::Ended
        {
            self.groups.remove(group_id);
        }
    }

    fn put_group(&mut self, group_id: &StrBytes, group: HardGroup) {
        match self.groups.get_mut(group_id) {
            Some(slot) => *slot = group,
            None => {
                self.groups.insert(kept(group_id), group);
            }
        }
    }

    fn put_offset(
        &mut self,
        group_id: &StrBytes,
        topic: &StrBytes,
        partition: i32,
        offset: &CommittedOffset,
    ) {
        let offset = CommittedOffset { metadata: kept(&offset.metadata), ..offset.clone() };
        if !self.offsets.contains_key(group_id) {
            self.offsets.insert(kept(group_id), GroupOffsets::new());
        }
        let Some(topics) = self.offsets.get_mut(group_id) else {
            return;
        };
        if let Some(partitions) = topics.get_mut(topic) {
            partitions.insert(partition, offset);
        } else {
            topics.insert(kept(topic), BTreeMap::from([(partition, offset)]));
        }
    }

    fn remove_offset(&mut self, group_id: &StrBytes, topic: &StrBytes, partition: i32) {
        let Some(topics) = self.offsets.get_mut(group_id) else {
            return;
        };
        if let Some(partitions) = topics.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                topics.remove(topic);
            }
        }
        if topics.is_empty() {
            self.offsets.remove(group_id);
        }
    }
}

/// Whether a group is still there after a record of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existence {
    Lasting,
    /// Nothing of it is left: a tombstone took the last.
    Ended,
}

/// A copy of its own: a string of a request is a slice of its frame and would keep all of it in memory.
pub fn kept(string: &StrBytes) -> StrBytes {
    if string.is_empty() { StrBytes::new() } else { StrBytes::from_string(string.to_string()) }
}
