//! What a log needs to know of a batch: its header, and of a control batch its marker. Works on the first 61 bytes,
//! so that a scan of a file need not read the records.

/// Bytes of a version 2 batch before its records.
pub(crate) const HEADER_BYTES: usize = 61;
/// `base_offset` and `batch_length`: what stands before the part that `batch_length` counts.
pub(crate) const LENGTH_OVERHEAD: usize = 12;
/// What one stored batch may inflate to. Batches were checked against a smaller limit when they were produced.
pub(crate) const INFLATED_MAX_BYTES: usize = 1 << 30;
const CRC_START: usize = 21;
const TRANSACTIONAL: u16 = 1 << 4;
const CONTROL: u16 = 1 << 5;

/// One batch's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchInfo {
    pub base_offset: i64,
    pub last_offset: i64,
    /// The whole batch, in bytes.
    pub size: u32,
    pub leader_epoch: i32,
    pub attributes: u16,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub record_count: i32,
}

/// For tests: a batch of one record.
#[cfg(test)]
pub(crate) const ONE_RECORD: BatchInfo = BatchInfo {
    base_offset: 0,
    last_offset: 0,
    size: 100,
    leader_epoch: 0,
    attributes: 0,
    max_timestamp: 0,
    producer_id: -1,
    producer_epoch: -1,
    base_sequence: -1,
    record_count: 1,
};

impl BatchInfo {
    /// Reads a header. Nothing for anything that is not a version 2 batch; the CRC is not looked at.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        let length = i32_at(header, 8);
        let base_offset = i64_at(header, 0);
        let last_offset_delta = i32_at(header, 23);
        let size = usize::try_from(length).ok()?.checked_add(LENGTH_OVERHEAD)?;
        if size < HEADER_BYTES || header[16] != 2 || base_offset < 0 || last_offset_delta < 0 {
            return None;
        }
        Some(Self {
            base_offset,
            last_offset: base_offset
                .checked_add(i64::from(last_offset_delta))
                .filter(|last_offset| *last_offset < i64::MAX)?,
            size: u32::try_from(size).ok()?,
            leader_epoch: i32_at(header, 12),
            attributes: u16::from_be_bytes([header[21], header[22]]),
            max_timestamp: i64_at(header, 35),
            producer_id: i64_at(header, 43),
            producer_epoch: i16::from_be_bytes([header[51], header[52]]),
            base_sequence: i32_at(header, 53),
            record_count: i32_at(header, 57),
        })
    }

    pub fn next_offset(&self) -> i64 {
        self.last_offset + 1
    }

    /// Whether all of it lies from `from` on and before `end_offset`.
    pub fn lies_in(&self, from: i64, end_offset: i64) -> bool {
        self.base_offset >= from && self.last_offset < end_offset
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    pub fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }

    /// The sequence number of the last record. Sequences wrap from the largest integer to 0.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        let delta = (self.last_offset - self.base_offset) as u32;
        ((self.base_sequence as u32).wrapping_add(delta) & i32::MAX as u32) as i32
    }
}

/// How a transaction ended, from the one record of a control batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marker {
    pub commit: bool,
    pub coordinator_epoch: i32,
}

impl Marker {
    /// Reads it from a whole control batch: key `version, type`, value `version, coordinator epoch`. Nothing for
    /// the other kinds of control records (leader changes, snapshots).
    pub fn parse(batch: &[u8]) -> Option<Self> {
        let mut at = HEADER_BYTES;
        varint(batch, &mut at)?; // record length
        at += 1; // attributes
        varint(batch, &mut at)?; // timestamp delta
        varint(batch, &mut at)?; // offset delta
        let key = field(batch, &mut at)?;
        let value = field(batch, &mut at)?;
        let kind = i16::from_be_bytes(key.get(2..4)?.try_into().ok()?);
        let coordinator_epoch = i32::from_be_bytes(value.get(2..6)?.try_into().ok()?);
        match kind {
            0 => Some(Self { commit: false, coordinator_epoch }),
            1 => Some(Self { commit: true, coordinator_epoch }),
            _ => None,
        }
    }
}

/// Whether a whole batch is what its CRC says.
pub(crate) fn crc_matches(batch: &[u8]) -> bool {
    batch.len() >= HEADER_BYTES
        && crc32c::crc32c(&batch[CRC_START..])
            == u32::from_be_bytes([batch[17], batch[18], batch[19], batch[20]])
}

fn i64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> i64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    i64::from_be_bytes(number)
}

fn i32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

fn field<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let length = usize::try_from(varint(bytes, at)?).ok()?;
    let field = bytes.get(*at..at.checked_add(length)?)?;
    *at += length;
    Some(field)
}
