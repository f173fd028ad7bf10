//! The share coordinator, also called the persister: how far each share group is with each partition. The machine
//! behind one partition of `__share_group_state`. Pure.
//!
//! Enters: commands of the group coordinator (initialize, delete, summary) and of the share partitions' leaders (read,
//! write), due timers, records read back from the log. Leaves: outcomes. May use: protocol types.
//!
//! | file | what |
//! |---|---|
//! | `commands.rs` | what can be asked |
//! | `state.rs` | what is in the log, and its replay |
//! | `batches.rs` | ranges of offsets in one state, and how two lists of them become one |
//! | `prune.rs` | how much of the log is not needed any more |
//! | `records.rs` | the bytes of the records |
//!
//! Who writes must be the latest leader (leader epoch) and speak of the latest beginning (state epoch).

pub mod batches;
pub mod commands;
mod prune;
pub mod records;
mod state;

#[cfg(test)]
mod tests;

use ottla_protocol::Uuid;
use ottla_protocol::batch::RecordBatch;
use ottla_protocol::wire::WireError;

pub use batches::StateBatch;
pub use commands::*;
pub use prune::Redundancy;
pub use state::{Entry, SharePartitionKey, ShareRecord, ShareState, ShareUpdate, States};

use super::batches::BatchError;
use super::{Applied, ClusterView, Effect, Machine, Outcome};
use batches::combine;

/// What a command of the share coordinator decided.
pub type ShareOutcome<R> = Outcome<R, ShareRecord, (), ShareEffect>;

/// Nothing is answered late: timers and errands leave.
pub type ShareEffect = Effect<(), TimerKey, Prune>;

/// The errand: what the log says and nobody needs may be deleted ([`Redundancy`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prune;

/// What a timer is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimerKey {
    /// `share.coordinator.cold.partition.snapshot.interval.ms`, one for the whole shard.
    ColdSnapshots,
    /// `share.coordinator.state.topic.prune.interval.ms`, one for the whole shard.
    Prune,
}

/// What a share coordinator is told by the configuration. The defaults are Kafka's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareCoordinatorConfig {
    /// `share.coordinator.snapshot.update.records.per.snapshot`.
    pub snapshot_update_records_per_snapshot: i32,
    /// `share.coordinator.cold.partition.snapshot.interval.ms`.
    pub cold_partition_snapshot_interval_ms: i64,
    /// `share.coordinator.state.topic.prune.interval.ms`.
    pub prune_interval_ms: i64,
}

impl Default for ShareCoordinatorConfig {
    fn default() -> Self {
        ShareCoordinatorConfig {
            snapshot_update_records_per_snapshot: 500,
            cold_partition_snapshot_interval_ms: 5 * 60 * 1000,
            prune_interval_ms: 5 * 60 * 1000,
        }
    }
}

/// The share partitions whose coordinator is one partition of `__share_group_state`.
#[derive(Debug)]
pub struct ShareShard {
    config: ShareCoordinatorConfig,
    states: States,
}

impl Machine for ShareShard {
    type Config = ShareCoordinatorConfig;
    type Record = ShareRecord;
    type Soft = ();
    type Answer = ();
    type TimerKey = TimerKey;
    type Errand = Prune;

    fn new(config: ShareCoordinatorConfig) -> Self {
        ShareShard { config, states: States::default() }
    }

    fn replay(&mut self, record: &ShareRecord) {
        self.states.replay(record, self.config.snapshot_update_records_per_snapshot);
    }

    fn loaded(&self, now_ms: i64, _view: &dyn ClusterView) -> ShareOutcome<()> {
        let effects = vec![self.next_cold_snapshots(now_ms), self.next_prune(now_ms)];
        Outcome { effects, ..Outcome::answer(()) }
    }

    fn expire(&self, key: &TimerKey, now_ms: i64, _view: &dyn ClusterView) -> ShareOutcome<()> {
        match key {
            TimerKey::ColdSnapshots => Outcome {
                records: self.snapshot_cold_partitions(now_ms),
                effects: vec![self.next_cold_snapshots(now_ms)],
                ..Outcome::answer(())
            },
            TimerKey::Prune => Outcome {
                effects: vec![Effect::Errand(Prune), self.next_prune(now_ms)],
                ..Outcome::answer(())
            },
        }
    }

    fn apply<R>(&mut self, outcome: ShareOutcome<R>) -> Applied<Self, R> {
        for record in &outcome.records {
            self.replay(record);
        }
        (outcome.response, outcome.records, outcome.effects)
    }

    fn to_batch(records: &[ShareRecord], now_ms: i64) -> Result<RecordBatch, WireError> {
        records::to_batch(records, now_ms)
    }

    fn from_batch(batch: &RecordBatch) -> Result<Vec<ShareRecord>, BatchError> {
        records::from_batch(batch)
    }
}

impl ShareShard {
    /// A share partition begins, or begins anew: whatever was known of it is forgotten.
    pub fn initialize(
        &self,
        command: &InitializeState,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> ShareOutcome<Result<(), ShareError>> {
        if let Err(error) = self.check_initialize(command, view) {
            return Outcome::answer(Err(error));
        }
        let snapshot_epoch =
            self.states.get(&command.key).map_or(0, |entry| next(entry.state.snapshot_epoch));
        let state = ShareState {
            snapshot_epoch,
            state_epoch: command.state_epoch,
            leader_epoch: 0,
            start_offset: command.start_offset,
            // An altered start is known at once, and so is what lies behind it.
            delivery_complete_count: if command.start_offset == -1 { -1 } else { 0 },
            batches: Vec::new(),
            create_timestamp_ms: now_ms,
            write_timestamp_ms: now_ms,
        };
        done(ShareRecord::Snapshot { key: command.key.clone(), state: Some(state) })
    }

    /// The leader of a share partition begins, and fences those before it.
    pub fn read(
        &self,
        command: &ReadState,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> ShareOutcome<Result<ReadAnswer, ShareError>> {
        let entry = match self.check_read(command, view) {
            Ok(entry) => entry,
            Err(error) => return Outcome::answer(Err(error)),
        };
        let state = &entry.state;
        let answer = ReadAnswer {
            state_epoch: state.state_epoch,
            start_offset: state.start_offset,
            batches: state.batches.clone(),
        };
        let mut outcome = Outcome::answer(Ok(answer));
        if command.leader_epoch != -1 && command.leader_epoch != entry.highest_leader_epoch {
            let change = Change {
                leader_epoch: command.leader_epoch,
                start_offset: state.start_offset,
                delivery_complete_count: state.delivery_complete_count,
                batches: &[],
            };
            outcome.records.push(self.change(&command.key, entry, change, now_ms));
        }
        outcome
    }

    /// Records were acknowledged, released or archived, or the start offset has moved.
    pub fn write(
        &self,
        command: &WriteState,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> ShareOutcome<Result<(), ShareError>> {
        let entry = match self.check_write(command, view) {
            Ok(entry) => entry,
            Err(error) => return Outcome::answer(Err(error)),
        };
        let change = Change {
            // The epoch of a reader counts: a writer has read before.
            leader_epoch: entry.state.leader_epoch,
            start_offset: command.start_offset,
            delivery_complete_count: command.delivery_complete_count,
            batches: &command.batches,
        };
        done(self.change(&command.key, entry, change, now_ms))
    }

    /// Forgets a share partition. One that is not known is forgotten already.
    pub fn delete(
        &self,
        key: &SharePartitionKey,
        view: &dyn ClusterView,
    ) -> ShareOutcome<Result<(), ShareError>> {
        match check_partition(key, view) {
            Err(error) => Outcome::answer(Err(error)),
            Ok(()) if self.states.get(key).is_none() => Outcome::answer(Ok(())),
            Ok(()) => done(tombstone(key)),
        }
    }

    /// How far the group is. A share partition that was never initialized is at no offset.
    pub fn read_summary(
        &self,
        key: &SharePartitionKey,
        view: &dyn ClusterView,
    ) -> Result<SummaryAnswer, ShareError> {
        check_partition(key, view)?;
        let nothing =
            SummaryAnswer { state_epoch: 0, leader_epoch: 0, start_offset: -1, delivery_complete_count: -1 };
        Ok(self.states.get(key).map_or(nothing, |entry| SummaryAnswer {
            state_epoch: entry.state.state_epoch,
            leader_epoch: entry.state.leader_epoch,
            start_offset: entry.state.start_offset,
            delivery_complete_count: entry.state.delivery_complete_count,
        }))
    }

    /// Topics are gone for good, and with them all that groups did in them.
    pub fn topics_deleted(&self, topic_ids: &[Uuid]) -> ShareOutcome<()> {
        let mut keys: Vec<_> =
            self.states.iter().map(|(key, _)| key).filter(|key| topic_ids.contains(&key.topic_id)).collect();
        keys.sort_unstable();
        Outcome { records: keys.into_iter().map(tombstone).collect(), ..Outcome::answer(()) }
    }

    /// What is in the log.
    pub fn states(&self) -> &States {
        &self.states
    }

    /// Repeats what has not been written for long, so that the log before it need not be kept.
    fn snapshot_cold_partitions(&self, now_ms: i64) -> Vec<ShareRecord> {
        let interval_ms = self.config.cold_partition_snapshot_interval_ms;
        let was_repeated = |entry: &Entry| entry.state.create_timestamp_ms != entry.state.write_timestamp_ms;
        if self.states.iter().all(|(_, entry)| was_repeated(entry)) {
            return Vec::new();
        }
        let mut cold: Vec<_> = self
            .states
            .iter()
            .filter(|(_, entry)| now_ms.saturating_sub(entry.state.write_timestamp_ms) >= interval_ms)
            .collect();
        cold.sort_unstable_by_key(|(key, _)| *key);
        let repeated = |(key, entry): (&SharePartitionKey, &Entry)| {
            let state = ShareState {
                snapshot_epoch: next(entry.state.snapshot_epoch),
                write_timestamp_ms: now_ms,
                ..entry.state.clone()
            };
            ShareRecord::Snapshot { key: key.clone(), state: Some(state) }
        };
        cold.into_iter().map(repeated).collect()
    }

    fn next_cold_snapshots(&self, now_ms: i64) -> ShareEffect {
        let interval_ms = self.config.cold_partition_snapshot_interval_ms;
        Effect::SetTimer(TimerKey::ColdSnapshots, now_ms.saturating_add(interval_ms))
    }

    fn next_prune(&self, now_ms: i64) -> ShareEffect {
        Effect::SetTimer(TimerKey::Prune, now_ms.saturating_add(self.config.prune_interval_ms))
    }

    /// An update, or a snapshot when there have been enough updates.
    fn change(&self, key: &SharePartitionKey, entry: &Entry, change: Change<'_>, now_ms: i64) -> ShareRecord {
        let state = &entry.state;
        if entry.updates < self.config.snapshot_update_records_per_snapshot {
            let update = ShareUpdate {
                snapshot_epoch: state.snapshot_epoch,
                leader_epoch: change.leader_epoch,
                start_offset: change.start_offset,
                delivery_complete_count: change.delivery_complete_count,
                batches: combine(&[], change.batches, change.start_offset),
            };
            return ShareRecord::Update { key: key.clone(), update };
        }
        let start_offset = if change.start_offset == -1 { state.start_offset } else { change.start_offset };
        let state = ShareState {
            snapshot_epoch: next(state.snapshot_epoch),
            state_epoch: state.state_epoch,
            leader_epoch: change.leader_epoch,
            start_offset,
            delivery_complete_count: change.delivery_complete_count,
            batches: combine(&state.batches, change.batches, start_offset),
            create_timestamp_ms: now_ms,
            write_timestamp_ms: now_ms,
        };
        ShareRecord::Snapshot { key: key.clone(), state: Some(state) }
    }

    fn check_initialize(&self, command: &InitializeState, view: &dyn ClusterView) -> Result<(), ShareError> {
        check_index(&command.key)?;
        if let Some(entry) = self.states.get(&command.key) {
            check_state_epoch(entry, command.state_epoch)?;
        }
        check_topic(&command.key, view)
    }

    fn check_read(&self, command: &ReadState, view: &dyn ClusterView) -> Result<&Entry, ShareError> {
        check_index(&command.key)?;
        let entry = self.states.get(&command.key).ok_or(ShareError::ReadOfUninitialized)?;
        check_leader_epoch(entry, command.leader_epoch)?;
        check_topic(&command.key, view)?;
        Ok(entry)
    }

    fn check_write(&self, command: &WriteState, view: &dyn ClusterView) -> Result<&Entry, ShareError> {
        check_index(&command.key)?;
        let entry = self.states.get(&command.key).ok_or(ShareError::WriteOfUninitialized)?;
        check_leader_epoch(entry, command.leader_epoch)?;
        check_state_epoch(entry, command.state_epoch)?;
        check_topic(&command.key, view)?;
        Ok(entry)
    }
}

/// What a reader or a writer changes.
struct Change<'a> {
    leader_epoch: i32,
    start_offset: i64,
    delivery_complete_count: i32,
    batches: &'a [StateBatch],
}

fn done(record: ShareRecord) -> ShareOutcome<Result<(), ShareError>> {
    Outcome { records: vec![record], ..Outcome::answer(Ok(())) }
}

fn tombstone(key: &SharePartitionKey) -> ShareRecord {
    ShareRecord::Snapshot { key: key.clone(), state: None }
}

/// Epochs wrap as Java's do; a log with so many is somebody's joke.
fn next(epoch: i32) -> i32 {
    epoch.wrapping_add(1)
}

fn check_partition(key: &SharePartitionKey, view: &dyn ClusterView) -> Result<(), ShareError> {
    check_index(key)?;
    check_topic(key, view)
}

fn check_index(key: &SharePartitionKey) -> Result<(), ShareError> {
    if key.partition < 0 { Err(ShareError::NegativePartition) } else { Ok(()) }
}

fn check_leader_epoch(entry: &Entry, leader_epoch: i32) -> Result<(), ShareError> {
    let is_fenced = leader_epoch != -1 && leader_epoch < entry.highest_leader_epoch;
    if is_fenced { Err(ShareError::FencedLeaderEpoch) } else { Ok(()) }
}

fn check_state_epoch(entry: &Entry, state_epoch: i32) -> Result<(), ShareError> {
    let is_fenced = state_epoch != -1 && state_epoch < entry.highest_state_epoch;
    if is_fenced { Err(ShareError::FencedStateEpoch) } else { Ok(()) }
}

fn check_topic(key: &SharePartitionKey, view: &dyn ClusterView) -> Result<(), ShareError> {
    let exists = view.topic_by_id(key.topic_id).is_some_and(|topic| key.partition < topic.partitions);
    if exists { Ok(()) } else { Err(ShareError::UnknownTopicOrPartition) }
}
