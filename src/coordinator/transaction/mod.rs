//! Transactions: the machine behind one partition of `__transaction_state`. Pure.
//!
//! Enters: commands ([`commands`]), due timers, records read back from the log. Leaves: [`TransactionOutcome`]s; the
//! markers to write leave as an [`Errand`] once the decision is in the log.
//! May use: protocol types. Never: tokio, a clock, chance, a lock, a file.
//!
//! | file | what |
//! |---|---|
//! | `state.rs` | what is known of a transactional id, and its changes |
//! | `init.rs` | InitProducerId: epochs, fencing |
//! | `partitions.rs` | AddPartitionsToTxn, to add and to verify |
//! | `end.rs` | EndTxn in both versions of the protocol, and the end of the markers |
//! | `expire.rs` | transactions that took too long, transactional ids that nobody uses |
//! | `admin.rs` | DescribeTransactions, ListTransactions |
//! | `records.rs` | the bytes of the records |
//!
//! A transaction goes Empty -> Ongoing -> Prepare{Commit,Abort} -> Complete{Commit,Abort} -> Ongoing ... From the moment
//! that Prepare is in the log the decision stands: whoever loads the shard sends the markers, as often as it takes.

mod admin;
pub mod commands;
mod config;
mod end;
mod error;
mod expire;
mod init;
mod partitions;
pub mod records;
mod state;

#[cfg(test)]
mod harness;
#[cfg(test)]
mod simulator;
#[cfg(test)]
mod transcripts;

use std::collections::HashMap;
use std::convert::Infallible;

use ottla_protocol::StrBytes;
use ottla_protocol::batch::RecordBatch;
use ottla_protocol::wire::WireError;

pub use config::TransactionConfig;
pub use error::TransactionError;
pub use state::{
    NO_PRODUCER_EPOCH, NO_PRODUCER_ID, ProducerIdAndEpoch, TopicPartition, Transaction, TransactionResult,
    TransactionState, TransactionVersion,
};

use super::batches::BatchError;
use super::{Applied, ClusterView, Machine, Outcome};

/// What a transaction command decided.
pub type TransactionOutcome<R> = Outcome<R, TransactionRecord, Infallible, Effect>;

/// What the runtime shall do.
pub type Effect = super::Effect<Infallible, TimerKey, Errand>;

/// A transactional id as it is from now on; `None` once it is forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionRecord {
    pub transactional_id: StrBytes,
    pub transaction: Option<Transaction>,
}

/// What a transaction asks of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// The markers of a transactional id ([`TransactionShard::markers_to_send`]) are to be written to every partition,
    /// then [`TransactionShard::markers_written`] is to be called.
    SendMarkers(StrBytes),
    /// A transaction took too long, and its producer has no more epochs: [`TransactionShard::abort_timed_out`] is to be
    /// called with a new producer id.
    AbortTimedOut { transactional_id: StrBytes, producer: ProducerIdAndEpoch },
}

/// The markers that end a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Markers {
    pub transactional_id: StrBytes,
    /// With the epoch after the bump, where the client's version has one.
    pub producer: ProducerIdAndEpoch,
    pub result: TransactionResult,
    pub client_version: TransactionVersion,
    pub partitions: Vec<TopicPartition>,
}

/// What a timer is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimerKey {
    /// The transaction's timeout. Never cancelled, one for each transactional id: when it fires too early, it is set
    /// anew.
    Timeout(StrBytes),
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`, one for the whole shard.
    Expiration,
}

/// The transactional ids whose coordinator is one partition of `__transaction_state`.
#[derive(Debug)]
pub struct TransactionShard {
    config: TransactionConfig,
    transactions: HashMap<StrBytes, Transaction>,
}

impl Machine for TransactionShard {
    type Config = TransactionConfig;
    type Record = TransactionRecord;
    type Soft = Infallible;
    type Answer = Infallible;
    type TimerKey = TimerKey;
    type Errand = Errand;

    fn new(config: TransactionConfig) -> Self {
        TransactionShard { config, transactions: HashMap::new() }
    }

    fn replay(&mut self, record: &TransactionRecord) {
        match &record.transaction {
            Some(transaction) => {
                self.transactions.insert(record.transactional_id.clone(), transaction.clone());
            }
            None => {
                self.transactions.remove(&record.transactional_id);
            }
        }
    }

    /// Takes up the decisions whose markers may not all be written.
    fn loaded(&self, now_ms: i64, _view: &dyn ClusterView) -> TransactionOutcome<()> {
        let mut outcome = TransactionOutcome::answer(());
        for (transactional_id, transaction) in &self.transactions {
            match transaction.state {
                TransactionState::Ongoing => {
                    outcome.effects.extend(self.timeout(transactional_id, transaction))
                }
                _ => outcome.effects.extend(markers(transactional_id, transaction)),
            }
        }
        outcome.effects.push(self.next_expiration(now_ms));
        outcome
    }

    fn expire(&self, key: &TimerKey, now_ms: i64, _view: &dyn ClusterView) -> TransactionOutcome<()> {
        match key {
            TimerKey::Timeout(transactional_id) => self.expire_transaction(transactional_id, now_ms),
            TimerKey::Expiration => self.expire_transactional_ids(now_ms),
        }
    }

    fn apply<R>(&mut self, outcome: TransactionOutcome<R>) -> Applied<Self, R> {
        for record in &outcome.records {
            self.replay(record);
        }
        (outcome.response, outcome.records, outcome.effects)
    }

    fn to_batch(records: &[TransactionRecord], now_ms: i64) -> Result<RecordBatch, WireError> {
        records::to_batch(records, now_ms)
    }

    fn from_batch(batch: &RecordBatch) -> Result<Vec<TransactionRecord>, BatchError> {
        records::from_batch(batch)
    }
}

impl TransactionShard {
    /// What is known of a transactional id.
    pub fn transaction(&self, transactional_id: &StrBytes) -> Option<&Transaction> {
        self.transactions.get(transactional_id)
    }

    /// One change of a transactional id.
    fn put(&self, transactional_id: &StrBytes, transaction: Transaction) -> TransactionOutcome<()> {
        let transactional_id = match self.transactions.get_key_value(transactional_id) {
            Some((known, _)) => known.clone(),
            None => own(transactional_id),
        };
        let record = TransactionRecord { transactional_id, transaction: Some(transaction) };
        TransactionOutcome { records: vec![record], ..TransactionOutcome::answer(()) }
    }
}

/// The errand of a decision, if there is one to carry out.
fn markers(transactional_id: &StrBytes, transaction: &Transaction) -> Option<Effect> {
    transaction.state.prepared()?;
    Some(Effect::Errand(Errand::SendMarkers(transactional_id.clone())))
}

/// A string with bytes of its own: a piece of a request would keep the whole request in memory.
fn own(text: &StrBytes) -> StrBytes {
    StrBytes::from_string(text.to_string())
}
