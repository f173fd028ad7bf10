//! Groups and their committed offsets: the machine behind one partition of `__consumer_offsets`. Pure.
//!
//! Enters: commands ([`commands`]), due timers, records read back from the log. Leaves: [`GroupOutcome`]s.
//! May use: protocol types. Never: tokio, a clock, chance, a lock, a file.
//!
//! | file | what |
//! |---|---|
//! | `hard.rs` | what is in the log, and its replay |
//! | `classic/` | the classic protocol (JoinGroup, SyncGroup, Heartbeat, LeaveGroup) |
//! | `offsets/` | OffsetCommit, OffsetFetch, OffsetDelete, expiry |
//! | `records.rs` | the bytes of the records |
//! | `admin.rs` | ListGroups, DescribeGroups, DeleteGroups |
//!
//! Room is left: a KIP-848, share or streams group is one more kind beside [`ClassicGroup`] in [`GroupShard::live`],
//! with its own records in [`GroupRecord`]; a transaction's offsets are one more map in [`HardState`], moved into
//! `offsets` by its marker.

mod admin;
mod classic;
pub mod commands;
mod config;
mod error;
mod hard;
mod offsets;
pub mod records;
mod subscription;

#[cfg(test)]
mod harness;
#[cfg(test)]
mod simulator;
#[cfg(test)]
mod transcripts;

use std::collections::HashMap;

use ottla_protocol::StrBytes;

pub use classic::{ClassicGroup, Member, State};
pub use config::GroupConfig;
pub use error::GroupError;
pub use hard::{CommittedOffset, GroupRecord, HardState, LoggedGroup, LoggedMember};

use super::{Outcome, Ticket};
use commands::{JoinAnswer, SyncAnswer};

/// What a group command decided.
pub type GroupOutcome<R> = Outcome<R, GroupRecord, SoftChange, Effect>;

/// A change of what is not logged.
#[derive(Debug, Clone, PartialEq)]
pub enum SoftChange {
    Put(StrBytes, Box<ClassicGroup>),
    Remove(StrBytes),
}

/// What the runtime shall do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Answers an earlier request, or the present one.
    Answer(Ticket, Answer),
    /// Calls [`GroupShard::expire`] with the key at that time (milliseconds since the epoch), and no longer at the
    /// time set before.
    SetTimer(TimerKey, i64),
    CancelTimer(TimerKey),
}

/// A late answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Join(JoinAnswer),
    Sync(SyncAnswer),
}

/// What a timer is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimerKey {
    /// `session.timeout.ms` of a member.
    Session { group_id: StrBytes, member_id: StrBytes },
    /// The initial delay, then the rebalance timeout: how long to wait for JoinGroups.
    Join { group_id: StrBytes },
    /// The rebalance timeout once more: how long to wait for SyncGroups.
    Sync { group_id: StrBytes },
    /// `offsets.retention.check.interval.ms`, one for the whole shard.
    OffsetsRetention,
}

/// The groups whose coordinator is one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct GroupShard {
    config: GroupConfig,
    hard: HardState,
    /// Every group that exists has an entry, also one that only commits offsets.
    live: HashMap<StrBytes, ClassicGroup>,
}

impl GroupShard {
    /// An empty shard; records are replayed into it, then [`GroupShard::loaded`] makes it live.
    pub fn new(config: GroupConfig) -> Self {
        GroupShard { config, hard: HardState::default(), live: HashMap::new() }
    }

    /// Applies one record, read from the log or about to be appended to it.
    pub fn replay(&mut self, record: &GroupRecord) {
        self.hard.replay(record);
    }

    /// The log has been read: builds the live groups and starts their members' sessions. A group with too many
    /// members forms a new generation at once.
    pub fn loaded(&self, now_ms: i64) -> GroupOutcome<()> {
        let mut outcome = GroupOutcome::answer(());
        for (group_id, logged) in self.hard.groups() {
            self.loaded_group(group_id, ClassicGroup::from_logged(logged), now_ms, &mut outcome);
        }
        for (group_id, _) in
            self.hard.all_offsets().filter(|(group_id, _)| self.hard.group(group_id).is_none())
        {
            outcome.soft.push(SoftChange::Put(group_id.clone(), Box::new(ClassicGroup::new(now_ms))));
        }
        outcome.effects.push(self.next_retention_check(now_ms));
        outcome
    }

    /// A timer is due.
    pub fn expire(&self, key: &TimerKey, now_ms: i64) -> GroupOutcome<()> {
        match key {
            TimerKey::Session { group_id, member_id } => self.expire_session(group_id, member_id, now_ms),
            TimerKey::Join { group_id } => self.expire_join(group_id, now_ms),
            TimerKey::Sync { group_id } => self.expire_sync(group_id, now_ms),
            TimerKey::OffsetsRetention => self.expire_offsets(now_ms),
        }
    }

    /// Makes an outcome's changes; what is left of it is for the runtime: append the records, then do the effects.
    pub fn apply<R>(&mut self, outcome: GroupOutcome<R>) -> (R, Vec<GroupRecord>, Vec<Effect>) {
        for record in &outcome.records {
            self.replay(record);
        }
        for change in outcome.soft {
            match change {
                SoftChange::Put(group_id, group) => {
                    self.live.insert(group_id, *group);
                }
                SoftChange::Remove(group_id) => {
                    self.live.remove(&group_id);
                }
            }
        }
        (outcome.response, outcome.records, outcome.effects)
    }

    /// What is in the log.
    pub fn hard_state(&self) -> &HardState {
        &self.hard
    }

    /// A live group.
    pub fn group(&self, group_id: &StrBytes) -> Option<&ClassicGroup> {
        self.live.get(group_id)
    }
}
