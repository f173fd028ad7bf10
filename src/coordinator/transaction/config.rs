//! What the transaction coordinator is told by the configuration, under Kafka's names.

/// Limits and intervals of transactions. The defaults are Kafka's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionConfig {
    /// `transaction.max.timeout.ms`: the longest timeout that a producer may ask for.
    pub max_timeout_ms: i32,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub abort_timed_out_interval_ms: i32,
    /// `transactional.id.expiration.ms`: without an update for so long, a transactional id is forgotten.
    pub transactional_id_expiration_ms: i32,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub remove_expired_interval_ms: i32,
}

impl Default for TransactionConfig {
    fn default() -> Self {
        TransactionConfig {
            max_timeout_ms: 15 * 60 * 1000,
            abort_timed_out_interval_ms: 10_000,
            transactional_id_expiration_ms: 7 * 24 * 60 * 60 * 1000,
            remove_expired_interval_ms: 60 * 60 * 1000,
        }
    }
}
