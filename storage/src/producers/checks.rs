//! Whether a batch may follow what its producer wrote before: epochs, sequence numbers, transactions, as Kafka checks them.

use super::{NO_EPOCH, Producer, Producers, RememberedBatch, follows};
use crate::batch_info::{BatchInfo, Marker};
use crate::error::AppendError;
use crate::options::LogId;
use crate::verification::Verification;

/// Where a batch is to lie, for the messages.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub log: &'a LogId,
    pub offset: i64,
}

impl Producers {
    /// The batch of a client as it was written before, when it was.
    pub fn find_duplicate(&self, batch: &BatchInfo) -> Option<RememberedBatch> {
        let producer = self.by_id.get(&batch.producer_id)?;
        if producer.epoch != batch.producer_epoch || batch.is_control() {
            return None;
        }
        let range = (batch.base_sequence, batch.last_sequence());
        producer.batches.iter().find(|known| (known.first_sequence(), known.last_sequence) == range).copied()
    }

    /// Whether the epoch is not older than the last one seen.
    pub fn check_epoch(&self, producer_id: i64, epoch: i16, at: Place<'_>) -> Result<(), AppendError> {
        match self.by_id.get(&producer_id) {
            Some(producer) if epoch < producer.epoch => Err(old_epoch(producer_id, epoch, producer, at)),
            _ => Ok(()),
        }
    }

    /// Whether a client's batch has the sequence number that is next.
    pub fn check_sequence(
        &self,
        batch: &BatchInfo,
        verification: Option<&Verification>,
        at: Place<'_>,
    ) -> Result<(), AppendError> {
        let (id, epoch, first) = (batch.producer_id, batch.producer_epoch, batch.base_sequence);
        let Place { log, offset } = at;
        let out_of_order = |why: String| AppendError::OutOfOrderSequence {
            message: format!(
                "Out of order sequence number for producer {id} at offset {offset} in partition {log}: {why}"
            ),
        };
        let producer = self.by_id.get(&id);
        if let Some(verification) = verification {
            let is_unknown = producer.is_none_or(|producer| producer.batches.is_empty());
            if verification.supports_epoch_bump && first != 0 && is_unknown {
                return Err(out_of_order(format!(
                    "{first} (incoming seq. number), 0 (expected of an unknown producer)"
                )));
            }
            let lowest = verification.lowest_sequence;
            if first > lowest {
                return Err(out_of_order(format!(
                    "{first} (incoming seq. number), {lowest} (earliest seen sequence)"
                )));
            }
        }
        let Some(producer) = producer else { return Ok(()) };
        if epoch != producer.epoch {
            if first != 0 && producer.epoch != NO_EPOCH {
                let current = producer.epoch;
                return Err(AppendError::OutOfOrderSequence {
                    message: format!(
                        "Invalid sequence number for new epoch of producer {id} at offset {offset} in partition {log}: {epoch} (request epoch), {first} (seq. number), {current} (current producer epoch)"
                    ),
                });
            }
            return Ok(());
        }
        let last = producer.last_sequence();
        if !follows(last, first) {
            return Err(out_of_order(format!(
                "{first} (incoming seq. number), {last} (current end sequence number)"
            )));
        }
        Ok(())
    }

    /// While a transaction is open its producer writes nothing else.
    pub fn check_transactional(&self, batch: &BatchInfo, at: Place<'_>) -> Result<(), AppendError> {
        let is_open =
            self.by_id.get(&batch.producer_id).is_some_and(|known| known.txn_first_offset.is_some());
        if is_open && !batch.is_transactional() {
            let (id, offset, log) = (batch.producer_id, at.offset, at.log);
            return Err(AppendError::InvalidTxnState {
                message: format!(
                    "Expected transactional write from producer {id} at offset {offset} in partition {log}"
                ),
            });
        }
        Ok(())
    }

    /// Whether a transaction may be ended by this marker. From version 2 on its epoch is one more than that of the records,
    /// but the same marker may come once more, since its answer may have been lost.
    pub fn check_marker(
        &self,
        batch: &BatchInfo,
        marker: Marker,
        transaction_version: i16,
        at: Place<'_>,
    ) -> Result<(), AppendError> {
        let (id, epoch) = (batch.producer_id, batch.producer_epoch);
        let Some(producer) = self.by_id.get(&id) else { return Ok(()) };
        let is_of_its_records =
            transaction_version >= 2 && epoch == producer.epoch && producer.txn_first_offset.is_some();
        if epoch < producer.epoch || is_of_its_records {
            return Err(old_epoch(id, epoch, producer, at));
        }
        if marker.coordinator_epoch < producer.coordinator_epoch {
            let (zombie, current) = (marker.coordinator_epoch, producer.coordinator_epoch);
            let Place { log, offset } = at;
            return Err(AppendError::TransactionCoordinatorFenced {
                message: format!(
                    "Invalid coordinator epoch for producerId {id} at offset {offset} in partition {log}: {zombie} (zombie), {current} (current)"
                ),
            });
        }
        Ok(())
    }
}

fn old_epoch(id: i64, epoch: i16, producer: &Producer, at: Place<'_>) -> AppendError {
    let (Place { log, offset }, last) = (at, producer.epoch);
    AppendError::InvalidProducerEpoch {
        message: format!(
            "Epoch of producer {id} at offset {offset} in {log} is {epoch}, which is not after the last seen epoch {last}"
        ),
    }
}
