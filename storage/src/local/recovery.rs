//! Opening a log's directory. After a clean stop only the end of the active segment is looked at. After a crash what lies
//! behind the recovery point is checked: the log is cut at the first batch that is torn or whose CRC is wrong, and
//! indexes, producers and epochs are rebuilt from there; so are the entries of aborted transactions, from their markers.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::checkpoint_files::Checkpoint;
use super::disk::{Disk, read_whole};
use super::index::{OffsetIndex, TimeEntry, TimeIndex};
use super::open_files::OpenFiles;
use super::recall::recall;
use super::reindex::{Stretch, batch_at, clear_indexes, cut_indexes, has_sane_end};
use super::scan::Scanner;
use super::segment::{SNAPSHOT, Segment, parse_segment_name, segment_path};
use super::store::{EPOCHS_FILE, LocalStore};
use super::swap;
use crate::aborted::AbortedTransaction;
use crate::batch_info::{Marker, crc_matches};
use crate::epochs::Epochs;
use crate::error::StorageError;
use crate::log::Opened;
use crate::options::{LogId, LogOptions};
use crate::producers::Producers;
use crate::store::{LogStore, Note};

/// No index, snapshot or checkpoint file of a log is larger.
pub(super) const SMALL_FILE_MAX_BYTES: u64 = 256 << 20;

/// Opens what is in `dir`, or an empty log when there is nothing. `checkpoint.recovery_point` is ignored for a log
/// that was closed cleanly.
pub(crate) fn open(
    id: &LogId,
    dir: PathBuf,
    files: Arc<OpenFiles>,
    checkpoint: Checkpoint,
    is_clean: bool,
    may_have_gaps: bool,
    options: &LogOptions,
) -> Result<Opened, StorageError> {
    let mut recovery = Recovery {
        store: LocalStore::empty(id.clone(), dir, files),
        producers: Producers::default(),
        epochs: Epochs::default(),
        epochs_on_disk: Epochs::default(),
        snapshots: Vec::new(),
        snapshot_offset: 0,
        transactions: Producers::default(),
        transactions_offset: 0,
        is_txn_index_damaged_from: i64::MAX,
        aborted_from: 0,
        aborted: Vec::new(),
        recovery_point: if is_clean || checkpoint.is_closed { i64::MAX } else { checkpoint.recovery_point },
        flushed_to: if is_clean && !checkpoint.is_closed { i64::MAX } else { checkpoint.recovery_point },
        is_closed: checkpoint.is_closed,
        start_offset: checkpoint.start_offset,
        index_interval: options.index_interval_bytes,
        may_have_gaps,
        has_gaps: false,
    };
    recovery.list()?;
    recovery.load_epochs();
    while !recovery.walk()? {
        recovery.store.segments.clear();
        recovery.list()?;
    }
    Ok(recovery.finish())
}

struct Recovery {
    store: LocalStore,
    producers: Producers,
    epochs: Epochs,
    epochs_on_disk: Epochs,
    /// Offsets of the snapshot files, ascending.
    snapshots: Vec<i64>,
    /// Where `producers` stands before the walk.
    snapshot_offset: i64,
    /// The same, from further back: for the transaction indexes, which a crash may have taken where a later snapshot is left.
    transactions: Producers,
    transactions_offset: i64,
    /// The first segment whose transaction index cannot be right.
    is_txn_index_damaged_from: i64,
    /// What was aborted before stands in the transaction indexes.
    aborted_from: i64,
    /// What the walk has found in the present segment.
    aborted: Vec<AbortedTransaction>,
    /// What lies before is not checked.
    recovery_point: i64,
    /// What lies before is on the disk.
    flushed_to: i64,
    /// This process has put it away: no file in its directory is of a past one.
    is_closed: bool,
    /// As it was last noted.
    start_offset: i64,
    index_interval: u32,
    /// Compaction may have removed batches anywhere.
    may_have_gaps: bool,
    /// It has one where without compaction something would be lost.
    has_gaps: bool,
}

impl Recovery {
    fn disk(&self) -> &dyn Disk {
        self.store.files.disk()
    }

    /// Finds the segments and the snapshots.
    fn list(&mut self) -> Result<(), StorageError> {
        let dir = &self.store.dir;
        let failed = |error| StorageError::io("list", dir, error);
        let mut names = if self.is_closed { self.disk().list(dir).map_err(failed)? } else { Vec::new() };
        // A log that was put away has left nothing of a compaction, unless the disk refused.
        let is_left = |name: &String| name.ends_with(swap::SWAP) || name.ends_with(swap::CLEANED);
        if !self.is_closed || names.iter().any(is_left) {
            names = swap::tidy(self.disk(), dir).map_err(failed)?;
        }
        let bases: HashSet<_> = names.iter().filter_map(|name| base_of(name, ".log")).collect();
        let mut txn_indexes = HashSet::new();
        self.snapshots.clear();
        for name in names {
            match parse_segment_name(&name) {
                Some((offset, SNAPSHOT)) => self.snapshots.push(offset),
                // A crash came while the segment was deleted.
                Some((base, ".index" | ".timeindex" | ".txnindex")) if !bases.contains(&base) => {
                    self.remove(self.store.dir.join(name));
                }
                Some((base, ".txnindex")) => {
                    txn_indexes.insert(base);
                }
                _ => {}
            }
        }
        let mut bases: Vec<_> = bases.into_iter().collect();
        bases.sort_unstable();
        self.snapshots.sort_unstable();
        for base in bases {
            let mut segment = self.load(base)?;
            if txn_indexes.contains(&base) && !segment.load_txn_index(&self.store.files)? {
                self.is_txn_index_damaged_from = self.is_txn_index_damaged_from.min(base);
            }
            self.store.segments.push(segment);
        }
        Ok(())
    }

    /// A segment by the sizes of its files.
    fn load(&self, base_offset: i64) -> Result<Segment, StorageError> {
        let files = &self.store.files;
        let mut segment = Segment::new(&self.store.dir, base_offset, 0);
        let failed = |error| StorageError::io("open", segment.log.path(), error);
        let log = files.get(&segment.log).map_err(failed)?;
        let modified_ms = log.modified_ms().map_err(failed)?;
        let size = log.size().map_err(failed)?;
        let first = Scanner::new(&*log, size).header(0).map_err(failed)?;
        let index = files.get_or_create(&segment.index_file).map_err(failed)?;
        let time_index = files.get_or_create(&segment.time_index_file).map_err(failed)?;
        segment.index = OffsetIndex::stored((index.size().map_err(failed)? / 8) as u32);
        segment.time_index = TimeIndex::stored((time_index.size().map_err(failed)? / 12) as u32);
        let last = segment.time_index.last(&*time_index).map_err(failed)?;
        segment.rolling.bytes = size;
        segment.rolling.created_ms = modified_ms;
        segment.rolling.first_timestamp = first.map(|batch| batch.max_timestamp);
        segment.modified_ms = modified_ms;
        if let Some(last) = last.map(TimeEntry::decode) {
            segment.last_time_entry = last;
            segment.max = (last.timestamp, base_offset + i64::from(last.offset));
        }
        Ok(segment)
    }

    fn load_epochs(&mut self) {
        let path = self.store.dir.join(EPOCHS_FILE);
        let read = read_whole(self.disk(), &path, SMALL_FILE_MAX_BYTES);
        if let Ok(Some(bytes)) = read {
            self.epochs = Epochs::decode(&String::from_utf8_lossy(&bytes)).unwrap_or_default();
            self.epochs_on_disk = self.epochs.clone();
        }
    }

    /// The newest snapshot that can be read.
    fn load_producers(&mut self) {
        self.producers = Producers::default();
        self.snapshot_offset = self.store.segments.first().map_or(0, Segment::base_offset);
        while let Some(offset) = self.snapshots.pop() {
            let path = segment_path(&self.store.dir, offset, SNAPSHOT);
            let read = read_whole(self.disk(), &path, SMALL_FILE_MAX_BYTES);
            let decoded = read.ok().flatten().and_then(|bytes| Producers::decode(&bytes).ok());
            if let Some(producers) = decoded {
                self.producers = producers;
                self.snapshot_offset = offset;
                self.recall();
                return;
            }
            tracing::warn!(path = %path.display(), "the producer snapshot is damaged; an older one will do");
            self.remove(path);
        }
    }

    /// The newest snapshot before which no transaction index is in doubt.
    fn load_transactions(&mut self) {
        let first = self.store.segments.first().map_or(0, Segment::base_offset);
        self.aborted_from = self.recovery_point.min(self.is_txn_index_damaged_from);
        let sure_to = self.aborted_from.max(first);
        if self.snapshot_offset <= sure_to {
            (self.transactions, self.transactions_offset) = (self.producers.clone(), self.snapshot_offset);
            return;
        }
        (self.transactions, self.transactions_offset) = (Producers::default(), first);
        for offset in self.snapshots.iter().rev().filter(|offset| **offset <= sure_to) {
            let path = segment_path(&self.store.dir, *offset, SNAPSHOT);
            let read = read_whole(self.disk(), &path, SMALL_FILE_MAX_BYTES);
            if let Some(producers) = read.ok().flatten().and_then(|bytes| Producers::decode(&bytes).ok()) {
                (self.transactions, self.transactions_offset) = (producers, *offset);
                return;
            }
        }
    }

    fn recall(&mut self) {
        let Self { store, producers, snapshot_offset, .. } = self;
        if let Err(error) = recall(&store.segments, *snapshot_offset, producers, &store.files) {
            let dir = store.dir.display();
            tracing::warn!(%dir, %error, "only the last batch of each producer is known");
        }
    }

    /// Walks what must be looked at. False when it has removed a file that misled it, and is to be done again.
    fn walk(&mut self) -> Result<bool, StorageError> {
        self.load_producers();
        self.load_transactions();
        let from = self.recovery_point.min(self.snapshot_offset).min(self.transactions_offset);
        let known_to = self.snapshot_offset.min(self.transactions_offset);
        let ends: Vec<_> =
            self.store.segments.iter().skip(1).map(Segment::base_offset).chain([i64::MAX]).collect();
        self.store.next_offset = self.store.segments.first().map_or(0, Segment::base_offset);
        for (at, end) in ends.into_iter().enumerate() {
            let Some(segment) = self.store.segments.get_mut(at) else { break };
            self.store.next_offset = self.store.next_offset.max(segment.base_offset());
            let is_active = end == i64::MAX;
            let is_indexed = is_active || has_sane_end(segment, &self.store.files);
            // One that ends at the recovery point may have been sealed after it, and its last index entries lost.
            let must_check = is_active || end >= self.recovery_point || !is_indexed;
            if !must_check && end <= known_to {
                self.store.next_offset = end;
                continue;
            }
            let stretch = match must_check {
                true => cut_indexes(segment, from, self.recovery_point, &self.store.files)?,
                false => {
                    let position = segment.position_before(from, &self.store.files)?;
                    let found = batch_at(segment, position, &self.store.files)?;
                    let is_right = found.is_some_and(|batch| batch.base_offset <= from);
                    Stretch { start: if is_right { position } else { 0 }, rebuild_from: None }
                }
            };
            let Some(is_whole) = self.walk_segment(at, stretch)? else { return Ok(false) };
            if self.store.next_offset > end && self.remove_unbegun(at + 1)? {
                return Ok(false);
            }
            let segment = &mut self.store.segments[at];
            let (from, end_offset) = (self.aborted_from, self.store.next_offset);
            segment.recover_txn_index(&self.aborted, from, end_offset, &self.store.files)?;
            if must_check && !is_active {
                segment.seal(&self.store.files);
            }
            // A power cut may lose the end of a file and keep the next file. (Before the log's start nothing is missed: a log
            // whose end is lost goes on at its start.)
            let has_gap = !is_active && self.store.next_offset < end && end > self.start_offset;
            let is_unsure = has_gap && end > self.recovery_point;
            let has_lost_end = is_unsure && !self.may_have_gaps;
            self.has_gaps |= is_unsure;
            // Nothing is missed where the next segment goes on: what was cut was room that had been reserved.
            let is_cut_short = !is_whole && self.store.next_offset < end;
            if is_cut_short || has_lost_end {
                self.drop_after(at)?;
                break;
            }
        }
        if self.store.segments.is_empty() || self.store.next_offset >= self.snapshot_offset {
            return Ok(true);
        }
        // The log ends before its newest snapshot: an older one is the base then.
        self.remove_snapshot(self.snapshot_offset)?;
        Ok(false)
    }

    /// A segment that could not be begun and was removed, which a power cut has brought back: the batches that it was meant
    /// for lie in the one before it. False when it is none.
    fn remove_unbegun(&self, at: usize) -> Result<bool, StorageError> {
        let unbegun = self.store.segments.get(at).filter(|segment| segment.rolling.first_timestamp.is_none());
        let Some(segment) = unbegun else { return Ok(false) };
        self.store.remove_segment(segment.base_offset())?;
        let dir = &self.store.dir;
        self.disk().sync_dir(dir).map_err(|error| StorageError::io("sync", dir, error))?;
        Ok(true)
    }

    /// Walks one segment to its end. False when it was cut; nothing when its index turned out to be wrong, and is empty now.
    fn walk_segment(&mut self, at: usize, stretch: Stretch) -> Result<Option<bool>, StorageError> {
        let Stretch { start, rebuild_from } = stretch;
        let segment = &mut self.store.segments[at];
        let path = segment.log.clone();
        let failed = |error| StorageError::io("recover", path.path(), error);
        let file = self.store.files.get(&segment.log).map_err(failed)?;
        let size = segment.size();
        let mut scanner = Scanner::new(&*file, size);
        let mut position = start;
        self.aborted.clear();
        segment.rolling.bytes = rebuild_from.unwrap_or(size);
        while position < size {
            let Some(batch) = scanner.header(position).map_err(failed)? else { break };
            let is_unsure = batch.last_offset >= self.recovery_point;
            let is_behind = position > start && batch.base_offset < self.store.next_offset;
            let is_beyond = batch.last_offset.saturating_sub(segment.base_offset()) > i64::from(i32::MAX);
            if is_behind || is_beyond || batch.base_offset < segment.base_offset() {
                break;
            }
            let mut marker = None;
            if is_unsure || batch.is_control() {
                let bytes = scanner.bytes(position, batch.size as usize).map_err(failed)?;
                if is_unsure && !crc_matches(bytes) {
                    break;
                }
                marker = batch.is_control().then(|| Marker::parse(bytes)).flatten();
            }
            if rebuild_from.is_some_and(|from| position >= from) {
                if position != segment.size() {
                    break; // the index leads elsewhere
                }
                segment.took(&batch, self.index_interval, &self.store.files);
            }
            self.store.next_offset = self.store.next_offset.max(batch.next_offset());
            self.epochs.assign(batch.leader_epoch, batch.base_offset);
            if batch.base_offset >= self.snapshot_offset {
                self.producers.replay(&batch, marker);
            }
            if batch.base_offset >= self.transactions_offset {
                let aborted = self.transactions.replay(&batch, marker);
                self.aborted.extend(aborted.filter(|_| batch.base_offset >= self.aborted_from));
            }
            position += u64::from(batch.size);
        }
        if rebuild_from.is_some() && position != segment.size() {
            clear_indexes(segment, &self.store.files)?;
            return Ok(None);
        }
        if position == size {
            return Ok(Some(true));
        }
        let (bytes, path) = (size - position, path.path().display());
        if rebuild_from.is_none() {
            tracing::warn!(%path, position, "a batch is not whole; producers that wrote behind it may be unknown");
            return Ok(Some(true));
        }
        let is_reserved = scanner.bytes(position, 4096).map_err(failed)?.iter().all(|byte| *byte == 0);
        match is_reserved {
            true => tracing::info!(%path, position, bytes, "the log ends in zeros; they are cut off"),
            false => {
                tracing::warn!(%path, position, bytes, "the log ends in a batch that is not whole; it is cut there")
            }
        }
        // At once on the disk: batches that were whole behind it must not come back when others have been written here.
        file.set_size(position).and_then(|()| file.sync()).map_err(failed)?;
        segment.rolling.bytes = position;
        segment.is_dirty = true;
        Ok(Some(false))
    }

    /// Removes the segments that follow one that was cut: their offsets do not follow any more.
    fn drop_after(&mut self, at: usize) -> Result<(), StorageError> {
        let gone: Vec<_> = self.store.segments.drain(at + 1..).collect();
        let mut is_gone = false;
        for segment in gone {
            tracing::warn!(path = %segment.log.path().display(), "removed, since the segment before it was cut");
            self.store.remove_segment(segment.base_offset())?;
            is_gone = true;
        }
        let dir = &self.store.dir;
        let synced = if is_gone { self.disk().sync_dir(dir) } else { Ok(()) };
        synced.map_err(|error| StorageError::io("sync", dir, error))
    }

    fn finish(mut self) -> Opened {
        let first = self.store.segments.first().map_or(self.start_offset, Segment::base_offset);
        let start_offset = self.start_offset.max(first);
        let end_offset = self.store.next_offset.max(start_offset);
        if self.store.next_offset < start_offset {
            // All that is left was deleted, and the ends of its transactions may be lost: nobody waits for them.
            self.producers = Producers::default();
        }
        self.store.next_offset = end_offset;
        self.epochs.truncate_from_end(end_offset);
        if self.epochs != self.epochs_on_disk {
            // After a clean stop nobody would find it out again. What the file said must not come back at a power cut either.
            let noted = self.store.note(Note::Epochs(&self.epochs.encode())).and_then(|()| {
                let dir = &self.store.dir;
                self.disk().sync_dir(dir).map_err(|error| StorageError::io("sync", dir, error))
            });
            noted.unwrap_or_else(|error| tracing::warn!(%error, "the leader epochs are not written yet"));
        }
        self.producers.committed_up_to(end_offset);
        if let Some((_, sealed)) = self.store.segments.split_last_mut() {
            sealed.iter_mut().for_each(|segment| segment.txn_index.seal());
        }
        for segment in &mut self.store.segments {
            segment.synced_bytes = segment.size();
        }
        // What was noted when the log was put away has not been synced since, even where all batches have.
        if self.is_closed || self.flushed_to < end_offset {
            self.snapshots.push(self.snapshot_offset);
            self.store.doubt_from(self.flushed_to, &self.snapshots);
        }
        Opened {
            store: Box::new(self.store),
            start_offset,
            end_offset,
            recovery_point: self.flushed_to.min(end_offset),
            cleaned_to: None,
            has_gaps: self.has_gaps,
            snapshot_offset: self.snapshot_offset,
            producers: self.producers,
            epochs: self.epochs,
            has_tail: true,
            home: 0,
        }
    }

    /// For good: it must not come back at a power cut, when the log has grown beyond it with other batches.
    fn remove_snapshot(&self, offset: i64) -> Result<(), StorageError> {
        let path = segment_path(&self.store.dir, offset, SNAPSHOT);
        let removed = match self.disk().remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.disk().sync_dir(&self.store.dir),
        };
        removed.map_err(|error| StorageError::io("remove", &path, error))
    }

    fn remove(&self, path: PathBuf) {
        if let Err(error) = self.disk().remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "could not remove");
        }
    }
}

fn base_of(name: &str, suffix: &str) -> Option<i64> {
    parse_segment_name(name).filter(|(_, found)| *found == suffix).map(|(base, _)| base)
}
