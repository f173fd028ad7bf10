//! OffsetDelete, and what goes when a topic goes.

use ottla_protocol::{StrBytes, Uuid};

use super::super::commands::{DeleteOffsets, TopicPartitions, TopicResults};
use super::super::{AnyGroup, CommittedOffset, GroupError, GroupOutcome, GroupRecord, GroupShard};

impl GroupShard {
    /// OffsetDelete (KIP-496): for topics that no member reads.
    pub fn delete_offsets(
        &self,
        delete: &DeleteOffsets,
    ) -> GroupOutcome<Result<Vec<TopicResults>, GroupError>> {
        if delete.group_id.is_empty() {
            return GroupOutcome::answer(Err(GroupError::InvalidGroupId));
        }
        let Some(group) = self.any_group(&delete.group_id) else {
            return GroupOutcome::answer(Err(GroupError::GroupIdNotFound));
        };
        if let Err(error) = group.check_offset_delete() {
            return GroupOutcome::answer(Err(error));
        }
        let mut outcome = GroupOutcome::answer(());
        for topic in delete.topics.iter().filter(|topic| !group.is_subscribed_to(&topic.name)) {
            let is_there = |index: &&i32| {
                self.hard_state().offset(&delete.group_id, &topic.name, **index).is_some()
                    || self.hard_state().pending().has(&delete.group_id, &topic.name, **index)
            };
            let tombstones = topic.partitions.iter().filter(is_there);
            outcome.records.extend(tombstones.map(|index| tombstone(&delete.group_id, &topic.name, *index)));
        }
        outcome.map(|()| Ok(delete.topics.iter().map(|topic| results(group, topic)).collect()))
    }

    /// A topic is gone: so are the offsets of all groups in it, but not those in a new one of the same name.
    pub fn topic_deleted(&self, name: &StrBytes, topic_id: Uuid) -> GroupOutcome<()> {
        let mut outcome = GroupOutcome::answer(());
        let is_gone = |offset: &CommittedOffset| offset.topic_id.is_nil() || offset.topic_id == topic_id;
        for (group_id, offsets) in self.hard_state().all_offsets() {
            let partitions = offsets.get(name).into_iter().flatten().filter(|(_, offset)| is_gone(offset));
            outcome.records.extend(partitions.map(|(index, _)| tombstone(group_id, name, *index)));
        }
        for group_id in self.hard_state().pending().groups() {
            outcome.records.extend(self.pending_tombstones(group_id, |topic| topic == name));
        }
        outcome
    }

    /// Tombstones for what is pending only: what is committed as well gets one anyway.
    pub(in super::super) fn pending_tombstones(
        &self,
        group_id: &StrBytes,
        is_wanted: impl Fn(&StrBytes) -> bool,
    ) -> Vec<GroupRecord> {
        let hard = self.hard_state();
        let pending = hard.pending().of_group(group_id).filter(|(topic, _)| is_wanted(topic));
        let alone = pending.filter(|(topic, partition)| hard.offset(group_id, topic, *partition).is_none());
        alone.map(|(topic, partition)| tombstone(group_id, topic, partition)).collect()
    }
}

fn results(group: &dyn AnyGroup, topic: &TopicPartitions) -> TopicResults {
    let is_subscribed = group.is_subscribed_to(&topic.name);
    let result = if is_subscribed { Err(GroupError::GroupSubscribedToTopic) } else { Ok(()) };
    TopicResults {
        name: topic.name.clone(),
        topic_id: topic.topic_id,
        partitions: topic.partitions.iter().map(|index| (*index, result)).collect(),
    }
}

/// Removes one committed offset.
pub(in super::super) fn tombstone(group_id: &StrBytes, topic: &StrBytes, partition: i32) -> GroupRecord {
    GroupRecord::Offset { group_id: group_id.clone(), topic: topic.clone(), partition, offset: None }
}
