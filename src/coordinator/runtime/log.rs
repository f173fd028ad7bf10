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

    /// Some whole batches from `offset` on, in order; none at the end of the log. The first may begin before `offset`.
    fn read(&self, partition: i32, offset: i64) -> LogFuture<Vec<RecordBatch>>;
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
            LogError::Corrupt => "the log cannot be read",
        })
    }
}

impl std::error::Error for LogError {}
