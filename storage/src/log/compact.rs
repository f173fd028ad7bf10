//! Compaction of a log, as Kafka's cleaner does it: a pass finds the latest offset of each key in what is dirty, then
//! rewrites everything before that, group of extents by group. It holds the log's lock for moments alone.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Log, OpenLog};
use crate::aborted::AbortedTransaction;
use crate::compaction::{Counts, Filter, OffsetMap, Transactions, batches, map_keys};
use crate::error::StorageError;
use crate::options::{LogId, LogOptions};
use crate::producers::LastRecord;
use crate::store::{Extent, Replacement, Replacing};

/// What a pass may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionLimits {
    /// Of the map of keys (`log.cleaner.dedupe.buffer.size`). When it is full, the pass goes as far as the map does.
    pub dedupe_buffer_bytes: u64,
    /// Of one read and of one write (`log.cleaner.io.buffer.size`). A larger batch is taken whole.
    pub io_buffer_bytes: u32,
}

/// What whoever paces a pass says to it between two pieces of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    Go,
    /// The pass ends. What it has finished stays.
    Stop,
}

/// What a pass would have to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CompactionCandidate {
    /// Of what could be compacted, the part that never was, in bytes.
    pub dirty_ratio: f64,
    pub dirty_bytes: u64,
    pub total_bytes: u64,
    /// `max.compaction.lag.ms` has passed for something that is dirty.
    pub must_compact: bool,
}

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    pub bytes_read: u64,
    pub bytes_written: u64,
    /// Of the extents that were replaced, and of what replaced them.
    pub bytes_before: u64,
    pub bytes_after: u64,
    pub records_before: u64,
    pub records_after: u64,
    /// Dropped because they have no key.
    pub records_without_key: u64,
    pub first_dirty_offset: i64,
    /// The same as before when the pass did not reach its end.
    pub next_dirty_offset: i64,
    /// Keys in the dirty part.
    pub map_entries: u64,
}

/// Reads that began before a replacement find the old files for so long at least: the offsets are still there, and they
/// must not be told otherwise.
const READERS_MS: i64 = 10_000;

/// Why a pass ends early.
enum Ended {
    /// It was told to, or what it works on was deleted.
    Stopped,
    Failed(StorageError),
}

impl From<StorageError> for Ended {
    fn from(error: StorageError) -> Self {
        match &error {
            // The log's start has passed what was to be read, and its files are removed already.
            StorageError::Io { error, .. } if error.kind() == io::ErrorKind::NotFound => Self::Stopped,
            StorageError::OffsetOutOfRange { .. } => Self::Stopped,
            _ => Self::Failed(error),
        }
    }
}

impl Log {
    /// What compaction could do now; nothing for a log that is empty, or that `cleanup.policy` does not let compact.
    pub fn compaction_candidate(&self, now_ms: i64) -> Result<Option<CompactionCandidate>, StorageError> {
        self.with(|log, options| {
            let Some(range) = log.dirty_range(options, now_ms, &self.id)? else { return Ok(None) };
            let dirty = range.dirty();
            let dirty_bytes: u64 = dirty.iter().map(|extent| extent.bytes).sum();
            let clean = range.extents.iter().filter(|extent| extent.base_offset < range.first_dirty_offset);
            let total_bytes = dirty_bytes + clean.map(|extent| extent.bytes).sum::<u64>();
            let must_before_ms = now_ms.saturating_sub(options.max_compaction_lag_ms.max(0));
            let earliest = log.sealed_from(range.first_dirty_offset)?;
            let mut earliest =
                earliest.iter().map(|extent| extent.first_timestamp).filter(|first| *first > 0);
            Ok((total_bytes > 0).then(|| CompactionCandidate {
                dirty_ratio: dirty_bytes as f64 / total_bytes as f64,
                dirty_bytes,
                total_bytes,
                must_compact: earliest.any(|first| first < must_before_ms),
            }))
        })
    }

    /// One pass, if there is anything dirty and no other pass is at work. Blocks; reads and appends go on meanwhile.
    /// `pace` is told of the bytes of each read and each write. `Corrupt` says that the log cannot be compacted, since
    /// something in it is not what was written; it is left as it is.
    pub fn compact(
        &self,
        limits: &CompactionLimits,
        now_ms: i64,
        pace: &mut dyn FnMut(u64) -> Pace,
    ) -> Result<Compacted, StorageError> {
        let mut done = Compacted::default();
        if self.is_compacting.swap(true, Ordering::Acquire) {
            return Ok(done);
        }
        let _turn = Turn(self);
        let Some(plan) = self.plan(limits, now_ms)? else { return Ok(done) };
        (done.first_dirty_offset, done.next_dirty_offset) =
            (plan.range.first_dirty_offset, plan.range.first_dirty_offset);
        let mut pass = Pass { log: self, plan, done, pace };
        let outcome = pass.run();
        done = pass.done;
        match outcome {
            Ok(next_dirty_offset) => {
                done.next_dirty_offset = next_dirty_offset;
                self.note_cleaned(next_dirty_offset)?;
                Ok(done)
            }
            Err(Ended::Stopped) => Ok(done),
            Err(Ended::Failed(error)) => Err(error),
        }
    }

    fn plan(&self, limits: &CompactionLimits, now_ms: i64) -> Result<Option<Plan>, StorageError> {
        let found = self.with(|log, options| {
            let range = log.dirty_range(options, now_ms, &self.id)?;
            let plan = range.map(|range| Plan {
                range,
                last_records: Arc::new(log.producers.last_records()),
                limits: *limits,
                options: options.clone(),
                now_ms,
            });
            Ok(plan.map(|plan| (plan, log.home, log.as_checkpoint(), log.end_offset)))
        })?;
        let Some((plan, home, checkpoint, end_offset)) = found else { return Ok(None) };
        let range = &plan.range;
        if range.dirty().is_empty() {
            return Ok(None);
        }
        if checkpoint.recovery_point < end_offset {
            // A newer record must not get lost when the older one that it stands in for is gone; nor the marker that commits
            // it, which may lie behind what is compacted; nor the last batch of a producer.
            self.flush()?;
        }
        // Of what lies before the start a pass may drop a tombstone and leave the value: it must not come back.
        self.shared.note_start(&self.id, home, checkpoint)?;
        if self.with(|log, _| Ok(log.cleaned_to.is_none()))? {
            // From here on a start must not take gaps for losses, whatever `cleanup.policy` is then.
            self.note_cleaned(range.first_dirty_offset)?;
        }
        Ok(Some(plan))
    }

    fn note_cleaned(&self, next_dirty_offset: i64) -> Result<(), StorageError> {
        let home = self.with(|log, _| {
            log.cleaned_to = Some(next_dirty_offset);
            Ok(log.home)
        })?;
        self.shared.note_cleaned(&self.id, home, next_dirty_offset)
    }
}

/// The pass that is at work.
struct Turn<'a>(&'a Log);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.is_compacting.store(false, Ordering::Release);
    }
}

/// What of a log may be compacted: whole extents, up to the first that may not.
struct DirtyRange {
    /// All of them, clean ones, too; never the active one.
    extents: Vec<Extent>,
    first_dirty_offset: i64,
    /// Where the last of them ends.
    end_offset: i64,
}

impl DirtyRange {
    /// The extents that have something dirty.
    fn dirty(&self) -> &[Extent] {
        let first = self.extents.partition_point(|extent| extent.next_offset <= self.first_dirty_offset);
        &self.extents[first..]
    }
}

impl OpenLog {
    fn dirty_range(
        &mut self,
        options: &LogOptions,
        now_ms: i64,
        id: &LogId,
    ) -> Result<Option<DirtyRange>, StorageError> {
        if !options.cleanup_compact {
            return Ok(None);
        }
        let first_dirty_offset = self.first_dirty_offset(options, id);
        let mut extents = self.store.extents()?;
        extents.pop(); // the active one is never compacted
        let is_fresh =
            |extent: &Extent| extent.written_ms() > now_ms.saturating_sub(options.min_compaction_lag_ms);
        let stable = self.last_stable_offset();
        let count = extents.iter().take_while(|extent| {
            let is_dirty = extent.next_offset > first_dirty_offset;
            extent.next_offset <= stable
                && !(is_dirty && options.min_compaction_lag_ms > 0 && is_fresh(extent))
        });
        let count = count.count();
        extents.truncate(count);
        let end_offset = extents.last().map_or(first_dirty_offset, |last| last.next_offset);
        Ok(Some(DirtyRange { extents, first_dirty_offset, end_offset }))
    }

    /// Where the last pass ended, if that can be.
    fn first_dirty_offset(&mut self, options: &LogOptions, id: &LogId) -> i64 {
        let cleaned_to = self.cleaned_to.unwrap_or(self.start_offset);
        let (start, end) = (self.start_offset, self.end_offset);
        if (start..=end).contains(&cleaned_to) {
            return cleaned_to;
        }
        if cleaned_to > end || !options.cleanup_delete {
            tracing::warn!(log = %id, cleaned_to, start, end, "compaction begins anew at the log's start");
        }
        self.cleaned_to = self.cleaned_to.map(|_| start);
        start
    }

    /// The extents but the active one from the one that holds `offset` on.
    fn sealed_from(&mut self, offset: i64) -> Result<Vec<Extent>, StorageError> {
        let mut extents = self.store.extents()?;
        extents.pop();
        extents.retain(|extent| extent.next_offset > offset);
        Ok(extents)
    }
}

struct Plan {
    range: DirtyRange,
    /// Of each producer, as it was when the log was flushed: later ones may get lost.
    last_records: Arc<HashMap<i64, LastRecord>>,
    limits: CompactionLimits,
    options: LogOptions,
    now_ms: i64,
}

struct Pass<'a> {
    log: &'a Log,
    plan: Plan,
    done: Compacted,
    pace: &'a mut dyn FnMut(u64) -> Pace,
}

impl Pass<'_> {
    /// Returns up to where the log is clean.
    fn run(&mut self) -> Result<i64, Ended> {
        let map = self.map()?;
        self.done.map_entries = map.len() as u64;
        let end_offset = map.latest_offset() + 1;
        let extents = self.plan.range.extents.iter();
        let extents: Vec<_> = extents.take_while(|extent| extent.base_offset < end_offset).copied().collect();
        let mut transactions = Transactions::default();
        for group in groups(&extents, &self.plan.options) {
            self.rewrite(group, &map, &mut transactions)?;
        }
        Ok(end_offset)
    }

    /// The latest offset of each key of the dirty part, as far as there is memory for them. Aborted records and markers
    /// have no part in it.
    fn map(&mut self) -> Result<OffsetMap, Ended> {
        let from = self.plan.range.first_dirty_offset;
        let mut map = OffsetMap::new(self.plan.limits.dedupe_buffer_bytes);
        let mut transactions = Transactions::default();
        transactions.expect(&self.aborted(from, self.plan.range.end_offset)?);
        for extent in self.plan.range.dirty().to_vec() {
            let mut source = self.source(&extent, from)?;
            while let Some(chunk) = source.next()? {
                for batch in batches(chunk) {
                    let (info, batch) = batch?;
                    if info.is_control() {
                        transactions.end(&info, crate::batch_info::Marker::parse(batch));
                    } else if !transactions.is_aborted(&info) && !map_keys(&info, batch, from, &mut map)? {
                        return Ok(map);
                    }
                    map.reached(info.last_offset);
                }
                self.done.bytes_read += chunk.len() as u64;
                (self.pace)(chunk.len() as u64).check()?;
            }
            map.reached(extent.next_offset - 1);
        }
        Ok(map)
    }

    /// Writes what stays of these extents, and puts it in their place.
    fn rewrite(
        &mut self,
        group: &[Extent],
        map: &OffsetMap,
        transactions: &mut Transactions,
    ) -> Result<(), Ended> {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(()) };
        transactions.expect(&self.aborted(first.base_offset, last.next_offset)?);
        let (options, last_records) = (&self.plan.options, self.plan.last_records.clone());
        let new = self.log.with(|log, _| Ok(log.store.begin_replacement(group, options)))?;
        let mut new = new.ok_or(Ended::Stopped)?;
        let filter = Filter {
            map,
            last_records: &last_records,
            round_end: self.plan.range.end_offset,
            now_ms: self.plan.now_ms,
            delete_retention_ms: self.plan.options.delete_retention_ms,
        };
        let mut kept = Kept::default();
        let mut counts = Counts::default();
        for extent in group {
            let mut source = self.source(extent, extent.base_offset)?;
            while let Some(chunk) = source.next()? {
                for batch in batches(chunk) {
                    let (info, batch) = batch?;
                    let aborted = filter.take(&info, batch, transactions, &mut kept.batches, &mut counts)?;
                    kept.aborted.extend(aborted);
                }
                self.done.bytes_read += chunk.len() as u64;
                (self.pace)(chunk.len() as u64).check()?;
                if kept.batches.len() >= self.plan.limits.io_buffer_bytes as usize {
                    self.write(&mut *new, &mut kept)?;
                }
            }
        }
        self.write(&mut *new, &mut kept)?;
        new.finish()?;
        self.replace(group, &mut *new)?;
        self.done.bytes_before += group.iter().map(|extent| extent.bytes).sum::<u64>();
        self.done.bytes_after += kept.written;
        self.done.records_before += counts.records_read;
        self.done.records_after += counts.records_kept;
        self.done.records_without_key += counts.records_without_key;
        Ok(())
    }

    fn write(&mut self, new: &mut dyn Replacement, kept: &mut Kept) -> Result<(), Ended> {
        let bytes = kept.batches.len() as u64;
        new.append(&kept.batches, &kept.aborted)?;
        kept.written += bytes;
        kept.batches.clear();
        kept.aborted.clear();
        self.done.bytes_written += bytes;
        (self.pace)(bytes).check()
    }

    fn replace(&mut self, group: &[Extent], new: &mut dyn Replacement) -> Result<(), Ended> {
        let delay_ms = self.plan.options.file_delete_delay_ms.max(READERS_MS);
        let remove_at_ms = self.plan.now_ms.saturating_add(delay_ms);
        let end_offset = group.last().map_or(0, |last| last.next_offset);
        loop {
            let step = self.log.with(|log, _| {
                let step = log.store.replace(group, new, remove_at_ms)?;
                if let Some(tail) = &mut log.tail {
                    tail.forget_before(end_offset);
                }
                Ok(step)
            })?;
            match step {
                Replacing::Next(flush) => flush.run()?,
                Replacing::Done => return Ok(()),
                Replacing::Gone => return Err(Ended::Stopped),
            }
        }
    }

    fn aborted(&self, from: i64, upper_offset: i64) -> Result<Vec<AbortedTransaction>, StorageError> {
        self.log.with(|log, _| log.store.aborted(from, upper_offset))?.wait()
    }

    fn source(&self, extent: &Extent, from: i64) -> Result<Box<dyn crate::store::Source>, Ended> {
        let buffer_bytes = self.plan.limits.io_buffer_bytes as usize;
        let source = self.log.with(|log, _| Ok(log.store.source(extent.base_offset, from, buffer_bytes)))?;
        source.ok_or(Ended::Stopped)
    }
}

impl Pace {
    fn check(self) -> Result<(), Ended> {
        match self {
            Self::Go => Ok(()),
            Self::Stop => Err(Ended::Stopped),
        }
    }
}

/// What is to be written next.
#[derive(Default)]
struct Kept {
    batches: Vec<u8>,
    aborted: Vec<AbortedTransaction>,
    written: u64,
}

/// Extents that become one: together they are not larger than one may be, and their offsets fit into 31 bits.
fn groups<'a>(extents: &'a [Extent], options: &LogOptions) -> Vec<&'a [Extent]> {
    let mut groups = Vec::new();
    let (mut first, mut bytes, mut index_bytes) = (0, 0, 0);
    for (at, extent) in extents.iter().enumerate() {
        let fits = bytes + extent.bytes <= u64::from(options.segment_bytes)
            && index_bytes + extent.index_bytes <= u64::from(options.segment_index_bytes)
            && (extent.bytes == 0
                || extent.next_offset - 1 - extents[first].base_offset <= i64::from(i32::MAX));
        if !fits && at > first {
            groups.push(&extents[first..at]);
            (first, bytes, index_bytes) = (at, 0, 0);
        }
        bytes += extent.bytes;
        index_bytes += extent.index_bytes;
    }
    if first < extents.len() {
        groups.push(&extents[first..]);
    }
    groups
}
