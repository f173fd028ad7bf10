//! A batch, and a row of them, seen where they lie.

use std::ops::Deref;

use bytes::Bytes;

use super::header::{ATTRIBUTES_AT, CRC_AT, LEADER_EPOCH_AT, MAX_TIMESTAMP_AT, with_timestamp_type};
use super::{BATCH_HEADER_BYTES, BatchError, BatchHeader, TimestampType};
use crate::codec::{self, CodecError, Compression};

/// One whole batch and its header. Derefs to the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBatch {
    header: BatchHeader,
    bytes: Bytes,
}

impl RecordBatch {
    /// The batch that `bytes` begins with; what follows it is left out. Checks the header alone, not the CRC.
    pub fn parse(bytes: &Bytes) -> Result<Self, BatchError> {
        let header = BatchHeader::parse(bytes)?;
        if bytes.len() < header.size() {
            return Err(BatchError::Truncated);
        }
        Ok(Self { header, bytes: bytes.slice(..header.size()) })
    }

    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    pub fn is_crc_valid(&self) -> bool {
        crc_of(&self.bytes) == self.header.crc
    }

    /// The records as they lie: compressed, if the batch is.
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(BATCH_HEADER_BYTES..)
    }

    /// The records, inflated to at most `limit` bytes; shared where nothing is compressed. `Records::new` walks them.
    pub fn inflate(&self, limit: usize) -> Result<Bytes, CodecError> {
        let codec = self.compression().ok_or_else(|| CodecError::Corrupt("unknown codec".to_owned()))?;
        match codec {
            // Already in memory: no limit applies.
            Compression::None => Ok(self.payload()),
            _ => codec::decompress(codec, &self.bytes[BATCH_HEADER_BYTES..], limit),
        }
    }
}

impl Deref for RecordBatch {
    type Target = BatchHeader;

    fn deref(&self) -> &BatchHeader {
        &self.header
    }
}

/// The batches of a buffer, one after the other. Ends quietly at a torn tail (`rest` tells how much is left), and after
/// the first error.
#[derive(Debug, Clone)]
pub struct Batches {
    rest: Bytes,
    is_done: bool,
}

impl Batches {
    pub fn new(bytes: Bytes) -> Self {
        Self { rest: bytes, is_done: false }
    }

    /// The bytes not yet walked.
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        match RecordBatch::parse(&self.rest) {
            Ok(batch) => {
                self.rest = self.rest.slice(batch.bytes.len()..);
                Some(Ok(batch))
            }
            Err(BatchError::Truncated) => {
                self.is_done = true;
                None
            }
            Err(error) => {
                self.is_done = true;
                Some(Err(error))
            }
        }
    }
}

/// The CRC-32C of a whole batch.
pub(super) fn crc_of(batch: &[u8]) -> u32 {
    crc32c::crc32c(&batch[ATTRIBUTES_AT..])
}

/// Sets what lies outside the CRC.
pub(super) fn patch_position(batch: &mut [u8], base_offset: i64, leader_epoch: i32) {
    put(batch, 0, base_offset.to_be_bytes());
    put(batch, LEADER_EPOCH_AT, leader_epoch.to_be_bytes());
}

/// Sets the timestamp type and the maximum timestamp, which are under the CRC.
pub(super) fn patch_timestamps(batch: &mut [u8], timestamp_type: TimestampType, max_timestamp_ms: i64) {
    let attributes = i16::from_be_bytes([batch[ATTRIBUTES_AT], batch[ATTRIBUTES_AT + 1]]);
    put(batch, ATTRIBUTES_AT, with_timestamp_type(attributes, timestamp_type).to_be_bytes());
    put(batch, MAX_TIMESTAMP_AT, max_timestamp_ms.to_be_bytes());
    patch_crc(batch);
}

pub(super) fn patch_crc(batch: &mut [u8]) {
    let crc = crc_of(batch);
    put(batch, CRC_AT, crc.to_be_bytes());
}

pub(super) fn put<const N: usize>(batch: &mut [u8], position: usize, field: [u8; N]) {
    batch[position..position + N].copy_from_slice(&field);
}
