//! The engine that touches no disk: `--memory`, and the model that tests hold the local engine to.
//!
//! Enters: placed batches. Leaves: the same shared bytes. A restart finds nothing.

mod replace;

use bytes::Bytes;

use crate::aborted::{AbortedTransaction, select};
use crate::commit::Commit;
use crate::error::StorageError;
use crate::gather::{Gathered, SHARE_MIN_BYTES};
use crate::options::LogOptions;
use crate::rolling::Rolling;
use crate::store::{Extent, Flush, LogStore, Note, Placed, Read, ReadLimits, Records, Submitted};

pub(crate) struct MemoryStore {
    segments: Vec<Segment>,
    aborted: Vec<AbortedTransaction>,
}

struct Segment {
    batches: Vec<Placed>,
    rolling: Rolling,
    max_timestamp: i64,
    modified_ms: i64,
}

impl Segment {
    fn new(base_offset: i64, now_ms: i64) -> Self {
        Self {
            batches: Vec::new(),
            rolling: Rolling::new(base_offset, now_ms),
            max_timestamp: -1,
            modified_ms: now_ms,
        }
    }

    fn next_offset(&self) -> i64 {
        self.batches.last().map_or(self.rolling.base_offset, |batch| batch.info.next_offset())
    }

    fn extent(&self, next_offset: i64) -> Extent {
        Extent {
            base_offset: self.rolling.base_offset,
            next_offset,
            bytes: self.rolling.bytes,
            max_timestamp: self.max_timestamp,
            modified_ms: self.modified_ms,
            first_timestamp: self.rolling.first_timestamp.unwrap_or(-1),
            index_bytes: 0,
        }
    }

    fn push(&mut self, batch: Placed) {
        self.rolling.took(&batch.info);
        self.max_timestamp = self.max_timestamp.max(batch.info.max_timestamp);
        self.batches.push(batch);
    }
}

impl MemoryStore {
    pub fn new() -> Self {
        Self { segments: vec![Segment::new(0, 0)], aborted: Vec::new() }
    }

    fn active(&mut self) -> &mut Segment {
        let last = self.segments.len() - 1; // never empty
        &mut self.segments[last]
    }
}

impl LogStore for MemoryStore {
    fn submit(
        &mut self,
        batches: &[Placed],
        options: &LogOptions,
        now_ms: i64,
    ) -> Result<Submitted, StorageError> {
        let Some(first) = batches.first() else {
            return Ok(Submitted { commit: Commit::ready(), rolled_at: None });
        };
        if self.active().batches.is_empty() {
            self.active().rolling.created_ms = now_ms;
        }
        let mut rolled_at = None;
        let is_empty = self.active().batches.is_empty();
        if !is_empty && self.active().rolling.is_over_before(batches, options, now_ms) {
            self.segments.push(Segment::new(first.info.base_offset, now_ms));
            rolled_at = Some(first.info.base_offset);
        }
        let active = self.active();
        active.modified_ms = now_ms;
        for batch in batches {
            let is_small = batch.bytes.len() < SHARE_MIN_BYTES;
            let bytes = if is_small { Bytes::copy_from_slice(&batch.bytes) } else { batch.bytes.clone() };
            active.push(Placed { info: batch.info, bytes });
        }
        Ok(Submitted { commit: Commit::ready(), rolled_at })
    }

    fn read(&mut self, from: i64, limits: ReadLimits) -> Result<Read, StorageError> {
        let at = self.segments.partition_point(|segment| segment.next_offset() <= from);
        // Compaction may have emptied some.
        let segment = self.segments[at..].iter().find(|segment| !segment.batches.is_empty());
        let Some(segment) = segment else { return Ok(Read::Ready(Records::none(from))) };
        let first = segment.batches.partition_point(|batch| batch.info.last_offset < from);
        let mut gathered = Gathered::new(from, limits);
        for batch in &segment.batches[first..] {
            if !gathered.take(batch) {
                break;
            }
        }
        Ok(Read::Ready(gathered.finish()))
    }

    fn aborted(
        &mut self,
        from: i64,
        upper_offset: i64,
    ) -> Result<Read<Vec<AbortedTransaction>>, StorageError> {
        let mut selected = Vec::new();
        select(&self.aborted, from, upper_offset, &mut selected);
        Ok(Read::Ready(selected))
    }

    fn extents(&mut self) -> Result<Vec<Extent>, StorageError> {
        let end_offset = self.active().next_offset();
        let ends =
            self.segments.iter().skip(1).map(|segment| segment.rolling.base_offset).chain([end_offset]);
        Ok(self.segments.iter().zip(ends).map(|(segment, end)| segment.extent(end)).collect())
    }

    fn seek_time(&mut self, base_offset: i64, timestamp: i64) -> Result<i64, StorageError> {
        let segment = self.segments.iter().find(|segment| segment.rolling.base_offset == base_offset);
        let batch = segment
            .and_then(|segment| segment.batches.iter().find(|batch| batch.info.max_timestamp >= timestamp));
        Ok(batch.map_or(base_offset, |batch| batch.info.base_offset))
    }

    fn set_start(&mut self, offset: i64, _: &LogOptions, now_ms: i64) -> Result<(), StorageError> {
        self.segments.retain(|segment| segment.next_offset() > offset);
        if self.segments.is_empty() {
            self.segments.push(Segment::new(offset, now_ms));
        }
        let first = self.segments[0].rolling.base_offset;
        self.aborted.retain(|aborted| aborted.last_offset >= first);
        Ok(())
    }

    fn flush(&mut self) -> Flush {
        Flush::nothing()
    }

    fn note(&mut self, note: Note<'_>) -> Result<(), StorageError> {
        if let Note::Aborted(aborted) = note {
            self.aborted.push(aborted);
        }
        Ok(())
    }

    fn settle(&mut self) -> bool {
        true
    }
}
