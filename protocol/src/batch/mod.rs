//! Record batches of magic 2: the unit of producing, storing and fetching.
//!
//! Enters: bytes from a producer, a log file or a coordinator. Leaves: views of them that copy nothing (`RecordBatch`,
//! `Records`), new batches (`BatchBuilder`),
//! old ones with fewer records (`rewrite`), and `ValidatedBatches`, the only thing that a log takes.
//! May use: `codec` and `bytes`. Nothing here trusts a length, and nothing here panics on input.
//!
//! A batch (all integers big-endian; the CRC-32C covers what follows it):
//!
//! ```text
//! base_offset i64 | batch_length i32 | partition_leader_epoch i32 | magic i8 | crc u32 | attributes i16
//! | last_offset_delta i32 | base_timestamp i64 | max_timestamp i64 | producer_id i64 | producer_epoch i16
//! | base_sequence i32 | records_count i32 | records, compressed as one
//! ```

mod builder;
mod header;
mod records;
mod rewrite;
mod rules;
mod schema_id;
mod stream;
mod validate;
mod validated;
mod varint;
mod view;

pub use builder::BatchBuilder;
pub use header::{BATCH_HEADER_BYTES, BatchError, BatchHeader, LOG_OVERHEAD_BYTES, TimestampType};
pub use records::{Headers, MalformedRecords, RecordView, Records};
pub use rewrite::{rewrite, rewrite_empty};
pub use rules::{
    INFLATION_RATIO_MAX, InvalidBatch, InvalidBatchKind, RECORD_ERRORS_MAX, RecordError, TargetCompression,
    ValidationRules,
};
pub use schema_id::{Part, RecordCheck, SchemaId, SchemaMarks, read_message_path};
pub use validate::validate;
pub use validated::{ValidatedBatch, ValidatedBatches};
pub use view::{Batches, RecordBatch};

pub const NO_PRODUCER_ID: i64 = -1;
pub const NO_PRODUCER_EPOCH: i16 = -1;
pub const NO_SEQUENCE: i32 = -1;
pub const NO_TIMESTAMP: i64 = -1;
pub const NO_LEADER_EPOCH: i32 = -1;
