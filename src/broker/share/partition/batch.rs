//! In-flight records: a batch of them, as runs of neighbours that are in the same state.

use std::sync::Arc;

/// A member of a share group, shared by all records that it has.
pub type MemberId = Arc<str>;

/// Where a record stands, and by which number the persister knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordState {
    Available = 0,
    Acquired = 1,
    Acknowledged = 2,
    Archived = 4,
}

impl RecordState {
    pub fn id(self) -> i8 {
        self as i8
    }

    pub fn from_id(id: i8) -> Option<RecordState> {
        match id {
            0 => Some(RecordState::Available),
            1 => Some(RecordState::Acquired),
            2 => Some(RecordState::Acknowledged),
            4 => Some(RecordState::Archived),
            _ => None,
        }
    }

    /// Never delivered again.
    pub fn is_terminal(self) -> bool {
        matches!(self, RecordState::Acknowledged | RecordState::Archived)
    }
}

/// A member's hold on records, until it acknowledges them or the time is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    pub member: MemberId,
    pub deadline_ms: i64,
}

/// What is known of each record of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub state: RecordState,
    /// How often it was given to a member.
    pub count: i16,
    /// Set while acquired.
    pub lock: Option<Lock>,
}

impl Delivery {
    pub fn available(count: i16) -> Delivery {
        Delivery { state: RecordState::Available, count, lock: None }
    }

    /// Becomes `state`, and nobody's. What was delivered `limit` times already is archived, not made available.
    pub fn leave(&mut self, state: RecordState, limit: i16) {
        let is_used_up = state == RecordState::Available && self.count >= limit;
        self.state = if is_used_up { RecordState::Archived } else { state };
        self.lock = None;
    }
}

/// A change that the persister has not confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub transition: u64,
    /// What it is again if the persister refuses.
    pub before: Delivery,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub first_offset: i64,
    pub last_offset: i64,
    pub delivery: Delivery,
    pub pending: Option<Pending>,
}

impl Run {
    pub fn new(first_offset: i64, last_offset: i64, delivery: Delivery) -> Run {
        Run { first_offset, last_offset, delivery, pending: None }
    }

    pub fn count(&self) -> i64 {
        self.last_offset - self.first_offset + 1
    }

    /// Whether a member may have it now.
    pub fn is_available(&self) -> bool {
        self.delivery.state == RecordState::Available && self.pending.is_none()
    }

    pub fn is_acquired(&self) -> bool {
        self.delivery.state == RecordState::Acquired
    }

    pub fn owner(&self) -> Option<&MemberId> {
        self.delivery.lock.as_ref().map(|lock| &lock.member)
    }

    /// Whether it is done with, for good.
    pub fn is_settled(&self) -> bool {
        self.delivery.state.is_terminal() && self.pending.is_none()
    }
}

/// Records that were fetched (or restored) together. Its runs follow each other without holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// How many records it had when it was made: the share of it that is delivered at once rests on that.
    pub size: i64,
    /// Nothing was ever said of these records: they lie between batches that were restored. They are acquired as new.
    pub is_unseen: bool,
    pub runs: Vec<Run>,
}

impl Batch {
    pub fn new(runs: Vec<Run>) -> Batch {
        let size = runs.iter().map(Run::count).sum();
        Batch { size, is_unseen: false, runs }
    }

    pub fn unseen(first_offset: i64, last_offset: i64) -> Batch {
        let run = Run::new(first_offset, last_offset, Delivery::available(0));
        Batch { size: run.count(), is_unseen: true, runs: vec![run] }
    }

    pub fn first_offset(&self) -> i64 {
        self.runs.first().map_or(0, |run| run.first_offset)
    }

    pub fn last_offset(&self) -> i64 {
        self.runs.last().map_or(-1, |run| run.last_offset)
    }

    /// The runs of `first..=last`, cut out at both ends.
    pub fn cut(&mut self, first: i64, last: i64) -> &mut [Run] {
        let from = self.split_before(first);
        let to = self.split_before(last.saturating_add(1));
        &mut self.runs[from..to]
    }

    /// Makes a run begin at `offset`, if one holds it; returns how many runs lie before it.
    pub fn split_before(&mut self, offset: i64) -> usize {
        let at = self.runs.partition_point(|run| run.last_offset < offset);
        match self.runs.get_mut(at) {
            Some(run) if run.first_offset < offset => {
                let mut rest = run.clone();
                run.last_offset = offset - 1;
                rest.first_offset = offset;
                self.runs.insert(at + 1, rest);
                at + 1
            }
            _ => at,
        }
    }

    /// Joins neighbours that are alike.
    pub fn merge(&mut self) {
        self.runs.dedup_by(|next, run| {
            let is_alike = next.delivery == run.delivery && next.pending == run.pending;
            if is_alike {
                run.last_offset = next.last_offset;
            }
            is_alike
        });
    }
}
