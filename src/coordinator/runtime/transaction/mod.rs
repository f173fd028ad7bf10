//! The transaction coordinator, as handlers and the produce path call it: a shard for each partition of
//! `__transaction_state`.
//!
//! Enters: commands. Leaves: answers, once the log has what they rest on; markers to the partitions' leaders.

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use ottla_protocol::StrBytes;

use super::shard::ShardError;
use super::shards::Shards;
use super::{CoordinatorLog, LogError};
use crate::clock::Clock;
use crate::coordinator::transaction::commands::*;
use crate::coordinator::transaction::{
    Errand, Markers, ProducerIdAndEpoch, TopicPartition, TransactionConfig, TransactionError,
    TransactionShard,
};
use crate::coordinator::{ClusterSource, ClusterView, Outcome};

/// Who else has a part in a transaction. The calls may go to other machines: they take time, and they fail.
pub trait TransactionPeers: Send + Sync + 'static {
    /// An id that no producer had before, if there is one just now.
    fn new_producer_id(&self) -> PeerFuture<Option<i64>>;

    /// Writes the markers of a decision on `partition` of `__transaction_state` to their partitions' leaders, and ends
    /// with those that have to be tried again. A marker that is written twice does no harm, and a partition that is
    /// gone needs none.
    fn write_markers(&self, partition: i32, markers: Markers) -> PeerFuture<Vec<TopicPartition>>;
}

pub type PeerFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The transaction coordinator of this broker.
pub struct TransactionCoordinator {
    shards: Arc<Shards<TransactionShard>>,
    peers: Arc<dyn TransactionPeers>,
    /// The transactional ids whose markers are under way.
    sending: Mutex<HashSet<StrBytes>>,
}

impl std::fmt::Debug for TransactionCoordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransactionCoordinator").finish_non_exhaustive()
    }
}

impl TransactionCoordinator {
    /// Costs nothing until a transactional id is asked for, or [`TransactionCoordinator::keep_loaded`] runs.
    pub fn new(
        config: TransactionConfig,
        log: Arc<dyn CoordinatorLog>,
        cluster: Arc<dyn ClusterSource>,
        peers: Arc<dyn TransactionPeers>,
        clock: Clock,
    ) -> Arc<Self> {
        Arc::new_cyclic(|coordinator: &Weak<Self>| {
            let coordinator = coordinator.clone();
            let errands = move |partition, errand| {
                if let Some(coordinator) = coordinator.upgrade() {
                    tokio::spawn(coordinator.perform(partition, errand));
                }
            };
            TransactionCoordinator {
                shards: Shards::new(config, log, cluster, clock, errands),
                peers,
                sending: Mutex::default(),
            }
        })
    }

    /// Makes the topic of the transactions, if it is not there.
    pub async fn ensure_topic(&self) -> Result<(), LogError> {
        self.shards.ensure_topic().await
    }

    /// Loads every shard, and once more the one whose log failed: markers of decisions that were under way are sent,
    /// and transactions time out, although nobody asks for them. Runs until the coordinator is gone.
    pub async fn keep_loaded(coordinator: Weak<Self>) {
        loop {
            let Some(coordinator) = coordinator.upgrade() else { return };
            for shard in coordinator.shards.all() {
                // The shard has told of it if it cannot be loaded.
                let _ = shard.run(|_, _, _| Outcome::answer(())).await;
            }
            let interval_ms = coordinator.shards.config().abort_timed_out_interval_ms.max(1);
            drop(coordinator);
            tokio::time::sleep(Duration::from_millis(interval_ms.unsigned_abs().into())).await;
        }
    }

    pub async fn init_producer_id(
        &self,
        mut init: InitProducerId,
    ) -> Result<ProducerIdAndEpoch, TransactionError> {
        self.check_id(&init.transactional_id)?;
        if init.timeout_ms <= 0 || init.timeout_ms > self.shards.config().max_timeout_ms {
            return Err(TransactionError::InvalidTransactionTimeout);
        }
        let shard = self.shards.of(&init.transactional_id)?;
        loop {
            let decision = shard.run(|machine, now_ms, _| machine.init_producer_id(&init, now_ms)).await??;
            match decision {
                Decision::Done(producer) => return Ok(producer),
                Decision::NeedsProducerId => init.new_producer_id = Some(self.new_producer_id().await?),
            }
        }
    }

    /// Adds partitions to a transaction, for AddPartitionsToTxn and for whoever writes to one of them in its name.
    pub async fn add_partitions(&self, add: &AddPartitions) -> Result<(), TransactionError> {
        self.check_id(&add.transactional_id)?;
        let shard = self.shards.of(&add.transactional_id)?;
        shard.run(|machine, now_ms, _| machine.add_partitions(add, now_ms)).await?
    }

    /// Whether each of the partitions is in the transaction, in the order of the question.
    pub async fn verify(
        &self,
        verify: &VerifyPartitions,
    ) -> Result<Vec<Result<(), TransactionError>>, TransactionError> {
        self.check_id(&verify.transactional_id)?;
        let shard = self.shards.of(&verify.transactional_id)?;
        shard.run(|machine, _, _| Outcome::answer(machine.verify_partitions(verify))).await?
    }

    /// The producer's id and epoch for its next transaction; none before version 2 of the protocol.
    pub async fn end(&self, mut end: EndTxn) -> Result<ProducerIdAndEpoch, TransactionError> {
        self.check_id(&end.transactional_id)?;
        let shard = self.shards.of(&end.transactional_id)?;
        loop {
            match shard.run(|machine, now_ms, _| machine.end(&end, now_ms)).await?? {
                Decision::Done(producer) => return Ok(producer),
                Decision::NeedsProducerId => end.new_producer_id = Some(self.new_producer_id().await?),
            }
        }
    }

    pub async fn describe(
        &self,
        transactional_id: &StrBytes,
    ) -> Result<DescribedTransaction, TransactionError> {
        self.check_id(transactional_id)?;
        let shard = self.shards.of(transactional_id)?;
        shard.run(|machine, _, _| Outcome::answer(machine.describe(transactional_id))).await?
    }

    /// The transactions of all shards.
    pub async fn list(&self, list: &ListTransactions) -> Result<Vec<ListedTransaction>, TransactionError> {
        let mut listed = Vec::new();
        for shard in self.shards.all() {
            listed.extend(shard.run(|machine, now_ms, _| Outcome::answer(machine.list(list, now_ms))).await?);
        }
        Ok(listed)
    }

    /// The transactions' own topic is gone, and all that was in it.
    pub fn unload(&self) {
        self.shards.unload();
    }

    fn check_id(&self, transactional_id: &StrBytes) -> Result<(), TransactionError> {
        if transactional_id.is_empty() { Err(TransactionError::InvalidRequest) } else { Ok(()) }
    }

    async fn new_producer_id(&self) -> Result<i64, TransactionError> {
        self.peers.new_producer_id().await.ok_or(TransactionError::CoordinatorLoadInProgress)
    }

    /// Does what the shard of `partition` asked of others, and tells it of that.
    async fn perform(self: Arc<Self>, partition: i32, errand: Errand) {
        match errand {
            Errand::SendMarkers(transactional_id) => self.send_markers(partition, transactional_id).await,
            Errand::AbortTimedOut { transactional_id, producer } => {
                self.abort_timed_out(partition, transactional_id, producer).await;
            }
        }
    }

    async fn abort_timed_out(
        &self,
        partition: i32,
        transactional_id: StrBytes,
        producer: ProducerIdAndEpoch,
    ) {
        let mut pause = Pause::default();
        while !self.is_gone(&transactional_id) {
            let Some(new_producer_id) = self.peers.new_producer_id().await else {
                pause.wait().await;
                continue;
            };
            let command = |machine: &TransactionShard, now_ms: i64, _: &dyn ClusterView| {
                machine.abort_timed_out(&transactional_id, producer, Some(new_producer_id), now_ms)
            };
            // If the shard's log fails, the transaction times out once more when it is loaded again.
            let _ = self.shards.shard(partition).run(command).await;
            return;
        }
    }

    /// Until every partition has its marker, and the log has it that they have. A shard that is loaded again asks for the
    /// same markers once more: they are not sent by two, for the slower one could meet the next transaction.
    async fn send_markers(&self, partition: i32, transactional_id: StrBytes) {
        if !self.lock_sending().insert(transactional_id.clone()) {
            return;
        }
        let mut pause = Pause::default();
        let Some(mut markers) = self.markers_to_send(partition, &transactional_id, &mut pause).await else {
            return;
        };
        while !markers.partitions.is_empty() && !self.is_gone(&transactional_id) {
            markers.partitions = self.peers.write_markers(partition, markers.clone()).await;
            if !markers.partitions.is_empty() {
                pause.wait().await;
            }
        }
        while !self.is_gone(&transactional_id) {
            let mut is_released = false;
            let command = |machine: &TransactionShard, now_ms: i64, _: &dyn ClusterView| {
                // From here on the next transaction may ask for its own.
                is_released = self.lock_sending().remove(&transactional_id);
                machine.markers_written(&transactional_id, markers.producer, now_ms)
            };
            if self.shards.shard(partition).run(command).await.is_ok() {
                return;
            }
            // The shard's log failed. Whoever loaded the shard since has the markers sent once more.
            if is_released && !self.lock_sending().insert(transactional_id.clone()) {
                return;
            }
            pause.wait().await;
        }
        self.lock_sending().remove(&transactional_id);
    }

    /// The markers as they are now: the errand may have come late, when its decision was carried out already.
    async fn markers_to_send(
        &self,
        partition: i32,
        transactional_id: &StrBytes,
        pause: &mut Pause,
    ) -> Option<Markers> {
        while !self.is_gone(transactional_id) {
            let mut is_released = false;
            let question = |machine: &TransactionShard, _: i64, _: &dyn ClusterView| {
                let markers = machine.markers_to_send(transactional_id);
                if markers.is_none() {
                    // From here on the next transaction may ask for its own.
                    is_released = self.lock_sending().remove(transactional_id);
                }
                Outcome::answer(markers)
            };
            match self.shards.shard(partition).run(question).await {
                Ok(markers) => return markers,
                Err(_) if is_released => return None,
                Err(_) => pause.wait().await,
            }
        }
        self.lock_sending().remove(transactional_id);
        None
    }

    /// The topic was deleted, or the broker is gone.
    fn is_gone(&self, transactional_id: &StrBytes) -> bool {
        self.shards.of(transactional_id).is_err()
    }

    fn lock_sending(&self) -> MutexGuard<'_, HashSet<StrBytes>> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<ShardError> for TransactionError {
    fn from(error: ShardError) -> Self {
        match error {
            // No batch of theirs is of a producer.
            ShardError::NotAvailable | ShardError::Refused(_) => TransactionError::CoordinatorNotAvailable,
            ShardError::NotCoordinator => TransactionError::NotCoordinator,
        }
    }
}

/// Longer and longer pauses between tries.
#[derive(Default)]
struct Pause {
    tries: u32,
}

impl Pause {
    async fn wait(&mut self) {
        let wait_ms = 10_u64 << self.tries.min(7);
        self.tries += 1;
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }
}
