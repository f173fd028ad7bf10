//! Makes batches: for coordinators, the metadata log, rewritten batches and tests. Without compression, byte for byte
//! what Kafka's own producer writes.

use bytes::{Bytes, BytesMut};

use super::header::{CONTROL_FLAG, LOG_APPEND_TIME_FLAG, TRANSACTIONAL_FLAG};
use super::varint::{put_i32, put_i64};
use super::{
    BATCH_HEADER_BYTES, NO_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP,
};
use super::{BatchHeader, RecordBatch, RecordView};
use crate::codec::{self, Compression};

/// A batch in the making. Records get consecutive offsets from the base offset, which is 0 unless set.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    base_offset: i64,
    leader_epoch: i32,
    compression: Compression,
    level: Option<i32>,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    flags: i16,
    append_time_ms: Option<i64>,
    base_timestamp_ms: Option<i64>,
    max_timestamp_ms: i64,
    count: i32,
    /// Room for the header, then the records.
    bytes: Vec<u8>,
    /// The record being written, before its length is known.
    record: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    pub fn new() -> Self {
        Self {
            base_offset: 0,
            leader_epoch: NO_LEADER_EPOCH,
            compression: Compression::None,
            level: None,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            flags: 0,
            append_time_ms: None,
            base_timestamp_ms: None,
            max_timestamp_ms: NO_TIMESTAMP,
            count: 0,
            bytes: vec![0; BATCH_HEADER_BYTES],
            record: Vec::new(),
        }
    }

    pub fn base_offset(mut self, base_offset: i64) -> Self {
        self.base_offset = base_offset;
        self
    }

    pub fn leader_epoch(mut self, leader_epoch: i32) -> Self {
        self.leader_epoch = leader_epoch;
        self
    }

    /// `level` is that of `compression.{gzip,zstd}.level`; none is the codec's default.
    pub fn compression(mut self, compression: Compression, level: Option<i32>) -> Self {
        self.compression = compression;
        self.level = level;
        self
    }

    /// Makes the batch idempotent (KIP-98). Markers carry a producer id and `NO_SEQUENCE`.
    pub fn producer(mut self, producer_id: i64, producer_epoch: i16, base_sequence: i32) -> Self {
        self.producer_id = producer_id;
        self.producer_epoch = producer_epoch;
        self.base_sequence = base_sequence;
        self
    }

    pub fn transactional(mut self) -> Self {
        self.flags |= TRANSACTIONAL_FLAG;
        self
    }

    /// Makes the records control records: each key is a version i16 (0) and a type i16.
    pub fn control(mut self) -> Self {
        self.flags |= CONTROL_FLAG;
        self
    }

    /// Stamps the whole batch with the log's time.
    pub fn log_append_time(mut self, append_time_ms: i64) -> Self {
        self.flags |= LOG_APPEND_TIME_FLAG;
        self.append_time_ms = Some(append_time_ms);
        self
    }

    /// Adds a record without headers. The first one's timestamp becomes the batch's base.
    pub fn append(&mut self, timestamp_ms: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.append_with_headers(timestamp_ms, key, value, &[]);
    }

    pub fn append_with_headers(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        self.push(timestamp_ms, key, value, headers.len(), headers.iter().copied());
    }

    /// Adds a record of another batch, headers and all.
    pub fn append_view(&mut self, timestamp_ms: i64, record: &RecordView<'_>) {
        self.push(timestamp_ms, record.key, record.value, record.headers_count(), record.headers());
    }

    pub fn records_count(&self) -> i32 {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of the batch as it stands, uncompressed.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The finished batch.
    ///
    /// # Panics
    /// When it holds more than 2 GiB: callers split long before that.
    pub fn build(self) -> RecordBatch {
        let mut batch = match self.compression {
            Compression::None => BytesMut::from(Bytes::from(self.bytes)),
            codec => {
                let payload = codec::compress(codec, self.level, &self.bytes[BATCH_HEADER_BYTES..])
                    .expect("compressing from memory to memory has nothing that can fail");
                let mut batch = BytesMut::with_capacity(BATCH_HEADER_BYTES + payload.len());
                batch.extend_from_slice(&[0; BATCH_HEADER_BYTES]);
                batch.extend_from_slice(&payload);
                batch
            }
        };
        let header = BatchHeader {
            base_offset: self.base_offset,
            batch_length: 0, // these two come from the bytes
            crc: 0,
            partition_leader_epoch: self.leader_epoch,
            attributes: self.flags | i16::from(self.compression.id()),
            last_offset_delta: self.count - 1,
            base_timestamp_ms: self.base_timestamp_ms.unwrap_or(NO_TIMESTAMP),
            max_timestamp_ms: self.append_time_ms.unwrap_or(self.max_timestamp_ms),
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
            records_count: self.count,
        };
        header.write(&mut batch);
        RecordBatch::parse(&batch.freeze()).expect("a batch that was just written")
    }

    fn push<'a>(
        &mut self,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers_count: usize,
        headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) {
        let base_timestamp_ms = *self.base_timestamp_ms.get_or_insert(timestamp_ms);
        self.max_timestamp_ms = self.max_timestamp_ms.max(timestamp_ms);

        let record = &mut self.record;
        record.clear();
        record.push(0);
        put_i64(record, timestamp_ms.wrapping_sub(base_timestamp_ms));
        put_i32(record, self.count);
        put_nullable(record, key);
        put_nullable(record, value);
        put_length(record, headers_count);
        for (key, value) in headers {
            put_length(record, key.len());
            record.extend_from_slice(key);
            put_nullable(record, value);
        }
        put_length(&mut self.bytes, record.len());
        self.bytes.extend_from_slice(record);
        self.count += 1;
    }
}

pub(super) fn put_nullable(bytes: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        None => put_i32(bytes, -1),
        Some(field) => {
            put_length(bytes, field.len());
            bytes.extend_from_slice(field);
        }
    }
}

pub(super) fn put_length(bytes: &mut Vec<u8>, length: usize) {
    put_i32(bytes, i32::try_from(length).expect("a field of at most 2 GiB"));
}
