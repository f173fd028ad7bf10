//! What the transaction coordinator is asked, in its own words.

use ottla_protocol::StrBytes;

use super::super::pattern::NamePattern;
use super::{ProducerIdAndEpoch, TopicPartition, TransactionResult, TransactionVersion};

/// A decision, or what it still needs: a producer id can be had only outside of the machine. Whoever asked asks again
/// with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<T> {
    Done(T),
    NeedsProducerId,
}

/// InitProducerId with a transactional id.
#[derive(Debug, Clone)]
pub struct InitProducerId {
    pub transactional_id: StrBytes,
    pub timeout_ms: i32,
    /// Who the producer was, if it goes on after an error (KIP-360).
    pub expected: Option<ProducerIdAndEpoch>,
    /// An id that no producer had before, once it is needed.
    pub new_producer_id: Option<i64>,
}

/// AddPartitionsToTxn.
#[derive(Debug, Clone)]
pub struct AddPartitions {
    pub transactional_id: StrBytes,
    pub producer: ProducerIdAndEpoch,
    pub partitions: Vec<TopicPartition>,
    pub client_version: TransactionVersion,
}

/// AddPartitionsToTxn that changes nothing (KIP-890).
#[derive(Debug, Clone)]
pub struct VerifyPartitions {
    pub transactional_id: StrBytes,
    pub producer: ProducerIdAndEpoch,
    pub partitions: Vec<TopicPartition>,
}

/// EndTxn.
#[derive(Debug, Clone)]
pub struct EndTxn {
    pub transactional_id: StrBytes,
    pub producer: ProducerIdAndEpoch,
    pub result: TransactionResult,
    pub client_version: TransactionVersion,
    /// An id that no producer had before, once it is needed.
    pub new_producer_id: Option<i64>,
}

/// Which transactions ListTransactions shall tell of; empty filters let everything through.
#[derive(Debug, Clone, Default)]
pub struct ListTransactions {
    pub producer_ids: Vec<i64>,
    /// Names of states, as the client wrote them.
    pub states: Vec<StrBytes>,
    /// Only those that take longer.
    pub longer_than_ms: Option<i64>,
    /// Only ids that match it wholly.
    pub pattern: Option<NamePattern>,
}

/// A row of ListTransactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTransaction {
    pub transactional_id: StrBytes,
    pub producer_id: i64,
    pub state: &'static str,
}

/// What DescribeTransactions says of a transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedTransaction {
    pub producer: ProducerIdAndEpoch,
    pub state: &'static str,
    pub timeout_ms: i32,
    /// -1 where no transaction has begun yet.
    pub start_ms: i64,
    /// By topic, in order.
    pub topics: Vec<(StrBytes, Vec<i32>)>,
}
