//! All shards of one coordinator: one for each partition of its topic, loaded on first use.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use super::alarm::{Alarm, Listening};
use super::log::{CoordinatorLog, LogError};
use super::shard::{Shard, ShardError, Surroundings};
use crate::clock::Clock;
use crate::coordinator::{ClusterSource, Machine, Ticket};

/// The shards of a coordinator. Costs nothing until one is asked for.
pub struct Shards<M: Machine> {
    surroundings: Arc<Surroundings<M>>,
    /// By partition, as far as they were needed.
    shards: Mutex<Vec<Option<Arc<Shard<M>>>>>,
    last_ticket: AtomicU64,
    alarm_task: Once,
}

impl<M: Machine> std::fmt::Debug for Shards<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shards").finish_non_exhaustive()
    }
}

impl<M: Machine> Shards<M> {
    /// `errands` takes what a shard (by its partition) asks of others, once the log has what it rests on; it is called
    /// under the shard's lock, so it only starts the work.
    pub fn new(
        config: M::Config,
        log: Arc<dyn CoordinatorLog>,
        cluster: Arc<dyn ClusterSource>,
        clock: Clock,
        errands: impl Fn(i32, M::Errand) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let surroundings = Surroundings {
            config,
            log,
            cluster,
            clock,
            alarm: Arc::new(Alarm::default()),
            errands: Box::new(errands),
            is_closed: AtomicBool::new(false),
        };
        Arc::new(Shards {
            surroundings: Arc::new(surroundings),
            shards: Mutex::new(Vec::new()),
            last_ticket: AtomicU64::new(0),
            alarm_task: Once::new(),
        })
    }

    pub fn config(&self) -> &M::Config {
        &self.surroundings.config
    }

    /// Makes the coordinator's topic, if it is not there.
    pub async fn ensure_topic(&self) -> Result<(), LogError> {
        match self.surroundings.log.partitions() {
            Some(_) => Ok(()),
            None => self.surroundings.log.create().await,
        }
    }

    /// A number for a request whose answer comes later.
    pub fn ticket(&self) -> Ticket {
        self.last_ticket.fetch_add(1, Ordering::Relaxed)
    }

    /// The shard of a group's or a transaction's name. `NotCoordinator` before the topic is made: the client asks for
    /// the coordinator, which makes it.
    pub fn of(self: &Arc<Self>, key: &str) -> Result<Arc<Shard<M>>, ShardError> {
        let partitions = self.surroundings.log.partitions().ok_or(ShardError::NotCoordinator)?;
        Ok(self.shard(partition_of(key, partitions)))
    }

    /// All shards there can be; none before the topic is made.
    pub fn all(self: &Arc<Self>) -> impl Iterator<Item = Arc<Shard<M>>> {
        (0..self.surroundings.log.partitions().unwrap_or(0)).map(|partition| self.shard(partition))
    }

    pub fn shard(self: &Arc<Self>, partition: i32) -> Arc<Shard<M>> {
        self.alarm_task.call_once(|| self.start_alarm());
        let index = usize::try_from(partition).unwrap_or(0);
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        if shards.len() <= index {
            shards.resize(index + 1, None);
        }
        let new_shard = || Arc::new(Shard::new(partition, Arc::clone(&self.surroundings)));
        Arc::clone(shards[index].get_or_insert_with(new_shard))
    }

    /// The coordinator's topic is gone, and all that was in it.
    pub fn unload(&self) {
        let shards = std::mem::take(&mut *self.shards.lock().unwrap_or_else(PoisonError::into_inner));
        shards.iter().flatten().for_each(|shard| shard.unload());
    }

    /// The broker stops: who waits for others is told to look elsewhere, nobody else waits any more.
    pub fn close(&self) {
        self.surroundings.is_closed.store(true, Ordering::Release);
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards.iter().flatten().for_each(|shard| shard.give_up_waiting());
    }

    fn start_alarm(self: &Arc<Self>) {
        let shards: Weak<Self> = Arc::downgrade(self);
        let fire = move |partition| match shards.upgrade() {
            Some(shards) => {
                shards.shard(partition).fire();
                Listening::Yes
            }
            None => Listening::No,
        };
        tokio::spawn(Arc::clone(&self.surroundings.alarm).run(self.surroundings.clock.clone(), fire));
    }
}

/// Where Kafka keeps a group or a transaction: Java's hash of its id, without the sign, modulo the partitions.
pub fn partition_of(key: &str, partitions: i32) -> i32 {
    let hash =
        key.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}
