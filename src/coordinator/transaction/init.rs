//! InitProducerId with a transactional id: a producer begins, or goes on after an error (KIP-360).

use super::commands::{Decision, InitProducerId};
use super::state::{NO_PRODUCER_EPOCH, is_epoch_exhausted};
use super::{
    ProducerIdAndEpoch, Transaction, TransactionError, TransactionOutcome, TransactionResult,
    TransactionShard, TransactionState, TransactionVersion,
};

type Answer = Result<Decision<ProducerIdAndEpoch>, TransactionError>;

impl TransactionShard {
    /// Fences whoever used the transactional id before. A transaction that is under way is aborted first: the answer
    /// is ConcurrentTransactions until that is done.
    pub fn init_producer_id(&self, init: &InitProducerId, now_ms: i64) -> TransactionOutcome<Answer> {
        let Some(transaction) = self.transactions.get(&init.transactional_id) else {
            let Some(producer_id) = init.new_producer_id else {
                return TransactionOutcome::answer(Ok(Decision::NeedsProducerId));
            };
            let unused = Transaction::unused(producer_id, init.timeout_ms, now_ms);
            return self.begin_epoch(init, &unused, now_ms);
        };
        if transaction.state.prepared().is_some() {
            return TransactionOutcome::answer(Err(TransactionError::ConcurrentTransactions));
        }
        if init.expected.is_some_and(|expected| !is_known(transaction, expected)) {
            return TransactionOutcome::answer(Err(TransactionError::ProducerFenced));
        }
        match transaction.state {
            TransactionState::Ongoing => self.fence(init, transaction, now_ms),
            _ => self.begin_epoch(init, transaction, now_ms),
        }
    }

    /// The abort's bump is the fence: the producer is not told of that epoch, and gets one more when it asks again.
    fn fence(&self, init: &InitProducerId, ongoing: &Transaction, now_ms: i64) -> TransactionOutcome<Answer> {
        let prepared = self.prepare(
            &init.transactional_id,
            ongoing,
            TransactionResult::Abort,
            TransactionVersion::SERVER,
            init.new_producer_id,
            now_ms,
        );
        prepared.map(|answer| match answer? {
            Decision::Done(_) => Err(TransactionError::ConcurrentTransactions),
            Decision::NeedsProducerId => Ok(Decision::NeedsProducerId),
        })
    }

    fn begin_epoch(
        &self,
        init: &InitProducerId,
        transaction: &Transaction,
        now_ms: i64,
    ) -> TransactionOutcome<Answer> {
        let changed = match next_epoch(init, transaction, now_ms) {
            Ok(Decision::Done(changed)) => changed,
            Ok(Decision::NeedsProducerId) => {
                return TransactionOutcome::answer(Ok(Decision::NeedsProducerId));
            }
            Err(error) => return TransactionOutcome::answer(Err(error)),
        };
        let identity = changed.identity();
        self.put(&init.transactional_id, changed).map(|()| Ok(Decision::Done(identity)))
    }
}

/// Whether the producer that the client speaks of is, or may have been, the present one: a retry after the epochs of a
/// producer id were used up still names the one before.
fn is_known(transaction: &Transaction, expected: ProducerIdAndEpoch) -> bool {
    expected.producer_id == transaction.producer_id
        || (expected.producer_id == transaction.previous_producer_id
            && is_epoch_exhausted(expected.producer_epoch))
}

fn next_epoch(
    init: &InitProducerId,
    transaction: &Transaction,
    now_ms: i64,
) -> Result<Decision<Transaction>, TransactionError> {
    let epoch = transaction.producer_epoch;
    let with_epoch = |epoch, last_epoch| {
        Ok(Decision::Done(transaction.with_epoch(epoch, last_epoch, init.timeout_ms, now_ms)))
    };
    let expected_epoch = init.expected.map(|expected| expected.producer_epoch);
    if transaction.is_epoch_exhausted() {
        if expected_epoch.is_some_and(|expected| expected != epoch) {
            return Err(TransactionError::EpochExhausted);
        }
        let Some(producer_id) = init.new_producer_id else { return Ok(Decision::NeedsProducerId) };
        let last_epoch = expected_epoch.unwrap_or(NO_PRODUCER_EPOCH);
        let changed = transaction.with_producer_id(producer_id, last_epoch, init.timeout_ms, now_ms);
        return Ok(Decision::Done(changed));
    }
    match expected_epoch {
        None => with_epoch(epoch + 1, NO_PRODUCER_EPOCH),
        // It goes on after an error, and nobody else has begun; or the transactional id was forgotten meanwhile.
        Some(expected) if expected == epoch || epoch == NO_PRODUCER_EPOCH => with_epoch(epoch + 1, epoch),
        // It did not hear the answer. Had anybody else begun, the last epoch would be -1.
        Some(expected) if expected == transaction.last_producer_epoch => with_epoch(epoch, expected),
        Some(_) => Err(TransactionError::ProducerFenced),
    }
}
