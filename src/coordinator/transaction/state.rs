//! Where a transactional id stands: its state, its producer's id and epoch, and the partitions of its transaction.

use std::collections::BTreeSet;

use ottla_protocol::StrBytes;

/// A partition of a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: StrBytes,
    pub partition: i32,
}

/// A producer's id and epoch; -1 and -1 for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdAndEpoch {
    pub producer_id: i64,
    pub producer_epoch: i16,
}

impl ProducerIdAndEpoch {
    pub const NONE: ProducerIdAndEpoch =
        ProducerIdAndEpoch { producer_id: NO_PRODUCER_ID, producer_epoch: NO_PRODUCER_EPOCH };
}

pub const NO_PRODUCER_ID: i64 = -1;
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// Kafka's "no timestamp": no transaction has begun.
pub const NO_TIMESTAMP: i64 = -1;

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionResult {
    Commit,
    Abort,
}

/// Kafka's states, without those that never reach the log: what Kafka calls PrepareEpochFence is one step with the
/// abort here, and a Dead transactional id is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransactionState {
    Empty,
    Ongoing,
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
}

impl TransactionState {
    pub const ALL: [TransactionState; 6] = [
        TransactionState::Empty,
        TransactionState::Ongoing,
        TransactionState::PrepareCommit,
        TransactionState::PrepareAbort,
        TransactionState::CompleteCommit,
        TransactionState::CompleteAbort,
    ];

    /// As the log and the tools have it.
    pub fn id(self) -> i8 {
        self as i8
    }

    pub fn from_id(id: i8) -> Option<TransactionState> {
        Self::ALL.into_iter().find(|state| state.id() == id)
    }

    pub fn name(self) -> &'static str {
        match self {
            TransactionState::Empty => "Empty",
            TransactionState::Ongoing => "Ongoing",
            TransactionState::PrepareCommit => "PrepareCommit",
            TransactionState::PrepareAbort => "PrepareAbort",
            TransactionState::CompleteCommit => "CompleteCommit",
            TransactionState::CompleteAbort => "CompleteAbort",
        }
    }

    /// Whether a filter of ListTransactions may name it; two of the names stand for no transaction here.
    pub fn is_name(name: &str) -> bool {
        Self::ALL.iter().any(|state| state.name() == name) || matches!(name, "Dead" | "PrepareEpochFence")
    }

    /// The decision that is being carried out, until all markers are written.
    pub fn prepared(self) -> Option<TransactionResult> {
        match self {
            TransactionState::PrepareCommit => Some(TransactionResult::Commit),
            TransactionState::PrepareAbort => Some(TransactionResult::Abort),
            _ => None,
        }
    }

    /// The decision that was carried out last.
    pub fn completed(self) -> Option<TransactionResult> {
        match self {
            TransactionState::CompleteCommit => Some(TransactionResult::Commit),
            TransactionState::CompleteAbort => Some(TransactionResult::Abort),
            _ => None,
        }
    }
}

/// How the client speaks of transactions (KIP-890): from version 2 on each transaction has an epoch of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionVersion {
    V0,
    V1,
    V2,
}

impl TransactionVersion {
    /// What the broker itself speaks, such as when it aborts a transaction that took too long.
    pub const SERVER: TransactionVersion = TransactionVersion::V2;

    /// The level of the feature `transaction.version`.
    pub fn level(self) -> i16 {
        self as i16
    }

    pub fn from_level(level: i16) -> Option<TransactionVersion> {
        match level {
            0 => Some(TransactionVersion::V0),
            1 => Some(TransactionVersion::V1),
            2 => Some(TransactionVersion::V2),
            _ => None,
        }
    }

    /// Whether the end of a transaction bumps the epoch.
    pub fn bumps_epoch(self) -> bool {
        self == TransactionVersion::V2
    }
}

/// What is known of one transactional id. Each of its changes is one record, which holds all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    pub producer_id: i64,
    /// The producer id before the last change. A producer whose epochs were used up retries with it.
    pub previous_producer_id: i64,
    /// The producer id from the end of this transaction on, where its epochs are used up; else -1.
    pub next_producer_id: i64,
    pub producer_epoch: i16,
    /// The epoch before the last bump, with which InitProducerId may be retried; -1 if the bump fenced somebody. Not
    /// in the log, as in Kafka: a retry after the coordinator moved is fenced.
    pub last_producer_epoch: i16,
    pub timeout_ms: i32,
    pub state: TransactionState,
    pub partitions: BTreeSet<TopicPartition>,
    /// When the transaction began, or -1.
    pub start_ms: i64,
    pub last_update_ms: i64,
    /// The version of the client that changed it last.
    pub client_version: TransactionVersion,
}

impl Transaction {
    /// A transactional id that nobody has used yet. It is never written as it is.
    pub fn unused(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Transaction {
        Transaction {
            producer_id,
            previous_producer_id: NO_PRODUCER_ID,
            next_producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            last_producer_epoch: NO_PRODUCER_EPOCH,
            timeout_ms,
            state: TransactionState::Empty,
            partitions: BTreeSet::new(),
            start_ms: NO_TIMESTAMP,
            last_update_ms: now_ms,
            client_version: TransactionVersion::V0,
        }
    }

    pub fn identity(&self) -> ProducerIdAndEpoch {
        ProducerIdAndEpoch { producer_id: self.producer_id, producer_epoch: self.producer_epoch }
    }

    /// No more epochs for this producer id: the last one is kept to fence with.
    pub fn is_epoch_exhausted(&self) -> bool {
        is_epoch_exhausted(self.producer_epoch)
    }

    /// A new epoch for the producer, between two transactions.
    pub fn with_epoch(&self, epoch: i16, last_epoch: i16, timeout_ms: i32, now_ms: i64) -> Transaction {
        Transaction {
            producer_epoch: epoch,
            last_producer_epoch: last_epoch,
            timeout_ms,
            state: TransactionState::Empty,
            partitions: BTreeSet::new(),
            start_ms: NO_TIMESTAMP,
            last_update_ms: now_ms,
            ..self.changed()
        }
    }

    /// A new producer id, whose epochs begin at 0.
    pub fn with_producer_id(&self, id: i64, last_epoch: i16, timeout_ms: i32, now_ms: i64) -> Transaction {
        Transaction { producer_id: id, ..self.with_epoch(0, last_epoch, timeout_ms, now_ms) }
    }

    /// The transaction with more partitions; it begins with the first.
    pub fn with_partitions(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
        client_version: TransactionVersion,
        now_ms: i64,
    ) -> Transaction {
        let is_ongoing = self.state == TransactionState::Ongoing;
        let mut changed = self.changed();
        changed.partitions.extend(partitions);
        Transaction {
            state: TransactionState::Ongoing,
            start_ms: if is_ongoing { self.start_ms } else { now_ms },
            last_update_ms: now_ms,
            client_version,
            ..changed
        }
    }

    /// The decision to commit or abort, from which there is no way back.
    pub fn prepared(
        &self,
        result: TransactionResult,
        client_version: TransactionVersion,
        next_producer_id: i64,
        now_ms: i64,
    ) -> Transaction {
        let bumped = if client_version.bumps_epoch() {
            Transaction {
                // At i16::MAX something is broken; the abort goes through all the same, with the same epoch.
                producer_epoch: self.producer_epoch.saturating_add(1),
                last_producer_epoch: self.producer_epoch,
                ..self.changed()
            }
        } else {
            self.changed()
        };
        Transaction {
            state: match result {
                TransactionResult::Commit => TransactionState::PrepareCommit,
                TransactionResult::Abort => TransactionState::PrepareAbort,
            },
            // An abort that no partition was added before has no beginning but this.
            start_ms: if self.state == TransactionState::Ongoing { self.start_ms } else { now_ms },
            next_producer_id,
            last_update_ms: now_ms,
            client_version,
            ..bumped
        }
    }

    /// All markers of the decision are written.
    pub fn completed(&self, now_ms: i64) -> Transaction {
        let is_rotated = self.client_version.bumps_epoch() && self.next_producer_id != NO_PRODUCER_ID;
        Transaction {
            producer_id: if is_rotated { self.next_producer_id } else { self.producer_id },
            producer_epoch: if is_rotated { 0 } else { self.producer_epoch },
            next_producer_id: NO_PRODUCER_ID,
            state: match self.state {
                TransactionState::PrepareCommit => TransactionState::CompleteCommit,
                _ => TransactionState::CompleteAbort,
            },
            partitions: BTreeSet::new(),
            last_update_ms: now_ms,
            ..self.changed()
        }
    }

    /// What every change has in common.
    fn changed(&self) -> Transaction {
        Transaction { previous_producer_id: self.producer_id, ..self.clone() }
    }
}

pub fn is_epoch_exhausted(epoch: i16) -> bool {
    epoch >= i16::MAX - 1
}
