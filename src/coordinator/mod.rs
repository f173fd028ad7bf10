//! The coordinators: who is in a group, and how far it has read.
//!
//! Enters: commands, the time in milliseconds, replayed records. Leaves: an [`Outcome`] whose response, records and
//! effects are values. `runtime/` is the only folder here that awaits, locks or writes; `group/` (and later
//! `transaction/` and `share/`) are pure: no tokio, clock, random, lock or file.
//!
//! A coordinator decides with `&self` and returns records. What is in its log (hard state) changes only in
//! `replay(&mut self, record)`, so that a live shard and a reloaded one are the same code; what is not logged (members
//! that are still joining, parked answers) is soft state, replaced as a whole by [`Outcome::soft`]. When an append
//! fails the shard is dropped and read again from its log: there is no code that takes a decision back.

pub mod group;
pub mod runtime;
pub mod timers;

/// Names a request whose answer comes later (JoinGroup and SyncGroup wait for the other members). The runtime hands
/// them out and never uses one twice.
pub type Ticket = u64;

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
