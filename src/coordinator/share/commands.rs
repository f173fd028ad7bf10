//! What can be asked of the share coordinator, and what it answers.

use super::{SharePartitionKey, StateBatch};

/// InitializeShareGroupState, of one share partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitializeState {
    pub key: SharePartitionKey,
    pub state_epoch: i32,
    /// -1 leaves the choice to the share partition's leader (`share.auto.offset.reset`).
    pub start_offset: i64,
}

/// ReadShareGroupState, of one share partition, by its leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadState {
    pub key: SharePartitionKey,
    /// -1 reads without becoming the leader.
    pub leader_epoch: i32,
}

/// What the leader of a share partition begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadAnswer {
    pub state_epoch: i32,
    pub start_offset: i64,
    pub batches: Vec<StateBatch>,
}

/// WriteShareGroupState, of one share partition, by its leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WriteState {
    pub key: SharePartitionKey,
    pub state_epoch: i32,
    pub leader_epoch: i32,
    /// -1 leaves it as it is.
    pub start_offset: i64,
    /// How many records from the start on need no delivery any more; -1 if not known.
    pub delivery_complete_count: i32,
    pub batches: Vec<StateBatch>,
}

/// What ReadShareGroupStateSummary tells of one share partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryAnswer {
    pub state_epoch: i32,
    pub leader_epoch: i32,
    pub start_offset: i64,
    pub delivery_complete_count: i32,
}

/// Why the share coordinator did not do as asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShareError {
    NegativePartition,
    ReadOfUninitialized,
    WriteOfUninitialized,
    /// Another broker leads the share partition now.
    FencedLeaderEpoch,
    /// The share partition has begun anew since.
    FencedStateEpoch,
    UnknownTopicOrPartition,
    /// Not now; after a write it is not known whether it counts.
    CoordinatorNotAvailable,
    /// Another broker is the coordinator.
    NotCoordinator,
}
