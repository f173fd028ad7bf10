//! What time alone decides: transactions that took too long are aborted, transactional ids that nobody uses forgotten.

use ottla_protocol::StrBytes;

use super::commands::Decision;
use super::{
    Effect, Errand, ProducerIdAndEpoch, TimerKey, Transaction, TransactionOutcome, TransactionRecord,
    TransactionResult, TransactionShard, TransactionState, TransactionVersion,
};

/// A timeout that never comes: two-phase commit (KIP-939) has such transactions.
const NO_TIMEOUT_MS: i32 = i32::MAX;

impl TransactionShard {
    /// When to look whether the transaction takes too long: at the next of the cleanup's rounds after its timeout.
    pub(super) fn timeout(&self, transactional_id: &StrBytes, transaction: &Transaction) -> Option<Effect> {
        let interval_ms = i64::from(self.config.abort_timed_out_interval_ms.max(1));
        let round = deadline_ms(transaction)? / interval_ms;
        let at_ms = round.saturating_add(1).saturating_mul(interval_ms);
        Some(Effect::SetTimer(TimerKey::Timeout(transactional_id.clone()), at_ms))
    }

    pub(super) fn expire_transaction(
        &self,
        transactional_id: &StrBytes,
        now_ms: i64,
    ) -> TransactionOutcome<()> {
        let mut outcome = TransactionOutcome::answer(());
        let Some(transaction) = self.ongoing(transactional_id) else { return outcome };
        if deadline_ms(transaction).is_none_or(|deadline_ms| deadline_ms >= now_ms) {
            // Another transaction began since the timer was set.
            outcome.effects.extend(self.timeout(transactional_id, transaction));
            return outcome;
        }
        self.abort_timed_out(transactional_id, transaction.identity(), None, now_ms)
    }

    /// Aborts the transaction of that producer, which is fenced by it.
    pub fn abort_timed_out(
        &self,
        transactional_id: &StrBytes,
        producer: ProducerIdAndEpoch,
        new_producer_id: Option<i64>,
        now_ms: i64,
    ) -> TransactionOutcome<()> {
        let ongoing = self.ongoing(transactional_id).filter(|transaction| transaction.identity() == producer);
        let Some(transaction) = ongoing else { return TransactionOutcome::answer(()) };
        let prepared = self.prepare(
            transactional_id,
            transaction,
            TransactionResult::Abort,
            TransactionVersion::SERVER,
            new_producer_id,
            now_ms,
        );
        let needs_producer_id = prepared.response == Ok(Decision::NeedsProducerId);
        let mut outcome = prepared.map(|_| ());
        if needs_producer_id {
            let transactional_id = transactional_id.clone();
            outcome.effects.push(Effect::Errand(Errand::AbortTimedOut { transactional_id, producer }));
        }
        outcome
    }

    fn ongoing(&self, transactional_id: &StrBytes) -> Option<&Transaction> {
        self.transactions
            .get(transactional_id)
            .filter(|transaction| transaction.state == TransactionState::Ongoing)
    }

    pub(super) fn next_expiration(&self, now_ms: i64) -> Effect {
        let at_ms = now_ms.saturating_add(i64::from(self.config.remove_expired_interval_ms.max(1)));
        Effect::SetTimer(TimerKey::Expiration, at_ms)
    }

    pub(super) fn expire_transactional_ids(&self, now_ms: i64) -> TransactionOutcome<()> {
        let oldest_ms = now_ms.saturating_sub(i64::from(self.config.transactional_id_expiration_ms));
        let is_expired = |transaction: &Transaction| {
            let is_at_rest =
                transaction.state == TransactionState::Empty || transaction.state.completed().is_some();
            is_at_rest && transaction.last_update_ms <= oldest_ms
        };
        let expired = self.transactions.iter().filter(|(_, transaction)| is_expired(transaction));
        let tombstone = |(transactional_id, _): (&StrBytes, &Transaction)| TransactionRecord {
            transactional_id: transactional_id.clone(),
            transaction: None,
        };
        // One batch has room for so many; the others wait for the next round.
        let records = expired.map(tombstone).take(MAX_TOMBSTONES).collect();
        let effects = vec![self.next_expiration(now_ms)];
        TransactionOutcome { records, effects, ..TransactionOutcome::answer(()) }
    }
}

/// The transaction may go on until then, and no longer.
fn deadline_ms(transaction: &Transaction) -> Option<i64> {
    let timeout_ms = i64::from(transaction.timeout_ms);
    (transaction.timeout_ms != NO_TIMEOUT_MS).then(|| transaction.start_ms.saturating_add(timeout_ms))
}

/// The most transactional ids that one batch forgets.
const MAX_TOMBSTONES: usize = 10_000;
