//! The log under a coordinator, which the broker lends it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use ottla_protocol::batch::RecordBatch;

/// What a coordinator's log can be asked; the broker implements it over a partition of an internal topic.
pub trait CoordinatorLog: Send + Sync + 'static {
    /// How many partitions the topic has; `None` before it is made.
    fn partitions(&self) -> Option<i32>;

    /// Makes the topic, if it is not there.
    fn create(&self) -> LogFuture<()>;

    /// Appends one batch. The batch has its place, after those before it, when this returns; the future ends when the
    /// batch is committed.
    fn append(&self, partition: i32, batch: RecordBatch) -> LogFuture<()>;

    /// The same for a batch of a producer's transaction, or its marker: the log checks what the voucher says.
    fn append_vouched(&self, partition: i32, batch: RecordBatch, voucher: Voucher) -> LogFuture<()> {
        let _ = voucher;
        self.append(partition, batch)
    }

    /// Lets go of everything before `offset`. A log that is compacted need not.
    fn delete_before(&self, _partition: i32, _offset: i64) -> LogFuture<()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Some whole batches from `offset` on, in order; none at the end of the log. The first may begin before `offset`.
    fn read(&self, partition: i32, offset: i64) -> LogFuture<Vec<RecordBatch>>;
}

/// What makes a log take a batch of a transaction. The broker that leads it gives it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voucher {
    /// The transaction goes on in this log already.
    Ongoing,
    /// Its coordinator was asked, under this number; or nobody need be asked.
    Verified(Option<u64>),
    /// The coordinator itself ends a transaction of this version.
    Marker { transaction_version: i16 },
}

/// The outcome of a call that may have to wait for a disk or for another machine.
pub type LogFuture<T> = Pin<Box<dyn Future<Output = Result<T, LogError>> + Send>>;

/// Why a log did not do as asked. After an append, `Unknown` says that the batch may or may not be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogError {
    /// Another broker leads the partition now.
    Fenced,
    /// Not now.
    Unavailable,
    /// Not known, such as after a time-out.
    Unknown,
    /// The batch is refused for what it is, such as its size.
    Refused,
    /// A newer instance of the producer has written already.
    InvalidProducerEpoch,
    /// The producer's transaction does not go on.
    InvalidTxnState,
    /// The marker is of a coordinator that has been replaced.
    TransactionCoordinatorFenced,
    /// What is in the log cannot be read.
    Corrupt,
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LogError::Fenced => "another broker leads the partition",
            LogError::Unavailable => "the log is not available",
            LogError::Unknown => "it is not known whether the batch was written",
            LogError::Refused => "the log refuses the batch",
            LogError::InvalidProducerEpoch => "the producer's epoch is over",
            LogError::InvalidTxnState => "the producer's transaction does not go on",
            LogError::TransactionCoordinatorFenced => "the transaction coordinator has been replaced",
            LogError::Corrupt => "the log cannot be read",
        })
    }
}

impl std::error::Error for LogError {}
