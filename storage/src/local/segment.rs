//! One segment: `.log` and its two indexes, named after the first offset.

use std::io;
use std::path::{Path, PathBuf};

use super::disk::DiskFile;
use super::index::{Index, OffsetEntry, OffsetIndex, TimeEntry, TimeIndex};
use super::open_files::{CachedFile, OpenFiles};
use super::sync::{ToSync, Written};
use super::txn_index::TxnIndex;
use crate::aborted::AbortedTransaction;
use crate::batch_info::BatchInfo;
use crate::error::StorageError;
use crate::options::LogOptions;
use crate::rolling::Rolling;
use crate::store::{Extent, Placed};

/// The files of a segment.
pub(crate) const FILE_SUFFIXES: [&str; 4] = [".log", ".index", ".timeindex", ".txnindex"];
/// What was known of producers at an offset, which segments begin at. It holds whatever becomes of the segment.
pub(crate) const SNAPSHOT: &str = ".snapshot";

pub(crate) struct Segment {
    pub log: CachedFile,
    pub index_file: CachedFile,
    pub time_index_file: CachedFile,
    pub index: OffsetIndex,
    pub time_index: TimeIndex,
    pub txn_index: TxnIndex,
    pub rolling: Rolling,
    /// The largest timestamp so far and the last offset of the batch that has it.
    pub max: (i64, i64),
    pub last_time_entry: TimeEntry,
    pub bytes_since_index: u64,
    pub modified_ms: i64,
    /// Written since it was last synced.
    pub is_dirty: bool,
    /// An index was. Recovery believes in what the indexes say of flushed batches.
    pub is_index_dirty: bool,
    /// The file goes on behind the batches with space that was reserved.
    is_preallocated: bool,
    /// The file goes on behind the last batch, because it could not be cut there.
    must_trim: bool,
    /// So much of the `.log` was to be on the disk after the last flush.
    pub synced_bytes: u64,
}

impl Segment {
    /// A segment without looking at its files: those of a new one are there with `create`.
    pub fn new(dir: &Path, base_offset: i64, now_ms: i64) -> Self {
        Self::of(base_offset, now_ms, |suffix| CachedFile::new(segment_path(dir, base_offset, suffix)))
    }

    /// The same, whose files have this behind their names for now.
    pub fn named(dir: &Path, base_offset: i64, now_ms: i64, ending: &str) -> Self {
        Self::of(base_offset, now_ms, |suffix| {
            let path = segment_path(dir, base_offset, suffix);
            let now = with_ending(&path, ending);
            CachedFile::moved(path, now)
        })
    }

    fn of(base_offset: i64, now_ms: i64, file: impl Fn(&str) -> CachedFile) -> Self {
        Self {
            log: file(".log"),
            index_file: file(".index"),
            time_index_file: file(".timeindex"),
            index: OffsetIndex::default(),
            time_index: TimeIndex::default(),
            txn_index: TxnIndex::new(file(".txnindex"), base_offset),
            rolling: Rolling::new(base_offset, now_ms),
            max: (-1, base_offset),
            last_time_entry: TimeEntry { timestamp: -1, offset: 0 },
            bytes_since_index: 0,
            modified_ms: now_ms,
            is_dirty: false,
            is_index_dirty: false,
            is_preallocated: false,
            must_trim: false,
            synced_bytes: 0,
        }
    }

    /// Creates the files, empty; with `preallocate` the `.log` has its full size at once.
    pub fn create(&mut self, options: &LogOptions, files: &OpenFiles) -> io::Result<()> {
        for file in [&self.log, &self.index_file, &self.time_index_file] {
            files.get_or_create(file)?.set_size(0)?;
        }
        if options.preallocate {
            files.get(&self.log)?.set_size(u64::from(options.segment_bytes))?;
            self.is_preallocated = true;
        }
        Ok(())
    }

    /// The files that it is made of; the last may not be there.
    pub fn files(&self) -> [&CachedFile; 4] {
        [&self.log, &self.index_file, &self.time_index_file, self.txn_index.file()]
    }

    /// Its files, and the snapshot of the producers at its start, of which some may not be there.
    pub fn all_files(&self) -> [CachedFile; 5] {
        let snapshot = CachedFile::new(self.log.path().with_extension("snapshot"));
        let [log, index, time_index, txn_index] = self.files().map(Clone::clone);
        [log, index, time_index, txn_index, snapshot]
    }

    pub fn base_offset(&self) -> i64 {
        self.rolling.base_offset
    }

    /// Bytes of whole batches in the `.log`.
    pub fn size(&self) -> u64 {
        self.rolling.bytes
    }

    pub fn extent(&self, next_offset: i64) -> Extent {
        Extent {
            base_offset: self.base_offset(),
            next_offset,
            bytes: self.size(),
            max_timestamp: self.max.0,
            modified_ms: self.modified_ms,
            first_timestamp: self.rolling.first_timestamp.unwrap_or(-1),
            index_bytes: (u64::from(self.index.len()) * 8).max(u64::from(self.time_index.len()) * 12),
        }
    }

    pub fn is_over_before(&self, batches: &[Placed], options: &LogOptions, now_ms: i64) -> bool {
        // Kafka keeps the last place of the time index for the entry that a sealed segment gets.
        let last_time_entries = options.segment_index_bytes.saturating_sub(12);
        self.rolling.is_over_before(batches, options, now_ms)
            || self.index.is_full(options.segment_index_bytes)
            || self.time_index.is_full(last_time_entries)
    }

    /// Writes batches at the end with one call. After an error the file is cut back to what it was.
    pub fn append(
        &mut self,
        batches: &[Placed],
        options: &LogOptions,
        now_ms: i64,
        files: &OpenFiles,
    ) -> Result<(), StorageError> {
        let path = self.log.clone();
        let failed = |error| StorageError::io("append to", path.path(), error);
        self.cut(files).map_err(failed)?;
        let file = files.get(&self.log).map_err(failed)?;
        let written = match batches {
            [batch] => file.write_at(&batch.bytes, self.size()),
            _ => {
                let all: Vec<u8> = batches.iter().flat_map(|batch| batch.bytes.iter().copied()).collect();
                file.write_at(&all, self.size())
            }
        };
        if let Err(error) = written {
            // What was written of it must not be found by a recovery. If this fails too, it is tried again before the next
            // write: a shorter one would leave batches behind it that look as if they followed.
            self.must_trim = file.set_size(self.size()).is_err();
            (self.is_preallocated, self.is_dirty) = (false, true);
            return Err(failed(error));
        }
        self.modified_ms = now_ms;
        self.is_dirty = true;
        for batch in batches {
            self.took(&batch.info, options.index_interval_bytes, files);
        }
        Ok(())
    }

    /// Takes note of a batch that lies at the end: indexes, timestamps, size.
    pub fn took(&mut self, batch: &BatchInfo, interval: u32, files: &OpenFiles) {
        if batch.max_timestamp > self.max.0 {
            self.max = (batch.max_timestamp, batch.last_offset);
        }
        let position = self.size();
        let is_entry_due = self.bytes_since_index > u64::from(interval);
        self.rolling.took(batch);
        self.bytes_since_index += u64::from(batch.size);
        if is_entry_due {
            self.bytes_since_index = u64::from(batch.size);
            let entry = OffsetEntry {
                offset: self.relative(batch.last_offset),
                position: u32::try_from(position).unwrap_or(u32::MAX),
            };
            self.push_time_entry();
            if self.index.push(entry.encode()) {
                self.try_to_write_indexes(files);
            }
        }
    }

    /// The segment takes no more: its last time index entry is written, so that its largest timestamp is known, and what
    /// was reserved is given back.
    pub fn seal(&mut self, files: &OpenFiles) {
        self.note_max_timestamp(files);
        self.trim(files);
    }

    /// Brings the indexes up to date, with an entry for the largest timestamp.
    pub fn note_max_timestamp(&mut self, files: &OpenFiles) {
        self.push_time_entry();
        self.try_to_write_indexes(files);
    }

    /// Gives back the space that was reserved.
    pub fn trim(&mut self, files: &OpenFiles) {
        self.must_trim |= std::mem::take(&mut self.is_preallocated);
        if let Err(error) = self.cut(files) {
            // The next flush tries again, or a recovery does it.
            tracing::warn!(segment = %self.log.path().display(), %error, "could not give back the space of a segment");
        }
    }

    /// Whether its files tell all that is known of it, under their own names.
    pub fn is_settled(&self) -> bool {
        !self.must_trim && self.txn_index.is_written() && !self.files().into_iter().any(CachedFile::is_moved)
    }

    /// Makes the file end where its batches do, where it must: a clean start believes in its size.
    pub fn cut(&mut self, files: &OpenFiles) -> io::Result<()> {
        if self.must_trim {
            files.get(&self.log)?.set_size(self.size())?;
            (self.must_trim, self.is_dirty) = (false, true);
        }
        Ok(())
    }

    fn push_time_entry(&mut self) {
        let entry = TimeEntry { timestamp: self.max.0, offset: self.relative(self.max.1) };
        if entry.timestamp > self.last_time_entry.timestamp {
            self.time_index.push(entry.encode());
            self.last_time_entry = entry;
        }
    }

    /// An error is no harm yet: lookups have the entries from memory, and the next flush writes them.
    fn try_to_write_indexes(&mut self, files: &OpenFiles) {
        if let Err(error) = self.write_indexes(files) {
            tracing::warn!(segment = %self.log.path().display(), %error, "could not write index entries");
        }
    }

    fn write_indexes(&mut self, files: &OpenFiles) -> io::Result<()> {
        let offsets = write_index(&mut self.index, &self.index_file, files);
        let times = write_index(&mut self.time_index, &self.time_index_file, files);
        self.is_index_dirty |= *offsets.as_ref().unwrap_or(&false) | *times.as_ref().unwrap_or(&false);
        offsets.and(times).map(|_| ())
    }

    /// Where to begin looking for the batch that holds `offset`.
    pub fn position_before(&self, offset: i64, files: &OpenFiles) -> Result<u64, StorageError> {
        let file = files.get(&self.index_file);
        let lookup = file.and_then(|file| lookup_position(&*file, &self.index, self.base_offset(), offset));
        lookup.map_err(|error| StorageError::io("read", self.index_file.path(), error))
    }

    /// No batch before the one that holds this offset is as late as `timestamp`.
    pub fn offset_before_time(&self, timestamp: i64, files: &OpenFiles) -> Result<i64, StorageError> {
        let file = files.get(&self.time_index_file);
        let entry = file.and_then(|file| {
            self.time_index.last_where(&*file, |entry| TimeEntry::decode(entry).timestamp <= timestamp)
        });
        let entry = entry.map_err(|error| StorageError::io("read", self.time_index_file.path(), error))?;
        Ok(self.base_offset() + entry.map_or(0, |entry| i64::from(TimeEntry::decode(entry).offset)))
    }

    /// Writes what waits, and says which files must be synced for this segment to be durable. After an error the next call
    /// says the rest.
    pub fn take_dirty_files(&mut self, files: &OpenFiles, to_sync: &mut Vec<ToSync>) -> io::Result<()> {
        let written = self.write_indexes(files).and(self.txn_index.write(files)).and(self.cut(files));
        let anything = |file: &CachedFile| ToSync { file: file.clone(), written: Written::Anything };
        if std::mem::take(&mut self.is_dirty) {
            let to = self.size();
            let written = Written::Batches { from: self.synced_bytes.min(to), to };
            self.synced_bytes = to;
            to_sync.push(ToSync { file: self.log.clone(), written });
        }
        if std::mem::take(&mut self.is_index_dirty) {
            to_sync.extend([anything(&self.index_file), anything(&self.time_index_file)]);
        }
        to_sync.extend(self.txn_index.dirty_file().map(anything));
        written
    }

    /// Takes the entries of the `.txnindex`. False when some of them cannot be right.
    pub fn load_txn_index(&mut self, files: &OpenFiles) -> Result<bool, StorageError> {
        let loaded = self.txn_index.load(files);
        loaded.map_err(|error| StorageError::io("read the transaction index of", self.log.path(), error))
    }

    /// Makes the `.txnindex` what the batches say from `from` on.
    pub fn recover_txn_index(
        &mut self,
        aborted: &[AbortedTransaction],
        from: i64,
        end_offset: i64,
        files: &OpenFiles,
    ) -> Result<(), StorageError> {
        let recovered = self.txn_index.recover(aborted, from, end_offset, files);
        recovered
            .map_err(|error| StorageError::io("recover the transaction index of", self.log.path(), error))
    }

    fn relative(&self, offset: i64) -> u32 {
        (offset - self.base_offset()) as u32 // rolled before it outgrows 31 bits
    }
}

/// True when there was something to write.
fn write_index<const N: usize>(
    index: &mut Index<N>,
    file: &CachedFile,
    files: &OpenFiles,
) -> io::Result<bool> {
    let has_pending = index.has_pending();
    if has_pending {
        index.write(&*files.get(file)?)?;
    }
    Ok(has_pending)
}

/// The position that the index gives for `offset`: that of a batch at or before the one that holds it.
pub(crate) fn lookup_position(
    file: &dyn DiskFile,
    index: &OffsetIndex,
    base_offset: i64,
    offset: i64,
) -> io::Result<u64> {
    if offset <= base_offset {
        return Ok(0);
    }
    let relative = u32::try_from(offset - base_offset).unwrap_or(u32::MAX);
    let entry = index.last_where(file, |entry| OffsetEntry::decode(entry).offset <= relative)?;
    Ok(entry.map_or(0, |entry| u64::from(OffsetEntry::decode(entry).position)))
}

/// `00000000000000000042.log` and the like.
pub(crate) fn segment_path(dir: &Path, base_offset: i64, suffix: &str) -> PathBuf {
    dir.join(format!("{base_offset:020}{suffix}"))
}

/// A path with something behind it.
pub(crate) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// The base offset and the suffix of a segment file's name.
pub(crate) fn parse_segment_name(name: &str) -> Option<(i64, &str)> {
    let (digits, suffix) = name.split_at_checked(20)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((digits.parse().ok()?, suffix))
}
