//! Offsets of share groups, as far as the group is asked: AlterShareGroupOffsets, DeleteShareGroupOffsets, and what goes
//! before DeleteGroups. The share coordinator has the offsets themselves.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::{ErrorCode, StrBytes, Uuid};

use super::commands::*;
use super::states::StateTopic;
use super::{ShareGroup, ShareRecord, record};
use crate::coordinator::ClusterView;
use crate::coordinator::group::assignors::TopicPartitions;
use crate::coordinator::group::{GroupError, GroupOutcome, GroupShard, Refusal};
use crate::coordinator::share::{InitializeState, SharePartitionKey};

impl GroupShard {
    /// Share partitions of an empty group, or of one that is made for it, shall begin elsewhere.
    pub fn alter_share_offsets(
        &self,
        request: &AlterShareOffsets,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> GroupOutcome<Result<AlteredShareOffsets, Refusal>> {
        let new_group = ShareGroup::default();
        let group = match self.find_share_group(&request.group_id) {
            Ok(group) => group.unwrap_or(&new_group),
            Err(refusal) => return GroupOutcome::answer(Err(refusal)),
        };
        if let Err(refusal) = check_empty(group) {
            return GroupOutcome::answer(Err(refusal));
        }
        let mut altered = AlteredShareOffsets { topics: Vec::new(), initialize: Vec::new() };
        let mut begun: BTreeMap<Uuid, StateTopic> = BTreeMap::new();
        for topic in &request.topics {
            let known = view.topic(&topic.name);
            let topic_id = known.as_ref().map_or(Uuid::nil(), |known| known.id);
            let count = known.as_ref().map_or(0, |known| known.partitions);
            let (name, state_epoch) = (topic.name.clone(), group.epoch);
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            let mut existing = BTreeSet::new();
            for (partition, start_offset) in topic.partitions.iter().copied() {
                if !(0..count).contains(&partition) {
                    partitions.push((partition, Existing::No));
                    continue;
                }
                partitions.push((partition, Existing::Yes));
                existing.insert(partition);
                let key = SharePartitionKey { group_id: request.group_id.clone(), topic_id, partition };
                altered.initialize.push(InitializeState { key, state_epoch, start_offset });
            }
            if known.is_some() {
                begun.insert(topic_id, StateTopic { name: name.clone(), partitions: existing });
            }
            altered.topics.push(AlteredShareTopic { name, topic_id, partitions });
        }
        let mut outcome = GroupOutcome::answer(Ok(altered));
        if !begun.is_empty() {
            let states = group.states.clone().unwrap_or_default().begin(&begun, now_ms, view);
            outcome.records.push(record(&request.group_id, ShareRecord::States(Some(states))));
        }
        outcome
    }

    /// What of the topics' share partitions is to be forgotten; the group must be empty.
    pub fn delete_share_offsets(
        &self,
        group_id: &StrBytes,
        names: &[StrBytes],
        view: &dyn ClusterView,
    ) -> GroupOutcome<Result<DeleteShareOffsets, Refusal>> {
        let group = match self.share_group(group_id).and_then(|group| check_empty(group).map(|()| group)) {
            Ok(group) => group,
            Err(refusal) => return GroupOutcome::answer(Err(refusal)),
        };
        let mut deletion = DeleteShareOffsets::default();
        let Some(states) = &group.states else {
            return GroupOutcome::answer(Ok(deletion));
        };
        let mut left = states.named(view);
        for name in names {
            let Some(topic) = view.topic(name) else {
                deletion.refused.push((name.clone(), NoOffsets::UnknownTopic));
                continue;
            };
            let partitions: Vec<i32> = if let Some(initialized) = left.initialized.remove(&topic.id) {
                left.deleting.insert(topic.id, topic.name.clone());
                initialized.partitions.into_iter().collect()
            } else if left.deleting.contains_key(&topic.id) {
                // An earlier deletion was not finished.
                (0..topic.partitions).collect()
            } else {
                deletion.refused.push((name.clone(), NoOffsets::NotInitialized));
                continue;
            };
            deletion.delete.push(ShareTopicPartitions { topic_id: topic.id, name: topic.name, partitions });
        }
        let mut outcome = GroupOutcome::answer(Ok(deletion));
        outcome.records.push(record(group_id, ShareRecord::States(Some(left))));
        outcome
    }

    /// The share coordinator has forgotten these topics.
    pub fn share_offsets_deleted(
        &self,
        group_id: &StrBytes,
        topic_ids: &[Uuid],
        view: &dyn ClusterView,
    ) -> GroupOutcome<()> {
        let mut outcome = GroupOutcome::answer(());
        if let Some(states) = self.hard.share_group(group_id).and_then(|group| group.states.as_ref()) {
            let mut left = states.named(view);
            left.deleting.retain(|id, _| !topic_ids.contains(id));
            outcome.records.push(record(group_id, ShareRecord::States(Some(left))));
        }
        outcome
    }

    /// What the share coordinator is to forget before a share group can be deleted. Nothing for groups of other kinds.
    pub fn begin_share_deletion(
        &self,
        group_id: &StrBytes,
        view: &dyn ClusterView,
    ) -> GroupOutcome<Result<Vec<SharePartitionKey>, GroupError>> {
        let Some(group) = self.hard.share_group(group_id) else {
            return GroupOutcome::answer(Ok(Vec::new()));
        };
        if !group.members.is_empty() {
            return GroupOutcome::answer(Err(GroupError::NonEmptyGroup));
        }
        let Some(states) = &group.states else {
            return GroupOutcome::answer(Ok(Vec::new()));
        };
        let topics = states.to_forget(view);
        let key = |topic_id: Uuid, partition: i32| SharePartitionKey {
            group_id: group_id.clone(),
            topic_id,
            partition,
        };
        let keys =
            topics.iter().flat_map(|(id, topic)| topic.partitions.iter().map(|index| key(*id, *index)));
        let mut outcome = GroupOutcome::answer(Ok(keys.collect()));
        let deleting = topics.iter().map(|(id, topic)| (*id, topic.name.clone())).collect();
        let states = super::ShareStates { deleting, ..super::ShareStates::default() };
        outcome.records.push(record(group_id, ShareRecord::States(Some(states))));
        outcome
    }

    /// The share partitions that have offsets to be described; none of a group that is not there.
    pub fn initialized_share_partitions(&self, group_id: &StrBytes) -> TopicPartitions {
        let states = self.hard.share_group(group_id).and_then(|group| group.states.as_ref());
        let topics = states.into_iter().flat_map(|states| &states.initialized);
        topics.map(|(id, topic)| (*id, topic.partitions.clone())).collect()
    }
}

fn check_empty(group: &ShareGroup) -> Result<(), Refusal> {
    if group.members.is_empty() {
        return Ok(());
    }
    Err(GroupError::NonEmptyGroup.because(ErrorCode::NonEmptyGroup.message()))
}
