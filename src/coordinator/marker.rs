//! Markers: the control batches that end transactions in the partitions' logs.

use bytes::Bytes;
use ottla_protocol::batch::{BatchBuilder, NO_SEQUENCE, RecordBatch, Records};
use ottla_protocol::record_formats::{ControlRecord, control::EndTxnMarker};

/// How a transaction ends, for each of its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxnMarker {
    pub producer_id: i64,
    /// From transaction version 2 on, one more than that of the records.
    pub producer_epoch: i16,
    /// The leader's of the partition of `__transaction_state` where it was decided.
    pub coordinator_epoch: i32,
    pub is_commit: bool,
    /// Not in the batch.
    pub transaction_version: i16,
}

impl TxnMarker {
    pub fn to_batch(self, now_ms: i64) -> RecordBatch {
        let (key, value) = self.to_record();
        let mut batch = BatchBuilder::new().transactional().control().producer(
            self.producer_id,
            self.producer_epoch,
            NO_SEQUENCE,
        );
        batch.append(now_ms, Some(&key), Some(&value));
        batch.build()
    }

    /// Its one record's key and value.
    pub fn to_record(self) -> (Bytes, Bytes) {
        let marker = EndTxnMarker { coordinator_epoch: self.coordinator_epoch };
        let record =
            if self.is_commit { ControlRecord::Commit(marker) } else { ControlRecord::Abort(marker) };
        // Six bytes into an array that grows: nothing can fail.
        (record.encode_key(), record.encode_value().unwrap_or_default())
    }

    /// The marker that a control batch is; nothing for the other kinds.
    pub fn from_batch(batch: &RecordBatch) -> Option<TxnMarker> {
        let payload = batch.payload();
        let record = Records::new(&payload, batch.records_count).next()?.ok()?;
        let (key, value) = (Bytes::copy_from_slice(record.key?), Bytes::copy_from_slice(record.value?));
        let (marker, is_commit) = match ControlRecord::decode(key, value).ok()? {
            ControlRecord::Commit(marker) => (marker, true),
            ControlRecord::Abort(marker) => (marker, false),
            _ => return None,
        };
        Some(TxnMarker {
            producer_id: batch.producer_id,
            producer_epoch: batch.producer_epoch,
            coordinator_epoch: marker.coordinator_epoch,
            is_commit,
            transaction_version: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for is_commit in [true, false] {
            let marker = TxnMarker {
                producer_id: 7,
                producer_epoch: 3,
                coordinator_epoch: 5,
                is_commit,
                transaction_version: 0,
            };
            let batch = marker.to_batch(9);
            assert!(batch.is_control() && batch.is_transactional() && batch.base_sequence == NO_SEQUENCE);
            assert_eq!(TxnMarker::from_batch(&batch), Some(marker));
        }
    }
}
