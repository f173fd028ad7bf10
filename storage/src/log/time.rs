//! Finding records by time, to the record: an extent by its largest timestamp, a batch by its header, then its records.

use ottla_protocol::batch::{Batches, RecordBatch, Records};

use super::Log;
use crate::batch_info::INFLATED_MAX_BYTES;
use crate::error::StorageError;
use crate::store::{Extent, ReadLimits};

/// How much is read at a time while scanning.
const SCAN_BYTES: usize = 256 * 1024;

/// A record, as ListOffsets answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    pub timestamp: i64,
    pub offset: i64,
    /// -1 when its batch has none.
    pub leader_epoch: i32,
}

impl Log {
    /// The first record whose timestamp is `timestamp` or later. Reads the disk.
    pub fn offset_for_timestamp(&self, timestamp: i64) -> Result<Option<TimestampOffset>, StorageError> {
        let (extents, start) = self.with(|log, _| Ok((log.store.extents()?, log.start_offset)))?;
        for extent in extents {
            if extent.max_timestamp < timestamp || extent.next_offset <= start {
                continue;
            }
            let found = self.scan(&extent, timestamp, |batch| {
                first_record(batch, |at, offset| at >= timestamp && offset >= start)
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The first record that has the largest timestamp (KIP-734). Reads the disk.
    pub fn max_timestamp(&self) -> Result<Option<TimestampOffset>, StorageError> {
        let (mut extents, start) = self.with(|log, _| Ok((log.store.extents()?, log.start_offset)))?;
        extents.retain(|extent| extent.next_offset > start);
        // The first of several equal ones.
        let newest =
            |extents: &[Extent]| extents.iter().rev().max_by_key(|extent| extent.max_timestamp).copied();
        let Some(mut extent) = newest(&extents) else { return Ok(None) };
        if extent.base_offset < start {
            // It may be that of a record which was deleted.
            extents[0].max_timestamp = self.largest_from(&extent, start)?;
            extent = newest(&extents).unwrap_or(extent);
        }
        let largest = extent.max_timestamp;
        if largest < 0 {
            return Ok(None);
        }
        self.scan(&extent, largest, |batch| {
            first_record(batch, |at, offset| at == largest && offset >= start)
        })
    }

    /// The largest timestamp that an extent has from `start` on; -1 when it has none.
    fn largest_from(&self, extent: &Extent, start: i64) -> Result<i64, StorageError> {
        let mut largest = -1;
        self.scan(extent, i64::MIN, |batch| {
            if batch.base_offset >= start {
                largest = largest.max(batch.max_timestamp_ms);
                return Ok(None);
            }
            first_record(batch, |at, offset| {
                largest = largest.max(if offset >= start { at } else { -1 });
                false
            })
        })?;
        Ok(largest)
    }

    /// Asks `pick` for each batch of the extent that reaches `timestamp`, until it picks.
    fn scan(
        &self,
        extent: &Extent,
        timestamp: i64,
        mut pick: impl FnMut(&RecordBatch) -> Result<Option<TimestampOffset>, StorageError>,
    ) -> Result<Option<TimestampOffset>, StorageError> {
        let limits =
            ReadLimits { max_bytes: SCAN_BYTES, upper_offset: extent.next_offset, whole_first_batch: true };
        let mut from = self.with(|log, _| {
            let hint = log.store.seek_time(extent.base_offset, timestamp)?;
            Ok(hint.max(log.start_offset))
        })?;
        while from < extent.next_offset {
            let records = self.read(from, limits)?.wait()?;
            for chunk in records.chunks {
                for batch in Batches::new(chunk) {
                    let batch = batch.map_err(|error| StorageError::corrupt(error.to_string()))?;
                    if batch.max_timestamp_ms < timestamp {
                        continue;
                    }
                    if let Some(found) = pick(&batch)? {
                        return Ok(Some(found));
                    }
                }
            }
            if records.next_offset <= from {
                break;
            }
            from = records.next_offset;
        }
        Ok(None)
    }
}

/// The first record of the batch that is wanted, by its timestamp and offset.
fn first_record(
    batch: &RecordBatch,
    mut is_wanted: impl FnMut(i64, i64) -> bool,
) -> Result<Option<TimestampOffset>, StorageError> {
    let payload =
        batch.inflate(INFLATED_MAX_BYTES).map_err(|error| StorageError::corrupt(error.to_string()))?;
    for record in Records::new(&payload, batch.records_count) {
        let record = record.map_err(|error| StorageError::corrupt(error.to_string()))?;
        let (timestamp, offset) =
            (batch.timestamp_of(record.timestamp_delta), batch.offset_of(record.offset_delta));
        if is_wanted(timestamp, offset) {
            return Ok(Some(TimestampOffset {
                timestamp,
                offset,
                leader_epoch: batch.partition_leader_epoch,
            }));
        }
    }
    Ok(None)
}
