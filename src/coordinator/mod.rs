//! The coordinators: who is in a group, and how far it has read.
//!
//! Enters: commands, the time in milliseconds, a [`ClusterView`], replayed records. Leaves: an [`Outcome`] whose
//! response, records and effects are values. `runtime/` is the only folder here that awaits, locks or writes; each
//! other folder is a [`Machine`], and pure: no tokio, clock, random, lock or file.
//!
//! A coordinator decides with `&self` and returns records. What is in its log (hard state) changes only in
//! `replay(&mut self, record)`, so that a live shard and a reloaded one are the same code; what is not logged (members
//! that are still joining, parked answers) is soft state, replaced as a whole by [`Outcome::soft`]. When an append
//! fails the shard is dropped and read again from its log: there is no code that takes a decision back.

pub mod batches;
#[cfg(test)]
pub mod chance;
pub mod group;
#[cfg(test)]
pub mod harness;
pub mod marker;
pub mod pattern;
pub mod runtime;
pub mod share;
pub mod timers;
pub mod transaction;
#[cfg(test)]
pub mod transcripts;
pub mod view;

use std::fmt::Debug;
use std::hash::Hash;

use ottla_protocol::batch::RecordBatch;
use ottla_protocol::wire::WireError;

use batches::BatchError;
pub use view::{ClusterSource, ClusterView, TopicView};

/// Names a request whose answer comes later (JoinGroup and SyncGroup wait for the other members). The runtime hands
/// them out and never uses one twice.
pub type Ticket = u64;

/// What a coordinator does with one partition of its topic.
pub trait Machine: Sized + Send + 'static {
    type Config: Clone + Send + Sync;
    type Record;
    /// A change of what is not logged.
    type Soft;
    /// A late answer, under a ticket.
    type Answer: Send + 'static;
    type TimerKey: Clone + Debug + Eq + Hash + Ord + Send;
    /// What somebody else has to do.
    type Errand: Send + 'static;

    /// An empty shard; records are replayed into it, then [`Machine::loaded`] makes it live.
    fn new(config: Self::Config) -> Self;

    /// Applies one record, read from the log or about to be appended to it.
    fn replay(&mut self, record: &Self::Record);

    /// The log has been read: builds what is not logged, sets the timers, takes up what was left undone.
    fn loaded(&self, now_ms: i64, view: &dyn ClusterView) -> OutcomeOf<Self, ()>;

    /// A timer is due.
    fn expire(&self, key: &Self::TimerKey, now_ms: i64, view: &dyn ClusterView) -> OutcomeOf<Self, ()>;

    /// Makes an outcome's changes; what is left of it is for the runtime: append the records, then do the effects.
    fn apply<R>(&mut self, outcome: OutcomeOf<Self, R>) -> Applied<Self, R>;

    /// The records of one decision, as one batch. Fails if a string is longer than the format allows.
    fn to_batch(records: &[Self::Record], now_ms: i64) -> Result<RecordBatch, WireError>;

    /// The records of a batch, without those of kinds that this machine does not know.
    fn from_batch(batch: &RecordBatch) -> Result<Vec<Self::Record>, BatchError>;
}

/// What one of `M`'s commands decided.
pub type OutcomeOf<M, R> = Outcome<R, <M as Machine>::Record, <M as Machine>::Soft, EffectOf<M>>;

/// An effect of one of `M`'s commands.
pub type EffectOf<M> = Effect<<M as Machine>::Answer, <M as Machine>::TimerKey, <M as Machine>::Errand>;

/// What is left of an outcome once its changes are made: response, records, effects.
pub type Applied<M, R> = (R, Vec<<M as Machine>::Record>, Vec<EffectOf<M>>);

/// What a command decided.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<R, Record, Soft, Effect> {
    /// The answer to the command itself; `()` where it leaves as an effect, under its ticket.
    pub response: R,
    /// To be replayed at once and appended as one batch; no answer leaves before the append is committed.
    pub records: Vec<Record>,
    /// Changes of what is not logged.
    pub soft: Vec<Soft>,
    /// Late answers and timers, for the runtime.
    pub effects: Vec<Effect>,
}

impl<R, Record, Soft, Effect> Outcome<R, Record, Soft, Effect> {
    /// An answer that changes nothing.
    pub fn answer(response: R) -> Self {
        Outcome { response, records: Vec::new(), soft: Vec::new(), effects: Vec::new() }
    }

    /// The same decision with another response.
    pub fn map<T>(self, change: impl FnOnce(R) -> T) -> Outcome<T, Record, Soft, Effect> {
        let Outcome { response, records, soft, effects } = self;
        Outcome { response: change(response), records, soft, effects }
    }
}

/// What the runtime shall do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect<Answer, TimerKey, Errand> {
    /// Answers an earlier request, or the present one.
    Answer(Ticket, Answer),
    /// Calls [`Machine::expire`] with the key at that time (milliseconds since the epoch), and no longer at the time
    /// set before.
    SetTimer(TimerKey, i64),
    /// As `SetTimer`, unless one is set already.
    StartTimer(TimerKey, i64),
    CancelTimer(TimerKey),
    /// To be done by somebody else once the outcome's records are committed, who may come back with a command.
    Errand(Errand),
}
