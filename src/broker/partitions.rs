//! The partitions that have been used since the start; one that nobody uses costs nothing here.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use ottla_protocol::Uuid;
use ottla_storage::{LogId, LogOptions, Logs, StorageError};

use super::partition::Partition;
use crate::config::TopicConfig;

pub struct Partitions {
    logs: Arc<Logs>,
    slots: RwLock<HashMap<(Uuid, i32), Arc<Slot>>>,
}

/// A partition that is open or about to be: opening reads the disk, and must not hold up the others.
#[derive(Default)]
struct Slot {
    opening: Mutex<()>,
    partition: OnceLock<Arc<Partition>>,
}

impl Partitions {
    pub fn new(logs: Arc<Logs>) -> Partitions {
        Partitions { logs, slots: RwLock::default() }
    }

    pub fn logs(&self) -> &Arc<Logs> {
        &self.logs
    }

    /// The partition if it has been used since the start.
    pub fn get(&self, topic_id: Uuid, partition: i32) -> Option<Arc<Partition>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(&(topic_id, partition))?.partition.get().cloned()
    }

    /// The partition, opened on its first use with the configuration that `config` gives.
    pub fn open(
        &self,
        id: LogId,
        config: impl FnOnce() -> (Arc<TopicConfig>, Arc<LogOptions>),
    ) -> Result<Arc<Partition>, StorageError> {
        let slot = {
            let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry((id.topic_id, id.partition)).or_default())
        };
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
        (0..partition_count).filter_map(|partition| self.get(topic_id, partition)).collect()
    }

    /// All that are in use, in no order.
    pub fn all(&self) -> Vec<Arc<Partition>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.values().filter_map(|slot| slot.partition.get().cloned()).collect()
    }

    /// Forgets partitions of a deleted topic and hands their files to background deletion.
    pub fn delete(&self, topic: &Arc<str>, topic_id: Uuid, partitions: Range<i32>, remove_at_ms: i64) {
        let mut removed = Vec::new();
        for partition in partitions.clone() {
            let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
            removed.extend(slots.remove(&(topic_id, partition)));
        }
        self.logs.delete(topic, topic_id, partitions, remove_at_ms);
        for partition in removed.iter().filter_map(|slot| slot.partition.get()) {
            partition.wake();
        }
    }
}
