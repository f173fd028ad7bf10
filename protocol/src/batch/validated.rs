//! Batches that are known to be good: what a log takes, and all that it takes.

use bytes::BytesMut;

use super::view::{patch_position, patch_timestamps};
use super::{BatchHeader, RecordBatch, Records, TimestampType};

/// The batches of one append to one partition, in order. From a producer it is always one.
#[derive(Debug, Clone)]
pub struct ValidatedBatches {
    pub batches: Vec<ValidatedBatch>,
}

impl ValidatedBatches {
    /// Batches that the broker built itself, for its own logs.
    pub fn internal(batches: impl IntoIterator<Item = RecordBatch>) -> Self {
        Self { batches: batches.into_iter().map(ValidatedBatch::internal).collect() }
    }

    pub fn records_count(&self) -> i64 {
        self.batches.iter().map(|batch| i64::from(batch.records_count)).sum()
    }

    /// Bytes of all batches.
    pub fn size(&self) -> usize {
        self.batches.iter().map(|batch| batch.size()).sum()
    }
}

/// One batch that passed validation, still without its place in the log. Derefs to its header, whose base offset and
/// leader epoch are the producer's and mean nothing; its maximum timestamp is right.
#[derive(Debug, Clone)]
pub struct ValidatedBatch {
    batch: RecordBatch,
    header: BatchHeader,
    offset_delta_of_max_timestamp: i32,
}

impl ValidatedBatch {
    /// A batch that the broker built itself.
    pub fn internal(batch: RecordBatch) -> Self {
        let header = *batch.header();
        let offset_delta_of_max_timestamp =
            first_with_max_timestamp(&batch).unwrap_or(header.last_offset_delta);
        Self { batch, header, offset_delta_of_max_timestamp }
    }

    /// `timestamp_type` and `max_timestamp_ms` take effect when offsets are assigned, if the batch says otherwise.
    pub(super) fn new(
        batch: RecordBatch,
        timestamp_type: TimestampType,
        max_timestamp_ms: i64,
        offset_delta_of_max_timestamp: i32,
    ) -> Self {
        let header = batch.header().with_timestamps(timestamp_type, max_timestamp_ms);
        Self { batch, header, offset_delta_of_max_timestamp }
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The first record that has the maximum timestamp, relative to the base offset. Answers ListOffsets -3 (KIP-734).
    pub fn offset_delta_of_max_timestamp(&self) -> i32 {
        self.offset_delta_of_max_timestamp
    }

    /// Gives the batch its place in the log, and under `message.timestamp.type=LogAppendTime` the log's time (ms).
    /// Copies nothing when nobody else holds the bytes, else copies once: one produce request's partitions share a frame.
    pub fn assign(self, base_offset: i64, leader_epoch: i32, append_time_ms: Option<i64>) -> RecordBatch {
        let mut header = self.header;
        if let Some(append_time_ms) = append_time_ms {
            header = header.with_timestamps(TimestampType::LogAppendTime, append_time_ms);
        }
        let has_new_timestamps = header != *self.batch.header();
        let mut bytes = match self.batch.into_bytes().try_into_mut() {
            Ok(own) => own,
            Err(shared) => BytesMut::from(&shared[..]),
        };
        patch_position(&mut bytes, base_offset, leader_epoch);
        if has_new_timestamps {
            patch_timestamps(&mut bytes, header.timestamp_type(), header.max_timestamp_ms);
        }
        RecordBatch::parse(&bytes.freeze()).expect("a batch that was valid before")
    }
}

impl std::ops::Deref for ValidatedBatch {
    type Target = BatchHeader;

    fn deref(&self) -> &BatchHeader {
        &self.header
    }
}

fn first_with_max_timestamp(batch: &RecordBatch) -> Option<i32> {
    let payload = batch.inflate(usize::MAX).ok()?;
    let mut records = Records::new(&payload, batch.records_count).flatten();
    let newest =
        records.find(|record| batch.timestamp_of(record.timestamp_delta) == batch.max_timestamp_ms)?;
    Some(newest.offset_delta)
}
