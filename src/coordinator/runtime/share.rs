//! The share coordinator, as handlers, the group coordinator and the share partitions' leaders call it: a shard for
//! each partition of `__share_group_state`.
//!
//! Enters: commands, each of one share partition. Leaves: answers, once the log has what they rest on. Its callers may
//! be on other machines one day: no call is certain, nor instant.

use std::sync::Arc;

use ottla_protocol::Uuid;
use tracing::warn;

use super::shard::{Shard, ShardError};
use super::shards::Shards;
use super::{CoordinatorLog, LogError};
use crate::clock::Clock;
use crate::coordinator::share::{
    InitializeState, Prune, ReadAnswer, ReadState, Redundancy, ShareCoordinatorConfig, ShareError,
    SharePartitionKey, ShareShard, SummaryAnswer, WriteState,
};
use crate::coordinator::{ClusterSource, Machine, Outcome};

/// The share coordinator of this broker.
#[derive(Debug)]
pub struct ShareCoordinator {
    shards: Arc<Shards<ShareShard>>,
}

impl ShareCoordinator {
    /// Costs nothing until a share partition is asked for.
    pub fn new(
        config: ShareCoordinatorConfig,
        log: Arc<dyn CoordinatorLog>,
        cluster: Arc<dyn ClusterSource>,
        clock: Clock,
    ) -> Arc<Self> {
        let pruned = Arc::clone(&log);
        let errands = move |partition, Prune| {
            let log = Arc::clone(&pruned);
            tokio::spawn(async move {
                if let Err(error) = prune(&*log, partition).await {
                    warn!(partition, %error, "what share groups do not need any more could not be deleted");
                }
            });
        };
        Arc::new(ShareCoordinator { shards: Shards::new(config, log, cluster, clock, errands) })
    }

    /// Makes the topic of the share partitions' state, if it is not there. Before it is, every call is answered with
    /// [`ShareError::NotCoordinator`].
    pub async fn ensure_topic(&self) -> Result<(), LogError> {
        self.shards.ensure_topic().await
    }

    /// A share partition begins, or begins anew.
    pub async fn initialize(&self, initialize: InitializeState) -> Result<(), ShareError> {
        let shard = self.shard_of(&initialize.key)?;
        shard.run(|machine, now_ms, view| machine.initialize(&initialize, now_ms, view)).await?
    }

    /// What a share partition's new leader begins with. It fences the leaders before it.
    pub async fn read(&self, read: ReadState) -> Result<ReadAnswer, ShareError> {
        let shard = self.shard_of(&read.key)?;
        shard.run(|machine, now_ms, view| machine.read(&read, now_ms, view)).await?
    }

    /// What has changed, told by a share partition's leader.
    pub async fn write(&self, write: WriteState) -> Result<(), ShareError> {
        let shard = self.shard_of(&write.key)?;
        shard.run(|machine, now_ms, view| machine.write(&write, now_ms, view)).await?
    }

    /// Forgets a share partition.
    pub async fn delete(&self, key: SharePartitionKey) -> Result<(), ShareError> {
        let shard = self.shard_of(&key)?;
        shard.run(|machine, _, view| machine.delete(&key, view)).await?
    }

    /// How far a group is in a partition.
    pub async fn read_summary(&self, key: SharePartitionKey) -> Result<SummaryAnswer, ShareError> {
        let shard = self.shard_of(&key)?;
        shard.run(|machine, _, view| Outcome::answer(machine.read_summary(&key, view))).await?
    }

    /// Topics are gone for good: forgets what all groups did in them.
    pub async fn topics_deleted(&self, topic_ids: &[Uuid]) -> Result<(), ShareError> {
        for shard in self.shards.all() {
            shard.run(|machine, _, _| machine.topics_deleted(topic_ids)).await?;
        }
        Ok(())
    }

    /// The coordinator's own topic is gone, and all state with it.
    pub fn unload(&self) {
        self.shards.unload();
    }

    fn shard_of(&self, key: &SharePartitionKey) -> Result<Arc<Shard<ShareShard>>, ShareError> {
        Ok(self.shards.of(&key.coordinator_key())?)
    }
}

/// Reads a shard's log and deletes what says nothing any more. What is written meanwhile only makes more of it so.
async fn prune(log: &dyn CoordinatorLog, partition: i32) -> Result<(), LogError> {
    let mut redundancy = Redundancy::default();
    let mut start_offset = None;
    let mut next_offset = 0;
    loop {
        let batches = log.read(partition, next_offset).await?;
        if batches.is_empty() {
            break;
        }
        for batch in batches {
            let records = ShareShard::from_batch(&batch).map_err(|_| LogError::Corrupt)?;
            next_offset = batch.next_offset();
            start_offset.get_or_insert(batch.header().base_offset);
            redundancy.observe(&records, batch.header().base_offset, next_offset);
        }
    }
    match start_offset {
        Some(start_offset) if start_offset < redundancy.end() => {
            log.delete_before(partition, redundancy.end()).await
        }
        _ => Ok(()),
    }
}

impl From<ShardError> for ShareError {
    fn from(error: ShardError) -> Self {
        match error {
            // No batch of theirs is of a producer.
            ShardError::NotAvailable | ShardError::Refused(_) => ShareError::CoordinatorNotAvailable,
            ShardError::NotCoordinator => ShareError::NotCoordinator,
        }
    }
}
