//! Putting a log away: all its memory is given back, and the next use opens it again. Nothing is waited for, and
//! nothing is recovered then, since what this process wrote is not in doubt.

use std::sync::atomic::Ordering;

use super::{Log, OpenLog, State};
use crate::local::Checkpoint;
use crate::options::LogOptions;

/// Opening walks what lies behind the newest snapshot of the producers: more than this is not left to be walked.
const UNNOTED_MAX_BYTES: u64 = 64 << 10;
/// What is put away is not flushed for long: no more than this of it is left for a recovery to read.
const UNFLUSHED_MAX_BYTES: u64 = 1 << 20;

/// What became of a log that nobody holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PutAway {
    Done,
    /// Something goes on in it.
    Busy,
    /// It has much that is not on the disk: once it is, it can go.
    MustFlush,
}

impl Log {
    /// Closes the log if nothing goes on in it. Whoever uses it meanwhile, or later, finds it as it was.
    pub(crate) fn put_away(&self) -> PutAway {
        let mut inner = self.lock();
        let super::Inner { options, state } = &mut *inner;
        let State::Open(log) = state else { return PutAway::Done };
        if log.is_busy(options) || self.is_compacting.load(Ordering::Acquire) {
            return PutAway::Busy;
        }
        if log.unflushed_bytes > UNFLUSHED_MAX_BYTES {
            return PutAway::MustFlush;
        }
        if !log.store.settle() {
            return PutAway::Busy;
        }
        let Ok(extents) = log.store.extents() else { return PutAway::Busy };
        let active_bytes = extents.last().map_or(0, |extent| extent.bytes);
        if !log.producers.is_empty() || active_bytes > UNNOTED_MAX_BYTES {
            let end_offset = log.end_offset;
            log.note_producers(end_offset, &self.id);
            if log.last_snapshot != end_offset {
                return PutAway::Busy; // it could not be written
            }
        }
        let checkpoint = Checkpoint { is_closed: true, ..log.as_checkpoint() };
        self.shared.closed(&self.id, log.home, checkpoint, !extents.is_empty());
        *state = State::Closed;
        PutAway::Done
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.lock().state, State::Closed)
    }

    /// Everything was made durable by other means than this log's own flush; false when that comes too late, since an
    /// earlier one has failed. For a clean stop.
    pub(crate) fn all_synced(&self) -> bool {
        let mut inner = self.lock();
        let State::Open(log) = &mut inner.state else { return true };
        if log.has_flush_failed || !log.store.settle() {
            return false;
        }
        log.durable_up_to(log.end_offset);
        let waiting = std::mem::take(&mut log.waiting);
        drop(inner);
        waiting.into_iter().for_each(|promise| promise.keep(Ok(())));
        true
    }
}

impl OpenLog {
    /// Whether somebody comes back for what is in memory only.
    fn is_busy(&self, options: &LogOptions) -> bool {
        let will_flush = self.recovery_point < self.end_offset && options.flush_ms < i64::MAX;
        !self.waiting.is_empty()
            || self.flushing.is_some()
            || self.is_flush_queued
            || self.has_flush_failed
            || will_flush
            || self.producers.first_unstable_offset().is_some()
            || !self.verifications.is_empty()
    }

    pub(super) fn as_checkpoint(&self) -> Checkpoint {
        Checkpoint {
            start_offset: self.start_offset,
            recovery_point: self.recovery_point,
            // All that this broker has written is committed: it is the only replica.
            high_watermark: self.end_offset,
            is_closed: false,
        }
    }
}
