//! One partition's log: what is the same whatever engine keeps the bytes. Offsets are assigned here, producers'
//! sequences checked, leader epochs and transactions tracked, times looked up.
//!
//! Enters: `ValidatedBatches`, offsets, times. Leaves: offsets, shared bytes, `StorageError`.
//! A log costs nothing until it is used: no file, no directory, no thread.

mod append;
mod compact;
mod maintain;
mod put_away;
mod read;
mod tail;
mod time;
mod transactions;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::commit::Promise;
use crate::epochs::Epochs;
use crate::error::StorageError;
use crate::logs::Shared;
use crate::options::{LogId, LogOptions};
use crate::producers::Producers;
use crate::store::LogStore;
use crate::verification::Verifications;
use tail::Tail;

pub(crate) use put_away::PutAway;
pub(crate) use tail::TailBudget;

pub use append::{AppendContext, Appended, Origin};
pub use compact::{Compacted, CompactionCandidate, CompactionLimits, Pace};
pub use maintain::RetentionDue;
pub use time::TimestampOffset;

/// What an engine finds when it opens a log.
pub(crate) struct Opened {
    pub store: Box<dyn LogStore>,
    pub start_offset: i64,
    pub end_offset: i64,
    /// Up to here the data is on the disk for sure.
    pub recovery_point: i64,
    /// Where the last compaction ended, when there was one.
    pub cleaned_to: Option<i64>,
    /// Offsets are missing behind the recovery point, and nothing is wrong with that.
    pub has_gaps: bool,
    /// Of the snapshot that `producers` was built from.
    pub snapshot_offset: i64,
    pub producers: Producers,
    pub epochs: Epochs,
    /// Whether reads are slow enough for the newest batches to be kept above the engine.
    pub has_tail: bool,
    /// The log directory that it is in, by its place in `log.dirs`.
    pub home: usize,
}

/// A partition's log, thread safe. No call waits for the disk to sync, unless its name says so.
pub struct Log {
    id: LogId,
    shared: Arc<Shared>,
    inner: Mutex<Inner>,
    /// Held while the disk syncs: what one flush has taken on, another must not report as done.
    flush_turn: Mutex<()>,
    /// A pass is under way: its files would be another one's, too.
    is_compacting: AtomicBool,
}

/// Where a log begins and ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub start_offset: i64,
    pub last_stable_offset: i64,
    pub end_offset: i64,
}

struct Inner {
    options: Arc<LogOptions>,
    state: State,
}

enum State {
    /// Not used yet, or put away: the engine may have data.
    Closed,
    Open(Box<OpenLog>),
    Deleted,
    /// Its log directory has failed.
    Offline,
}

pub(crate) struct OpenLog {
    store: Box<dyn LogStore>,
    tail: Option<Tail>,
    producers: Producers,
    verifications: Verifications,
    epochs: Epochs,
    start_offset: i64,
    end_offset: i64,
    recovery_point: i64,
    cleaned_to: Option<i64>,
    /// When the oldest write that is not flushed happened.
    unflushed_since_ms: Option<i64>,
    unflushed_bytes: u64,
    /// Appends that wait for the disk.
    waiting: Vec<Arc<Promise>>,
    /// The last of those whose flush is under way.
    flushing: Option<Arc<Promise>>,
    /// What was flushed last is not on the disk: it is tried again, and nothing is taken until it is.
    has_flush_failed: bool,
    is_flush_queued: bool,
    /// Whether upkeep looks at this log.
    is_active: bool,
    last_used_ms: i64,
    last_snapshot: i64,
    home: usize,
}

impl Log {
    pub(crate) fn new(id: LogId, options: Arc<LogOptions>, shared: Arc<Shared>) -> Self {
        Self {
            id,
            shared,
            inner: Mutex::new(Inner { options, state: State::Closed }),
            flush_turn: Mutex::new(()),
            is_compacting: AtomicBool::new(false),
        }
    }

    pub fn id(&self) -> &LogId {
        &self.id
    }

    /// The topic's configuration changed. It holds from the next append on.
    pub fn update_options(&self, options: Arc<LogOptions>) {
        self.lock().options = options;
    }

    pub fn options(&self) -> Arc<LogOptions> {
        self.lock().options.clone()
    }

    /// The first offset that can be read.
    pub fn start_offset(&self) -> Result<i64, StorageError> {
        self.with(|log, _| Ok(log.start_offset))
    }

    /// The offset that the next record will have.
    pub fn end_offset(&self) -> Result<i64, StorageError> {
        self.with(|log, _| Ok(log.end_offset))
    }

    /// Where the first transaction begins that is open or whose end is not committed; or else the end. Read-committed consumers read up to the lesser of this and the
    /// high watermark.
    pub fn last_stable_offset(&self) -> Result<i64, StorageError> {
        self.with(|log, _| Ok(log.last_stable_offset()))
    }

    /// The first three together, as of one moment.
    pub fn bounds(&self) -> Result<Bounds, StorageError> {
        self.with(|log, _| {
            Ok(Bounds {
                start_offset: log.start_offset,
                last_stable_offset: log.last_stable_offset(),
                end_offset: log.end_offset,
            })
        })
    }

    /// Bytes of all its batches.
    pub fn size(&self) -> Result<u64, StorageError> {
        self.with(|log, _| Ok(log.store.extents()?.iter().map(|extent| extent.bytes).sum()))
    }

    /// The epoch of the newest batch that had one.
    pub fn latest_epoch(&self) -> Result<Option<i32>, StorageError> {
        self.with(|log, _| Ok(log.epochs.latest()))
    }

    /// The epoch in which `offset` was written.
    pub fn epoch_at(&self, offset: i64) -> Result<Option<i32>, StorageError> {
        self.with(|log, _| Ok(log.epochs.at(offset)))
    }

    /// The largest epoch up to `epoch`, and the offset after its last record; (-1, -1) when `epoch` is newer than
    /// anything here (OffsetForLeaderEpoch).
    pub fn end_offset_for_epoch(&self, epoch: i32) -> Result<(i32, i64), StorageError> {
        self.with(|log, _| Ok(log.epochs.end_offset_for(epoch, log.end_offset)))
    }

    /// Runs `work` on the open log, opening it first when it is not.
    fn with<T>(
        &self,
        work: impl FnOnce(&mut OpenLog, &LogOptions) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut inner = self.lock();
        let Inner { options, state } = &mut *inner;
        work(self.open(options, state)?, options)
    }

    fn open<'a>(&self, options: &LogOptions, state: &'a mut State) -> Result<&'a mut OpenLog, StorageError> {
        if matches!(state, State::Closed) {
            *state = State::Open(Box::new(OpenLog::new(self.shared.open(&self.id, options)?, &self.shared)));
        }
        match state {
            State::Open(log) => Ok(log),
            State::Closed | State::Deleted => Err(StorageError::Deleted),
            State::Offline => Err(self.offline()),
        }
    }

    fn offline(&self) -> StorageError {
        StorageError::Offline { dir: format!("of {}", self.id) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic under the lock leaves the log as it was: every change is made after the write it speaks of.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenLog {
    fn new(mut opened: Opened, shared: &Shared) -> Self {
        // Extents that reach beyond the recovery point count as a whole: rather flushed too early than too late.
        let extents = opened.store.extents().unwrap_or_default();
        let unflushed = extents.iter().filter(|extent| extent.next_offset > opened.recovery_point);
        let unflushed_bytes = unflushed.map(|extent| extent.bytes).sum();
        Self {
            store: opened.store,
            tail: opened.has_tail.then(|| Tail::new(shared.tail_budget())),
            producers: opened.producers,
            verifications: Verifications::new(shared.next_opening()),
            epochs: opened.epochs,
            start_offset: opened.start_offset,
            end_offset: opened.end_offset,
            recovery_point: opened.recovery_point,
            cleaned_to: opened.cleaned_to,
            unflushed_since_ms: None,
            unflushed_bytes,
            waiting: Vec::new(),
            flushing: None,
            has_flush_failed: false,
            is_flush_queued: false,
            is_active: false,
            last_used_ms: 0,
            last_snapshot: opened.snapshot_offset,
            home: opened.home,
        }
    }

    fn last_stable_offset(&self) -> i64 {
        // Of a transaction whose first records were deleted, what is left is unstable.
        self.producers.first_unstable_offset().unwrap_or(self.end_offset).max(self.start_offset)
    }
}
