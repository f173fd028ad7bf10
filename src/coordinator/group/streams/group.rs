//! A streams group as the log has it, and its replay.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::StrBytes;

use super::super::commands::{MemberClaim, TransactionalCommit};
use super::super::hard::{Existence, kept};
use super::super::life::{AnyGroup, Retention};
use super::super::{GroupError, GroupRecord};
use super::member::{CurrentAssignment, MemberMetadata, StreamsMember};
use super::owners::Owners;
use super::tasks::TaskSet;
use super::topology::Topology;

/// A record of a streams group. `None` is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamsRecord {
    /// The group's epoch and what it rests on (key type 17).
    Metadata(Option<GroupMetadata>),
    /// What a member said of itself (19).
    Member(StrBytes, Option<Box<MemberMetadata>>),
    /// For which epoch the targets were worked out (20).
    TargetMetadata(Option<TargetMetadata>),
    /// What a member shall have (21).
    Target(StrBytes, Option<TaskSet>),
    /// What a member has (22).
    Current(StrBytes, Option<Box<CurrentAssignment>>),
    /// The application's topology (23).
    Topology(Option<Arc<Topology>>),
}

/// A group's epoch and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadata {
    /// Grows with every change of members, topics or assignment configurations.
    pub epoch: i32,
    /// Of the topology's topics.
    pub metadata_hash: i64,
    /// The topology's epoch if its topics are all there, else -1.
    pub validated_topology_epoch: i32,
    /// The configurations of the last assignment.
    pub assignment_configs: BTreeMap<StrBytes, StrBytes>,
}

/// For which epoch the targets were worked out, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetMetadata {
    pub epoch: i32,
    /// 0 if never.
    pub timestamp_ms: i64,
}

/// A streams group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamsGroup {
    pub metadata: GroupMetadata,
    pub target_metadata: TargetMetadata,
    pub topology: Option<Arc<Topology>>,
    pub members: BTreeMap<StrBytes, StreamsMember>,
    pub targets: BTreeMap<StrBytes, TaskSet>,
    pub owners: Owners,
}

/// A group's state in ListGroups and StreamsGroupDescribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamsState {
    Empty,
    /// Its topics are not as its topology needs them.
    NotReady,
    Assigning,
    Reconciling,
    Stable,
}

impl StreamsGroup {
    /// Applies one record.
    pub fn replay(&mut self, record: &StreamsRecord) -> Existence {
        match record {
            StreamsRecord::Metadata(metadata) => self.metadata = metadata.clone().unwrap_or_default(),
            StreamsRecord::TargetMetadata(target) => self.target_metadata = target.unwrap_or_default(),
            StreamsRecord::Topology(topology) => self.topology = topology.clone(),
            StreamsRecord::Member(member_id, Some(metadata)) => {
                let metadata = (**metadata).clone();
                self.change_member(member_id, |member| member.metadata = metadata);
            }
            StreamsRecord::Member(member_id, None) => self.remove_member(member_id),
            StreamsRecord::Current(member_id, Some(current)) => {
                let current = (**current).clone();
                self.change_member(member_id, |member| member.current = current);
            }
            StreamsRecord::Current(member_id, None) => {
                if self.members.contains_key(member_id) {
                    self.change_member(member_id, |member| member.current = CurrentAssignment::gone());
                }
            }
            StreamsRecord::Target(member_id, Some(target)) => {
                self.targets.insert(kept(member_id), target.clone());
            }
            StreamsRecord::Target(member_id, None) => {
                self.targets.remove(member_id);
            }
        }
        if *self == StreamsGroup::default() { Existence::Ended } else { Existence::Lasting }
    }

    pub fn state(&self) -> StreamsState {
        let topology_epoch = self.topology.as_ref().map(|topology| topology.epoch);
        let target_epoch = self.target_metadata.epoch;
        if self.members.is_empty() {
            StreamsState::Empty
        } else if topology_epoch != Some(self.metadata.validated_topology_epoch) {
            StreamsState::NotReady
        } else if self.metadata.epoch > target_epoch {
            StreamsState::Assigning
        } else if self.members.values().any(|member| !member.is_reconciled_to(target_epoch)) {
            StreamsState::Reconciling
        } else {
            StreamsState::Stable
        }
    }

    fn change_member(&mut self, member_id: &StrBytes, change: impl FnOnce(&mut StreamsMember)) {
        let is_new = !self.members.contains_key(member_id);
        let id = if is_new { kept(member_id) } else { member_id.clone() };
        let member = self.members.entry(id).or_default();
        for tasks in [&member.current.tasks, &member.current.pending_revocation] {
            self.owners.remove(tasks, &member.metadata.process_id);
        }
        change(member);
        for tasks in [&member.current.tasks, &member.current.pending_revocation] {
            self.owners.add(tasks, &member.metadata.process_id);
        }
    }

    fn remove_member(&mut self, member_id: &StrBytes) {
        if let Some(member) = self.members.remove(member_id) {
            for tasks in [&member.current.tasks, &member.current.pending_revocation] {
                self.owners.remove(tasks, &member.metadata.process_id);
            }
        }
    }
}

impl AnyGroup for StreamsGroup {
    fn group_type(&self) -> &'static str {
        "streams"
    }

    fn protocol_type(&self) -> StrBytes {
        StrBytes::from_static_str("streams")
    }

    fn state_name(&self) -> &'static str {
        self.state().name()
    }

    fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn is_subscribed_to(&self, topic: &StrBytes) -> bool {
        let topology = self.topology.as_ref().filter(|_| !self.members.is_empty());
        topology.is_some_and(|topology| topology.subtopology_of(topic).is_some())
    }

    fn retention(&self) -> Retention {
        Retention::SinceCommit
    }

    fn check_transactional_commit(&self, commit: &TransactionalCommit) -> Result<(), GroupError> {
        let MemberClaim { member_id, group_instance_id, generation_id } = &commit.claim;
        let instance_id = group_instance_id.as_ref();
        let claim = StreamsGroup::check_transactional_commit(self, member_id, instance_id, *generation_id)?;
        commit.partitions().try_for_each(|(topic, partition)| claim.check(&topic.name, partition.index))
    }

    fn tombstones(&self, group_id: &StrBytes) -> Vec<GroupRecord> {
        [StreamsRecord::TargetMetadata(None), StreamsRecord::Metadata(None), StreamsRecord::Topology(None)]
            .map(|record| GroupRecord::Streams { group_id: group_id.clone(), record })
            .into()
    }
}

impl StreamsState {
    pub fn name(self) -> &'static str {
        match self {
            StreamsState::Empty => "Empty",
            StreamsState::NotReady => "NotReady",
            StreamsState::Assigning => "Assigning",
            StreamsState::Reconciling => "Reconciling",
            StreamsState::Stable => "Stable",
        }
    }
}

/// A new group begins in epoch 1, and so does its target, which nobody has worked out.
impl Default for GroupMetadata {
    fn default() -> Self {
        GroupMetadata {
            epoch: 1,
            metadata_hash: 0,
            validated_topology_epoch: -1,
            assignment_configs: BTreeMap::new(),
        }
    }
}

impl Default for TargetMetadata {
    fn default() -> Self {
        TargetMetadata { epoch: 1, timestamp_ms: 0 }
    }
}

impl CurrentAssignment {
    /// Of a member that is about to go.
    fn gone() -> CurrentAssignment {
        CurrentAssignment { member_epoch: -1, previous_member_epoch: -1, ..CurrentAssignment::default() }
    }
}
