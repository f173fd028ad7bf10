//! What lies in the files beside a segment, entry by entry and unjudged.
//! Enters: their bytes. Leaves: their entries, for those who look at a log from outside; the logs do not come here.

use crate::aborted::{AbortedTransaction, ENTRY_BYTES};
use crate::local::{OffsetEntry, TimeEntry};

pub use crate::producers::{SnapshotEntry, read_snapshot};

/// An entry of an `.index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetPosition {
    pub offset: i64,
    pub position: i32,
}

/// An entry of a `.timeindex`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedTime {
    pub timestamp: i64,
    pub offset: i64,
}

/// The whole entries of an `.index`, zeros at its end included.
pub fn offset_index(
    bytes: &[u8],
    base_offset: i64,
) -> impl DoubleEndedIterator<Item = OffsetPosition> + Clone {
    bytes.as_chunks().0.iter().map(move |entry| {
        let OffsetEntry { offset, position } = OffsetEntry::decode(*entry);
        OffsetPosition { offset: base_offset.wrapping_add(i64::from(offset)), position: position as i32 }
    })
}

/// The whole entries of a `.timeindex`, zeros at its end included.
pub fn time_index(bytes: &[u8], base_offset: i64) -> impl DoubleEndedIterator<Item = IndexedTime> + Clone {
    bytes.as_chunks().0.iter().map(move |entry| {
        let TimeEntry { timestamp, offset } = TimeEntry::decode(*entry);
        IndexedTime { timestamp, offset: base_offset.wrapping_add(i64::from(offset)) }
    })
}

/// The whole entries of a `.txnindex`, each after its version.
pub fn transaction_index(bytes: &[u8]) -> impl Iterator<Item = (i16, AbortedTransaction)> {
    bytes.as_chunks::<ENTRY_BYTES>().0.iter().map(AbortedTransaction::unchecked)
}
