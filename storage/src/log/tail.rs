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
/// What a log may keep when the others have used up what there is.
const LOG_SHARE_BYTES: usize = 64 << 10;
/// Small batches are packed into buffers of this size.
const PACK_BYTES: usize = 16 << 10;
const FIRST_PACK_BYTES: usize = 256;

/// Bounds all tails together.
pub(crate) struct TailBudget {
    max_bytes: usize,
    used: AtomicUsize,
}

impl TailBudget {
    pub fn new(max_bytes: usize) -> Self {
        Self { max_bytes, used: AtomicUsize::new(0) }
    }

    fn is_exceeded(&self) -> bool {
        self.used.load(Ordering::Relaxed) > self.max_bytes
    }
}

/// One log's: batches without a gap, up to its end.
pub(crate) struct Tail {
    budget: Arc<TailBudget>,
    batches: VecDeque<Placed>,
    bytes: usize,
    pack: BytesMut,
}

impl Tail {
    pub fn new(budget: Arc<TailBudget>) -> Self {
        Self { budget, batches: VecDeque::new(), bytes: 0, pack: BytesMut::new() }
    }

    pub fn push(&mut self, batch: &Placed) {
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
        self.bytes += size;
        self.budget.used.fetch_add(size, Ordering::Relaxed);
        while self.bytes > LOG_MAX_BYTES || (self.bytes > LOG_SHARE_BYTES && self.budget.is_exceeded()) {
            let Some(oldest) = self.batches.pop_front() else { break };
            self.forget(oldest.bytes.len());
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
        let count = self.batches.partition_point(|batch| batch.info.base_offset < offset);
        let bytes = self.batches.drain(..count).map(|batch| batch.bytes.len()).sum();
        self.forget(bytes);
    }

    /// Gives everything back.
    pub fn clear(&mut self) {
        self.batches = VecDeque::new();
        self.pack = BytesMut::new();
        self.forget(self.bytes);
    }

    fn forget(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.clear();
    }
}
