//! One partition's log, and the engines that keep it.
//!
//! Enters: `ValidatedBatches` and offsets. Leaves: offsets, shared bytes of whole batches, `StorageError`.
//! May use: `ottla_protocol` (batches and codecs); files only inside an engine. No tokio, no clock.
//!
//! - [`logs`] all logs of the process; [`log`] one of them: offsets, sequences, epochs, times
//! - `store` the seam below it; `memory/` and `local/` the engines; `rolling` when either begins a new segment
//! - `producers`, `aborted`, `epochs`, `batch_info` what a log knows of its batches, with the formats of Kafka's files
//! - `compaction` what of a compacted log survives
//! - `verification` the transactions that the coordinator was asked about
//! - [`files`] what lies in the files beside a segment, for those who look at them from outside
//! - `gather` puts batches together for a reader; `worker` is the one thread that waits for the disk

mod aborted;
mod batch_info;
mod commit;
mod compaction;
mod epochs;
mod error;
pub mod files;
mod gather;
mod local;
mod log;
mod logs;
mod memory;
mod options;
mod producers;
mod rolling;
mod store;
mod verification;
mod worker;

pub use aborted::AbortedTransaction;
pub use commit::Commit;
pub use error::{AppendError, StorageError};
pub use local::LocalSettings;
pub use log::{
    AppendContext, Appended, Bounds, Compacted, CompactionCandidate, CompactionLimits, Log, Origin, Pace,
    RetentionDue, TimestampOffset,
};
pub use logs::{Home, LogDir, Logs, Placement};
pub use options::{LogId, LogOptions};
pub use producers::ActiveProducer;
pub use store::{ColdRead, Read, ReadLimits, Records};
pub use verification::{Beginning, VerificationGuard};
