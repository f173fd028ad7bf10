//! One partition as one share group reads it (KIP-932): which records are in flight, who has them, how often they were
//! delivered. Pure: time and the log's batches come as arguments, what the persister must know leaves as a [`Change`].
//!
//! From the start offset (SPSO) on nothing is forgotten; from the next offset (SPEO + 1) on nothing was fetched yet.
//! Between them lie the in-flight batches. What was acknowledged or archived in front is dropped, which moves the start.

mod acknowledge;
mod acquire;
mod batch;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use batch::{Batch, Delivery, Run};

pub use acknowledge::{AcknowledgeError, AcknowledgeType, Acknowledgement, Change, Extent, Written};
pub use acquire::{Acquire, AcquireMode, Acquired, LogBatch, without};
pub use batch::{MemberId, RecordState};

/// What a group's configuration says of its deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub record_lock_duration_ms: i64,
    pub delivery_count_limit: i16,
    /// How many records of a partition may be in flight.
    pub max_record_locks: i64,
    pub renew_acknowledge_enabled: bool,
}

/// Records as the persister knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateBatch {
    pub first_offset: i64,
    pub last_offset: i64,
    pub state: RecordState,
    pub delivery_count: i16,
}

/// What the persister gave cannot be: batches out of order, or before the start offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidState;

#[derive(Clone, Debug, PartialEq)]
pub struct SharePartition {
    start_offset: i64,
    /// The first offset that was never fetched for the group.
    next_offset: i64,
    /// By first offset; they do not overlap. Between two of them lies only what compaction has removed.
    batches: BTreeMap<i64, Batch>,
    last_transition: u64,
}

impl SharePartition {
    /// Goes on where the persister's state ends.
    pub fn restore(start_offset: i64, states: &[StateBatch]) -> Result<SharePartition, InvalidState> {
        let mut partition = SharePartition {
            start_offset,
            next_offset: start_offset,
            batches: BTreeMap::new(),
            last_transition: 0,
        };
        for state in states {
            if state.first_offset < partition.next_offset || state.last_offset < state.first_offset {
                return Err(InvalidState);
            }
            if state.first_offset > partition.next_offset {
                partition.insert(Batch::unseen(partition.next_offset, state.first_offset - 1));
            }
            // Whoever had it is gone: locks are not persisted.
            let kept =
                if state.state == RecordState::Acquired { RecordState::Available } else { state.state };
            let delivery = Delivery { state: kept, count: state.delivery_count, lock: None };
            partition.insert(Batch::new(vec![Run::new(state.first_offset, state.last_offset, delivery)]));
            partition.next_offset = state.last_offset + 1;
        }
        partition.advance();
        Ok(partition)
    }

    pub fn start_offset(&self) -> i64 {
        self.start_offset
    }

    /// Where to read for the next member: the first record that is available, or what was not fetched yet.
    pub fn next_fetch_offset(&self) -> i64 {
        let available = self.runs().find(|run| run.is_available());
        available.map_or(self.next_offset, |run| run.first_offset)
    }

    /// Whether a fetch could give a member anything.
    pub fn can_acquire(&self, settings: &Settings) -> bool {
        self.in_flight_records() < settings.max_record_locks || self.next_fetch_offset() != self.next_offset
    }

    /// How many records from the start offset on are done with: what a lag does not count (KIP-1226).
    pub fn delivery_complete_count(&self) -> i32 {
        let done = self.runs().filter(|run| run.delivery.state.is_terminal()).map(Run::count).sum::<i64>();
        i32::try_from(done).unwrap_or(i32::MAX)
    }

    /// When the next lock ends.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        let locks =
            self.runs().filter(|run| run.pending.is_none()).filter_map(|run| run.delivery.lock.as_ref());
        locks.map(|lock| lock.deadline_ms).min()
    }

    /// Whether nothing is lost when this is dropped and read again from the persister: nobody has records.
    pub fn is_idle(&self) -> bool {
        self.runs().all(|run| run.pending.is_none() && run.delivery.lock.is_none())
    }

    /// The log begins later than it did: what lies before that can be delivered no more.
    pub fn log_start_moved(&mut self, log_start_offset: i64) {
        if log_start_offset <= self.start_offset {
            return;
        }
        while let Some((_, mut batch)) = self.batches.pop_first() {
            if batch.first_offset() >= log_start_offset {
                self.insert(batch);
                break;
            }
            let gone = batch.split_before(log_start_offset);
            batch.runs.drain(..gone);
            if !batch.runs.is_empty() {
                self.insert(batch);
                break;
            }
        }
        self.start_offset = log_start_offset;
        self.next_offset = self.next_offset.max(log_start_offset);
        self.advance();
    }

    /// Records that were fetched and are not forgotten, with what compaction has removed between them.
    fn in_flight_records(&self) -> i64 {
        self.next_offset - self.start_offset
    }

    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.batches.values().flat_map(|batch| &batch.runs)
    }

    fn insert(&mut self, batch: Batch) {
        self.batches.insert(batch.first_offset(), batch);
    }

    /// The key of the batch that holds `offset`, or of the last one before it.
    fn floor(&self, offset: i64) -> Option<i64> {
        self.batches.range(..=offset).next_back().map(|(first, _)| *first)
    }

    /// Calls `change` for each run in `first..=last`, cut at both ends, in order, until it breaks.
    fn for_runs<B>(
        &mut self,
        first: i64,
        last: i64,
        mut change: impl FnMut(&mut Run) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        if first > last {
            return ControlFlow::Continue(());
        }
        let from = self.floor(first).unwrap_or(first);
        for batch in self.batches.range_mut(from..=last).map(|(_, batch)| batch) {
            let went_on = batch.cut(first, last).iter_mut().try_for_each(&mut change);
            batch.merge();
            went_on?;
        }
        ControlFlow::Continue(())
    }

    /// Drops what is done with in front, which moves the start offset. Returns whether it moved.
    fn advance(&mut self) -> bool {
        let before = self.start_offset;
        while let Some((_, mut batch)) = self.batches.pop_first() {
            let settled = batch.runs.iter().take_while(|run| run.is_settled()).count();
            batch.runs.drain(..settled);
            if !batch.runs.is_empty() {
                self.start_offset = self.start_offset.max(batch.first_offset());
                self.insert(batch);
                return self.start_offset != before;
            }
        }
        self.start_offset = self.next_offset;
        self.start_offset != before
    }
}
