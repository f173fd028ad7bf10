//! What the log has of a group, and its replay.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::super::assignors::{Assignor, TopicPartitions};
use super::super::hard::{Existence, kept};
use super::records::{ConsumerRecord, ResolvedPattern};
use super::{CurrentAssignment, Member, MemberMetadata};
use crate::coordinator::ClusterView;

/// Where a group stands. Kafka's fifth state, Dead, is a group that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumerState {
    /// No members.
    Empty,
    /// The group's epoch has no target assignment yet.
    Assigning,
    /// Members are on their way to their target.
    Reconciling,
    Stable,
}

impl ConsumerState {
    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            ConsumerState::Empty => "Empty",
            ConsumerState::Assigning => "Assigning",
            ConsumerState::Reconciling => "Reconciling",
            ConsumerState::Stable => "Stable",
        }
    }
}

/// A group of the consumer protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerGroup {
    /// Grows with whatever changes who shall have what.
    pub epoch: i32,
    /// Of the topics that the members subscribe to.
    pub metadata_hash: i64,
    /// The epoch that the target assignment is for; behind the group's until that has one.
    pub target_epoch: i32,
    /// When the target assignment was made; 0 if there was none.
    pub target_timestamp_ms: i64,
    /// Whether the log has the record in which Kafka 4.0 kept the topics' metadata.
    pub has_partition_metadata: bool,
    members: BTreeMap<StrBytes, Member>,
    targets: BTreeMap<StrBytes, TopicPartitions>,
    patterns: BTreeMap<StrBytes, ResolvedPattern>,
    /// What can be worked out of the above.
    index: Index,
    /// What was looked at, and needs not be looked at again.
    pub checked: RefreshCheck,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Index {
    /// Member id by instance id.
    static_members: BTreeMap<StrBytes, StrBytes>,
    /// Who may own a partition.
    owners: HashMap<Uuid, HashMap<i32, StrBytes>>,
    /// How many members subscribe to a topic by its name.
    topics: BTreeMap<StrBytes, usize>,
    /// How many members subscribe to a regular expression.
    regexes: BTreeMap<StrBytes, usize>,
}

/// What was compared with the cluster's metadata last. Lost with the shard: then it is compared once more.
#[derive(Debug, Clone, Copy, Default)]
pub struct RefreshCheck {
    /// The version of the metadata whose topics were hashed.
    pub metadata_version: Option<i64>,
    /// The version of the metadata that regular expressions were resolved in, and when.
    pub patterns: Option<(i64, i64)>,
}

/// No part of what a group is.
impl PartialEq for RefreshCheck {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for RefreshCheck {}

impl Default for ConsumerGroup {
    /// A group before its first member. Kafka's first epoch is 1, so the first member joins in 2.
    fn default() -> Self {
        ConsumerGroup {
            epoch: 1,
            metadata_hash: 0,
            target_epoch: 1,
            target_timestamp_ms: 0,
            has_partition_metadata: false,
            members: BTreeMap::new(),
            targets: BTreeMap::new(),
            patterns: BTreeMap::new(),
            index: Index::default(),
            checked: RefreshCheck::default(),
        }
    }
}

impl ConsumerGroup {
    /// Applies one record.
    pub fn replay(&mut self, record: &ConsumerRecord) -> Existence {
        match record {
            ConsumerRecord::Epoch(Some(epoch)) => {
                self.epoch = epoch.epoch;
                self.metadata_hash = epoch.metadata_hash;
            }
            ConsumerRecord::Epoch(None) => return Existence::Ended,
            ConsumerRecord::PartitionMetadata { is_kept } => self.has_partition_metadata = *is_kept,
            ConsumerRecord::Member(member_id, Some(metadata)) => self.put_metadata(member_id, metadata),
            ConsumerRecord::Member(member_id, None) => self.remove_member(member_id),
            ConsumerRecord::TargetEpoch(Some(target)) => {
                self.target_epoch = target.epoch;
                self.target_timestamp_ms = target.timestamp_ms;
            }
            ConsumerRecord::TargetEpoch(None) => {
                self.target_epoch = -1;
                self.target_timestamp_ms = 0;
            }
            ConsumerRecord::Target(member_id, Some(partitions)) => {
                put(&mut self.targets, member_id, partitions.clone());
            }
            ConsumerRecord::Target(member_id, None) => {
                self.targets.remove(member_id);
            }
            ConsumerRecord::Current(member_id, Some(current)) => self.put_current(member_id, current.clone()),
            ConsumerRecord::Current(member_id, None) => {
                if self.members.contains_key(member_id) {
                    self.put_current(member_id, CurrentAssignment::gone());
                }
            }
            ConsumerRecord::Pattern(regex, resolved) => self.put_pattern(regex, resolved.as_ref()),
        }
        Existence::Lasting
    }

    pub fn state(&self) -> ConsumerState {
        if self.members.is_empty() {
            ConsumerState::Empty
        } else if self.epoch > self.target_epoch {
            ConsumerState::Assigning
        } else if self.members.values().any(|member| !member.is_reconciled_to(self.target_epoch)) {
            ConsumerState::Reconciling
        } else {
            ConsumerState::Stable
        }
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub fn members(&self) -> &BTreeMap<StrBytes, Member> {
        &self.members
    }

    pub fn member(&self, member_id: &StrBytes) -> Option<&Member> {
        self.members.get(member_id)
    }

    /// The member of an instance id: its member id and itself.
    pub fn static_member(&self, instance_id: &StrBytes) -> Option<(&StrBytes, &Member)> {
        self.members.get_key_value(self.index.static_members.get(instance_id)?)
    }

    /// What a member shall have; nothing if it is too new for the target assignment.
    pub fn target(&self, member_id: &StrBytes) -> Option<&TopicPartitions> {
        self.targets.get(member_id)
    }

    /// What a resolved regular expression matches.
    pub fn pattern(&self, regex: &StrBytes) -> Option<&ResolvedPattern> {
        self.patterns.get(regex)
    }

    pub fn patterns(&self) -> &BTreeMap<StrBytes, ResolvedPattern> {
        &self.patterns
    }

    /// How many members subscribe to a regular expression.
    pub fn regex_members(&self, regex: &StrBytes) -> usize {
        self.index.regexes.get(regex).copied().unwrap_or(0)
    }

    /// The regular expressions that members subscribe to.
    pub fn regexes(&self) -> impl Iterator<Item = &StrBytes> {
        self.index.regexes.keys()
    }

    pub fn has_regexes(&self) -> bool {
        !self.index.regexes.is_empty()
    }

    /// Whether a partition may be owned by another member.
    pub fn is_held_by_another(&self, topic_id: Uuid, partition: i32, member_id: &StrBytes) -> bool {
        self.owner(topic_id, partition).is_some_and(|owner| owner != member_id)
    }

    pub fn owner(&self, topic_id: Uuid, partition: i32) -> Option<&StrBytes> {
        self.index.owners.get(&topic_id)?.get(&partition)
    }

    pub fn is_subscribed_to(&self, topic: &StrBytes) -> bool {
        self.index.topics.contains_key(topic)
            || self.patterns.values().any(|pattern| pattern.topics.contains(topic))
    }

    /// The topics that members name, whether they exist or not.
    pub fn named_topics(&self) -> impl Iterator<Item = &StrBytes> {
        self.index.topics.keys()
    }

    /// The topics that would be subscribed to if `without` went and `with` came.
    pub fn subscribed_topics_after<'a>(
        &'a self,
        without: &[&'a MemberMetadata],
        with: Option<&'a MemberMetadata>,
    ) -> BTreeSet<&'a StrBytes> {
        let mut gone: BTreeMap<&StrBytes, usize> = BTreeMap::new();
        for topic in without.iter().flat_map(|metadata| &metadata.subscribed_topic_names) {
            *gone.entry(topic).or_default() += 1;
        }
        let is_left =
            |(topic, members): &(&StrBytes, &usize)| gone.get(topic).is_none_or(|gone| gone < members);
        let left = self.index.topics.iter().filter(is_left).map(|(topic, _)| topic);
        let new = with.into_iter().flat_map(|metadata| &metadata.subscribed_topic_names);
        let abandoned = self.abandoned_regexes(without, with);
        let patterns = self.patterns.iter().filter(|(regex, _)| !abandoned.contains(regex));
        left.chain(new).chain(patterns.flat_map(|(_, pattern)| &pattern.topics)).collect()
    }

    /// The regular expressions that nobody would subscribe to any more if `without` went and `with` came.
    pub fn abandoned_regexes<'a>(
        &'a self,
        without: &[&'a MemberMetadata],
        with: Option<&'a MemberMetadata>,
    ) -> BTreeSet<&'a StrBytes> {
        let mut gone: BTreeMap<&StrBytes, usize> = BTreeMap::new();
        for regex in without.iter().filter_map(|metadata| metadata.regex()) {
            *gone.entry(regex).or_default() += 1;
        }
        let stays = with.and_then(MemberMetadata::regex);
        let is_abandoned =
            |(regex, gone): &(&StrBytes, usize)| Some(*regex) != stays && self.regex_members(regex) == *gone;
        gone.into_iter().filter(is_abandoned).map(|(regex, _)| regex).collect()
    }

    /// The ids of the topics that a member subscribes to and that exist.
    pub fn subscribed_topic_ids(&self, metadata: &MemberMetadata, view: &dyn ClusterView) -> BTreeSet<Uuid> {
        let by_regex = metadata.regex().and_then(|regex| self.pattern(regex));
        let by_regex = by_regex.into_iter().flat_map(|pattern| &pattern.topics);
        let names = metadata.subscribed_topic_names.iter().chain(by_regex);
        names.filter_map(|name| view.topic(name)).map(|topic| topic.id).collect()
    }

    /// The assignor that most members name, if any does.
    pub fn preferred_assignor<'a>(
        &self,
        members: impl Iterator<Item = &'a MemberMetadata>,
    ) -> Option<Assignor> {
        let mut votes: BTreeMap<&'static str, (usize, Assignor)> = BTreeMap::new();
        for assignor in members.filter_map(|member| Assignor::by_name(member.server_assignor.as_ref()?)) {
            votes.entry(assignor.name()).or_insert((0, assignor)).0 += 1;
        }
        votes.into_values().max_by_key(|(votes, _)| *votes).map(|(_, assignor)| assignor)
    }

    fn put_metadata(&mut self, member_id: &StrBytes, metadata: &MemberMetadata) {
        let metadata = metadata.kept();
        let member_id = self.ensure_member(member_id);
        if let Some(instance_id) = &metadata.instance_id {
            self.index.static_members.insert(instance_id.clone(), member_id.clone());
        }
        count(&mut self.index.topics, &metadata.subscribed_topic_names);
        count(&mut self.index.regexes, metadata.regex());
        if let Some(member) = self.members.get_mut(&member_id) {
            let before = std::mem::replace(&mut member.metadata, metadata);
            uncount(&mut self.index.topics, &before.subscribed_topic_names);
            uncount(&mut self.index.regexes, before.regex());
        }
    }

    fn put_current(&mut self, member_id: &StrBytes, current: CurrentAssignment) {
        let member_id = self.ensure_member(member_id);
        self.release(&member_id);
        for (topic_id, partition) in current.held() {
            self.index.owners.entry(topic_id).or_default().insert(partition, member_id.clone());
        }
        if let Some(member) = self.members.get_mut(&member_id) {
            member.current = current;
        }
    }

    fn remove_member(&mut self, member_id: &StrBytes) {
        self.release(member_id);
        let Some(member) = self.members.remove(member_id) else {
            return;
        };
        uncount(&mut self.index.topics, &member.metadata.subscribed_topic_names);
        uncount(&mut self.index.regexes, member.metadata.regex());
        if let Some(instance_id) = &member.metadata.instance_id
            && self.index.static_members.get(instance_id) == Some(member_id)
        {
            self.index.static_members.remove(instance_id);
        }
    }

    /// Nobody owns any more what that member owned.
    fn release(&mut self, member_id: &StrBytes) {
        let Some(member) = self.members.get(member_id) else {
            return;
        };
        for (topic_id, partition) in member.current.held() {
            let Some(owners) = self.index.owners.get_mut(&topic_id) else { continue };
            if owners.get(&partition) == Some(member_id) {
                owners.remove(&partition);
            }
            if owners.is_empty() {
                self.index.owners.remove(&topic_id);
            }
        }
    }

    fn put_pattern(&mut self, regex: &StrBytes, resolved: Option<&ResolvedPattern>) {
        match resolved {
            None => {
                self.patterns.remove(regex);
            }
            Some(resolved) => {
                let topics = resolved.topics.iter().map(kept).collect();
                put(&mut self.patterns, regex, ResolvedPattern { topics, ..resolved.clone() });
            }
        }
    }

    /// The member's id as the group keeps it; makes the member if it is not there.
    fn ensure_member(&mut self, member_id: &StrBytes) -> StrBytes {
        if let Some((member_id, _)) = self.members.get_key_value(member_id) {
            return member_id.clone();
        }
        let member_id = kept(member_id);
        self.members.insert(member_id.clone(), Member::default());
        member_id
    }
}

fn put<T>(map: &mut BTreeMap<StrBytes, T>, key: &StrBytes, value: T) {
    match map.get_mut(key) {
        Some(slot) => *slot = value,
        None => {
            map.insert(kept(key), value);
        }
    }
}

fn count<'a>(counts: &mut BTreeMap<StrBytes, usize>, names: impl IntoIterator<Item = &'a StrBytes>) {
    for name in names {
        *counts.entry(name.clone()).or_default() += 1;
    }
}

fn uncount<'a>(counts: &mut BTreeMap<StrBytes, usize>, names: impl IntoIterator<Item = &'a StrBytes>) {
    for name in names {
        match counts.get_mut(name) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                counts.remove(name);
            }
        }
    }
}
