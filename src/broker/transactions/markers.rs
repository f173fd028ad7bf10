//! Markers: how transactions end in the partitions' logs.

use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::StrBytes;
use ottla_protocol::batch::{BatchBuilder, NO_SEQUENCE, RecordBatch, ValidatedBatches};
use ottla_protocol::record_formats::{ControlRecord, control::EndTxnMarker};
use ottla_storage::{AppendContext, AppendError, Appended, Origin};

use crate::broker::{Broker, LookupError, Partition, TopicRef};
use crate::metadata::Image;

/// How a transaction ends, for each of its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxnMarker {
    pub producer_id: i64,
    /// From transaction version 2 on, one more than that of the records.
    pub producer_epoch: i16,
    /// The leader's of the partition of `__transaction_state` where it was decided.
    pub coordinator_epoch: i32,
    pub is_commit: bool,
    pub transaction_version: i16,
}

/// Why a marker is not in a partition's log.
#[derive(Debug)]
pub enum MarkerError {
    Lookup(LookupError),
    Append(AppendError),
}

impl TxnMarker {
    /// The control batch.
    pub fn to_batch(self, now_ms: i64) -> RecordBatch {
        let marker = EndTxnMarker { coordinator_epoch: self.coordinator_epoch };
        let record =
            if self.is_commit { ControlRecord::Commit(marker) } else { ControlRecord::Abort(marker) };
        // Four bytes in an array that grows: nothing can fail.
        let value: Bytes = record.encode_value().unwrap_or_default();
        let mut batch = BatchBuilder::new().transactional().control().producer(
            self.producer_id,
            self.producer_epoch,
            NO_SEQUENCE,
        );
        batch.append(now_ms, Some(&record.encode_key()), Some(&value));
        batch.build()
    }
}

impl Broker {
    /// Writes a marker to partitions that this broker leads: to all of them first, then it waits until they are committed.
    /// A result for each, in their order. A marker that is written twice does no harm.
    pub async fn write_txn_marker(
        &self,
        marker: TxnMarker,
        partitions: &[(StrBytes, i32)],
    ) -> Vec<Result<(), MarkerError>> {
        let image = self.image();
        let appended: Vec<_> = partitions
            .iter()
            .map(|(topic, index)| self.append_marker(&image, marker, topic, *index))
            .collect();
        let mut results = Vec::with_capacity(appended.len());
        for appended in appended {
            results.push(match appended {
                Ok((partition, appended)) => {
                    partition.committed(appended).await.map_err(|error| MarkerError::Append(error.into()))
                }
                Err(error) => Err(error),
            });
        }
        results
    }

    fn append_marker(
        &self,
        image: &Image,
        marker: TxnMarker,
        topic: &StrBytes,
        index: i32,
    ) -> Result<(Arc<Partition>, Appended), MarkerError> {
        let topic = self.topic(image, &TopicRef::Name(topic.clone())).map_err(MarkerError::Lookup)?;
        let led = self.led(image, topic, index, -1).map_err(MarkerError::Lookup)?;
        let now_ms = self.clock.now_ms();
        let origin = Origin::Marker { transaction_version: marker.transaction_version };
        let context = AppendContext { leader_epoch: led.leader_epoch, now_ms, origin };
        let batches = ValidatedBatches::internal([marker.to_batch(now_ms)]);
        let appended = led.partition.append(batches, context).map_err(MarkerError::Append)?;
        Ok((led.partition, appended))
    }
}
