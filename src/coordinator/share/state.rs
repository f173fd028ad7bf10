//! What is in a shard's log: the state of its share partitions. [`States::replay`] is the only code that changes it.

use std::collections::HashMap;

use ottla_protocol::{StrBytes, Uuid, kafka_id};

use super::batches::{StateBatch, combine};

/// A partition of a topic as one share group consumes it. The records of the log are keyed by it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SharePartitionKey {
    pub group_id: StrBytes,
    pub topic_id: Uuid,
    pub partition: i32,
}

/// A record of `__share_group_state`. A tombstone is a snapshot without a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareRecord {
    /// Everything about a share partition (key type 0).
    Snapshot { key: SharePartitionKey, state: Option<ShareState> },
    /// What changed since the last snapshot (key type 1).
    Update { key: SharePartitionKey, update: ShareUpdate },
}

/// The state of a share partition, as ShareSnapshotValue holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareState {
    /// Counts the snapshots.
    pub snapshot_epoch: i32,
    /// Chosen by the group coordinator; grows each time that the state begins anew.
    pub state_epoch: i32,
    /// Of the share partition's leader, -1 before the first has read.
    pub leader_epoch: i32,
    /// -1 where the leader has not chosen it yet.
    pub start_offset: i64,
    /// How many records from the start on need no delivery any more; -1 if not known.
    pub delivery_complete_count: i32,
    pub batches: Vec<StateBatch>,
    pub create_timestamp_ms: i64,
    /// Later than the creation when a snapshot repeats what has not changed for long.
    pub write_timestamp_ms: i64,
}

/// A change of a share partition's state, as ShareUpdateValue holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareUpdate {
    pub snapshot_epoch: i32,
    /// -1 leaves it as it is.
    pub leader_epoch: i32,
    /// -1 leaves it as it is.
    pub start_offset: i64,
    pub delivery_complete_count: i32,
    pub batches: Vec<StateBatch>,
}

/// A share partition and what fences its writers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub state: ShareState,
    pub highest_leader_epoch: i32,
    pub highest_state_epoch: i32,
    /// Updates since the last snapshot that their number caused.
    pub updates: i32,
}

/// The fold of a shard's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct States {
    entries: HashMap<SharePartitionKey, Entry>,
}

impl States {
    pub fn get(&self, key: &SharePartitionKey) -> Option<&Entry> {
        self.entries.get(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&SharePartitionKey, &Entry)> {
        self.entries.iter()
    }

    /// Applies one record; a snapshot ends a run of `updates_per_snapshot` updates.
    pub fn replay(&mut self, record: &ShareRecord, updates_per_snapshot: i32) {
        match record {
            ShareRecord::Snapshot { key, state: None } => {
                self.entries.remove(key);
            }
            ShareRecord::Snapshot { key, state: Some(state) } => match self.entries.get_mut(key) {
                Some(entry) => entry.renew(state.clone(), updates_per_snapshot),
                None => {
                    self.entries.insert(key.kept(), Entry::new(state.clone(), 0));
                }
            },
            ShareRecord::Update { key, update } => match self.entries.get_mut(key) {
                Some(entry) => entry.update(update),
                None => {
                    self.entries.insert(key.kept(), Entry::new(ShareState::from_update(update), 1));
                }
            },
        }
    }
}

impl SharePartitionKey {
    /// `group:topic id:partition`, which also names the partition's share coordinator in FindCoordinator.
    pub fn coordinator_key(&self) -> String {
        format!("{}:{}:{}", self.group_id, kafka_id(&self.topic_id), self.partition)
    }

    /// A string of a request is a slice of its frame and would keep all of it in memory.
    fn kept(&self) -> SharePartitionKey {
        let group_id = StrBytes::from_string(self.group_id.to_string());
        SharePartitionKey { group_id, ..self.clone() }
    }
}

impl ShareState {
    /// The log began between a snapshot and its updates.
    pub(super) fn from_update(update: &ShareUpdate) -> ShareState {
        ShareState {
            snapshot_epoch: update.snapshot_epoch,
            state_epoch: 0,
            leader_epoch: update.leader_epoch,
            start_offset: update.start_offset,
            delivery_complete_count: update.delivery_complete_count,
            batches: update.batches.clone(),
            create_timestamp_ms: 0,
            write_timestamp_ms: 0,
        }
    }
}

impl Entry {
    fn new(state: ShareState, updates: i32) -> Entry {
        Entry {
            highest_leader_epoch: state.leader_epoch,
            highest_state_epoch: state.state_epoch,
            state,
            updates,
        }
    }

    fn renew(&mut self, state: ShareState, updates_per_snapshot: i32) {
        self.highest_leader_epoch = self.highest_leader_epoch.max(state.leader_epoch);
        self.highest_state_epoch = self.highest_state_epoch.max(state.state_epoch);
        self.state = state;
        if self.updates >= updates_per_snapshot {
            self.updates = 0;
        }
    }

    fn update(&mut self, update: &ShareUpdate) {
        self.highest_leader_epoch = self.highest_leader_epoch.max(update.leader_epoch);
        self.updates = self.updates.saturating_add(1);
        let state = &mut self.state;
        if update.start_offset != -1 {
            state.start_offset = update.start_offset;
        }
        if update.leader_epoch != -1 {
            state.leader_epoch = update.leader_epoch;
        }
        state.delivery_complete_count = update.delivery_complete_count;
        state.batches = combine(&state.batches, &update.batches, state.start_offset);
    }
}
