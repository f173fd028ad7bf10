//! The engine's half of one log: a directory of segments.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cold::{self, SegmentView};
use super::disk::{Create, Disk, write_whole};
use super::open_files::{CachedFile, OpenFiles};
use super::partition_metadata;
use super::replace::Leftovers;
use super::segment::{FILE_SUFFIXES, SNAPSHOT, Segment, parse_segment_name, segment_path, with_ending};
use super::swap::DELETED;
use super::sync::{InDoubt, SyncJob, ToSync, Written};
use super::txn_index::{self, TxnIndexView};
use crate::aborted::AbortedTransaction;
use crate::commit::Commit;
use crate::error::StorageError;
use crate::options::{LogId, LogOptions};
use crate::store::{ColdRead, Extent, Flush, LogStore, Note, Placed, Read, ReadLimits, Records, Submitted};

pub(crate) const EPOCHS_FILE: &str = "leader-epoch-checkpoint";
/// A read looks into at most so many segments for the next batch.
const SEGMENTS_PER_READ: usize = 2;

pub(crate) struct LocalStore {
    id: LogId,
    pub dir: PathBuf,
    pub files: Arc<OpenFiles>,
    /// Ascending; empty until the first append, when the directory is made.
    pub segments: Vec<Segment>,
    pub next_offset: i64,
    /// They are no more the log's, but their files have their names yet.
    pub(super) leaving: VecDeque<Leaving>,
    pub(super) leftovers: Leftovers,
    /// Begun in vain, and some of its files may be there.
    unfinished: Option<i64>,
    /// Snapshots of producers that were written since the last flush.
    unsynced_snapshots: Vec<i64>,
    /// What `leader-epoch-checkpoint` should say and does not yet.
    unwritten_epochs: Option<String>,
    /// The directory was made here, and there are no epochs in it yet.
    has_new_dir: bool,
    are_epochs_unsynced: bool,
    /// Files were made since the directory was synced.
    pub(super) is_dir_dirty: bool,
    in_doubt: Arc<InDoubt>,
}

pub(super) struct Leaving {
    pub segment: Segment,
    /// What its files are called after their names until they are removed.
    pub ending: String,
    pub remove_at_ms: i64,
}

impl LocalStore {
    /// A log without a directory.
    pub fn empty(id: LogId, dir: PathBuf, files: Arc<OpenFiles>) -> Self {
        Self {
            id,
            dir,
            files,
            segments: Vec::new(),
            next_offset: 0,
            leaving: VecDeque::new(),
            leftovers: Leftovers::default(),
            unfinished: None,
            unsynced_snapshots: Vec::new(),
            unwritten_epochs: None,
            has_new_dir: false,
            are_epochs_unsynced: false,
            is_dir_dirty: false,
            in_doubt: Arc::default(),
        }
    }

    /// Nobody knows whether what lies behind `flushed_to` is on the disk: the next flush sees to it.
    pub fn doubt_from(&mut self, flushed_to: i64, snapshots: &[i64]) {
        let known = self.segments.iter().skip(1).take_while(|next| next.base_offset() <= flushed_to).count();
        for segment in &mut self.segments[known..] {
            (segment.is_dirty, segment.is_index_dirty, segment.synced_bytes) = (true, true, 0);
            segment.txn_index.doubt();
        }
        self.unsynced_snapshots.extend(snapshots.iter().filter(|offset| **offset >= flushed_to));
        (self.is_dir_dirty, self.are_epochs_unsynced) = (true, true);
    }

    fn create_dir(&mut self) -> Result<(), StorageError> {
        let disk = self.files.disk();
        let failed = |error| StorageError::io("create", &self.dir, error);
        disk.create_dir(&self.dir).map_err(failed)?;
        partition_metadata::write(disk, &self.dir, self.id.topic_id).map_err(failed)?;
        self.has_new_dir = true;
        Ok(())
    }

    /// Begins a segment, and seals the one before it.
    fn begin_segment(
        &mut self,
        base_offset: i64,
        options: &LogOptions,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        if self.segments.is_empty() {
            self.create_dir()?;
        }
        if let Some(sealed) = self.segments.last_mut() {
            sealed.cut(&self.files).map_err(|error| StorageError::io("cut", sealed.log.path(), error))?;
            sealed.seal(&self.files);
            sealed.txn_index.seal();
        }
        self.is_dir_dirty = true;
        let mut segment = Segment::new(&self.dir, base_offset, now_ms);
        if let Err(error) = segment.create(options, &self.files) {
            self.unfinished = Some(base_offset);
            // The next append tries again, if this fails too.
            let _ = self.remove_unfinished();
            return Err(StorageError::io("create", segment.log.path(), error));
        }
        self.segments.push(segment);
        Ok(())
    }

    /// Removes what is left of a segment that could not be begun: the batch after which it is named may yet find its place in
    /// the segment before, and a start would look for it in this one.
    fn remove_unfinished(&mut self) -> Result<(), StorageError> {
        if let Some(base_offset) = self.unfinished {
            self.is_dir_dirty = true;
            // The snapshot of the producers holds at this offset, whatever lies there.
            self.remove_files(base_offset, &FILE_SUFFIXES)?;
            self.unfinished = None;
        }
        Ok(())
    }

    /// Takes segments out of the log, oldest first. Their files get the suffix that Kafka removes at a start, and go
    /// `file.delete.delay.ms` later, since readers may hold them.
    fn retire(&mut self, gone: impl IntoIterator<Item = Segment>, options: &LogOptions, now_ms: i64) {
        let remove_at_ms = now_ms.saturating_add(options.file_delete_delay_ms);
        let leaving =
            gone.into_iter().map(|segment| Leaving { segment, ending: DELETED.to_owned(), remove_at_ms });
        self.leaving.extend(leaving);
        // The next flush tries again.
        let _ = self.retire_leaving(usize::MAX);
    }

    /// Renames the files of at most so many segments. One that cannot leave keeps the later ones waiting: a start must not find a
    /// gap, which would look like a loss, nor old segments alone that others had replaced.
    pub(super) fn retire_leaving(&mut self, count: usize) -> Result<(), StorageError> {
        for _ in 0..count {
            let Some(Leaving { segment, ending, remove_at_ms }) = self.leaving.front() else { break };
            // A snapshot is of use as long as a segment begins there.
            let is_begun = self.segments.iter().any(|other| other.base_offset() == segment.base_offset());
            let mut files = segment.all_files().into_iter();
            let snapshot = files.next_back().filter(|_| !is_begun);
            self.retire_files(files.by_ref().chain(snapshot), ending, *remove_at_ms)?;
            self.leaving.pop_front();
        }
        Ok(())
    }

    /// An error when the first of them, the `.log`, is still there.
    fn retire_files(
        &self,
        files: impl IntoIterator<Item = CachedFile>,
        ending: &str,
        remove_at_ms: i64,
    ) -> Result<(), StorageError> {
        for (at, file) in files.into_iter().enumerate() {
            let to = with_ending(file.path(), ending);
            match self.files.rename(&file, to.clone()) {
                Ok(()) => self.files.doomed.add_file(to, remove_at_ms),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(path = %file.path().display(), %error, "could not rename");
                    if at == 0 {
                        return Err(StorageError::io("rename", file.path(), error));
                    }
                }
            }
        }
        Ok(())
    }

    /// Removes the files of a segment that nobody has read, and what else begins with its number.
    pub(super) fn remove_segment(&self, base_offset: i64) -> Result<(), StorageError> {
        self.remove_files(base_offset, &FILE_SUFFIXES)?;
        self.remove_files(base_offset, &[SNAPSHOT])
    }

    fn remove_files(&self, base_offset: i64, suffixes: &[&str]) -> Result<(), StorageError> {
        for suffix in suffixes {
            let path = segment_path(&self.dir, base_offset, suffix);
            match self.files.disk().remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(StorageError::io("remove", &path, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Each segment with the offset at which the next begins, or the log ends.
    fn with_ends(&self) -> impl Iterator<Item = (&Segment, i64)> {
        let ends = self.segments.iter().skip(1).map(Segment::base_offset).chain([self.next_offset]);
        self.segments.iter().zip(ends)
    }

    fn append_aborted(&mut self, aborted: AbortedTransaction) -> io::Result<()> {
        let Some(segment) = self.segments.last_mut() else { return Ok(()) };
        self.is_dir_dirty = true; // the file may be new
        segment.txn_index.append(aborted, &self.files)
    }

    fn write_epochs(&mut self) -> Result<(), StorageError> {
        let Some(text) = &self.unwritten_epochs else { return Ok(()) };
        let (disk, path) = (self.files.disk(), self.dir.join(EPOCHS_FILE));
        // The first ones need no sync of their own: until the first flush, which syncs them, all of them are in batches that
        // a recovery reads. Waiting for the disk here is what a new log would take most of its time for.
        let written = match self.has_new_dir {
            true => write_first(disk, &path, text.as_bytes()),
            false => write_whole(disk, &path, text.as_bytes()),
        };
        written.map_err(|error| StorageError::io("write", &path, error))?;
        self.are_epochs_unsynced |= std::mem::take(&mut self.has_new_dir);
        (self.unwritten_epochs, self.is_dir_dirty) = (None, true);
        Ok(())
    }

    /// Snapshots of producers are of use at the start of a segment and at the end: the others go.
    fn remove_old_snapshots(&self, newest: i64) {
        let Ok(names) = self.files.disk().list(&self.dir) else { return };
        for name in names {
            let Some((offset, SNAPSHOT)) = parse_segment_name(&name) else { continue };
            let is_of_segment = self.segments.iter().any(|segment| segment.base_offset() == offset);
            if offset != newest && !is_of_segment {
                // It stays until the next time: a snapshot too many does no harm.
                let _ = self.files.disk().remove_file(&self.dir.join(name));
            }
        }
    }
}

impl LogStore for LocalStore {
    fn submit(
        &mut self,
        batches: &[Placed],
        options: &LogOptions,
        now_ms: i64,
    ) -> Result<Submitted, StorageError> {
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else {
            return Ok(Submitted { commit: Commit::ready(), rolled_at: None });
        };
        self.remove_unfinished()?;
        let mut rolled_at = None;
        let base_offset = first.info.base_offset;
        match self.segments.last() {
            None => self.begin_segment(base_offset, options, now_ms)?,
            // One that is empty takes whatever comes, if its offsets do.
            Some(active) if active.base_offset() == base_offset => {}
            Some(active) if active.is_over_before(batches, options, now_ms) => {
                self.begin_segment(base_offset, options, now_ms)?;
                rolled_at = Some(base_offset);
            }
            Some(_) => {}
        }
        let active = self.segments.len() - 1; // one was begun, if there was none
        self.segments[active].append(batches, options, now_ms, &self.files)?;
        self.next_offset = last.info.next_offset();
        Ok(Submitted { commit: Commit::ready(), rolled_at })
    }

    fn read(&mut self, from: i64, limits: ReadLimits) -> Result<Read, StorageError> {
        let after = self.segments.partition_point(|segment| segment.base_offset() <= from);
        // Compaction may have emptied some. The first that is not may end before `from`, the next has what follows.
        let filled = self.with_ends().skip(after.saturating_sub(1)).filter(|(segment, _)| segment.size() > 0);
        let views = filled.take(SEGMENTS_PER_READ).map(|(segment, end)| SegmentView::of(segment, end));
        let views: Vec<_> = views.collect();
        if views.is_empty() {
            return Ok(Read::Ready(Records::none(from)));
        }
        let files = self.files.clone();
        Ok(Read::Cold(ColdRead::new(move || cold::read(&views, from, limits, &files))))
    }

    fn aborted(
        &mut self,
        from: i64,
        upper_offset: i64,
    ) -> Result<Read<Vec<AbortedTransaction>>, StorageError> {
        let views: Vec<_> = self.segments.iter().filter_map(|segment| segment.txn_index.view(from)).collect();
        let files = self.files.clone();
        match views.iter().all(TxnIndexView::is_held) {
            true => txn_index::read(views, from, upper_offset, &files).map(Read::Ready),
            false => {
                Ok(Read::Cold(ColdRead::new(move || txn_index::read(views, from, upper_offset, &files))))
            }
        }
    }

    fn extents(&mut self) -> Result<Vec<Extent>, StorageError> {
        Ok(self.with_ends().map(|(segment, end)| segment.extent(end)).collect())
    }

    fn seek_time(&mut self, base_offset: i64, timestamp: i64) -> Result<i64, StorageError> {
        let segment = self.segments.iter().find(|segment| segment.base_offset() == base_offset);
        segment.map_or(Ok(base_offset), |segment| segment.offset_before_time(timestamp, &self.files))
    }

    fn set_start(&mut self, offset: i64, options: &LogOptions, now_ms: i64) -> Result<(), StorageError> {
        let Some(active) = self.segments.last() else {
            self.next_offset = self.next_offset.max(offset);
            return Ok(());
        };
        if self.next_offset <= offset && active.size() > 0 {
            self.begin_segment(offset, options, now_ms)?;
            self.next_offset = offset;
        }
        let gone = self.segments[1..].iter().take_while(|next| next.base_offset() <= offset).count();
        let gone: Vec<_> = self.segments.drain(..gone).collect();
        self.retire(gone, options, now_ms);
        Ok(())
    }

    fn flush(&mut self) -> Flush {
        // The next one tries again.
        let _ = self.retire_leaving(usize::MAX);
        // A start after this one believes what the files say.
        let (mut to_sync, mut is_written) = (Vec::new(), self.write_epochs());
        // A transaction index that is written now may be a new file.
        self.is_dir_dirty |= self.segments.iter().any(|segment| !segment.txn_index.is_written());
        for segment in &mut self.segments {
            let taken = segment.take_dirty_files(&self.files, &mut to_sync);
            is_written =
                is_written.and(taken.map_err(|error| StorageError::io("write in", &self.dir, error)));
        }
        // A recovery from here on rests on those that are left.
        for offset in std::mem::take(&mut self.unsynced_snapshots) {
            let file = CachedFile::new(segment_path(&self.dir, offset, SNAPSHOT));
            to_sync.push(ToSync { file, written: Written::Hints });
        }
        if std::mem::take(&mut self.are_epochs_unsynced) {
            let file = CachedFile::new(self.dir.join(EPOCHS_FILE));
            to_sync.push(ToSync { file, written: Written::Hints });
        }
        let dir = self.dir.clone();
        let job = SyncJob {
            to_sync,
            dir: dir.clone(),
            is_dir: std::mem::take(&mut self.is_dir_dirty),
            in_doubt: self.in_doubt.clone(),
            files: self.files.clone(),
        };
        // What could not be written yet is tried again with the next flush.
        Flush::new(move || job.run().map_err(|error| StorageError::io("sync", &dir, error)).and(is_written))
    }

    fn settle(&mut self) -> bool {
        let are_epochs_written = self.write_epochs().is_ok();
        if let Some(active) = self.segments.last_mut() {
            active.note_max_timestamp(&self.files);
            active.trim(&self.files);
        }
        are_epochs_written && self.unfinished.is_none() && self.segments.iter().all(Segment::is_settled)
    }

    fn note(&mut self, note: Note<'_>) -> Result<(), StorageError> {
        if self.segments.is_empty() {
            return Ok(());
        }
        if let Note::Producers { offset, .. } = note
            && offset == self.next_offset
            && let Some(active) = self.segments.last_mut()
        {
            // A clean stop: what is known of the last batches' times goes to the disk as well.
            active.note_max_timestamp(&self.files);
        }
        let disk = self.files.disk();
        match note {
            Note::Producers { offset, encoded } => {
                let path = segment_path(&self.dir, offset, SNAPSHOT);
                let written = write_snapshot(disk, &path, encoded);
                written.map_err(|error| StorageError::io("write", &path, error))?;
                self.unsynced_snapshots.push(offset);
                self.is_dir_dirty = true;
                self.remove_old_snapshots(offset);
                Ok(())
            }
            Note::Epochs(text) => {
                self.unwritten_epochs = Some(text.to_owned());
                self.write_epochs()
            }
            Note::Aborted(aborted) => {
                let dir = self.dir.clone();
                self.append_aborted(aborted).map_err(|error| StorageError::io("write index in", &dir, error))
            }
        }
    }
}

/// Of a file that is not there yet, or else as `write_whole`.
fn write_first(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = disk.open(path, Create::IfMissing)?;
    if file.size()? == 0 { file.write_at(bytes, 0) } else { write_whole(disk, path, bytes) }
}

/// Without a sync, which comes with the next flush: it has a CRC, and until then an older one does as well.
fn write_snapshot(disk: &dyn Disk, path: &Path, encoded: &[u8]) -> io::Result<()> {
    let file = disk.open(path, Create::IfMissing)?;
    let written = file.set_size(0).and_then(|()| file.write_at(encoded, 0));
    // Half of one is of no use, and may take the last space.
    written.inspect_err(|_| drop(disk.remove_file(path)))
}
