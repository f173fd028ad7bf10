//! What the log has of a share group.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;

use super::states::ShareStates;
use crate::coordinator::group::assignors::TopicPartitions;
use crate::coordinator::group::hard::{Existence, kept};

/// A record of a share group. `None` is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareRecord {
    /// Who a member is (key type 10).
    Member { member_id: StrBytes, member: Option<MemberMetadata> },
    /// The group's epoch and the hash of its topics (key type 11). Its tombstone ends the group.
    Epoch(Option<(i32, i64)>),
    /// What a member is to have (key type 12).
    Target { member_id: StrBytes, partitions: Option<TopicPartitions> },
    /// The epoch of the target assignment, and when it was made (key type 13).
    TargetEpoch(Option<(i32, i64)>),
    /// What a member has (key type 14).
    Current { member_id: StrBytes, current: Option<CurrentAssignment> },
    /// What the share coordinator knows (key type 15).
    States(Option<ShareStates>),
}

/// Who a member is, as ShareGroupMemberMetadataValue holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberMetadata {
    pub rack_id: Option<StrBytes>,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
    pub subscribed_topic_names: BTreeSet<StrBytes>,
}

/// What a member has, as ShareGroupCurrentMemberAssignmentValue holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentAssignment {
    pub member_epoch: i32,
    pub previous_member_epoch: i32,
    pub partitions: TopicPartitions,
}

/// A share group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareGroup {
    pub epoch: i32,
    pub metadata_hash: i64,
    pub members: BTreeMap<StrBytes, ShareMember>,
    pub target: BTreeMap<StrBytes, TopicPartitions>,
    /// A new assignment is due when it is smaller than the group's epoch.
    pub assignment_epoch: i32,
    /// 0 if there was none yet.
    pub assignment_timestamp_ms: i64,
    pub states: Option<ShareStates>,
}

/// A member of a share group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareMember {
    pub metadata: MemberMetadata,
    pub current: CurrentAssignment,
}

impl Default for ShareGroup {
    /// A group before its first record: epochs begin with 1.
    fn default() -> Self {
        ShareGroup {
            epoch: 1,
            metadata_hash: 0,
            members: BTreeMap::new(),
            target: BTreeMap::new(),
            assignment_epoch: 1,
            assignment_timestamp_ms: 0,
            states: None,
        }
    }
}

impl Default for ShareMember {
    fn default() -> Self {
        let current = CurrentAssignment {
            member_epoch: 0,
            previous_member_epoch: -1,
            partitions: TopicPartitions::new(),
        };
        ShareMember { metadata: MemberMetadata::default(), current }
    }
}

impl ShareGroup {
    /// Applies one record.
    pub fn replay(&mut self, record: &ShareRecord) -> Existence {
        if record.is_tombstone() && *self == ShareGroup::default() {
            // What compaction left of a group that has ended.
            return Existence::Ended;
        }
        match record {
            ShareRecord::Epoch(None) => return Existence::Ended,
            ShareRecord::Epoch(Some((epoch, metadata_hash))) => {
                self.epoch = *epoch;
                self.metadata_hash = *metadata_hash;
            }
            ShareRecord::Member { member_id, member: Some(metadata) } => {
                self.member_mut(member_id).metadata = metadata.kept();
            }
            ShareRecord::Member { member_id, member: None } => {
                self.members.remove(member_id);
            }
            ShareRecord::Target { member_id, partitions: Some(partitions) } => {
                self.target.insert(kept(member_id), partitions.clone());
            }
            ShareRecord::Target { member_id, partitions: None } => {
                self.target.remove(member_id);
            }
            ShareRecord::TargetEpoch(metadata) => {
                (self.assignment_epoch, self.assignment_timestamp_ms) = metadata.unwrap_or((-1, 0));
            }
            ShareRecord::Current { member_id, current: Some(current) } => {
                self.member_mut(member_id).current = current.clone();
            }
            ShareRecord::Current { member_id, current: None } => {
                if let Some(member) = self.members.get_mut(member_id) {
                    member.current = CurrentAssignment {
                        member_epoch: -1,
                        previous_member_epoch: -1,
                        partitions: TopicPartitions::new(),
                    };
                }
            }
            ShareRecord::States(states) => self.states = states.clone(),
        }
        Existence::Lasting
    }

    /// The topics that members subscribe to.
    pub fn subscribed_topic_names(&self) -> BTreeSet<&StrBytes> {
        self.members.values().flat_map(|member| &member.metadata.subscribed_topic_names).collect()
    }

    /// As ListGroups and ShareGroupDescribe name it.
    pub fn state(&self) -> &'static str {
        if self.members.is_empty() { "Empty" } else { "Stable" }
    }

    fn member_mut(&mut self, member_id: &StrBytes) -> &mut ShareMember {
        if !self.members.contains_key(member_id) {
            self.members.insert(kept(member_id), ShareMember::default());
        }
        self.members.entry(member_id.clone()).or_default()
    }
}

impl ShareRecord {
    fn is_tombstone(&self) -> bool {
        match self {
            ShareRecord::Member { member, .. } => member.is_none(),
            ShareRecord::Epoch(value) | ShareRecord::TargetEpoch(value) => value.is_none(),
            ShareRecord::Target { partitions, .. } => partitions.is_none(),
            ShareRecord::Current { current, .. } => current.is_none(),
            ShareRecord::States(states) => states.is_none(),
        }
    }
}

impl MemberMetadata {
    fn kept(&self) -> MemberMetadata {
        MemberMetadata {
            rack_id: self.rack_id.as_ref().map(kept),
            client_id: kept(&self.client_id),
            client_host: kept(&self.client_host),
            subscribed_topic_names: self.subscribed_topic_names.iter().map(kept).collect(),
        }
    }
}
