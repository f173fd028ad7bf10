//! What a log is asked about producers and their transactions.

use super::Log;
use crate::aborted::AbortedTransaction;
use crate::error::{AppendError, StorageError};
use crate::producers::{ActiveProducer, Place};
use crate::store::Read;
use crate::verification::{Beginning, VerificationGuard};

impl Log {
    /// The producers that are remembered, by id (DescribeProducers).
    pub fn producers(&self) -> Result<Vec<ActiveProducer>, StorageError> {
        self.with(|log, _| Ok(log.producers.active()))
    }

    /// The aborted transactions that a read-committed reader of `from` up to `upper_offset` has to know, in the order of
    /// their markers.
    pub fn aborted_transactions(
        &self,
        from: i64,
        upper_offset: i64,
    ) -> Result<Read<Vec<AbortedTransaction>>, StorageError> {
        self.with(|log, _| log.store.aborted(from, upper_offset))
    }

    /// A producer wants to begin a transaction here: what its append has to show once the coordinator was asked (KIP-890).
    /// Nothing when the transaction goes on here already, so that nobody need be asked.
    pub fn begin_verification(
        &self,
        of: &Beginning,
        now_ms: i64,
    ) -> Result<Option<VerificationGuard>, StorageError> {
        self.with(|log, _| {
            let is_ongoing = log.producers.has_ongoing_transaction(of.producer_id, of.producer_epoch);
            Ok((!is_ongoing).then(|| log.verifications.begin(of, now_ms)))
        })
    }

    /// Whether a batch of this epoch would be refused now: for a coordinator that decides before it appends.
    pub fn check_producer_epoch(&self, producer_id: i64, producer_epoch: i16) -> Result<(), AppendError> {
        let mut inner = self.lock();
        let super::Inner { options, state } = &mut *inner;
        let log = self.open(options, state)?;
        let at = Place { log: &self.id, offset: log.end_offset };
        log.producers.check_epoch(producer_id, producer_epoch, at)
    }
}
