//! Putting batches together for a reader.

use bytes::BytesMut;

use crate::store::{Placed, ReadLimits, Records};

/// Batches below this size are copied when they are kept, since a small slice would keep a whole network buffer alive,
/// and when they are read, since thousands of tiny buffers cost more to send than to copy.
pub(crate) const SHARE_MIN_BYTES: usize = 4 * 1024;

/// Collects batches for a reader: small ones into one buffer, large ones shared.
pub(crate) struct Gathered {
    limits: ReadLimits,
    records: Records,
    small: BytesMut,
}

impl Gathered {
    pub fn new(from: i64, limits: ReadLimits) -> Self {
        Self { limits, records: Records::none(from), small: BytesMut::new() }
    }

    /// False when the limits keep the batch out; then nothing after it may come in.
    pub fn take(&mut self, batch: &Placed) -> bool {
        let size = batch.bytes.len();
        let is_first = self.records.bytes == 0;
        let fits = self.records.bytes + size <= self.limits.max_bytes;
        if batch.info.base_offset >= self.limits.upper_offset
            || !(fits || (is_first && self.limits.whole_first_batch))
        {
            return false;
        }
        self.records.bytes += size;
        self.records.next_offset = batch.info.next_offset();
        if size < SHARE_MIN_BYTES {
            self.small.extend_from_slice(&batch.bytes);
        } else {
            self.end_small();
            self.records.chunks.push(batch.bytes.clone());
        }
        true
    }

    pub fn finish(mut self) -> Records {
        self.end_small();
        self.records
    }

    fn end_small(&mut self) {
        if !self.small.is_empty() {
            self.records.chunks.push(self.small.split().freeze());
        }
    }
}
