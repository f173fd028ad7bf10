//! Groups and their committed offsets: the machine behind one partition of `__consumer_offsets`. Pure.
//!
//! Enters: commands ([`commands`]), due timers, records read back from the log. Leaves: [`GroupOutcome`]s.
//! May use: protocol types. Never: tokio, a clock, chance, a lock, a file.
//!
//! | file | what |
//! |---|---|
//! | `hard.rs` | what is in the log, and its replay |
//! | `classic/` | the classic protocol (JoinGroup, SyncGroup, Heartbeat, LeaveGroup) |
//! | `consumer/` | the consumer protocol (KIP-848) |
//! | `share/` | share groups' members (KIP-932) |
//! | `streams/` | streams groups (KIP-1071) |
//! | `offsets/` | OffsetCommit, TxnOffsetCommit, OffsetFetch, OffsetDelete, expiry |
//! | `records.rs` | the bytes of the records |
//! | `metadata_hash.rs` | by what a group notices that its topics changed |
//! | `assignors/` | which member shall read what, in groups whose broker decides |
//! | `migration/` | groups between the classic and the consumer protocol |
//! | `life.rs` | what groups of all kinds have in common |
//! | `admin.rs` | ListGroups, DescribeGroups, DeleteGroups |
//!
//! A classic group keeps most of itself out of the log, in [`GroupShard::live`]. Groups of the other kinds are wholly
//! in [`HardState`]: whatever a member is told was recorded first, and only timers are not.

mod admin;
pub mod assignors;
mod classic;
pub mod commands;
mod config;
pub mod consumer;
mod error;
mod hard;
mod life;
pub mod metadata_hash;
mod migration;
mod offsets;
pub mod records;
pub mod share;
pub mod streams;
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
pub use config::{GroupConfig, Ranged};
pub use consumer::{ConsumerGroup, ConsumerRecord};
pub use error::{GroupError, Refusal};
pub use hard::{CommittedOffset, GroupRecord, HardGroup, HardState, LoggedGroup, LoggedMember, Producer};
pub use life::{AnyGroup, Retention};
pub use migration::MigrationPolicy;
pub use share::{ShareErrand, ShareGroup, ShareGroupConfig, ShareRecord};
pub use streams::{StreamsConfig, StreamsGroup, StreamsRecord};

use ottla_protocol::batch::RecordBatch;
use ottla_protocol::wire::WireError;

use super::batches::BatchError;
use super::{Applied, ClusterView, Machine, Outcome};
use commands::{JoinAnswer, SyncAnswer};
use streams::{SoftStreams, StreamsTimer};

/// What a group command decided.
pub type GroupOutcome<R> = Outcome<R, GroupRecord, SoftChange, Effect>;

/// A change of what is not logged.
#[derive(Debug, Clone, PartialEq)]
pub enum SoftChange {
    Put(StrBytes, Box<ClassicGroup>),
    Remove(StrBytes),
    /// What a consumer group was compared with, so that the next heartbeat need not do it again.
    ConsumerChecked(StrBytes, consumer::RefreshCheck),
    /// Of a streams group; `None` when the group is gone.
    Streams(StrBytes, Option<Box<SoftStreams>>),
}

/// What the runtime shall do.
pub type Effect = super::Effect<Answer, TimerKey, Errand>;

/// What a group asks of others.
#[derive(Debug, Clone, PartialEq)]
pub enum Errand {
    /// To the share coordinator.
    Share(ShareErrand),
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
    /// The session timeout of a member of a classic or a consumer group.
    Session {
        group_id: StrBytes,
        member_id: StrBytes,
    },
    /// `group.share.session.timeout.ms` of a member of a share group.
    ShareSession {
        group_id: StrBytes,
        member_id: StrBytes,
    },
    /// How long a member of a consumer group may take to give up partitions.
    Rebalance {
        group_id: StrBytes,
        member_id: StrBytes,
    },
    /// How long a member of the classic protocol in a consumer group may take to join again when it was told to.
    ClassicJoin {
        group_id: StrBytes,
        member_id: StrBytes,
    },
    /// How long it may take to ask for its assignment then.
    ClassicSync {
        group_id: StrBytes,
        member_id: StrBytes,
    },
    /// When the regular expressions of a consumer group are resolved.
    TopicPatterns {
        group_id: StrBytes,
    },
    /// The initial delay, then the rebalance timeout: how long to wait for JoinGroups.
    Join {
        group_id: StrBytes,
    },
    /// The rebalance timeout once more: how long to wait for SyncGroups.
    Sync {
        group_id: StrBytes,
    },
    Streams(StreamsTimer),
    /// `offsets.retention.check.interval.ms`, one for the whole shard.
    OffsetsRetention,
}

impl TimerKey {
    pub fn session(group_id: StrBytes, member_id: StrBytes) -> Self {
        TimerKey::Session { group_id, member_id }
    }

    pub fn classic_join(group_id: StrBytes, member_id: StrBytes) -> Self {
        TimerKey::ClassicJoin { group_id, member_id }
    }

    pub fn classic_sync(group_id: StrBytes, member_id: StrBytes) -> Self {
        TimerKey::ClassicSync { group_id, member_id }
    }
}

/// The groups whose coordinator is one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct GroupShard {
    config: GroupConfig,
    hard: HardState,
    /// Every classic group has an entry, also one that only commits offsets.
    live: HashMap<StrBytes, ClassicGroup>,
    /// What streams groups have beside the log.
    streams: HashMap<StrBytes, SoftStreams>,
}

impl Machine for GroupShard {
    type Config = GroupConfig;
    type Record = GroupRecord;
    type Soft = SoftChange;
    type Answer = Answer;
    type TimerKey = TimerKey;
    type Errand = Errand;

    fn new(config: GroupConfig) -> Self {
        GroupShard { config, hard: HardState::default(), live: HashMap::new(), streams: HashMap::new() }
    }

    fn replay(&mut self, record: &GroupRecord) {
        self.hard.replay(record);
    }

    /// Builds the live groups and starts their members' sessions. A group with too many members forms a new generation
    /// at once.
    fn loaded(&self, now_ms: i64, view: &dyn ClusterView) -> GroupOutcome<()> {
        let mut outcome = GroupOutcome::answer(());
        for (group_id, group) in self.hard.groups() {
            match group {
                HardGroup::Classic(logged) => {
                    self.loaded_group(group_id, logged, now_ms, &mut outcome);
                }
                HardGroup::Share(group) => {
                    outcome.effects.extend(self.loaded_share_group(group_id, group, now_ms, view));
                }
                HardGroup::Streams(group) => {
                    self.loaded_streams_group(group_id, group, now_ms, view, &mut outcome);
                }
                HardGroup::Consumer(group) => {
                    outcome.effects.extend(self.loaded_consumer_group(group_id, group, now_ms, view));
                }
            }
        }
        let committed = self.hard.all_offsets().map(|(group_id, _)| group_id);
        let with_offsets = committed.chain(self.hard.pending().groups());
        for group_id in with_offsets.filter(|group_id| !self.hard.has(group_id)) {
            outcome.soft.push(SoftChange::Put(group_id.clone(), Box::new(ClassicGroup::new(now_ms))));
        }
        outcome.effects.push(self.next_retention_check(now_ms));
        outcome
    }

    fn expire(&self, key: &TimerKey, now_ms: i64, view: &dyn ClusterView) -> GroupOutcome<()> {
        match key {
            TimerKey::Session { group_id, member_id } => match self.hard.consumer_group(group_id) {
                Some(group) => self.expire_consumer_session(group_id, group, member_id, now_ms, view),
                None => self.expire_session(group_id, member_id, now_ms),
            },
            TimerKey::Rebalance { group_id, member_id } => {
                self.expire_consumer_rebalance(group_id, member_id, now_ms, view)
            }
            TimerKey::ClassicJoin { group_id, member_id } | TimerKey::ClassicSync { group_id, member_id } => {
                self.expire_classic_member(group_id, member_id, now_ms, view)
            }
            TimerKey::TopicPatterns { group_id } => self.resolve_topic_patterns(group_id, now_ms, view),
            TimerKey::ShareSession { group_id, member_id } => {
                self.expire_share_session(group_id, member_id, view)
            }
            TimerKey::Join { group_id } => self.expire_join(group_id, now_ms),
            TimerKey::Sync { group_id } => self.expire_sync(group_id, now_ms),
            TimerKey::Streams(timer) => self.expire_streams(timer, now_ms, view),
            TimerKey::OffsetsRetention => self.expire_offsets(now_ms),
        }
    }

    fn apply<R>(&mut self, outcome: GroupOutcome<R>) -> Applied<Self, R> {
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
                SoftChange::ConsumerChecked(group_id, checked) => {
                    self.hard.set_consumer_checked(&group_id, checked);
                }
                SoftChange::Streams(group_id, Some(soft)) => {
                    self.streams.insert(group_id, *soft);
                }
                SoftChange::Streams(group_id, None) => {
                    self.streams.remove(&group_id);
                }
            }
        }
        (outcome.response, outcome.records, outcome.effects)
    }

    fn to_batch(records: &[GroupRecord], now_ms: i64) -> Result<RecordBatch, WireError> {
        records::to_batch(records, now_ms)
    }

    fn from_batch(batch: &RecordBatch) -> Result<Vec<GroupRecord>, BatchError> {
        records::from_batch(batch)
    }
}

impl GroupShard {
    /// What is in the log.
    pub fn hard_state(&self) -> &HardState {
        &self.hard
    }

    /// A live group of the classic protocol, or one that only commits offsets.
    pub fn group(&self, group_id: &StrBytes) -> Option<&ClassicGroup> {
        self.live.get(group_id)
    }
}
