//! All logs of this process.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::epochs::Epochs;
use crate::error::StorageError;
use crate::log::{Log, Opened};
use crate::memory::MemoryStore;
use crate::options::{LogId, LogOptions};
use crate::producers::Producers;
use crate::worker::Worker;

/// The logs of this process and the directories they live in. Logs are opened when they are first used.
pub struct Logs {
    shared: Arc<Shared>,
}

/// A log directory, as DescribeLogDirs tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogDir {
    pub path: PathBuf,
    /// Bytes of its file system.
    pub total_bytes: u64,
    /// Bytes of it that are left for us.
    pub usable_bytes: u64,
    /// Each log in it, and its size in bytes.
    pub logs: Vec<(LogId, u64)>,
}

/// What a log needs of the whole.
pub(crate) struct Shared {
    engine: Engine,
    logs: Mutex<HashMap<(Uuid, i32), Arc<Log>>>,
    worker: Worker,
    /// A log's start moved since the last checkpoint: that is in no other file.
    have_starts_moved: AtomicBool,
}

enum Engine {
    Memory,
}

impl Logs {
    /// Logs that live as long as the process and touch no disk.
    pub fn memory() -> Self {
        Self::new(Engine::Memory)
    }

    fn new(engine: Engine) -> Self {
        let shared = Shared {
            engine,
            logs: Mutex::default(),
            worker: Worker::default(),
            have_starts_moved: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The partition's log. Costs no file and no directory until something is appended; data that is there already
    /// is opened with the first use.
    pub fn log(&self, id: &LogId, options: &Arc<LogOptions>) -> Arc<Log> {
        let mut logs = self.shared.logs();
        let log = logs
            .entry((id.topic_id, id.partition))
            .or_insert_with(|| Arc::new(Log::new(id.clone(), options.clone(), self.shared.clone())));
        log.clone()
    }

    /// The topic was deleted. Calls on the log fail from now on; its files go `file.delete.delay.ms` later.
    pub fn delete(&self, id: &LogId, _now_ms: i64) -> Result<(), StorageError> {
        let log = self.shared.logs().remove(&(id.topic_id, id.partition));
        if let Some(log) = &log {
            log.mark_deleted();
        }
        Ok(())
    }

    /// To be called every second or so, off the async threads: flushes what `flush.ms` has waited for.
    pub fn maintain(&self, now_ms: i64) {
        for log in self.shared.all() {
            if log.is_flush_due(now_ms)
                && let Err(error) = log.flush()
            {
                tracing::error!(log = %log.id(), %error, "could not flush");
            }
        }
    }

    /// A clean stop: everything is flushed and noted, so that the next start need look at nothing.
    pub fn close(&self) -> Result<(), StorageError> {
        self.shared.worker.stop();
        for log in self.shared.all() {
            log.note_end();
            log.flush()?;
        }
        Ok(())
    }

    /// Each directory with its size and its logs.
    pub fn describe(&self) -> Result<Vec<LogDir>, StorageError> {
        match &self.shared.engine {
            Engine::Memory => {
                let logs = self.shared.all();
                let sizes = logs.iter().map(|log| Ok((log.id().clone(), log.size()?)));
                Ok(vec![LogDir { logs: sizes.collect::<Result<_, StorageError>>()?, ..LogDir::default() }])
            }
        }
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.shared.worker.stop();
        // Each log holds what is shared: without this they would keep each other alive.
        self.shared.logs().clear();
    }
}

impl Shared {
    pub fn open(&self, _id: &LogId, _options: &LogOptions) -> Result<Opened, StorageError> {
        match &self.engine {
            Engine::Memory => Ok(Opened {
                store: Box::new(MemoryStore::new()),
                start_offset: 0,
                end_offset: 0,
                recovery_point: 0,
                producers: Producers::default(),
                epochs: Epochs::default(),
            }),
        }
    }

    /// The log has something to flush, and perhaps somebody waiting for it.
    pub fn flush_soon(&self, id: &LogId) {
        let log = self.logs().get(&(id.topic_id, id.partition)).cloned();
        if let Some(log) = log {
            self.worker.flush(&log);
        }
    }

    pub fn starts_moved(&self) {
        self.have_starts_moved.store(true, Ordering::Relaxed);
    }

    fn all(&self) -> Vec<Arc<Log>> {
        self.logs().values().cloned().collect()
    }

    fn logs(&self) -> MutexGuard<'_, HashMap<(Uuid, i32), Arc<Log>>> {
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
