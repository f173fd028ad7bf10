//! What happens to a log beside appends and reads: a new start, retention, flushing, checkpoints, the end of its topic.

use std::sync::PoisonError;

use super::append::warn;
use super::{Inner, Log, OpenLog, State};
use crate::error::StorageError;
use crate::local::Checkpoint;
use crate::options::{LogId, LogOptions};
use crate::store::Note;

/// See [`Log::retention_due`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionDue {
    /// There are no files.
    NoLog,
    Never,
    /// At this time, or later; in milliseconds.
    At(i64),
}

/// A flush of so many bytes is noted before the next checkpoint is due.
const NOTED_MIN_BYTES: u64 = 64 << 20;

impl Log {
    /// Moves the start to `offset`, if that is later (DeleteRecords). What lies before it cannot be read any more; its bytes
    /// go extent by extent. Survives a restart. Returns the start.
    pub fn set_start_offset(&self, offset: i64, now_ms: i64) -> Result<i64, StorageError> {
        let start = self.with(|log, options| {
            if offset > log.end_offset {
                return Err(log.out_of_range(offset));
            }
            if offset > log.start_offset {
                log.advance_start(offset, options, now_ms, &self.id)?;
            }
            Ok(log.start_offset)
        })?;
        self.shared.starts_moved(&self.id);
        Ok(start)
    }

    /// Makes all that was written durable. Waits for the disk.
    pub fn flush(&self) -> Result<(), StorageError> {
        let _turn = self.flush_turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut inner = self.lock();
        let super::Inner { options, state } = &mut *inner;
        if matches!(state, State::Closed) {
            // It may have been put away with something that is not on the disk.
            self.open(options, state)?;
        }
        let State::Open(log) = state else { return Ok(()) };
        log.is_flush_queued = false;
        let (flush, upto) = (log.store.flush(), log.end_offset);
        // What is appended from here on counts for the next one.
        let taken_on = (log.unflushed_since_ms.take(), std::mem::take(&mut log.unflushed_bytes));
        let waiting = std::mem::take(&mut log.waiting);
        log.flushing = waiting.last().cloned();
        drop(inner);

        let outcome = flush.run();
        let mut inner = self.lock();
        if let State::Open(log) = &mut inner.state {
            log.flushed(upto, &outcome, &self.id);
            if outcome.is_err() {
                log.unflushed_since_ms = taken_on.0.or(log.unflushed_since_ms);
                log.unflushed_bytes += taken_on.1;
            }
        }
        drop(inner);
        if outcome.is_ok() && taken_on.1 >= NOTED_MIN_BYTES {
            // The checkpoint says so soon: else a recovery reads all of it again.
            self.shared.starts_moved(&self.id);
        }
        for promise in waiting {
            promise.keep(outcome.clone());
        }
        outcome
    }

    /// Drops what retention.ms and retention.bytes no longer keep, as far as `upper_offset` (the high watermark).
    /// Returns the start.
    pub fn apply_retention(&self, now_ms: i64, upper_offset: i64) -> Result<i64, StorageError> {
        let (outcome, has_moved) = self.with(|log, options| {
            let before = log.start_offset;
            let outcome = log.retain(options, now_ms, upper_offset, &self.id).map(|()| log.start_offset);
            log.producers.expire(now_ms, options.producer_id_expiration_ms);
            log.verifications.expire(now_ms, options.producer_id_expiration_ms);
            Ok((outcome, log.start_offset > before))
        })?;
        if has_moved {
            self.shared.starts_moved(&self.id); // also when what follows has failed
        }
        outcome
    }

    /// When retention has to look at the log again, if nobody writes to it until then.
    pub fn retention_due(&self) -> Result<RetentionDue, StorageError> {
        self.with(|log, options| {
            let extents = log.store.extents()?;
            let Some(first) = extents.first() else { return Ok(RetentionDue::NoLog) };
            if !options.cleanup_delete || (first.bytes == 0 && extents.len() == 1) {
                return Ok(RetentionDue::Never);
            }
            let bytes: u64 = extents.iter().map(|extent| extent.bytes).sum();
            if u64::try_from(options.retention_bytes).is_ok_and(|limit| bytes - first.bytes >= limit) {
                return Ok(RetentionDue::At(0));
            }
            Ok(match options.retention_ms {
                ..0 => RetentionDue::Never,
                retention_ms => RetentionDue::At(first.written_ms().saturating_add(retention_ms)),
            })
        })
    }

    /// Gives back the memory of a log that nobody has written to for `idle_ms`.
    pub(crate) fn rest(&self, now_ms: i64, idle_ms: i64) {
        if let State::Open(log) = &mut self.lock().state
            && now_ms.saturating_sub(log.last_used_ms) >= idle_ms
            && let Some(tail) = &mut log.tail
        {
            tail.clear();
        }
    }

    /// Whether `flush.ms` asks for a flush, or one has to be tried again.
    pub(crate) fn is_flush_due(&self, now_ms: i64) -> bool {
        let inner = self.lock();
        match &inner.state {
            State::Open(log) if log.has_flush_failed => true,
            State::Open(log) => log
                .unflushed_since_ms
                .is_some_and(|since| now_ms.saturating_sub(since) >= inner.options.flush_ms),
            State::Closed | State::Deleted | State::Offline => false,
        }
    }

    /// Written bytes that a crash of the machine could lose, and a recovery would have to read.
    pub(crate) fn unflushed_bytes(&self) -> u64 {
        match &self.lock().state {
            State::Open(log) => log.unflushed_bytes,
            State::Closed | State::Deleted | State::Offline => 0,
        }
    }

    /// Tells what the next start needs to know, and of which directory, when the log is open and has files. It leaves upkeep
    /// until it changes when nobody has written to it for `idle_ms`.
    pub(crate) fn checkpoint(&self, now_ms: i64, idle_ms: i64, tell: impl FnOnce(usize, Checkpoint)) {
        let mut inner = self.lock();
        let flush_ms = inner.options.flush_ms;
        let State::Open(log) = &mut inner.state else { return self.shared.leave_active(&self.id) };
        if log.store.extents().is_ok_and(|extents| !extents.is_empty()) {
            tell(log.home, log.as_checkpoint());
        }
        let will_flush = log.has_flush_failed || log.unflushed_since_ms.is_some() && flush_ms < i64::MAX;
        let is_idle = now_ms.saturating_sub(log.last_used_ms) >= idle_ms && !will_flush;
        if is_idle && let Some(tail) = &mut log.tail {
            tail.clear();
        }
        log.is_active = !is_idle;
        if is_idle {
            self.shared.leave_active(&self.id);
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        matches!(self.lock().state, State::Open(_))
    }

    /// Notes the producers' state at the end, so that opening need not read the log. For a clean stop.
    pub(crate) fn note_end(&self) {
        if let State::Open(log) = &mut self.lock().state {
            let end_offset = log.end_offset;
            log.note_producers(end_offset, &self.id);
        }
    }

    /// Gives back what is reserved for more appends.
    pub(crate) fn settle(&self) {
        if let State::Open(log) = &mut self.lock().state {
            log.store.settle();
        }
    }

    /// Refuses everything from now on. Appends that wait for the disk fail.
    pub(crate) fn mark_deleted(&self) {
        self.lock().end(State::Deleted, &StorageError::Deleted);
    }

    /// The same for a log that is open and whose directory has failed.
    pub(crate) fn take_offline(&self, has_failed: impl Fn(usize) -> bool) {
        let mut inner = self.lock();
        if matches!(&inner.state, State::Open(log) if has_failed(log.home)) {
            inner.end(State::Offline, &self.offline());
        }
    }

    /// The log directory that an open log is in.
    pub(crate) fn home(&self) -> Option<usize> {
        if let State::Open(log) = &self.lock().state { Some(log.home) } else { None }
    }
}

impl Inner {
    fn end(&mut self, state: State, error: &StorageError) {
        if let State::Open(log) = std::mem::replace(&mut self.state, state) {
            for promise in log.waiting {
                promise.keep(Err(error.clone()));
            }
        }
    }
}

impl OpenLog {
    /// What was written up to `upto` is on the disk, or is not.
    fn flushed(&mut self, upto: i64, outcome: &Result<(), StorageError>, id: &LogId) {
        self.flushing = None;
        let had_failed = std::mem::replace(&mut self.has_flush_failed, outcome.is_err());
        if let Err(error) = outcome {
            if !had_failed && !error.is_told() {
                tracing::error!(log = %id, %error, "could not flush; nothing is appended until that succeeds");
            }
            return;
        }
        self.durable_up_to(upto);
    }

    pub(super) fn durable_up_to(&mut self, upto: i64) {
        self.recovery_point = self.recovery_point.max(upto.min(self.end_offset));
        self.producers.committed_up_to(self.recovery_point);
        if self.recovery_point == self.end_offset {
            self.unflushed_since_ms = None;
            self.unflushed_bytes = 0;
        }
    }

    fn out_of_range(&self, offset: i64) -> StorageError {
        StorageError::OffsetOutOfRange { offset, start: self.start_offset, end: self.end_offset }
    }

    fn advance_start(
        &mut self,
        offset: i64,
        options: &LogOptions,
        now_ms: i64,
        id: &LogId,
    ) -> Result<(), StorageError> {
        let extents = self.store.extents()?;
        let active = extents.last().map_or(offset, |extent| extent.base_offset);
        let drops_batches = extents.get(1).is_some_and(|second| second.base_offset <= offset);
        if drops_batches && !self.producers.is_empty() {
            // Nobody can rebuild from dropped batches what an older snapshot, lost to a power cut, said of their producers.
            self.note_producers(self.end_offset, id);
        }
        self.store.set_start(offset.min(active), options, now_ms)?;
        self.start_offset = offset;
        if self.epochs.truncate_from_start(offset) {
            warn(id, self.store.note(Note::Epochs(&self.epochs.encode())));
        }
        Ok(())
    }

    fn retain(
        &mut self,
        options: &LogOptions,
        now_ms: i64,
        upper_offset: i64,
        id: &LogId,
    ) -> Result<(), StorageError> {
        let Some(keep_from) = self.retained_from(options, now_ms, upper_offset)? else { return Ok(()) };
        if keep_from > self.start_offset {
            self.advance_start(keep_from, options, now_ms, id)?;
        }
        // The last extent goes too, once all of it is too old.
        if keep_from == self.end_offset {
            self.note_producers(keep_from, id);
            self.store.set_start(keep_from, options, now_ms)?;
        }
        Ok(())
    }

    /// The first offset that the topic's retention keeps, when it lets go of something.
    fn retained_from(
        &mut self,
        options: &LogOptions,
        now_ms: i64,
        upper_offset: i64,
    ) -> Result<Option<i64>, StorageError> {
        let mut keep_from = None;
        if !options.cleanup_delete {
            return Ok(keep_from);
        }
        let (extents, end_offset) = (self.store.extents()?, self.end_offset);
        let mut bytes: u64 = extents.iter().map(|extent| extent.bytes).sum();
        for extent in extents.iter().take_while(|extent| extent.next_offset <= upper_offset) {
            let age_ms = now_ms.saturating_sub(extent.written_ms());
            let is_old = options.retention_ms >= 0 && age_ms > options.retention_ms;
            let is_much = u64::try_from(options.retention_bytes)
                .is_ok_and(|limit| bytes.saturating_sub(extent.bytes) >= limit);
            // The last one stays when it is empty. Compaction may have emptied others.
            let is_last_and_empty = extent.bytes == 0 && extent.next_offset == end_offset;
            if is_last_and_empty || !(is_old || is_much) {
                break;
            }
            bytes -= extent.bytes;
            keep_from = Some(extent.next_offset);
        }
        Ok(keep_from)
    }
}
