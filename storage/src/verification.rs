//! Transactions that a partition has asked the coordinator about (KIP-890): a batch that would begin a transaction here is
//! taken only when the coordinator knows of it, and only as long as nothing has ended it since.

use std::collections::HashMap;

/// What an append shows for its transaction. Taken back by the next batch or marker of the producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerificationGuard {
    /// `transaction.partition.verification.enable=false`: nobody was asked.
    NotRequired,
    /// The number of the verification.
    Of(u64),
}

impl VerificationGuard {
    /// For who carries it through a layer that knows nothing of logs.
    pub fn number(self) -> Option<u64> {
        match self {
            Self::NotRequired => None,
            Self::Of(number) => Some(number),
        }
    }
}

/// Who wants to begin a transaction here, with which batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// -1 for what a coordinator writes.
    pub base_sequence: i32,
    /// Transactions of version 2: the epoch grows with each.
    pub supports_epoch_bump: bool,
}

/// A verification that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verification {
    guard: u64,
    began_ms: i64,
    epoch: i16,
    pub supports_epoch_bump: bool,
    /// Of the batches that have waited for it: a later one must not come before an earlier one that is sent again.
    pub lowest_sequence: i32,
}

/// Those of one partition. Not kept on the disk: a producer that is in doubt sends again.
#[derive(Debug, Default)]
pub(crate) struct Verifications {
    by_producer: HashMap<i64, Verification>,
    last_guard: u64,
}

impl Verifications {
    /// `opening` tells this one's guards from those that the same log gave out before it was put away.
    pub fn new(opening: u32) -> Self {
        Self { last_guard: u64::from(opening) << 32, ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.by_producer.is_empty()
    }

    /// All batches of a producer wait for the same verification, until one of them is in the log.
    pub fn begin(&mut self, of: &Beginning, now_ms: i64) -> VerificationGuard {
        let next_guard = self.last_guard + 1;
        let verification = self.by_producer.entry(of.producer_id).or_insert_with(|| {
            self.last_guard = next_guard;
            Verification {
                guard: next_guard,
                began_ms: now_ms,
                epoch: of.producer_epoch,
                supports_epoch_bump: of.supports_epoch_bump,
                lowest_sequence: of.base_sequence,
            }
        });
        if of.producer_epoch > verification.epoch {
            verification.epoch = of.producer_epoch;
            verification.lowest_sequence = of.base_sequence;
        } else if of.producer_epoch == verification.epoch {
            verification.lowest_sequence = verification.lowest_sequence.min(of.base_sequence);
        }
        VerificationGuard::Of(verification.guard)
    }

    pub fn of(&self, producer_id: i64) -> Option<&Verification> {
        self.by_producer.get(&producer_id)
    }

    /// Whether the guard is of the verification that goes on now.
    pub fn confirms(&self, producer_id: i64, guard: VerificationGuard) -> bool {
        match guard {
            VerificationGuard::NotRequired => true,
            VerificationGuard::Of(guard) => self.of(producer_id).is_some_and(|known| known.guard == guard),
        }
    }

    /// The transaction has begun here, or ended.
    pub fn end(&mut self, producer_id: i64) {
        self.by_producer.remove(&producer_id);
    }

    /// Forgets what nobody came back to.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.by_producer
            .retain(|_, verification| now_ms.saturating_sub(verification.began_ms) < expiration_ms);
    }
}
