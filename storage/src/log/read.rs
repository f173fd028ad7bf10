//! Reading by offset.

use super::Log;
use crate::error::StorageError;
use crate::store::{Read, ReadLimits, Records};

impl Log {
    /// Whole batches from the one that holds `from` on; none when `from` is the end or not below
    /// `limits.upper_offset`. May return less than the limits allow: a read does not cross from one extent into the next.
    pub fn read(&self, from: i64, limits: ReadLimits) -> Result<Read, StorageError> {
        self.with(|log, _| {
            if from < log.start_offset || from > log.end_offset {
                return Err(StorageError::OffsetOutOfRange {
                    offset: from,
                    start: log.start_offset,
                    end: log.end_offset,
                });
            }
            if from >= limits.upper_offset.min(log.end_offset) {
                return Ok(Read::Ready(Records::none(from)));
            }
            match log.tail.as_ref().and_then(|tail| tail.read(from, limits)) {
                Some(records) => Ok(Read::Ready(records)),
                None => log.store.read(from, limits),
            }
        })
    }
}
