//! The newest batches of a log, kept in memory, so that consumers that keep up cost no read. What all logs keep
//! together is bounded.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;

use crate::gather::{Gathered, SHARE_MIN_BYTES};
use crate::store::{Placed, ReadLimits, Records};

/// What one log keeps at most.
const LOG_MAX_BYTES: usize = 4 << 20;
/// What a log may keep in any case: the newest, for who waits for it.
const LOG_MIN_BYTES: usize = 1 << 10;
/// Small batches are packed into buffers of this size.
const PACK_BYTES: usize = 16 << 10;
const FIRST_PACK_BYTES: usize = 256;

/// Bounds all tails together.
pub(crate) struct TailBudget {
    max_bytes: usize,
    used: AtomicUsize,
    /// Tails that keep something.
    sharers: AtomicUsize,
}

impl TailBudget {
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, used: AtomicUsize::new(0), sharers: AtomicUsize::new(0) }
    }

    /// What one log may keep now: while the others leave room, as much as it likes.
    fn share(&self) -> usize {
        if self.used.load(Ordering::Relaxed) <= self.max_bytes {
            return LOG_MAX_BYTES;
        }
        let sharers = self.sharers.load(Ordering::Relaxed).max(1);
        (self.max_bytes / sharers).clamp(LOG_MIN_BYTES, LOG_MAX_BYTES)
    }
}

/// One log's: batches without a gap, up to its end.
pub(crate) struct Tail {
    budget: Arc<TailBudget>,
    batches: VecDeque<Placed>,
    /// Of the batches, and of what is kept to find them.
    bytes: usize,
    pack: BytesMut,
}

impl Tail {
    pub fn new(budget: Arc<TailBudget>) -> Self {
        Self { budget, batches: VecDeque::new(), bytes: 0, pack: BytesMut::new() }
    }

    pub fn push(&mut self, batch: &Placed) {
        if self.batches.is_empty() {
            self.budget.sharers.fetch_add(1, Ordering::Relaxed);
        }
        let size = batch.bytes.len();
        let bytes = if size < SHARE_MIN_BYTES {
            // A slice would keep the network buffer alive that it came in.
            if self.pack.capacity() < size {
                // As large as what is here already: a hundred thousand logs with one small batch each stay small.
                let room = self.bytes.clamp(FIRST_PACK_BYTES, PACK_BYTES);
                self.pack = BytesMut::with_capacity(room.max(size));
            }
            self.pack.extend_from_slice(&batch.bytes);
            self.pack.split().freeze()
        } else {
            batch.bytes.clone()
        };
        self.batches.push_back(Placed { info: batch.info, bytes });
        self.bytes += cost(batch);
        self.budget.used.fetch_add(cost(batch), Ordering::Relaxed);
        while self.bytes > self.budget.share() {
            self.forget(1);
        }
    }

    /// The batches from the one that holds `from` on; nothing when it is not here.
    pub fn read(&self, from: i64, limits: ReadLimits) -> Option<Records> {
        if self.batches.front().is_none_or(|oldest| from < oldest.info.base_offset) {
            return None;
        }
        let first = self.batches.partition_point(|batch| batch.info.last_offset < from);
        let mut gathered = Gathered::new(from, limits);
        for batch in self.batches.range(first..) {
            if !gathered.take(batch) {
                break;
            }
        }
        Some(gathered.finish())
    }

    /// What lies before `offset` is kept elsewhere, in another form.
    pub fn forget_before(&mut self, offset: i64) {
        self.forget(self.batches.partition_point(|batch| batch.info.base_offset < offset));
    }

    /// Gives everything back.
    pub fn clear(&mut self) {
        self.forget(self.batches.len());
        self.batches = VecDeque::new();
        self.pack = BytesMut::new();
    }

    /// The oldest `count` batches are no longer kept.
    fn forget(&mut self, count: usize) {
        if count == 0 {
            return;
        }
        let bytes = self.batches.drain(..count).map(|batch| cost(&batch)).sum();
        self.bytes -= bytes;
        self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
        if self.batches.is_empty() {
            self.budget.sharers.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn cost(batch: &Placed) -> usize {
    batch.bytes.len() + size_of::<Placed>()
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::batch_info::{BatchInfo, ONE_RECORD};

    fn batch(offset: i64, size: usize) -> Placed {
        let info = BatchInfo { base_offset: offset, last_offset: offset, size: size as u32, ..ONE_RECORD };
        Placed { info, bytes: Bytes::from(vec![0; size]) }
    }

    fn oldest(tail: &Tail) -> Option<i64> {
        tail.batches.front().map(|batch| batch.info.base_offset)
    }

    #[test]
    fn many_logs_share_what_there_is() {
        let budget = Arc::new(TailBudget::new(1 << 20));
        let mut first = Tail::new(budget.clone());
        for offset in 0..8 {
            first.push(&batch(offset, 100_000));
        }
        assert_eq!(oldest(&first), Some(0), "alone it may have all");

        let mut others: Vec<Tail> = (0..10_000).map(|_| Tail::new(budget.clone())).collect();
        for offset in 0..20 {
            others.iter_mut().for_each(|tail| tail.push(&batch(offset, 200)));
        }
        let used = budget.used.load(Ordering::Relaxed);
        assert!(used <= 10_000 * LOG_MIN_BYTES + 800_000 + 8 * size_of::<Placed>(), "{used} bytes are kept");
        assert!(
            others.iter().all(|tail| oldest(tail).is_some_and(|offset| offset > 10)),
            "each has its newest"
        );

        first.push(&batch(8, 200));
        assert_eq!(oldest(&first), Some(8), "what it had too much goes when it is written to");
        drop(others);
        first.clear();
        let left = [&budget.used, &budget.sharers].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(left, [0, 0]);
    }

    #[test]
    fn a_batch_that_is_too_large_is_not_kept() {
        let budget = Arc::new(TailBudget::new(1 << 20));
        let mut tail = Tail::new(budget.clone());
        tail.push(&batch(0, 100));
        tail.push(&batch(1, LOG_MAX_BYTES));
        assert_eq!(oldest(&tail), None);
        tail.push(&batch(2, 100));
        assert_eq!(oldest(&tail), Some(2));
    }
}
