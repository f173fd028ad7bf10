//! Why the transaction coordinator refuses. Handlers translate these into wire codes.

/// A refusal, named as Kafka names its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionError {
    /// The transactional id is empty.
    InvalidRequest,
    /// The timeout is not positive, or longer than `transaction.max.timeout.ms`.
    InvalidTransactionTimeout,
    /// The transactional id is not known, or belongs to another producer id.
    InvalidProducerIdMapping,
    /// Another producer with this transactional id began since.
    ProducerFenced,
    /// The transaction before is still being ended; to be sent again.
    ConcurrentTransactions,
    /// The transaction cannot be ended so from where it stands.
    InvalidTxnState,
    /// The partition is not in the transaction, which can only be aborted now.
    TransactionAbortable,
    /// Only DescribeTransactions says so.
    TransactionalIdNotFound,
    /// No more epochs where the producer's own epoch is not the last one.
    EpochExhausted,
    /// There is no new producer id just now; to be sent again.
    CoordinatorLoadInProgress,
    /// The shard's log could not be read or written just now; to be sent again.
    CoordinatorNotAvailable,
    /// The shard was dropped while the request waited; the client looks the coordinator up again.
    NotCoordinator,
}
