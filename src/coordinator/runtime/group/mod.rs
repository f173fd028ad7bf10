//! The group coordinator, as handlers call it: a shard for each partition of `__consumer_offsets`.
//!
//! Enters: commands. Leaves: answers, once the log has what they rest on. One file for each protocol.

mod admin;
mod classic;
mod consumer;
mod offsets;
mod share;
mod streams;

use std::sync::{Arc, Weak};

use ottla_protocol::StrBytes;

use super::shard::{RefusedBatch, Shard, ShardError};
use super::shards::Shards;
use super::{CoordinatorLog, LogError, ShareCoordinator};
use crate::clock::Clock;
use crate::coordinator::group::{Errand, GroupConfig, GroupError, GroupShard, Refusal};
use crate::coordinator::{ClusterSource, Ticket};

/// The group coordinator of this broker.
#[derive(Debug)]
pub struct GroupCoordinator {
    shards: Arc<Shards<GroupShard>>,
    /// Keeps how far share groups are.
    share_states: Arc<ShareCoordinator>,
}

impl GroupCoordinator {
    /// Costs nothing until a group is asked for.
    pub fn new(
        config: GroupConfig,
        log: Arc<dyn CoordinatorLog>,
        cluster: Arc<dyn ClusterSource>,
        clock: Clock,
        share_states: Arc<ShareCoordinator>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|coordinator: &Weak<Self>| {
            let coordinator = coordinator.clone();
            let errands = move |partition, errand| {
                if let Some(coordinator) = coordinator.upgrade() {
                    tokio::spawn(coordinator.perform(partition, errand));
                }
            };
            GroupCoordinator { shards: Shards::new(config, log, cluster, clock, errands), share_states }
        })
    }

    /// Makes the topic of the groups, if it is not there.
    pub async fn ensure_topic(&self) -> Result<(), LogError> {
        self.shards.ensure_topic().await
    }

    /// A number for a JoinGroup or SyncGroup.
    pub fn ticket(&self) -> Ticket {
        self.shards.ticket()
    }

    /// The groups' own topic is gone, and all groups with it.
    pub fn unload(&self) {
        self.shards.unload();
    }

    /// The broker stops: who waits for other members is told to look elsewhere, nobody else waits any more.
    pub fn close(&self) {
        self.shards.close();
    }

    /// Does what a shard asked of others, and tells the shard of `partition` what became of it.
    async fn perform(self: Arc<Self>, _partition: i32, errand: Errand) {
        match errand {
            Errand::Share(errand) => self.run_share_errand(errand).await,
        }
    }

    /// For what members ask: Kafka looks for the group's name before it asks whether the coordinator is here.
    fn shard_of_member(&self, group_id: &StrBytes) -> Result<Arc<Shard<GroupShard>>, GroupError> {
        if group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        self.shard_of(group_id)
    }

    fn shard_of(&self, group_id: &StrBytes) -> Result<Arc<Shard<GroupShard>>, GroupError> {
        Ok(self.shards.of(group_id)?)
    }
}

impl From<ShardError> for Refusal {
    fn from(error: ShardError) -> Self {
        GroupError::from(error).into()
    }
}

impl From<ShardError> for GroupError {
    fn from(error: ShardError) -> Self {
        match error {
            ShardError::NotAvailable => GroupError::CoordinatorNotAvailable,
            ShardError::NotCoordinator => GroupError::NotCoordinator,
            ShardError::Refused(RefusedBatch::InvalidProducerEpoch) => GroupError::InvalidProducerEpoch,
            ShardError::Refused(RefusedBatch::InvalidTxnState) => GroupError::InvalidTxnState,
            ShardError::Refused(RefusedBatch::TransactionCoordinatorFenced) => {
                GroupError::TransactionCoordinatorFenced
            }
        }
    }
}
