//! What validation goes by, and what it answers.

use std::fmt;

use super::{LOG_OVERHEAD_BYTES, RecordCheck, TimestampType};
use crate::ErrorCode;
use crate::codec::Compression;

/// A batch may inflate to this many times `max.message.bytes` (but at least of its default). Producers count their
/// own limits before compression, so that honest batches stay far below.
pub const INFLATION_RATIO_MAX: usize = 256;
/// So many bad records are named in an answer; the rest are counted. Kafka names all, which a small compressed batch
/// could make gigabytes.
pub const RECORD_ERRORS_MAX: usize = 1000;
/// The default of `message.max.bytes`.
const DEFAULT_MAX_MESSAGE_BYTES: usize = 1024 * 1024 + LOG_OVERHEAD_BYTES;

/// The configuration of the topic, and the request's context.
#[derive(Debug, Clone)]
pub struct ValidationRules<'a> {
    pub topic: &'a str,
    pub partition: i32,
    /// The Produce request's version.
    pub produce_version: i16,
    pub now_ms: i64,
    /// `max.message.bytes`
    pub max_message_bytes: usize,
    /// `compression.type`
    pub compression: TargetCompression,
    /// `message.timestamp.type`
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`
    pub timestamp_after_max_ms: i64,
    /// `cleanup.policy` contains `compact`
    pub is_compacted: bool,
    /// What else a record must be.
    pub record_check: Option<&'a dyn RecordCheck>,
}

impl<'a> ValidationRules<'a> {
    /// A topic with Kafka's defaults.
    pub fn new(topic: &'a str, partition: i32, produce_version: i16, now_ms: i64) -> Self {
        Self {
            topic,
            partition,
            produce_version,
            now_ms,
            max_message_bytes: DEFAULT_MAX_MESSAGE_BYTES,
            compression: TargetCompression::Producer,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 60 * 60 * 1000,
            is_compacted: false,
            record_check: None,
        }
    }

    /// Bytes that one batch may inflate to.
    pub(super) fn inflation_limit(&self) -> usize {
        self.max_message_bytes.max(DEFAULT_MAX_MESSAGE_BYTES).saturating_mul(INFLATION_RATIO_MAX)
    }
}

/// `compression.type`, with the level of `compression.{gzip,lz4,zstd}.level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetCompression {
    /// What the producer chose.
    #[default]
    Producer,
    Codec {
        codec: Compression,
        level: Option<i32>,
    },
}

/// Why records are refused. Nothing of them is appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidBatch {
    pub kind: InvalidBatchKind,
    /// For the answer's `error_message`; none where Kafka sends none, which is mostly.
    pub message: Option<String>,
    /// For the broker's log.
    pub reason: String,
    /// For the answer's `record_errors` (KIP-467); at most `RECORD_ERRORS_MAX`.
    pub record_errors: Vec<RecordError>,
    /// It is one batch, as a request must have it: what is wrong is what a log does not take.
    pub is_of_log: bool,
}

/// Named as Kafka names the error codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidBatchKind {
    CorruptMessage,
    MessageTooLarge,
    InvalidTimestamp,
    UnsupportedCompressionType,
    InvalidRecord,
    UnknownServerError,
}

impl From<InvalidBatchKind> for ErrorCode {
    fn from(kind: InvalidBatchKind) -> Self {
        match kind {
            InvalidBatchKind::CorruptMessage => Self::CorruptMessage,
            InvalidBatchKind::MessageTooLarge => Self::MessageTooLarge,
            InvalidBatchKind::InvalidTimestamp => Self::InvalidTimestamp,
            InvalidBatchKind::UnsupportedCompressionType => Self::UnsupportedCompressionType,
            InvalidBatchKind::InvalidRecord => Self::InvalidRecord,
            InvalidBatchKind::UnknownServerError => Self::UnknownServerError,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// The record's place in the batch, from 0.
    pub batch_index: i32,
    pub message: Option<String>,
}

impl fmt::Display for InvalidBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for InvalidBatch {}
