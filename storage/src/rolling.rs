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
    /// once. The jitter comes from the base offset and needs no randomness. What is to be compacted within
    /// `max.compaction.lag.ms` must not lie in the active segment for longer (KIP-354).
    fn patience_ms(&self, options: &LogOptions) -> i64 {
        let most = options.segment_jitter_ms.min(options.segment_ms).max(0) as u64;
        let mixed =
            (self.base_offset as u64 ^ self.created_ms as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
        let jitter = if most == 0 { 0 } else { mixed % most };
        let has_lag = options.cleanup_compact && options.max_compaction_lag_ms > 0;
        let segment_ms = match has_lag {
            true => options.segment_ms.min(options.max_compaction_lag_ms),
            false => options.segment_ms,
        };
        segment_ms - jitter as i64
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::batch_info::ONE_RECORD;

    /// After how many milliseconds the extent that begins at `base_offset` takes no more, by the records' time and by
    /// the broker's.
    fn patience(base_offset: i64, options: &LogOptions) -> [i64; 2] {
        [0, -1].map(|first_timestamp| {
            let mut rolling = Rolling::new(base_offset, 0);
            rolling.took(&BatchInfo { max_timestamp: first_timestamp, ..ONE_RECORD });
            let is_over = |waited: i64| {
                let max_timestamp = if first_timestamp < 0 { -1 } else { waited };
                let info = BatchInfo { base_offset, last_offset: base_offset, max_timestamp, ..ONE_RECORD };
                rolling.is_over_before(&[Placed { info, bytes: Bytes::new() }], options, waited)
            };
            (0..=2000).find(|waited| is_over(waited + 1)).unwrap_or(i64::MAX)
        })
    }

    #[test]
    fn an_extent_is_over_by_time_less_a_jitter_and_before_its_compaction_is_due() {
        let options = LogOptions { segment_ms: 1000, max_compaction_lag_ms: 300, ..LogOptions::default() };
        assert_eq!(patience(7, &options), [1000; 2]);
        let jittered = LogOptions { segment_jitter_ms: 400, ..options.clone() };
        let all: Vec<_> = (0..200).map(|base_offset| patience(base_offset, &jittered)[0]).collect();
        assert!(all.iter().all(|patience| (600..=1000).contains(patience)), "{all:?}");
        assert!(all.iter().min() < Some(&650) && all.iter().max() > Some(&950), "{all:?}");
        let compacted = LogOptions { cleanup_compact: true, ..options };
        assert_eq!(patience(7, &compacted), [300; 2]);
        let without_lag = LogOptions { max_compaction_lag_ms: 0, ..compacted };
        assert_eq!(patience(7, &without_lag), [1000; 2]);
    }

    #[test]
    fn an_extent_is_over_by_size_and_by_the_reach_of_its_index() {
        let options = LogOptions { segment_bytes: 250, ..LogOptions::default() };
        let mut rolling = Rolling::new(0, 0);
        let next =
            |last_offset| [Placed { info: BatchInfo { last_offset, ..ONE_RECORD }, bytes: Bytes::new() }];
        rolling.took(&ONE_RECORD);
        assert!(!rolling.is_over_before(&next(1), &options, 0));
        assert!(rolling.is_over_before(&next(1 << 31), &options, 0));
        rolling.took(&ONE_RECORD);
        assert!(rolling.is_over_before(&next(2), &options, 0));
    }
}
