//! What Kafka checks of the records of a Produce request before it appends them, in Kafka's order and words.
//!
//! Compressed records are checked as they inflate and kept as they came, unless `compression.type` names another codec;
//! then they run from one codec into the other, in bounded memory.

use std::fmt;

use bytes::{Bytes, BytesMut};

use super::header::{
    ATTRIBUTES_AT, BATCH_HEADER_BYTES, COMPRESSION_MASK, LEGACY_RECORD_OVERHEAD_BYTES, LENGTH_AT,
    LOG_OVERHEAD_BYTES,
};
use super::stream::{RecordMeta, RecordStream, StreamError};
use super::view::{patch_crc, put};
use super::{
    BatchBuilder, BatchError, Batches, MalformedRecords, NO_TIMESTAMP, RecordBatch, Records, SchemaMarks,
    TimestampType,
};
use super::{
    InvalidBatch, InvalidBatchKind, RECORD_ERRORS_MAX, RecordError, TargetCompression, ValidatedBatch,
    ValidatedBatches, ValidationRules,
};
use crate::codec::{self, CodecError, Compression};

/// Produce takes zstd from this version on (KIP-110).
const ZSTD_SINCE_PRODUCE: i16 = 7;
/// Kafka names three bad records in its message; the answer lists more.
const SHOWN_RECORD_ERRORS: usize = 3;

/// Checks the records of one partition of a Produce request.
pub fn validate(records: Bytes, rules: &ValidationRules<'_>) -> Result<ValidatedBatches, InvalidBatch> {
    let validator = Validator { rules };
    let batch = validator.only_batch(records)?;
    let validated = validator.as_stored(batch);
    let validated = validated.map_err(|invalid| InvalidBatch { is_of_log: true, ..invalid })?;
    Ok(ValidatedBatches { batches: vec![validated] })
}

struct Validator<'r> {
    rules: &'r ValidationRules<'r>,
}

/// What walking the records told.
struct Summary {
    max_timestamp_ms: i64,
    offset_delta_of_max_timestamp: i32,
    /// Offset deltas count from 0, as all but some old clients write them.
    is_consecutive: bool,
}

impl Validator<'_> {
    /// Produce takes one batch of magic 2 per partition; a torn one behind it is dropped, as Kafka does.
    fn only_batch(&self, records: Bytes) -> Result<RecordBatch, InvalidBatch> {
        let mut batches = Batches::new(records);
        let batch = match batches.next() {
            Some(Ok(batch)) => batch,
            Some(Err(error)) => return Err(unreadable(error)),
            None => {
                return Err(invalid_record(
                    "a Produce request must have a record batch per partition".to_owned(),
                ));
            }
        };
        let version = self.rules.produce_version;
        if batch.compression() == Some(Compression::Zstd) && version < ZSTD_SINCE_PRODUCE {
            let reason = format!("Produce requests of version {version} are not allowed to use zstd");
            return Err(refused(InvalidBatchKind::UnsupportedCompressionType, reason));
        }
        match batches.next() {
            None => Ok(batch),
            Some(Ok(_)) => Err(invalid_record(
                "a Produce request must have only one record batch per partition".to_owned(),
            )),
            // Kafka puts its words on the wire for the first batch alone.
            Some(Err(error)) => Err(InvalidBatch { message: None, ..unreadable(error) }),
        }
    }

    /// The batch as the log takes it.
    fn as_stored(&self, batch: RecordBatch) -> Result<ValidatedBatch, InvalidBatch> {
        self.check_envelope(&batch)?;
        let codec = self.check_header(&batch)?;
        let summary = self.check_records(&batch, codec)?;
        let batch = self.rewrite(batch, codec, &summary)?;
        Ok(match self.rules.timestamp_type {
            TimestampType::CreateTime => ValidatedBatch::new(
                batch,
                TimestampType::CreateTime,
                summary.max_timestamp_ms,
                summary.offset_delta_of_max_timestamp,
            ),
            TimestampType::LogAppendTime => {
                ValidatedBatch::new(batch, TimestampType::LogAppendTime, self.rules.now_ms, 0)
            }
        })
    }

    /// What the log checks before it looks inside.
    fn check_envelope(&self, batch: &RecordBatch) -> Result<(), InvalidBatch> {
        if batch.base_offset != 0 {
            let found = batch.base_offset;
            return Err(invalid_record(format!(
                "The baseOffset of the record batch in the append to {self} should be 0, but it is {found}"
            )));
        }
        let limit = self.rules.max_message_bytes;
        if batch.size() > limit {
            let size = batch.size();
            return Err(too_large(format!(
                "The record batch size in the append to {self} is {size} bytes which exceeds the maximum configured value of {limit}."
            )));
        }
        if !batch.is_crc_valid() {
            let crc = batch.crc;
            let reason = format!("Record is corrupt (stored crc = {crc}) in topic partition {self}.");
            return Err(refused(InvalidBatchKind::CorruptMessage, reason));
        }
        Ok(())
    }

    fn check_header(&self, batch: &RecordBatch) -> Result<Compression, InvalidBatch> {
        let codec =
            batch.compression().ok_or_else(|| broken(format!("Unknown compression type in {self}")))?;
        let (base, last) = (batch.base_offset, batch.last_offset());
        let count = batch.records_count;
        let spanned = last - base + 1;
        if spanned <= 0 {
            return Err(invalid_record(format!(
                "Batch has an invalid offset range: [{base}, {last}] in topic partition {self}"
            )));
        }
        if count <= 0 {
            return Err(invalid_record(format!(
                "Invalid reported count for record batch: {count} in topic partition {self}"
            )));
        }
        if spanned != i64::from(count) {
            return Err(invalid_record(format!(
                "Inconsistent batch offset range [{base}, {last}] and count of records {count} in topic partition {self}"
            )));
        }
        if batch.is_control() {
            return Err(invalid_record(format!(
                "Clients are not allowed to write control records in topic partition {self}"
            )));
        }
        if batch.has_producer_id() && batch.base_sequence < 0 {
            return Err(invalid_record(format!(
                "Invalid sequence number {} in record batch with producerId {} in topic partition {self}",
                batch.base_sequence, batch.producer_id
            )));
        }
        Ok(codec)
    }

    fn check_records(&self, batch: &RecordBatch, codec: Compression) -> Result<Summary, InvalidBatch> {
        let mut walk = RecordChecks::new(self, batch);
        let payload = &batch.bytes()[BATCH_HEADER_BYTES..];
        let walked = match codec {
            Compression::None => walk_slice(payload, batch.records_count, &mut walk),
            _ => codec::with_reader(codec, payload, |reader| {
                let mut stream = RecordStream::new(reader, payload.len(), self.rules.inflation_limit());
                for _ in 0..batch.records_count {
                    let record = stream.next_record(walk.marks.as_deref_mut())?;
                    walk.check(record);
                }
                stream.finish()
            }),
        };
        walked.map_err(|error| self.unwalkable(error, codec))?;
        walk.finish()
    }

    fn unwalkable(&self, error: StreamError, codec: Compression) -> InvalidBatch {
        match error {
            // Kafka's readers of plain and of inflated records do not agree on this one.
            StreamError::Malformed(MalformedRecords::VarintTooLong) if codec == Compression::None => {
                broken(format!("A varint is too long in {self}"))
            }
            StreamError::Malformed(error) => invalid_record(format!("{error} in {self}")),
            StreamError::Codec(CodecError::TooLarge { limit }) => too_large(format!(
                "The record batch in the append to {self} inflates to more than {limit} bytes."
            )),
            StreamError::Codec(error @ CodecError::Corrupt(_)) => broken(format!("{error} in {self}")),
        }
    }

    /// The batch as the topic wants it stored.
    fn rewrite(
        &self,
        batch: RecordBatch,
        source: Compression,
        summary: &Summary,
    ) -> Result<RecordBatch, InvalidBatch> {
        let (target, level) = match self.rules.compression {
            TargetCompression::Producer => (source, None),
            TargetCompression::Codec { codec, level } => (codec, level),
        };
        if target == Compression::None && source == Compression::None {
            return Ok(batch);
        }
        let rewritten = match (source == target, summary.is_consecutive) {
            (true, true) => return Ok(batch),
            (true, false) => {
                return Err(broken(format!("Offsets in a compressed batch do not count from 0 in {self}")));
            }
            (false, true) => recompress(&batch, source, target, level, self.rules.max_message_bytes),
            (false, false) => renumber(&batch, target, level, self.rules.inflation_limit()),
        };
        let limit = self.rules.max_message_bytes;
        match rewritten {
            Ok(batch) if batch.size() <= limit => Ok(batch),
            Ok(batch) => Err(self.too_large_rewritten(batch.size())),
            Err(CodecError::TooLarge { .. }) => Err(self.too_large_rewritten(limit + 1)),
            Err(error @ CodecError::Corrupt(_)) => Err(broken(format!("{error} in {self}"))),
        }
    }

    fn too_large_rewritten(&self, size: usize) -> InvalidBatch {
        let limit = self.rules.max_message_bytes;
        too_large(format!(
            "Message batch size is {size} bytes in append to partition {self} which exceeds the maximum configured size of {limit}."
        ))
    }
}

/// Prints `topic-partition`, as Kafka's messages name it.
impl fmt::Display for Validator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.rules.topic, self.rules.partition)
    }
}

/// Checks record after record and gathers what is wrong with each.
struct RecordChecks<'v> {
    validator: &'v Validator<'v>,
    batch: &'v RecordBatch,
    checks_timestamps: bool,
    index: i32,
    summary: Summary,
    has_invalid_timestamp: bool,
    /// Where the rules have a check of their own; in a box, since there is seldom one.
    marks: Option<Box<SchemaMarks>>,
    errors: Vec<RecordError>,
    errors_count: usize,
    /// The index of the last record with an error; -1: none.
    last_refused: i32,
}

impl<'v> RecordChecks<'v> {
    fn new(validator: &'v Validator<'v>, batch: &'v RecordBatch) -> Self {
        Self {
            validator,
            batch,
            checks_timestamps: validator.rules.timestamp_type == TimestampType::CreateTime,
            index: 0,
            summary: Summary {
                max_timestamp_ms: NO_TIMESTAMP,
                offset_delta_of_max_timestamp: 0,
                is_consecutive: true,
            },
            has_invalid_timestamp: false,
            marks: validator.rules.record_check.map(|_| Box::default()),
            errors: Vec::new(),
            errors_count: 0,
            last_refused: -1,
        }
    }

    #[inline]
    fn check(&mut self, record: RecordMeta) {
        let timestamp_ms = self.batch.timestamp_of(record.timestamp_delta);
        if self.validator.rules.is_compacted && record.key_size < 0 {
            let partition = self.validator;
            self.refuse(format!(
                "Compacted topic cannot accept message without key in topic partition {partition}"
            ));
        } else if self.checks_timestamps && timestamp_ms != NO_TIMESTAMP {
            if self.is_out_of_range(timestamp_ms) {
                self.refuse_timestamp(timestamp_ms, record);
            }
        } else if self.batch.timestamp_type() == TimestampType::LogAppendTime {
            self.refuse_timestamp_type(timestamp_ms, record);
        }
        if self.marks.is_some() && self.last_refused != self.index {
            self.check_marks(timestamp_ms, record);
        }
        if timestamp_ms > self.summary.max_timestamp_ms {
            self.summary.max_timestamp_ms = timestamp_ms;
            self.summary.offset_delta_of_max_timestamp = record.offset_delta;
        }
        self.summary.is_consecutive &= record.offset_delta == self.index;
        self.index += 1;
    }

    #[inline]
    fn is_out_of_range(&self, timestamp_ms: i64) -> bool {
        let rules = self.validator.rules;
        let age_ms = rules.now_ms.wrapping_sub(timestamp_ms);
        age_ms > rules.timestamp_before_max_ms || age_ms.wrapping_neg() > rules.timestamp_after_max_ms
    }

    #[cold]
    fn refuse(&mut self, message: String) {
        self.errors_count += 1;
        self.last_refused = self.index;
        if self.errors.len() < RECORD_ERRORS_MAX {
            self.errors.push(RecordError { batch_index: self.index, message: Some(message) });
        }
    }

    #[cold]
    fn refuse_timestamp(&mut self, timestamp_ms: i64, record: RecordMeta) {
        self.has_invalid_timestamp = true;
        let rules = self.validator.rules;
        let offset = self.batch.offset_of(record.offset_delta);
        let earliest_ms = rules.now_ms.wrapping_sub(rules.timestamp_before_max_ms);
        let latest_ms = rules.now_ms.wrapping_add(rules.timestamp_after_max_ms);
        self.refuse(format!(
            "Timestamp {timestamp_ms} of message with offset {offset} is out of range. The timestamp should be within [{earliest_ms}, {latest_ms}]"
        ));
    }

    #[cold]
    fn refuse_timestamp_type(&mut self, timestamp_ms: i64, record: RecordMeta) {
        self.has_invalid_timestamp = true;
        let record = self.as_in_java(timestamp_ms, record);
        self.refuse(format!(
            "Invalid timestamp type in message {record}. Producer should not set timestamp type to LogAppendTime."
        ));
    }

    #[inline(never)]
    fn check_marks(&mut self, timestamp_ms: i64, record: RecordMeta) {
        let (Some(check), Some(marks)) = (self.validator.rules.record_check, &self.marks) else { return };
        if check.accepts(marks) {
            return;
        }
        if self.errors.len() >= RECORD_ERRORS_MAX {
            self.errors_count += 1;
            return;
        }
        let (record, reason) = (self.as_in_java(timestamp_ms, record), check.reason(marks));
        self.refuse(format!("Log record {record} is rejected by {reason}"));
    }

    fn as_in_java(&self, timestamp_ms: i64, record: RecordMeta) -> String {
        let offset = self.batch.offset_of(record.offset_delta);
        let (key_size, value_size) = (record.key_size.max(0), record.value_size.max(0));
        format!(
            "DefaultRecord(offset={offset}, timestamp={timestamp_ms}, key={key_size} bytes, value={value_size} bytes)"
        )
    }

    fn finish(self) -> Result<Summary, InvalidBatch> {
        if self.errors.is_empty() {
            return Ok(self.summary);
        }
        let kind = match self.has_invalid_timestamp {
            true => InvalidBatchKind::InvalidTimestamp,
            false => InvalidBatchKind::InvalidRecord,
        };
        let message = match kind {
            InvalidBatchKind::InvalidTimestamp => {
                "One or more records have been rejected due to invalid timestamp".to_owned()
            }
            _ => {
                let shown: Vec<String> =
                    self.errors.iter().take(SHOWN_RECORD_ERRORS).map(shown_as_in_java).collect();
                format!(
                    "One or more records have been rejected due to {} record errors in total, and only showing the first three errors at most: [{}]",
                    self.errors_count,
                    shown.join(", ")
                )
            }
        };
        Err(InvalidBatch {
            kind,
            message: Some(message.clone()),
            reason: message,
            record_errors: self.errors,
            is_of_log: true,
        })
    }
}

fn shown_as_in_java(error: &RecordError) -> String {
    let message =
        error.message.as_deref().map_or_else(|| "null".to_owned(), |message| format!("'{message}'"));
    format!("RecordError(batchIndex={}, message={message})", error.batch_index)
}

fn walk_slice(payload: &[u8], count: i32, walk: &mut RecordChecks<'_>) -> Result<(), StreamError> {
    for record in Records::new(payload, count) {
        let record = record?;
        if let Some(marks) = &mut walk.marks {
            marks.read(&record);
        }
        walk.check(RecordMeta {
            offset_delta: record.offset_delta,
            timestamp_delta: record.timestamp_delta,
            key_size: size_of_nullable(record.key),
            value_size: size_of_nullable(record.value),
        });
    }
    Ok(())
}

/// Lets the records run from one codec into the other; they stay as they are.
fn recompress(
    batch: &RecordBatch,
    source: Compression,
    target: Compression,
    level: Option<i32>,
    max_message_bytes: usize,
) -> Result<RecordBatch, CodecError> {
    let limit = max_message_bytes.saturating_sub(BATCH_HEADER_BYTES);
    let payload = codec::with_reader(source, &batch.bytes()[BATCH_HEADER_BYTES..], |reader| {
        codec::compress_from(target, level, reader, limit)
    })?;
    let size = BATCH_HEADER_BYTES + payload.len();
    let length = i32::try_from(size - LOG_OVERHEAD_BYTES).map_err(|_| CodecError::TooLarge { limit })?;
    let mut bytes = BytesMut::with_capacity(size);
    bytes.extend_from_slice(&batch.bytes()[..BATCH_HEADER_BYTES]);
    bytes.extend_from_slice(&payload);
    let attributes = batch.attributes & !COMPRESSION_MASK | i16::from(target.id());
    put(&mut bytes, LENGTH_AT, length.to_be_bytes());
    put(&mut bytes, ATTRIBUTES_AT, attributes.to_be_bytes());
    patch_crc(&mut bytes);
    Ok(RecordBatch::parse(&bytes.freeze()).expect("a batch that was just written"))
}

/// Writes the batch anew with offsets that count from 0, for the old clients that count otherwise inside a
/// compressed batch.
fn renumber(
    batch: &RecordBatch,
    target: Compression,
    level: Option<i32>,
    limit: usize,
) -> Result<RecordBatch, CodecError> {
    let payload = batch.inflate(limit)?;
    let mut builder = BatchBuilder::new().compression(target, level);
    if batch.has_producer_id() {
        builder = builder.producer(batch.producer_id, batch.producer_epoch, batch.base_sequence);
    }
    if batch.is_transactional() {
        builder = builder.transactional();
    }
    for record in Records::new(&payload, batch.records_count) {
        let record = record.map_err(|error: MalformedRecords| CodecError::Corrupt(error.to_string()))?;
        builder.append_view(batch.timestamp_of(record.timestamp_delta), &record);
    }
    Ok(builder.build())
}

/// A slice of a batch is never longer than an i32 counts.
fn size_of_nullable(field: Option<&[u8]>) -> i32 {
    field.map_or(-1, |field| field.len() as i32)
}

fn unreadable(error: BatchError) -> InvalidBatch {
    let reason = error.to_string();
    match error {
        BatchError::OldMagic(_) | BatchError::Truncated => invalid_record(reason),
        // Kafka has words for what it cannot even cut into batches.
        BatchError::TooShort { length } if length < LEGACY_RECORD_OVERHEAD_BYTES => said_corrupt(reason),
        BatchError::InvalidMagic(_) => said_corrupt(reason),
        BatchError::TooShort { .. } => refused(InvalidBatchKind::CorruptMessage, reason),
        BatchError::TooLong { .. } => broken(reason),
    }
}

fn said_corrupt(reason: String) -> InvalidBatch {
    InvalidBatch { message: Some(reason.clone()), ..refused(InvalidBatchKind::CorruptMessage, reason) }
}

fn invalid_record(reason: String) -> InvalidBatch {
    refused(InvalidBatchKind::InvalidRecord, reason)
}

fn too_large(reason: String) -> InvalidBatch {
    refused(InvalidBatchKind::MessageTooLarge, reason)
}

/// What makes Kafka fail rather than refuse.
fn broken(reason: String) -> InvalidBatch {
    refused(InvalidBatchKind::UnknownServerError, reason)
}

fn refused(kind: InvalidBatchKind, reason: String) -> InvalidBatch {
    InvalidBatch { kind, message: None, reason, record_errors: Vec::new(), is_of_log: false }
}
