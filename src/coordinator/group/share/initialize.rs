//! What the share coordinator answered to errands, and topics that are gone.

use ottla_protocol::{StrBytes, Uuid};

use super::{ShareRecord, record};
use crate::coordinator::ClusterView;
use crate::coordinator::group::assignors::TopicPartitions;
use crate::coordinator::group::{GroupOutcome, GroupShard};

impl GroupShard {
    /// The share coordinator knows the partitions: they can be assigned. A group that has ended meanwhile stays ended.
    pub fn share_initialized(
        &self,
        group_id: &StrBytes,
        partitions: &TopicPartitions,
        view: &dyn ClusterView,
    ) -> GroupOutcome<()> {
        let mut outcome = GroupOutcome::answer(());
        if let Some(group) = self.hard.share_group(group_id).filter(|_| !partitions.is_empty()) {
            let states = group.states.clone().unwrap_or_default().finish(partitions, view);
            outcome.records.push(record(group_id, ShareRecord::States(Some(states))));
        }
        outcome
    }

    /// The share coordinator did not take the partitions: the next heartbeat asks again.
    pub fn share_not_initialized(
        &self,
        group_id: &StrBytes,
        partitions: &TopicPartitions,
        view: &dyn ClusterView,
    ) -> GroupOutcome<()> {
        let mut outcome = GroupOutcome::answer(());
        let states = self.hard.share_group(group_id).and_then(|group| group.states.as_ref());
        if let Some(states) = states.filter(|states| !states.initializing.is_empty()) {
            let states = states.give_up(partitions, view);
            outcome.records.push(record(group_id, ShareRecord::States(Some(states))));
        }
        outcome
    }

    /// Topics are gone for good; the share coordinator has heard of it by itself.
    pub fn share_topics_deleted(&self, topic_ids: &[Uuid], view: &dyn ClusterView) -> GroupOutcome<()> {
        let mut outcome = GroupOutcome::answer(());
        for (group_id, group) in self.hard.share_groups() {
            let left = group.states.as_ref().and_then(|states| states.without(topic_ids, view));
            if let Some(states) = left {
                outcome.records.push(record(group_id, ShareRecord::States(Some(states))));
            }
        }
        outcome
    }
}
