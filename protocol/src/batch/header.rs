//! The 61 bytes before the records.

use std::fmt;

use super::view::{patch_crc, patch_position, put};
use crate::codec::Compression;

/// From the base offset to the count of records.
pub const BATCH_HEADER_BYTES: usize = 61;
/// The base offset and the length: what the length does not count.
pub const LOG_OVERHEAD_BYTES: usize = 12;

pub(super) const LENGTH_AT: usize = 8;
pub(super) const LEADER_EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
pub(super) const CRC_AT: usize = 17;
pub(super) const ATTRIBUTES_AT: usize = 21;
pub(super) const LAST_OFFSET_DELTA_AT: usize = 23;
pub(super) const BASE_TIMESTAMP_AT: usize = 27;
pub(super) const MAX_TIMESTAMP_AT: usize = 35;
pub(super) const PRODUCER_ID_AT: usize = 43;
pub(super) const PRODUCER_EPOCH_AT: usize = 51;
pub(super) const BASE_SEQUENCE_AT: usize = 53;
pub(super) const RECORDS_COUNT_AT: usize = 57;

pub(super) const COMPRESSION_MASK: i16 = 0x07;
pub(super) const LOG_APPEND_TIME_FLAG: i16 = 0x08;
pub(super) const TRANSACTIONAL_FLAG: i16 = 0x10;
pub(super) const CONTROL_FLAG: i16 = 0x20;
pub(super) const DELETE_HORIZON_FLAG: i16 = 0x40;
const KNOWN_ATTRIBUTES: i16 = 0x7f;

/// The smallest record of magic 0: Kafka refuses a length below it whatever the magic.
pub(super) const LEGACY_RECORD_OVERHEAD_BYTES: i32 = 14;

/// `message.timestamp.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampType {
    #[default]
    CreateTime,
    LogAppendTime,
}

/// The header's fields, as they are on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    pub base_offset: i64,
    /// Bytes that follow this field: the whole batch has 12 more.
    pub batch_length: i32,
    pub partition_leader_epoch: i32,
    /// CRC-32C of all that follows it.
    pub crc: u32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub base_timestamp_ms: i64,
    pub max_timestamp_ms: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub records_count: i32,
}

impl BatchHeader {
    /// Reads the header that `bytes` begins with; the records need not be there.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let magic = *bytes.get(MAGIC_AT).ok_or(BatchError::Truncated)?;
        let batch_length = i32::from_be_bytes(at(bytes, LENGTH_AT));
        if batch_length < LEGACY_RECORD_OVERHEAD_BYTES {
            return Err(BatchError::TooShort { length: batch_length });
        }
        if batch_length > i32::MAX - LOG_OVERHEAD_BYTES as i32 {
            return Err(BatchError::TooLong { length: batch_length });
        }
        match magic {
            2 => {}
            0 | 1 => return Err(BatchError::OldMagic(magic)),
            other => return Err(BatchError::InvalidMagic(other as i8)),
        }
        if usize::try_from(batch_length).is_ok_and(|length| length + LOG_OVERHEAD_BYTES < BATCH_HEADER_BYTES)
        {
            return Err(BatchError::TooShort { length: batch_length });
        }
        if bytes.len() < BATCH_HEADER_BYTES {
            return Err(BatchError::Truncated);
        }
        Ok(Self {
            base_offset: i64::from_be_bytes(at(bytes, 0)),
            batch_length,
            partition_leader_epoch: i32::from_be_bytes(at(bytes, LEADER_EPOCH_AT)),
            crc: u32::from_be_bytes(at(bytes, CRC_AT)),
            attributes: i16::from_be_bytes(at(bytes, ATTRIBUTES_AT)),
            last_offset_delta: i32::from_be_bytes(at(bytes, LAST_OFFSET_DELTA_AT)),
            base_timestamp_ms: i64::from_be_bytes(at(bytes, BASE_TIMESTAMP_AT)),
            max_timestamp_ms: i64::from_be_bytes(at(bytes, MAX_TIMESTAMP_AT)),
            producer_id: i64::from_be_bytes(at(bytes, PRODUCER_ID_AT)),
            producer_epoch: i16::from_be_bytes(at(bytes, PRODUCER_EPOCH_AT)),
            base_sequence: i32::from_be_bytes(at(bytes, BASE_SEQUENCE_AT)),
            records_count: i32::from_be_bytes(at(bytes, RECORDS_COUNT_AT)),
        })
    }

    /// Writes the header of a whole batch whose records are in place: `batch_length` and `crc` come from the bytes.
    ///
    /// # Panics
    /// When the batch has more than 2 GiB: callers split long before that.
    pub(super) fn write(&self, batch: &mut [u8]) {
        let length = i32::try_from(batch.len() - LOG_OVERHEAD_BYTES).expect("a batch of at most 2 GiB");
        patch_position(batch, self.base_offset, self.partition_leader_epoch);
        put(batch, LENGTH_AT, length.to_be_bytes());
        put(batch, MAGIC_AT, [2]);
        put(batch, ATTRIBUTES_AT, self.attributes.to_be_bytes());
        put(batch, LAST_OFFSET_DELTA_AT, self.last_offset_delta.to_be_bytes());
        put(batch, BASE_TIMESTAMP_AT, self.base_timestamp_ms.to_be_bytes());
        put(batch, MAX_TIMESTAMP_AT, self.max_timestamp_ms.to_be_bytes());
        put(batch, PRODUCER_ID_AT, self.producer_id.to_be_bytes());
        put(batch, PRODUCER_EPOCH_AT, self.producer_epoch.to_be_bytes());
        put(batch, BASE_SEQUENCE_AT, self.base_sequence.to_be_bytes());
        put(batch, RECORDS_COUNT_AT, self.records_count.to_be_bytes());
        patch_crc(batch);
    }

    /// Bytes of the whole batch, header and records.
    pub fn size(&self) -> usize {
        // Not negative: parse() refuses lengths below 49.
        self.batch_length as usize + LOG_OVERHEAD_BYTES
    }

    pub fn last_offset(&self) -> i64 {
        self.base_offset.wrapping_add(i64::from(self.last_offset_delta))
    }

    pub fn next_offset(&self) -> i64 {
        self.last_offset().wrapping_add(1)
    }

    /// None when the attributes name no codec that exists.
    pub fn compression(&self) -> Option<Compression> {
        Compression::from_id((self.attributes & COMPRESSION_MASK) as u8)
    }

    pub fn timestamp_type(&self) -> TimestampType {
        match self.attributes & LOG_APPEND_TIME_FLAG {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        }
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_FLAG != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_FLAG != 0
    }

    /// When tombstones and markers of this batch may go (KIP-534); the base timestamp's field then holds it.
    pub fn delete_horizon_ms(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON_FLAG != 0).then_some(self.base_timestamp_ms)
    }

    pub fn has_producer_id(&self) -> bool {
        self.producer_id > super::NO_PRODUCER_ID
    }

    /// The last record's sequence, which wraps from 2^31-1 to 0; -1 without a producer id.
    pub fn last_sequence(&self) -> i32 {
        match self.base_sequence {
            super::NO_SEQUENCE => super::NO_SEQUENCE,
            base => base.wrapping_add(self.last_offset_delta) & i32::MAX,
        }
    }

    pub(super) fn with_timestamps(self, timestamp_type: TimestampType, max_timestamp_ms: i64) -> Self {
        if (self.timestamp_type(), self.max_timestamp_ms) == (timestamp_type, max_timestamp_ms) {
            return self;
        }
        Self { attributes: with_timestamp_type(self.attributes, timestamp_type), max_timestamp_ms, ..self }
    }

    /// The offset of a record with this delta.
    pub fn offset_of(&self, offset_delta: i32) -> i64 {
        self.base_offset.wrapping_add(i64::from(offset_delta))
    }

    /// The timestamp of a record with this delta: all records share the batch's under LogAppendTime.
    pub fn timestamp_of(&self, timestamp_delta: i64) -> i64 {
        match self.timestamp_type() {
            TimestampType::CreateTime => self.base_timestamp_ms.wrapping_add(timestamp_delta),
            TimestampType::LogAppendTime => self.max_timestamp_ms,
        }
    }
}

/// What keeps bytes from being a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchError {
    /// The bytes end before the batch does: the torn tail of a log or of a fetch.
    Truncated,
    /// The length leaves no room for a header.
    TooShort {
        length: i32,
    },
    /// The length and what it does not count pass 2 GiB.
    TooLong {
        length: i32,
    },
    /// Message format 0 or 1, which Kafka 4 no longer takes (KIP-724) and which this crate does not read.
    OldMagic(u8),
    InvalidMagic(i8),
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => write!(f, "the batch is truncated"),
            Self::TooShort { length } => {
                write!(
                    f,
                    "Record size {length} is less than the minimum record overhead ({LEGACY_RECORD_OVERHEAD_BYTES})"
                )
            }
            Self::TooLong { length } => write!(f, "Record size {length} is larger than any record batch"),
            Self::OldMagic(magic) => write!(f, "Record batches of magic {magic} are not supported"),
            Self::InvalidMagic(magic) => write!(f, "Invalid magic found in record: {magic}"),
        }
    }
}

impl std::error::Error for BatchError {}

/// Drops the bits that have no meaning, as Kafka does when it writes attributes anew.
pub(super) fn with_timestamp_type(attributes: i16, timestamp_type: TimestampType) -> i16 {
    match timestamp_type {
        TimestampType::CreateTime => attributes & KNOWN_ATTRIBUTES & !LOG_APPEND_TIME_FLAG,
        TimestampType::LogAppendTime => attributes & KNOWN_ATTRIBUTES | LOG_APPEND_TIME_FLAG,
    }
}

/// `N` bytes at `position`, which the caller has checked to be there.
fn at<const N: usize>(bytes: &[u8], position: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[position..position + N]);
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_wraps_to_zero() {
        let mut bytes = [0; BATCH_HEADER_BYTES];
        bytes[MAGIC_AT] = 2;
        bytes[LENGTH_AT..][..4].copy_from_slice(&49i32.to_be_bytes());
        bytes[BASE_SEQUENCE_AT..][..4].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
        bytes[LAST_OFFSET_DELTA_AT..][..4].copy_from_slice(&3i32.to_be_bytes());
        assert_eq!(BatchHeader::parse(&bytes).unwrap().last_sequence(), 1);
    }
}
