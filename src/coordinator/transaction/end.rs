//! EndTxn: the decision to commit or abort, and what follows it.

use ottla_protocol::StrBytes;

use super::commands::{Decision, EndTxn};
use super::{
    Markers, NO_PRODUCER_ID, ProducerIdAndEpoch, Transaction, TransactionError, TransactionOutcome,
    TransactionResult, TransactionShard, TransactionState, TransactionVersion, markers,
};

type Answer = Result<Decision<ProducerIdAndEpoch>, TransactionError>;

/// What EndTxn comes to from where a transaction stands.
enum Verdict {
    /// It is decided now.
    Prepare,
    /// The request is a retry of one that was done.
    AlreadyDone,
    Refuse(TransactionError),
}

impl TransactionShard {
    /// The answer has the producer's id and epoch for its next transaction, where the client's version gives each
    /// transaction its own.
    pub fn end(&self, end: &EndTxn, now_ms: i64) -> TransactionOutcome<Answer> {
        let Some(transaction) = self.transactions.get(&end.transactional_id) else {
            return TransactionOutcome::answer(Err(TransactionError::InvalidProducerIdMapping));
        };
        let bumps_epoch = end.client_version.bumps_epoch();
        let verdict =
            if bumps_epoch { verdict_with_bump(transaction, end) } else { verdict(transaction, end) };
        match verdict {
            Verdict::Prepare => self.prepare(
                &end.transactional_id,
                transaction,
                end.result,
                end.client_version,
                end.new_producer_id,
                now_ms,
            ),
            Verdict::AlreadyDone if bumps_epoch => {
                TransactionOutcome::answer(Ok(Decision::Done(transaction.identity())))
            }
            Verdict::AlreadyDone => TransactionOutcome::answer(Ok(Decision::Done(ProducerIdAndEpoch::NONE))),
            Verdict::Refuse(error) => TransactionOutcome::answer(Err(error)),
        }
    }

    /// The decision, and the markers that are to follow it.
    pub(super) fn prepare(
        &self,
        transactional_id: &StrBytes,
        transaction: &Transaction,
        result: TransactionResult,
        version: TransactionVersion,
        new_producer_id: Option<i64>,
        now_ms: i64,
    ) -> TransactionOutcome<Answer> {
        let is_rotated = version.bumps_epoch() && transaction.is_epoch_exhausted();
        let next_producer_id = match new_producer_id {
            Some(id) if is_rotated => id,
            None if is_rotated => return TransactionOutcome::answer(Ok(Decision::NeedsProducerId)),
            _ => NO_PRODUCER_ID,
        };
        let prepared = transaction.prepared(result, version, next_producer_id, now_ms);
        let next = match version.bumps_epoch() {
            true => prepared.completed(now_ms).identity(),
            false => ProducerIdAndEpoch::NONE,
        };
        let markers = markers(transactional_id, &prepared);
        let mut outcome = self.put(transactional_id, prepared).map(|()| Ok(Decision::Done(next)));
        outcome.effects.extend(markers);
        outcome
    }

    /// The markers of a decision that stands and is not carried out yet.
    pub fn markers_to_send(&self, transactional_id: &StrBytes) -> Option<Markers> {
        let transaction = self.transactions.get(transactional_id)?;
        Some(Markers {
            transactional_id: transactional_id.clone(),
            producer: transaction.identity(),
            result: transaction.state.prepared()?,
            client_version: transaction.client_version,
            partitions: transaction.partitions.iter().cloned().collect(),
        })
    }

    /// All markers of a decision are written. Says nothing new if they were written twice.
    pub fn markers_written(
        &self,
        transactional_id: &StrBytes,
        producer: ProducerIdAndEpoch,
        now_ms: i64,
    ) -> TransactionOutcome<()> {
        match self.transactions.get(transactional_id) {
            Some(transaction)
                if transaction.state.prepared().is_some() && transaction.identity() == producer =>
            {
                self.put(transactional_id, transaction.completed(now_ms))
            }
            _ => TransactionOutcome::answer(()),
        }
    }
}

/// Before version 2 of the protocol the epoch stays the same, and a repeated request is known by the state alone.
fn verdict(transaction: &Transaction, end: &EndTxn) -> Verdict {
    if transaction.producer_id != end.producer.producer_id {
        return Verdict::Refuse(TransactionError::InvalidProducerIdMapping);
    }
    if transaction.producer_epoch != end.producer.producer_epoch {
        return Verdict::Refuse(TransactionError::ProducerFenced);
    }
    match transaction.state {
        TransactionState::PrepareCommit | TransactionState::PrepareAbort => {
            Verdict::Refuse(TransactionError::ConcurrentTransactions)
        }
        TransactionState::Ongoing => Verdict::Prepare,
        state if state.completed() == Some(end.result) => Verdict::AlreadyDone,
        _ => Verdict::Refuse(TransactionError::InvalidTxnState),
    }
}

/// From version 2 on a repeated request is known by the epoch, which is the one before. A producer may abort although
/// the coordinator knows of no partition: it may have failed to add the first.
fn verdict_with_bump(transaction: &Transaction, end: &EndTxn) -> Verdict {
    if transaction.state.prepared().is_some() {
        return Verdict::Refuse(TransactionError::ConcurrentTransactions);
    }
    let ProducerIdAndEpoch { producer_id, producer_epoch } = end.producer;
    let is_retry_of_last_epoch = transaction.previous_producer_id == producer_id
        && producer_epoch == i16::MAX - 1
        && transaction.producer_epoch == 0;
    let is_one_behind = i32::from(transaction.producer_epoch) == i32::from(producer_epoch) + 1;
    // An older client's transaction has the epoch of its InitProducerId: who is one behind was fenced by that. Kafka
    // takes it for a retry, and two producers go on with one epoch.
    let is_retry = transaction.client_version.bumps_epoch() && (is_retry_of_last_epoch || is_one_behind);
    if transaction.producer_id != producer_id && !(is_retry && is_retry_of_last_epoch) {
        return Verdict::Refuse(TransactionError::InvalidProducerIdMapping);
    }
    let completed = transaction.state.completed();
    let is_known_epoch = transaction.producer_epoch == producer_epoch || (completed.is_some() && is_retry);
    if !is_known_epoch {
        return Verdict::Refuse(TransactionError::ProducerFenced);
    }
    match (transaction.state, end.result) {
        (TransactionState::Ongoing, _) => Verdict::Prepare,
        _ if is_retry && completed == Some(end.result) => Verdict::AlreadyDone,
        (_, TransactionResult::Abort) if !is_retry => Verdict::Prepare,
        _ => Verdict::Refuse(TransactionError::InvalidTxnState),
    }
}
