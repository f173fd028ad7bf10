//! All logs of this process.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::epochs::Epochs;
use crate::error::StorageError;
use crate::local::{Checkpoint, LocalEngine, LocalSettings};
use crate::log::{Log, Opened, PutAway, TailBudget};
use crate::memory::MemoryStore;
use crate::options::{LogId, LogOptions};
use crate::producers::Producers;
use crate::worker::{Worker, flush};

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
    /// It has failed: nobody knows what is in it.
    pub is_offline: bool,
    /// Each log in it, and its size in bytes.
    pub logs: Vec<(LogId, u64)>,
}

/// Where a log belongs. The storage does not decide it, so that whoever does can remember it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// The directory at this place of `log.dirs`.
    In(usize),
    /// A directory that is not there.
    Lost,
    /// Nobody has said: the directory where it is, or the emptiest one.
    Anywhere,
}

/// Tells where a log belongs. It is asked under the log's lock, and must not wait.
pub type Placement = dyn Fn(&LogId) -> Home + Send + Sync;

/// What a log needs of the whole.
pub(crate) struct Shared {
    engine: Engine,
    logs: Mutex<LogTable>,
    /// Those that changed since the last checkpoint, or keep something in memory: upkeep looks at no others.
    active: Mutex<LogTable>,
    worker: Worker,
    tail_budget: Arc<TailBudget>,
    /// When checkpoints were last written.
    checkpointed_ms: AtomicI64,
    /// A log's start moved since the last checkpoint: that is in no other file.
    have_starts_moved: AtomicBool,
    /// So many directories are known to be offline.
    offline_known: AtomicUsize,
    /// The last checkpoints could not be written.
    has_checkpoint_failed: AtomicBool,
    /// How often a log was opened.
    openings: AtomicU32,
}

type LogTable = HashMap<(Uuid, i32), Arc<Log>>;

enum Engine {
    Memory,
    Local(LocalEngine),
}

/// All logs together keep at most so many of their newest bytes in memory.
const TAILS_MAX_BYTES: usize = 32 << 20;
/// A log that nobody has written to for so long keeps nothing in memory.
const TAIL_IDLE_MS: i64 = 10_000;
/// Once all logs together have more unflushed bytes, checkpoints are written at once: a recovery would read them all.
const UNFLUSHED_TOTAL_MAX_BYTES: u64 = 1 << 30;
/// A log with more unflushed bytes is flushed at the next checkpoint, so that a recovery never reads much more of it.
const UNFLUSHED_MAX_BYTES: u64 = 64 << 20;
/// Logs that nobody holds and that one round of upkeep puts away: a fraction of a second's work.
const PUT_AWAY_PER_ROUND: usize = 4096;
/// A clean stop that has more logs to flush in a directory makes its whole file system durable instead.
const FLUSHED_ONE_BY_ONE_MAX: usize = 64;

impl Logs {
    /// Logs that live as long as the process and touch no disk.
    pub fn memory() -> Self {
        Self::new(Engine::Memory)
    }

    /// Logs in Kafka's files under these directories (`log.dirs`), which are made where they are missing and locked
    /// against other processes.
    pub fn local(dirs: Vec<PathBuf>, settings: LocalSettings) -> Result<Self, StorageError> {
        Ok(Self::new(Engine::Local(LocalEngine::open(dirs, settings)?)))
    }

    /// Flushes on the caller's thread, so that a test sees the same order of writes each time.
    #[cfg(test)]
    pub(crate) fn on(engine: LocalEngine) -> Self {
        engine.without_threads();
        let logs = Self::new(Engine::Local(engine));
        logs.shared.worker.stop();
        logs
    }

    fn new(engine: Engine) -> Self {
        let shared = Shared {
            engine,
            logs: Mutex::default(),
            active: Mutex::default(),
            worker: Worker::default(),
            tail_budget: Arc::new(TailBudget::new(TAILS_MAX_BYTES)),
            checkpointed_ms: AtomicI64::new(0),
            have_starts_moved: AtomicBool::new(false),
            offline_known: AtomicUsize::new(0),
            has_checkpoint_failed: AtomicBool::new(false),
            openings: AtomicU32::new(0),
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

    /// How many logs are in memory. Those that nobody holds are put away by [`Logs::maintain`].
    pub fn open_count(&self) -> usize {
        self.shared.logs().len()
    }

    /// Begins logs where this says, from now on. Without it they go to the emptiest directory.
    pub fn set_placement(&self, placement: Arc<Placement>) {
        if let Engine::Local(engine) = &self.shared.engine {
            engine.set_placement(placement);
        }
    }

    /// The log directories, in their order; none in memory.
    pub fn dirs(&self) -> Vec<PathBuf> {
        match &self.shared.engine {
            Engine::Memory => Vec::new(),
            Engine::Local(engine) => engine.paths(),
        }
    }

    /// The directories that have failed, by their places in `log.dirs`, and why. Their logs are out of use from now on, also
    /// what is in memory of them.
    pub fn offline_dirs(&self) -> Vec<(usize, String)> {
        let Engine::Local(engine) = &self.shared.engine else { return Vec::new() };
        let offline = engine.offline();
        let known = self.shared.offline_known.swap(offline.len(), Ordering::Relaxed);
        if known < offline.len() {
            for log in self.shared.all() {
                log.take_offline(|home| offline.iter().any(|(at, _)| *at == home));
            }
        }
        offline
    }

    /// The directory must not be used, for a reason that only the caller sees.
    pub fn take_offline(&self, dir: usize, why: &str) {
        if let Engine::Local(engine) = &self.shared.engine {
            engine.take_offline(dir, why);
        }
    }

    /// The directory in which the log is, by its place in `log.dirs`; nothing when it is in none that can be used.
    pub fn find(&self, id: &LogId) -> Result<Option<usize>, StorageError> {
        match &self.shared.engine {
            Engine::Memory => Ok(None),
            Engine::Local(engine) => Ok(engine.find(id)?.map(|(at, _)| at)),
        }
    }

    /// The directory that the partition has or will have; nothing in memory. For files that live beside the log's
    /// own, as the metadata log's snapshots do.
    pub fn dir_of(&self, id: &LogId) -> Result<Option<PathBuf>, StorageError> {
        match &self.shared.engine {
            Engine::Memory => Ok(None),
            Engine::Local(engine) => engine.dir_of(id).map(Some),
        }
    }

    /// Topic and partition of each log that has a directory, opened or not: what retention must look at.
    pub fn stored(&self) -> Result<Vec<(String, i32)>, StorageError> {
        match &self.shared.engine {
            Engine::Memory => {
                let logs = self.shared.all();
                Ok(logs.iter().map(|log| (log.id().topic.to_string(), log.id().partition)).collect())
            }
            Engine::Local(engine) => engine.stored(),
        }
    }

    /// A topic was deleted. Calls on its logs fail from now on; their directories go in the background, and their files at
    /// `remove_at_ms`. Another topic may have the name at once.
    pub fn delete(&self, topic: &Arc<str>, topic_id: Uuid, partitions: Range<i32>, remove_at_ms: i64) {
        for partition in partitions.clone() {
            let key = (topic_id, partition);
            let log = self.shared.logs().remove(&key);
            lock(&self.shared.active).remove(&key);
            if let Some(log) = log {
                log.mark_deleted();
            }
        }
        if let Engine::Local(engine) = &self.shared.engine {
            engine.delete(topic, topic_id, partitions, remove_at_ms);
            // The checkpoints tell of them.
            self.shared.have_starts_moved.store(true, Ordering::Relaxed);
        }
    }

    /// To be called once after the start, when the metadata is known: deals with directories of topics that are not in it.
    pub fn settle_strays(
        &self,
        is_known: &dyn Fn(&str, i32) -> bool,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        match &self.shared.engine {
            Engine::Memory => Ok(()),
            Engine::Local(engine) => engine.settle_strays(is_known, now_ms),
        }
    }

    /// To be called every second or so, off the async threads: flushes what `flush.ms` has waited for, removes what was
    /// deleted, gives memory back, and writes checkpoints when it is time. Costs nothing for logs that nobody writes to.
    pub fn maintain(&self, now_ms: i64) {
        let mut unflushed_bytes = 0;
        for log in self.shared.active() {
            log.rest(now_ms, TAIL_IDLE_MS);
            unflushed_bytes += log.unflushed_bytes();
            if log.is_flush_due(now_ms) {
                self.shared.worker.flush(&log);
            }
        }
        let Engine::Local(engine) = &self.shared.engine else { return };
        self.put_away_unused();
        engine.remove_doomed(now_ms);
        let last_ms = self.shared.checkpointed_ms.load(Ordering::Relaxed);
        let is_due = now_ms.saturating_sub(last_ms) >= engine.checkpoint_interval_ms()
            || unflushed_bytes >= UNFLUSHED_TOTAL_MAX_BYTES;
        if is_due {
            self.note_checkpoint(self.checkpoint(now_ms));
        } else if self.shared.have_starts_moved.load(Ordering::Relaxed) {
            self.note_checkpoint(self.note_starts(now_ms));
        }
    }

    /// Gives back the memory of logs that nobody holds any more. What a later use needs to know of them stays.
    fn put_away_unused(&self) {
        let mut put_away = Vec::new();
        for log in self.shared.unused(PUT_AWAY_PER_ROUND) {
            match log.put_away() {
                PutAway::Done => put_away.push((log.id().topic_id, log.id().partition)),
                PutAway::MustFlush => self.shared.worker.flush(&log),
                PutAway::Busy => {}
            }
        }
        let mut logs = self.shared.logs();
        for key in put_away {
            // Whoever has taken it meanwhile keeps it in the table; a closed log that nobody has is made anew from its id.
            if logs.get(&key).is_some_and(|log| Arc::strong_count(log) == 1 && log.is_closed()) {
                logs.remove(&key);
            }
        }
        if logs.len() < logs.capacity() / 4 {
            logs.shrink_to_fit();
        }
    }

    /// What could not be written is tried again at the next call, and said once.
    fn note_checkpoint(&self, outcome: Result<(), StorageError>) {
        let had_failed = self.shared.has_checkpoint_failed.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Err(error) if !had_failed => {
                tracing::error!(%error, "could not write checkpoints; a recovery would read more");
            }
            Err(_) => {}
            Ok(()) if had_failed => tracing::info!("checkpoints are written again"),
            Ok(()) => {}
        }
    }

    /// Notes where each log starts and how far it is on the disk, which bounds what a start after a crash reads.
    pub fn checkpoint(&self, now_ms: i64) -> Result<(), StorageError> {
        self.shared.checkpointed_ms.store(now_ms, Ordering::Relaxed);
        let active = self.shared.active();
        let unflushed_bytes: u64 = active.iter().map(|log| log.unflushed_bytes()).sum();
        // All that are larger than half of the mean: what is left is less than half.
        let many = unflushed_bytes >= UNFLUSHED_TOTAL_MAX_BYTES;
        let mean = unflushed_bytes / active.len().max(1) as u64;
        let most = if many { UNFLUSHED_MAX_BYTES.min(mean / 2) } else { UNFLUSHED_MAX_BYTES };
        for log in active.iter().filter(|log| log.unflushed_bytes() > most) {
            log.note_end();
            // After an error its recovery point stays where it is, and the log says so itself.
            flush(log);
        }
        self.note_starts(now_ms)
    }

    /// Notes where each log starts, so that a crash does not bring back what was deleted. Waits for the disk, but for no
    /// flush of data.
    pub fn note_starts(&self, now_ms: i64) -> Result<(), StorageError> {
        let Engine::Local(engine) = &self.shared.engine else { return Ok(()) };
        self.shared.have_starts_moved.store(false, Ordering::Relaxed);
        for log in self.shared.active() {
            log.checkpoint(now_ms, TAIL_IDLE_MS, |home, checkpoint| {
                engine.take_checkpoint(log.id(), home, checkpoint);
            });
        }
        let outcome = engine.write_checkpoints();
        if outcome.is_err() {
            self.shared.have_starts_moved.store(true, Ordering::Relaxed);
        }
        outcome
    }

    /// A clean stop: everything is flushed and noted, so that the next start need look at nothing. The logs must
    /// not be used after it.
    pub fn close(&self, now_ms: i64) -> Result<(), StorageError> {
        self.shared.worker.stop();
        if let Engine::Local(engine) = &self.shared.engine {
            engine.stop();
        }
        let (mut outcome, mut unclean) = (Ok(()), Vec::new());
        let mut logs = self.shared.all();
        logs.retain(|log| log.is_open());
        for log in &logs {
            self.shared.join_active(log.id());
            log.settle();
            log.note_end();
        }
        if let Engine::Local(engine) = &self.shared.engine {
            for dir in dirs_to_sync(engine, &logs) {
                match engine.sync_all(dir) {
                    Ok(()) => logs.retain(|log| log.home() != Some(dir) || !log.all_synced()),
                    Err(error) => {
                        outcome = outcome.and(Err(error));
                        unclean.push(dir);
                    }
                }
            }
        }
        for log in logs {
            if let Err(error) = log.flush() {
                outcome = outcome.and(Err(error));
                unclean.extend(log.home());
            }
        }
        outcome = outcome.and(self.checkpoint(now_ms));
        match &self.shared.engine {
            Engine::Memory => outcome,
            Engine::Local(engine) => outcome.and(engine.mark_clean(&unclean)),
        }
    }

    /// Each directory with its size and its logs.
    pub fn describe(&self) -> Result<Vec<LogDir>, StorageError> {
        let mut dirs = match &self.shared.engine {
            Engine::Memory => vec![LogDir::default()],
            Engine::Local(engine) => engine.spaces(),
        };
        for log in self.shared.all() {
            let path = match self.dir_of(log.id()) {
                Err(StorageError::Offline { .. }) => continue,
                outcome => outcome?,
            };
            let home = path.as_deref().and_then(|path| path.parent()).map(PathBuf::from).unwrap_or_default();
            if let Some(dir) = dirs.iter_mut().find(|dir| dir.path == home) {
                dir.logs.push((log.id().clone(), log.size()?));
            }
        }
        Ok(dirs)
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.shared.worker.stop();
        // Each log holds what is shared: without this they would keep each other alive.
        self.shared.logs().clear();
        lock(&self.shared.active).clear();
    }
}

impl Shared {
    pub fn open(&self, id: &LogId, options: &LogOptions) -> Result<Opened, StorageError> {
        match &self.engine {
            Engine::Memory => Ok(Opened {
                store: Box::new(MemoryStore::new()),
                start_offset: 0,
                end_offset: 0,
                recovery_point: 0,
                cleaned_to: None,
                has_gaps: false,
                snapshot_offset: 0,
                producers: Producers::default(),
                epochs: Epochs::default(),
                has_tail: false,
                home: 0,
            }),
            Engine::Local(engine) => engine.open_log(id, options),
        }
    }

    /// From here on a crash does not move the log's start back.
    pub fn note_start(&self, id: &LogId, home: usize, checkpoint: Checkpoint) -> Result<(), StorageError> {
        match &self.engine {
            Engine::Memory => Ok(()),
            Engine::Local(engine) => engine.note_start(id, home, checkpoint),
        }
    }

    /// A compaction of the log has ended there.
    pub fn note_cleaned(&self, id: &LogId, home: usize, cleaned_to: i64) -> Result<(), StorageError> {
        match &self.engine {
            Engine::Memory => Ok(()),
            Engine::Local(engine) => engine.note_cleaned(id, home, cleaned_to),
        }
    }

    /// The log has something to flush, and perhaps somebody waiting for it.
    pub fn flush_soon(&self, id: &LogId) {
        let log = self.logs().get(&(id.topic_id, id.partition)).cloned();
        if let Some(log) = log {
            self.worker.flush(&log);
        }
    }

    pub fn tail_budget(&self) -> Arc<TailBudget> {
        self.tail_budget.clone()
    }

    pub fn starts_moved(&self, id: &LogId) {
        self.join_active(id);
        self.have_starts_moved.store(true, Ordering::Relaxed);
    }

    /// Upkeep looks at the log from now on, until it says that there is nothing to do.
    pub fn join_active(&self, id: &LogId) {
        let key = (id.topic_id, id.partition);
        let log = self.logs().get(&key).cloned();
        if let Some(log) = log {
            lock(&self.active).insert(key, log);
        }
    }

    pub fn leave_active(&self, id: &LogId) {
        lock(&self.active).remove(&(id.topic_id, id.partition));
    }

    fn active(&self) -> Vec<Arc<Log>> {
        lock(&self.active).values().cloned().collect()
    }

    /// The log was put away. Called under its lock.
    pub fn closed(&self, id: &LogId, home: usize, checkpoint: Checkpoint, has_files: bool) {
        self.leave_active(id);
        if let Engine::Local(engine) = &self.engine {
            engine.closed(id, home, checkpoint, has_files);
        }
    }

    /// A number that no opening of a log had before.
    pub fn next_opening(&self) -> u32 {
        self.openings.fetch_add(1, Ordering::Relaxed)
    }

    /// Some logs that nobody but the tables here holds.
    fn unused(&self, limit: usize) -> Vec<Arc<Log>> {
        let logs = self.logs();
        let active = lock(&self.active);
        let is_unused = |(key, log): &(&(Uuid, i32), &Arc<Log>)| {
            Arc::strong_count(log) == 1 + usize::from(active.contains_key(*key))
        };
        logs.iter().filter(is_unused).map(|(_, log)| log.clone()).take(limit).collect()
    }

    fn all(&self) -> Vec<Arc<Log>> {
        self.logs().values().cloned().collect()
    }

    fn logs(&self) -> MutexGuard<'_, LogTable> {
        lock(&self.logs)
    }
}

/// The directories of which so much is not on the disk that one call for all is quicker than one for each log.
fn dirs_to_sync(engine: &LocalEngine, logs: &[Arc<Log>]) -> Vec<usize> {
    let mut dirs = engine.unflushed_dirs();
    let mut open: HashMap<usize, usize> = HashMap::new();
    for home in logs.iter().filter_map(|log| log.home()) {
        *open.entry(home).or_default() += 1;
    }
    let many = open.into_iter().filter(|(_, count)| *count > FLUSHED_ONE_BY_ONE_MAX);
    dirs.extend(many.map(|(home, _)| home));
    dirs.sort_unstable();
    dirs.dedup();
    dirs
}

fn lock(table: &Mutex<LogTable>) -> MutexGuard<'_, LogTable> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}
