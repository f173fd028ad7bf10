//! What is asked about committed offsets: OffsetCommit, OffsetFetch, OffsetDelete.

use std::sync::Arc;

use ottla_protocol::{StrBytes, Uuid};

use super::GroupCoordinator;
use crate::coordinator::Outcome;
use crate::coordinator::group::GroupError;
use crate::coordinator::group::commands::*;
use crate::coordinator::marker::TxnMarker;
use crate::coordinator::runtime::Voucher;

impl GroupCoordinator {
    pub async fn commit(self: &Arc<Self>, commit: &Commit) -> Result<Vec<TopicResults>, GroupError> {
        let shard = self.shard_of(&commit.group_id)?;
        shard.run(|machine, now_ms, _| machine.commit(commit, now_ms)).await?
    }

    /// TxnOffsetCommit, once the transaction was verified for the group's partition.
    pub async fn commit_transactional(
        self: &Arc<Self>,
        commit: &TransactionalCommit,
        voucher: Voucher,
    ) -> Result<Vec<TopicResults>, GroupError> {
        let shard = self.shard_of(&commit.group_id)?;
        let decided = shard
            .run_vouched(Some(voucher), |machine, now_ms, _| machine.commit_transactional(commit, now_ms));
        decided.await?
    }

    /// Ends a transaction in one partition of the groups' topic.
    pub async fn end_transaction(
        self: &Arc<Self>,
        partition: i32,
        marker: TxnMarker,
    ) -> Result<(), GroupError> {
        let voucher = Voucher::Marker { transaction_version: marker.transaction_version };
        let shard = self.shards.shard(partition);
        Ok(shard.run_vouched(Some(voucher), |machine, _, _| machine.end_transaction(marker)).await?)
    }

    pub async fn fetch_offsets(
        self: &Arc<Self>,
        fetch: FetchOffsets,
    ) -> Result<Vec<FetchedTopic>, GroupError> {
        let shard = self.shard_of(&fetch.group_id)?;
        shard.run(|machine, _, _| Outcome::answer(machine.fetch_offsets(&fetch))).await?
    }

    pub async fn delete_offsets(
        self: &Arc<Self>,
        delete: DeleteOffsets,
    ) -> Result<Vec<TopicResults>, GroupError> {
        let shard = self.shard_of(&delete.group_id)?;
        shard.run(|machine, _, _| machine.delete_offsets(&delete)).await?
    }

    /// A topic is gone for good: forgets the offsets of all groups in it.
    pub async fn topic_deleted(self: &Arc<Self>, name: &StrBytes, topic_id: Uuid) -> Result<(), GroupError> {
        for shard in self.shards.all() {
            shard.run(|machine, _, _| machine.topic_deleted(name, topic_id)).await?;
            shard.run(|machine, _, view| machine.share_topics_deleted(&[topic_id], view)).await?;
        }
        Ok(())
    }
}
