//! When a log begins a new extent. The same for every engine.

use crate::batch_info::BatchInfo;
use crate::options::LogOptions;
use crate::store::Placed;

/// What the decision looks at in the extent that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rolling {
    pub base_offset: i64,
    pub bytes: u64,
    /// The first batch's largest timestamp. `segment.ms` counts from it, so that replaying old data rolls as live data does.
    pub first_timestamp: Option<i64>,
    /// `segment.ms` counts from here where batches have no timestamps.
    pub created_ms: i64,
}

impl Rolling {
    pub fn new(base_offset: i64, now_ms: i64) -> Self {
        Self { base_offset, bytes: 0, first_timestamp: None, created_ms: now_ms }
    }

    /// Whether these batches belong in a new extent.
    pub fn is_over_before(&self, batches: &[Placed], options: &LogOptions, now_ms: i64) -> bool {
        let size: u64 = batches.iter().map(|batch| u64::from(batch.info.size)).sum();
        let max_timestamp = batches.iter().map(|batch| batch.info.max_timestamp).max().unwrap_or(-1);
        let last_offset = batches.last().map_or(self.base_offset, |batch| batch.info.last_offset);
        self.bytes + size > u64::from(options.segment_bytes)
            || (self.bytes > 0 && self.waited_ms(max_timestamp, now_ms) > self.patience_ms(options))
            || last_offset - self.base_offset > i64::from(i32::MAX)
    }

    pub fn took(&mut self, batch: &BatchInfo) {
        self.bytes += u64::from(batch.size);
        if self.first_timestamp.is_none() {
            self.first_timestamp = Some(batch.max_timestamp);
        }
    }

    fn waited_ms(&self, max_timestamp: i64, now_ms: i64) -> i64 {
        match self.first_timestamp {
            Some(first) if first >= 0 => max_timestamp.saturating_sub(first),
            _ => now_ms.saturating_sub(self.created_ms),
        }
    }

    /// `segment.ms` less a jitter of up to `segment.jitter.ms`, so that the partitions of a topic do not all roll at
    /// once. The jitter comes from the base offset and needs no randomness.
    fn patience_ms(&self, options: &LogOptions) -> i64 {
        let most = options.segment_jitter_ms.min(options.segment_ms).max(0) as u64;
        let mixed =
            (self.base_offset as u64 ^ self.created_ms as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        let jitter = if most == 0 { 0 } else { mixed % most };
        options.segment_ms - jitter as i64
    }
}
