//! What is asked about committed offsets: OffsetCommit, OffsetFetch, OffsetDelete.

use std::sync::Arc;

use ottla_protocol::{StrBytes, Uuid};

use super::GroupCoordinator;
use crate::coordinator::Outcome;
use crate::coordinator::group::GroupError;
use crate::coordinator::group::commands::*;

impl GroupCoordinator {
    pub async fn commit(self: &Arc<Self>, commit: &Commit) -> Result<Vec<TopicResults>, GroupError> {
        let shard = self.shard_of(&commit.group_id)?;
        shard.run(|machine, now_ms, _| machine.commit(commit, now_ms)).await?
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
