//! TxnOffsetCommit, and the markers that end its transactions.

use ottla_protocol::Uuid;

use super::super::commands::{TopicResults, TransactionalCommit};
use super::super::{CommittedOffset, GroupError, GroupOutcome, GroupRecord, GroupShard};
use super::commit::{new_simple_group, offset};
use crate::coordinator::marker::TxnMarker;

impl GroupShard {
    /// TxnOffsetCommit. Whether the transaction goes on, its coordinator was asked before.
    pub fn commit_transactional(
        &self,
        commit: &TransactionalCommit,
        now_ms: i64,
    ) -> GroupOutcome<Result<Vec<TopicResults>, GroupError>> {
        let group = self.any_group(&commit.group_id);
        let checked = match group {
            Some(group) => group.check_transactional_commit(commit),
            None if commit.claim.generation_id < 0 => Ok(()),
            None => Err(GroupError::IllegalGeneration),
        };
        if let Err(error) = checked {
            // Its producers know nothing of member epochs.
            let is_stale = error == GroupError::StaleMemberEpoch;
            return GroupOutcome::answer(Err(if is_stale { GroupError::IllegalGeneration } else { error }));
        }
        let mut outcome = GroupOutcome::answer(());
        let taken = commit.partitions().filter(|(_, partition)| self.check_metadata(partition).is_ok());
        outcome.records.extend(taken.map(|(topic, partition)| GroupRecord::PendingOffset {
            producer: commit.producer,
            group_id: commit.group_id.clone(),
            topic: topic.name.clone(),
            partition: partition.index,
            // Kafka's records of such a commit do not say which topic of that name it was.
            offset: CommittedOffset { topic_id: Uuid::nil(), ..offset(topic, partition, None, now_ms) },
        }));
        if group.is_none() {
            outcome.soft.push(new_simple_group(&commit.group_id, now_ms));
        }
        outcome.map(|()| Ok(self.results(&commit.topics)))
    }

    /// A transaction has ended: what it committed here counts from now on, or never does. The marker is written even where
    /// nothing was pending, for those who read the log.
    pub fn end_transaction(&self, marker: TxnMarker) -> GroupOutcome<()> {
        let mut outcome = GroupOutcome::answer(());
        outcome.records.push(GroupRecord::Marker(marker));
        outcome
    }
}
