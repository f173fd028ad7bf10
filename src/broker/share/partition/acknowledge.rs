//! What becomes of acquired records: acknowledged by their member, released when it leaves, taken back in time.

use std::ops::ControlFlow::{Break, Continue};

use super::batch::{Pending, RecordState, Run};
use super::{Settings, SharePartition, StateBatch};

/// What a member says of a record (KIP-932, KIP-1222).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcknowledgeType {
    /// There is no such record.
    Gap,
    Accept,
    Release,
    Reject,
    /// Still at work: the lock begins anew.
    Renew,
}

impl AcknowledgeType {
    pub fn from_id(id: i8) -> Option<AcknowledgeType> {
        use AcknowledgeType::*;
        [Gap, Accept, Release, Reject, Renew].into_iter().find(|kind| *kind as i8 == id)
    }

    /// None where the record stays acquired.
    fn target(self) -> Option<RecordState> {
        match self {
            AcknowledgeType::Accept => Some(RecordState::Acknowledged),
            AcknowledgeType::Release => Some(RecordState::Available),
            AcknowledgeType::Gap | AcknowledgeType::Reject => Some(RecordState::Archived),
            AcknowledgeType::Renew => None,
        }
    }
}

/// One batch of a request: one type for all its offsets, or one for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    pub first_offset: i64,
    pub last_offset: i64,
    pub types: Vec<AcknowledgeType>,
}

impl Acknowledgement {
    /// Neighbours of the same type together.
    fn ranges(&self) -> impl Iterator<Item = (i64, i64, AcknowledgeType)> {
        let mut first = self.first_offset;
        let is_per_offset = self.types.len() > 1;
        self.types.chunk_by(|a, b| a == b).map(move |chunk| {
            let last = if is_per_offset { first + chunk.len() as i64 - 1 } else { self.last_offset };
            let range = (first, last, chunk[0]);
            first = last + 1;
            range
        })
    }
}

/// Why nothing of a request was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcknowledgeError {
    /// Nobody has the records, or not any more.
    NotAcquired(Extent),
    /// Another member has them.
    NotOwner(Extent),
    /// `share.renew.acknowledge.enable` is false.
    RenewDisabled,
    /// Before all that is in flight.
    NotInFlight,
    /// Behind all that is in flight.
    FirstIsPast,
    LastIsPast,
}

/// How the records that are refused are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of their batch is in the same state.
    Batch,
    Offset,
}

/// What the persister has to write. Until it has, the records belong to nobody and are given to nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub transition: u64,
    pub states: Vec<StateBatch>,
}

/// What the persister said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Yes,
    No,
}

impl SharePartition {
    /// Does all that the member says, or nothing of it; renewed locks are the exception, as in Kafka. None when nothing
    /// is to be written.
    pub fn acknowledge(
        &mut self,
        member: &str,
        acknowledgements: &[Acknowledgement],
        now_ms: i64,
        settings: &Settings,
    ) -> Result<Option<Change>, AcknowledgeError> {
        let transition = self.last_transition + 1;
        let mut states = Vec::new();
        for acknowledgement in acknowledgements {
            let told = self.tell(member, acknowledgement, transition, now_ms, settings, &mut states);
            if let Err(error) = told {
                self.settle(transition, Written::No);
                return Err(error);
            }
        }
        Ok(self.change(states))
    }

    /// The member has left: what it has is available again.
    pub fn release(&mut self, member: &str, settings: &Settings) -> Option<Change> {
        let transition = self.last_transition + 1;
        let mut states = Vec::new();
        self.for_acquired(|run| {
            if run.owner().is_some_and(|owner| &**owner == member) {
                run.change(transition, RecordState::Available, settings, &mut states);
            }
        });
        self.change(states)
    }

    /// Takes back what was locked until now. This stands whatever the persister says: nobody was told of it.
    pub fn expire(&mut self, now_ms: i64, settings: &Settings) -> Option<Change> {
        let mut states = Vec::new();
        self.for_acquired(|run| {
            if run.delivery.lock.as_ref().is_some_and(|lock| lock.deadline_ms <= now_ms) {
                run.delivery.leave(RecordState::Available, settings.delivery_count_limit);
                push(&mut states, run);
            }
        });
        self.change(states)
    }

    /// Records of aborted transactions among those that were acquired just now: nobody is to see them. What the
    /// persister does not know of this is found out again when it is read again.
    pub fn archive_acquired(&mut self, first_offset: i64, last_offset: i64) {
        let _all = self.for_runs::<()>(first_offset, last_offset, |run| {
            if run.is_acquired() && run.pending.is_none() {
                run.delivery.leave(RecordState::Archived, i16::MAX);
            }
            Continue(())
        });
        self.advance();
    }

    /// The persister has written a change, or has not: then all is as it was. Returns whether the start offset moved.
    pub fn complete(&mut self, transition: u64, written: Written) -> bool {
        self.settle(transition, written);
        self.advance()
    }

    fn change(&mut self, states: Vec<StateBatch>) -> Option<Change> {
        if states.is_empty() {
            return None;
        }
        self.last_transition += 1;
        Some(Change { transition: self.last_transition, states })
    }

    fn settle(&mut self, transition: u64, written: Written) {
        for batch in self.batches.values_mut() {
            let mut is_changed = false;
            for run in &mut batch.runs {
                if let Some(pending) = run.pending.take_if(|pending| pending.transition == transition) {
                    is_changed = true;
                    if written == Written::No {
                        run.delivery = pending.before;
                    }
                }
            }
            if is_changed {
                batch.merge();
            }
        }
    }

    fn for_acquired(&mut self, mut change: impl FnMut(&mut Run)) {
        for batch in self.batches.values_mut() {
            batch
                .runs
                .iter_mut()
                .filter(|run| run.is_acquired() && run.pending.is_none())
                .for_each(&mut change);
            batch.merge();
        }
    }

    fn tell(
        &mut self,
        member: &str,
        acknowledgement: &Acknowledgement,
        transition: u64,
        now_ms: i64,
        settings: &Settings,
        states: &mut Vec<StateBatch>,
    ) -> Result<(), AcknowledgeError> {
        // What the start offset has passed is done with, whoever had it.
        if acknowledgement.last_offset < self.start_offset {
            return Ok(());
        }
        self.check_known(acknowledgement)?;
        let deadline_ms = now_ms.saturating_add(settings.record_lock_duration_ms);
        for (first, last, kind) in acknowledgement.ranges() {
            let told = self.for_runs(first.max(self.start_offset), last, |run| {
                let Some(owner) = run.owner() else { return Break((run.first_offset, Refusal::NotAcquired)) };
                if &**owner != member {
                    return Break((run.first_offset, Refusal::NotOwner));
                }
                match (kind.target(), &mut run.delivery.lock) {
                    (Some(state), _) => run.change(transition, state, settings, states),
                    (None, Some(lock)) if settings.renew_acknowledge_enabled => {
                        lock.deadline_ms = deadline_ms
                    }
                    (None, _) => return Break((run.first_offset, Refusal::RenewDisabled)),
                }
                Continue(())
            });
            if let Break((offset, refusal)) = told {
                return Err(self.refused(offset, refusal));
            }
        }
        Ok(())
    }

    fn check_known(&self, acknowledgement: &Acknowledgement) -> Result<(), AcknowledgeError> {
        let (first, last) = (acknowledgement.first_offset, acknowledgement.last_offset);
        if first >= self.start_offset && self.floor(first).is_none() {
            return Err(AcknowledgeError::NotInFlight);
        }
        match self.batches.range(..=last).next_back().map(|(_, batch)| batch.last_offset()) {
            None => Err(AcknowledgeError::NotInFlight),
            Some(known) if known < first => Err(AcknowledgeError::FirstIsPast),
            Some(known) if known < last => Err(AcknowledgeError::LastIsPast),
            Some(_) => Ok(()),
        }
    }

    fn refused(&self, offset: i64, refusal: Refusal) -> AcknowledgeError {
        let batch = self.floor(offset).and_then(|first| self.batches.get(&first));
        let is_whole =
            batch.is_some_and(|batch| batch.runs.len() == 1 && batch.runs[0].count() == batch.size);
        let extent = if is_whole { Extent::Batch } else { Extent::Offset };
        match refusal {
            Refusal::NotAcquired => AcknowledgeError::NotAcquired(extent),
            Refusal::NotOwner => AcknowledgeError::NotOwner(extent),
            Refusal::RenewDisabled => AcknowledgeError::RenewDisabled,
        }
    }
}

impl Run {
    /// Leaves its member for `state`, to stay there once the persister has written it.
    fn change(
        &mut self,
        transition: u64,
        state: RecordState,
        settings: &Settings,
        states: &mut Vec<StateBatch>,
    ) {
        self.pending = Some(Pending { transition, before: self.delivery.clone() });
        self.delivery.leave(state, settings.delivery_count_limit);
        push(states, self);
    }
}

/// What is wrong with a run.
enum Refusal {
    NotAcquired,
    NotOwner,
    RenewDisabled,
}

/// Adds a run, joined with the one before where they meet and are alike.
fn push(states: &mut Vec<StateBatch>, run: &Run) {
    let (state, delivery_count) = (run.delivery.state, run.delivery.count);
    match states.last_mut() {
        Some(before)
            if before.last_offset + 1 == run.first_offset
                && (before.state, before.delivery_count) == (state, delivery_count) =>
        {
            before.last_offset = run.last_offset;
        }
        _ => states.push(StateBatch {
            first_offset: run.first_offset,
            last_offset: run.last_offset,
            state,
            delivery_count,
        }),
    }
}
