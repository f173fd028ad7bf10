//! The partitions that are in use; one that nobody uses costs nothing here.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ottla_protocol::Uuid;
use ottla_storage::{LogId, LogOptions, Logs, StorageError};

use super::partition::Partition;
use crate::config::TopicConfig;

/// A partition that nobody has used for so long is put away, or up to twice as long.
const IDLE_MS: i64 = 30_000;
/// With more of them in use, they are put away sooner.
const MANY: usize = 20_000;
const IDLE_OF_MANY_MS: i64 = 5_000;
/// Requests wait for the table no longer than so many take.
const PUT_AWAY_AT_ONCE: usize = 256;

pub struct Partitions {
    logs: Arc<Logs>,
    slots: RwLock<Slots>,
    /// When those that nobody had used were put away last.
    put_away_ms: AtomicI64,
}

type Slots = HashMap<(Uuid, i32), Arc<Slot>>;

/// A partition that is open or about to be: opening reads the disk, and must not hold up the others.
#[derive(Default)]
struct Slot {
    opening: Mutex<()>,
    partition: OnceLock<Arc<Partition>>,
    /// Since the last look.
    is_used: AtomicBool,
}

impl Slot {
    /// Whether nobody but the table has it. Under the table's lock nobody can come to have it either.
    fn is_unheld(self: &Arc<Self>) -> bool {
        let is_unheld =
            |partition: &Arc<Partition>| Arc::strong_count(partition) == 1 && !partition.is_watched();
        Arc::strong_count(self) == 1 && self.partition.get().is_none_or(is_unheld)
    }
}

impl Partitions {
    pub fn new(logs: Arc<Logs>) -> Partitions {
        Partitions { logs, slots: RwLock::default(), put_away_ms: AtomicI64::new(i64::MIN) }
    }

    pub fn logs(&self) -> &Arc<Logs> {
        &self.logs
    }

    /// The partition if it is in use.
    pub fn get(&self, topic_id: Uuid, partition: i32) -> Option<Arc<Partition>> {
        let slots = self.read();
        let slot = slots.get(&(topic_id, partition))?;
        slot.is_used.store(true, Ordering::Relaxed);
        slot.partition.get().cloned()
    }

    /// The partition if it is in use; asking does not make it so.
    pub fn peek(&self, topic_id: Uuid, partition: i32) -> Option<Arc<Partition>> {
        self.read().get(&(topic_id, partition))?.partition.get().cloned()
    }

    /// The partition, opened on its first use with the configuration that `config` gives.
    pub fn open(
        &self,
        id: LogId,
        config: impl FnOnce() -> (Arc<TopicConfig>, Arc<LogOptions>),
    ) -> Result<Arc<Partition>, StorageError> {
        let slot = Arc::clone(self.write().entry((id.topic_id, id.partition)).or_default());
        slot.is_used.store(true, Ordering::Relaxed);
        let _opening = slot.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(partition) = slot.partition.get() {
            return Ok(Arc::clone(partition));
        }
        let (config, options) = config();
        let log = self.logs.log(&id, &options);
        let partition = Arc::new(Partition::new(id, log, config)?);
        Ok(Arc::clone(slot.partition.get_or_init(|| partition)))
    }

    /// Those of one topic that are in use.
    pub fn of_topic(&self, topic_id: Uuid, partition_count: i32) -> Vec<Arc<Partition>> {
        let slots = self.read();
        let of = |partition| slots.get(&(topic_id, partition))?.partition.get().cloned();
        (0..partition_count).filter_map(of).collect()
    }

    /// All that are in use, in no order.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        self.read().values().filter_map(|slot| slot.partition.get().cloned()).collect()
    }

    /// Whether the partition is in use; asking does not make it so.
    pub fn is_in_use(&self, topic_id: Uuid, partition: i32) -> bool {
        self.read().contains_key(&(topic_id, partition))
    }

    /// Takes out those that nobody has used for a while and nobody holds. Their logs are closed by [`Logs::maintain`].
    pub fn put_away_unused(&self, now_ms: i64) -> Vec<Arc<Partition>> {
        let idle_ms = if self.read().len() > MANY { IDLE_OF_MANY_MS } else { IDLE_MS };
        let last_ms = self.put_away_ms.load(Ordering::Relaxed);
        if last_ms != i64::MIN && now_ms.saturating_sub(last_ms) < idle_ms {
            return Vec::new();
        }
        self.put_away_ms.store(now_ms, Ordering::Relaxed);
        let unused: Vec<_> = {
            let slots = self.read();
            let was_unused = |slot: &Arc<Slot>| !slot.is_used.swap(false, Ordering::Relaxed);
            slots.iter().filter(|(_, slot)| was_unused(slot)).map(|(key, _)| *key).collect()
        };
        unused.chunks(PUT_AWAY_AT_ONCE).flat_map(|keys| self.take_unheld(keys)).collect()
    }

    /// Takes out a partition that was only looked at, unless somebody has it.
    pub fn put_away(&self, topic_id: Uuid, partition: i32) {
        self.take_unheld(&[(topic_id, partition)]);
    }

    fn take_unheld(&self, keys: &[(Uuid, i32)]) -> Vec<Arc<Partition>> {
        let mut slots = self.write();
        let mut taken = Vec::new();
        for key in keys {
            if slots.get(key).is_some_and(Slot::is_unheld) {
                taken.extend(slots.remove(key).and_then(|slot| slot.partition.get().cloned()));
            }
        }
        if slots.len() < slots.capacity() / 4 {
            slots.shrink_to_fit();
        }
        taken
    }

    /// Forgets partitions of a deleted topic and hands their files to background deletion.
    pub fn delete(&self, topic: &Arc<str>, topic_id: Uuid, partitions: Range<i32>, remove_at_ms: i64) {
        let mut removed = Vec::new();
        for partition in partitions.clone() {
            removed.extend(self.write().remove(&(topic_id, partition)));
        }
        self.logs.delete(topic, topic_id, partitions, remove_at_ms);
        for partition in removed.iter().filter_map(|slot| slot.partition.get()) {
            partition.wake();
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Slots> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Slots> {
        self.slots.write().unwrap_or_else(PoisonError::into_inner)
    }
}
