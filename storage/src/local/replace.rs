//! Segments that take the place of others. New ones are written as `.cleaned`; once they are on the disk they are renamed
//! to `.swap`, the old ones to `.deleted`, and then the new ones get their names: as Kafka does it, so that either finishes
//! at a start what the other began (`swap`). Between the steps the directory is synced, since a power cut may otherwise
//! keep a later rename and forget an earlier one.

use std::any::Any;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::open_files::{CachedFile, OpenFiles};
use super::segment::{Segment, with_ending};
use super::source::SegmentSource;
use super::store::{Leaving, LocalStore};
use super::swap::{CLEANED, DELETED, SWAP};
use crate::aborted::AbortedTransaction;
use crate::batch_info::BatchInfo;
use crate::error::StorageError;
use crate::options::LogOptions;
use crate::store::{Extent, Flush, Replacement, Replacing, Rewrite, Source};

/// What compaction leaves of a group of segments may be more than they had. One file takes no more, since its positions
/// are integers; then the next segment begins.
const SEGMENT_MAX_BYTES: u64 = i32::MAX as u64;
/// So many old segments leave the directory at once, so that appends need not wait long.
const RETIRED_PER_STEP: usize = 8;

/// Files of replacements that were given up, which could not be removed.
pub(super) type Leftovers = Arc<Mutex<Vec<CachedFile>>>;

pub(super) struct NewSegments {
    dir: PathBuf,
    files: Arc<OpenFiles>,
    base_offset: i64,
    modified_ms: i64,
    index_interval: u32,
    pub segment_max_bytes: u64,
    segments: Vec<Segment>,
    /// Their files, when they are the log's.
    unsettled: Vec<CachedFile>,
    leftovers: Leftovers,
    stage: Stage,
}

enum Stage {
    /// `.cleaned`
    Writing,
    /// `.cleaned` and on the disk; so many of them, and the others `.swap`.
    Naming(usize),
    /// `.swap`
    Named,
    /// They are the log's, and the old ones leave.
    Retiring,
    /// Only their names are missing.
    Settling,
    Settled,
}

impl Rewrite for LocalStore {
    fn source(&mut self, base_offset: i64, from: i64, buffer_bytes: usize) -> Option<Box<dyn Source>> {
        let segment = self.segments.iter().find(|segment| segment.base_offset() == base_offset)?;
        Some(Box::new(SegmentSource::new(segment, from, buffer_bytes, self.files.clone())))
    }

    fn begin_replacement(
        &mut self,
        extents: &[Extent],
        options: &LogOptions,
    ) -> Option<Box<dyn Replacement>> {
        // Beside a `.cleaned` a start would take what has a `.swap` for a part of what was not finished.
        if let Err(error) = self.remove_leftovers().and_then(|()| self.settle_earlier()) {
            tracing::warn!(dir = %self.dir.display(), %error, "what an earlier compaction left is in the way");
            return None;
        }
        Some(Box::new(NewSegments {
            dir: self.dir.clone(),
            files: self.files.clone(),
            base_offset: extents.first().map_or(0, |first| first.base_offset),
            // Retention of data without timestamps goes on counting from there.
            modified_ms: extents.iter().map(|extent| extent.modified_ms).max().unwrap_or(0),
            index_interval: options.index_interval_bytes,
            segment_max_bytes: SEGMENT_MAX_BYTES,
            segments: Vec::new(),
            unsettled: Vec::new(),
            leftovers: self.leftovers.clone(),
            stage: Stage::Writing,
        }))
    }

    fn replace(
        &mut self,
        extents: &[Extent],
        with: &mut dyn Replacement,
        remove_at_ms: i64,
    ) -> Result<Replacing, StorageError> {
        let with: &mut dyn Any = with;
        let Some(new) = with.downcast_mut::<NewSegments>() else {
            return Err(StorageError::corrupt("a replacement of another engine"));
        };
        match &mut new.stage {
            Stage::Writing => Err(StorageError::corrupt("a replacement that is not finished")),
            Stage::Naming(left) => {
                let left = *left;
                self.name(extents, new, left)
            }
            Stage::Named => self.take_in(extents, new, remove_at_ms),
            Stage::Retiring => {
                self.retire_leaving(RETIRED_PER_STEP)?;
                if self.leaving.is_empty() {
                    new.stage = Stage::Settling;
                }
                Ok(Replacing::Next(self.sync_dir()))
            }
            Stage::Settling => {
                new.stage = Stage::Settled;
                self.settle_names(&new.unsettled);
                Ok(Replacing::Next(self.try_to_sync_dir()))
            }
            Stage::Settled => Ok(Replacing::Done),
        }
    }
}

impl LocalStore {
    /// Names one of the new segments, the last one first: a start puts them in place when none before them is without its
    /// name.
    fn name(
        &mut self,
        extents: &[Extent],
        new: &mut NewSegments,
        left: usize,
    ) -> Result<Replacing, StorageError> {
        if self.position_of(extents).is_none() {
            return Ok(Replacing::Gone);
        }
        let at = left.saturating_sub(1);
        for file in new.segments.get(at).into_iter().flat_map(Segment::files) {
            let renamed = self.files.rename(file, with_ending(file.path(), SWAP));
            not_missing(renamed).map_err(|error| StorageError::io("rename", file.path(), error))?;
        }
        new.stage = if at == 0 { Stage::Named } else { Stage::Naming(at) };
        Ok(Replacing::Next(self.sync_dir()))
    }

    /// Reads see the new segments from here on. The old ones leave: after an error the next flush goes on, and the new ones keep
    /// their ending until then, so that a start does not take both.
    fn take_in(
        &mut self,
        extents: &[Extent],
        new: &mut NewSegments,
        remove_at_ms: i64,
    ) -> Result<Replacing, StorageError> {
        let Some(first) = self.position_of(extents) else { return Ok(Replacing::Gone) };
        new.unsettled = new.segments.iter().flat_map(Segment::files).cloned().collect();
        let taken = std::mem::take(&mut new.segments);
        let old = self.segments.splice(first..first + extents.len(), taken);
        let files = &self.files;
        self.leaving.extend(old.map(|segment| {
            // An earlier one of this name may still wait for its removal.
            let ending = format!(".{}{DELETED}", files.next_number());
            Leaving { segment, ending, remove_at_ms }
        }));
        new.stage = Stage::Retiring;
        Ok(Replacing::Next(Flush::nothing()))
    }

    fn remove_leftovers(&self) -> Result<(), StorageError> {
        let mut leftovers = self.leftovers.lock().unwrap_or_else(PoisonError::into_inner);
        if leftovers.is_empty() {
            return Ok(());
        }
        while let Some(file) = leftovers.last() {
            let removed = not_missing(self.files.remove(file));
            removed.map_err(|error| StorageError::io("remove", file.path(), error))?;
            leftovers.pop();
        }
        self.sync_dir().run()
    }

    /// Finishes what an error has ended: the old segments go, and the new ones get their names.
    fn settle_earlier(&mut self) -> Result<(), StorageError> {
        let files = self.segments.iter().flat_map(Segment::files);
        let unsettled: Vec<_> = files.filter(|file| file.is_moved()).cloned().collect();
        if unsettled.is_empty() {
            return Ok(());
        }
        self.retire_leaving(usize::MAX)?;
        self.sync_dir().run()?;
        for file in &unsettled {
            self.settle_name(file).map_err(|error| StorageError::io("rename", file.path(), error))?;
        }
        self.sync_dir().run()
    }

    /// Gives the new files their own names: the `.log` first, since a start goes by it.
    fn settle_names(&self, unsettled: &[CachedFile]) {
        for file in unsettled {
            if let Err(error) = self.settle_name(file) {
                let path = file.path().display();
                tracing::warn!(%path, %error, "could not rename what a compaction left; the next one does it, or a start");
            }
        }
    }

    fn settle_name(&self, file: &CachedFile) -> io::Result<()> {
        self.files.settle(file, &with_ending(file.path(), SWAP))
    }

    /// Where the extents are among the segments, if all of them are, and as they were. Also none whose own names an earlier
    /// replacement could not settle.
    fn position_of(&self, extents: &[Extent]) -> Option<usize> {
        let wanted = extents.first()?.base_offset;
        let first = self.segments.iter().position(|segment| segment.base_offset() == wanted)?;
        let (_, sealed) = self.segments.split_last()?;
        let found = sealed.get(first..first + extents.len())?;
        let is_same = |(segment, extent): (&Segment, &Extent)| {
            (segment.base_offset(), segment.size()) == (extent.base_offset, extent.bytes)
                && segment.files().into_iter().all(|file| !file.is_moved())
        };
        found.iter().zip(extents).all(is_same).then_some(first)
    }

    fn sync_dir(&self) -> Flush {
        let (files, dir) = (self.files.clone(), self.dir.clone());
        Flush::new(move || files.disk().sync_dir(&dir).map_err(|error| StorageError::io("sync", &dir, error)))
    }

    /// The same when there is no way back: the replacement is read already.
    fn try_to_sync_dir(&self) -> Flush {
        let sync = self.sync_dir();
        Flush::new(move || {
            if let Err(error) = sync.run() {
                tracing::warn!(%error, "a power cut may undo a compaction");
            }
            Ok(())
        })
    }
}

impl Replacement for NewSegments {
    fn append(&mut self, batches: &[u8], aborted: &[AbortedTransaction]) -> Result<(), StorageError> {
        let Some(first) = BatchInfo::parse(batches) else { return Ok(()) };
        let length = batches.len() as u64;
        match self.segments.last() {
            None => self.begin(self.base_offset)?,
            Some(segment) if segment.size() + length > self.segment_max_bytes => {
                self.begin(first.base_offset)?
            }
            Some(_) => {}
        }
        let last = self.segments.len() - 1; // one was begun, if there was none
        let (segment, files) = (&mut self.segments[last], &self.files);
        let failed = |path: &std::path::Path, error| StorageError::io("write", path, error);
        let file = files.get(&segment.log).map_err(|error| failed(segment.log.path(), error))?;
        file.write_at(batches, segment.size()).map_err(|error| failed(segment.log.path(), error))?;
        let mut rest = batches;
        while let Some(info) = BatchInfo::parse(rest) {
            segment.took(&info, self.index_interval, files);
            rest = rest.get(info.size as usize..).unwrap_or_default();
        }
        for aborted in aborted {
            let appended = segment.txn_index.append(*aborted, files);
            appended.map_err(|error| failed(segment.txn_index.file().path(), error))?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), StorageError> {
        if self.segments.is_empty() {
            self.begin(self.base_offset)?; // all of it is gone, and its place in the log stays
        }
        for segment in &mut self.segments {
            segment.seal(&self.files);
            segment.txn_index.seal();
            segment.modified_ms = self.modified_ms;
            let synced = sync(segment, self.modified_ms, &self.files);
            synced.map_err(|error| StorageError::io("write", segment.log.path(), error))?;
        }
        self.stage = Stage::Naming(self.segments.len());
        Ok(())
    }
}

impl NewSegments {
    fn begin(&mut self, base_offset: i64) -> Result<(), StorageError> {
        let mut segment = Segment::named(&self.dir, base_offset, self.modified_ms, CLEANED);
        let options = LogOptions { preallocate: false, ..LogOptions::default() };
        let created = segment.create(&options, &self.files);
        let created = created.map_err(|error| StorageError::io("create", segment.log.path(), error));
        // Also one that is not whole: what there is of it is removed with the others.
        self.segments.push(segment);
        created
    }
}

impl Drop for NewSegments {
    fn drop(&mut self) {
        // Those that the log did not take. The `.log` first: without it a start has no use for the others.
        for file in self.segments.iter().flat_map(Segment::files) {
            if let Err(error) = not_missing(self.files.remove(file)) {
                let path = file.path().display();
                tracing::warn!(%path, %error, "could not remove what a compaction left");
                self.leftovers.lock().unwrap_or_else(PoisonError::into_inner).push(file.clone());
            }
        }
    }
}

fn sync(segment: &mut Segment, modified_ms: i64, files: &OpenFiles) -> io::Result<()> {
    (segment.is_dirty, segment.is_index_dirty) = (true, true);
    files.get(&segment.log)?.set_modified_ms(modified_ms)?;
    let mut dirty = Vec::new();
    segment.take_dirty_files(files, &mut dirty)?;
    for to_sync in dirty {
        files.get(&to_sync.file)?.sync()?;
    }
    Ok(())
}

fn not_missing(outcome: io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}
