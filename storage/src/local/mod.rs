//! The engine on local disks: Kafka's own files, byte for byte, so that Kafka's tools read them and Kafka opens them.
//!
//! Enters: placed batches. Leaves: offsets and bytes of the `.log` files. Only this folder touches files.
//!
//! `store` is one log, `segment`, `index`, `txn_index` and `scan` its files, `cold` a read of them, `source` a
//! walk through one, `recovery`,
//! `recall` and `swap` their opening; `replace` puts what compaction leaves into their place; `sync` makes them durable;
//! `checkpoint_files` and `partition_metadata` the small ones; `open_files` bounds what is open; `deletion` and
//! `doomed` are how it goes; `dirs` is a log directory, `disk` the file system, `faults` what its errors mean.

mod checkpoint_files;
mod cold;
mod deletion;
mod dirs;
mod disk;
mod doomed;
mod faults;
mod index;
mod open_files;
mod partition_metadata;
mod recall;
mod recovery;
mod reindex;
mod replace;
mod scan;
mod segment;
mod source;
mod store;
mod swap;
mod sync;
#[cfg(test)]
mod tests;
mod txn_index;

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

pub(crate) use checkpoint_files::Checkpoint;
use dirs::Dir;
use disk::{Disk, OsDisk};
use faults::{Health, WatchedDisk};
pub(crate) use faults::{Meaning, Offline};
pub(crate) use index::{OffsetEntry, TimeEntry};
use open_files::OpenFiles;

use crate::error::StorageError;
use crate::log::Opened;
use crate::logs::{Home, LogDir, Placement};
use crate::options::{LogId, LogOptions};

const METADATA_TOPIC: &str = "__cluster_metadata";

/// What the local engine may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalSettings {
    /// Files that are open at once.
    pub open_files_max: usize,
    /// `log.flush.offset.checkpoint.interval.ms`
    pub checkpoint_interval_ms: i64,
    /// The directory of the cluster's metadata, by its place: nothing begins without it. There is none where the metadata
    /// has a directory of its own; then any one will do.
    pub metadata_dir: Option<usize>,
}

impl Default for LocalSettings {
    fn default() -> Self {
        Self { open_files_max: 512, checkpoint_interval_ms: 60_000, metadata_dir: Some(0) }
    }
}

/// The log directories of this process.
pub(crate) struct LocalEngine {
    dirs: Vec<Dir>,
    files: Arc<OpenFiles>,
    checkpoint_interval_ms: i64,
    placement: OnceLock<Arc<Placement>>,
    metadata_dir: usize,
    has_looked_for_doomed: AtomicBool,
    has_noted_deleted: AtomicBool,
}

impl LocalEngine {
    /// Takes the directories, making them where they are missing. One that cannot be used is offline, and the others go on
    /// without it; but not without the one where cluster metadata is.
    pub fn open(dirs: Vec<PathBuf>, settings: LocalSettings) -> Result<Self, StorageError> {
        let mut taken = Vec::new();
        for dir in &dirs {
            match dirs::take(dir) {
                Err(error @ StorageError::Locked { .. }) => return Err(error),
                outcome => taken.push(outcome.map(Some)),
            }
        }
        if let Some(twice) = dirs::duplicate(&dirs) {
            return Err(StorageError::Duplicate { dir: twice.display().to_string() });
        }
        Self::with(Arc::new(OsDisk), dirs, taken, settings)
    }

    #[cfg(test)]
    fn on(
        disk: Arc<dyn Disk>,
        dirs: Vec<PathBuf>,
        locks: Vec<Option<File>>,
        settings: LocalSettings,
    ) -> Result<Self, StorageError> {
        Self::with(disk, dirs, locks.into_iter().map(Ok).collect(), settings)
    }

    fn with(
        disk: Arc<dyn Disk>,
        dirs: Vec<PathBuf>,
        locks: Vec<Result<Option<File>, StorageError>>,
        settings: LocalSettings,
    ) -> Result<Self, StorageError> {
        let healths: Vec<_> = dirs.iter().map(|dir| Arc::new(Health::new(dir.clone()))).collect();
        let disk = WatchedDisk::new(disk, healths.clone());
        let mut opened = Vec::new();
        for ((path, health), lock) in dirs.into_iter().zip(healths).zip(locks) {
            let lock = lock.unwrap_or_else(|error| {
                health.take_offline(error);
                None
            });
            opened.push(Dir::open(&disk, path, lock, health));
        }
        let required =
            settings.metadata_dir.map_or(opened.as_slice(), |at| opened.get(at..=at).unwrap_or(&[]));
        let usable = required.iter().map(Dir::check).reduce(|one, other| one.or(other));
        usable.unwrap_or_else(|| Err(StorageError::corrupt("no log directory is configured")))?;
        let files = Arc::new(OpenFiles::new(Arc::new(disk), settings.open_files_max));
        Ok(Self {
            dirs: opened,
            files,
            checkpoint_interval_ms: settings.checkpoint_interval_ms,
            placement: OnceLock::new(),
            metadata_dir: settings.metadata_dir.unwrap_or(0),
            has_looked_for_doomed: AtomicBool::new(false),
            has_noted_deleted: AtomicBool::new(false),
        })
    }

    pub fn checkpoint_interval_ms(&self) -> i64 {
        self.checkpoint_interval_ms
    }

    /// Where logs belong, from now on.
    pub fn set_placement(&self, placement: Arc<Placement>) {
        // The first one stays; there is no other.
        let _ = self.placement.set(placement);
    }

    /// Opens a log, or begins an empty one, which then has no files yet.
    pub fn open_log(&self, id: &LogId, options: &LogOptions) -> Result<Opened, StorageError> {
        let (home, exists) = self.place(id)?;
        let (dir, name) = (&self.dirs[home], id.dir_name());
        if !exists {
            dir.begin(&name, self.files.disk())?;
        }
        let (checkpoint, cleaned_to) = {
            let mut state = dir.state();
            let known = state.checkpoints.get(&name).copied().unwrap_or_default();
            state.logs += usize::from(!known.is_closed);
            (known, state.cleaned.get(&name).copied())
        };
        let path = dir.path.join(name);
        // Compaction may have removed batches anywhere.
        let may_have_gaps = options.cleanup_compact || cleaned_to.is_some();
        let opened =
            recovery::open(id, path, self.files.clone(), checkpoint, dir.was_clean, may_have_gaps, options)?;
        let cleaned_to = cleaned_to.or(opened.has_gaps.then_some(opened.start_offset));
        if let Some(cleaned_to) = cleaned_to.filter(|_| opened.has_gaps) {
            // For a start that finds another `cleanup.policy`, and must not take the gaps for losses.
            dir.note_cleaned(id, cleaned_to, self.files.disk())?;
        }
        Ok(Opened { home, cleaned_to, ..opened })
    }

    /// Notes where the log starts, at once.
    pub fn note_start(&self, id: &LogId, home: usize, checkpoint: Checkpoint) -> Result<(), StorageError> {
        let Some(dir) = self.dirs.get(home) else { return Ok(()) };
        dir.check()?;
        dir.note_start(id, checkpoint, self.files.disk())
    }

    /// Notes where a compaction of the log has ended.
    pub fn note_cleaned(&self, id: &LogId, home: usize, offset: i64) -> Result<(), StorageError> {
        let Some(dir) = self.dirs.get(home) else { return Ok(()) };
        dir.check()?;
        dir.note_cleaned(id, offset, self.files.disk())
    }

    /// The log was put away: the next opening need not recover it. One that has no files is forgotten.
    pub fn closed(&self, id: &LogId, home: usize, checkpoint: Checkpoint, has_files: bool) {
        let dir = &self.dirs[home];
        if has_files {
            dir.take_checkpoint(id, checkpoint);
        } else {
            let mut state = dir.state();
            state.logs = state.logs.saturating_sub(1);
        }
    }

    /// The directory that a log has, or will have.
    pub fn dir_of(&self, id: &LogId) -> Result<PathBuf, StorageError> {
        Ok(self.dirs[self.place(id)?.0].path.join(id.dir_name()))
    }

    /// Where the log is, or else where it belongs; and whether it is there. A log whose directory is offline is not begun
    /// anew in another one. Cluster metadata has a directory of its own or a fixed one.
    fn place(&self, id: &LogId) -> Result<(usize, bool), StorageError> {
        if self.files.doomed.removes_topic_at(id.topic_id).is_some() {
            return Err(StorageError::Deleted);
        }
        let home = match self.placement.get() {
            _ if &*id.topic == METADATA_TOPIC => Home::In(self.metadata_dir),
            Some(placement) => placement(id),
            None => Home::Anywhere,
        };
        if let Home::In(at) = home {
            self.dirs.get(at).ok_or_else(|| lost(id))?.check()?;
        }
        if let Some(found) = self.find(id)? {
            return Ok(found);
        }
        self.look_for_dirs_of(&id.dir_name())?;
        match home {
            Home::In(at) => Ok((at, false)),
            Home::Lost => Err(lost(id)),
            // It may be in one that nobody can look into.
            Home::Anywhere => {
                self.dirs.iter().try_for_each(Dir::check)?;
                let emptiest = (0..self.dirs.len()).min_by_key(|at| self.dirs[*at].state().logs);
                Ok((emptiest.unwrap_or(0), false))
            }
        }
    }

    /// A log that was there before and is not: perhaps all of its log directory has gone. It must not seem to be empty then.
    fn look_for_dirs_of(&self, name: &str) -> Result<(), StorageError> {
        for dir in self.online().filter(|dir| dir.state().checkpoints.contains_key(name)) {
            if let Err(gone) = self.files.disk().check_dir(&dir.path) {
                dir.health.take_offline(gone);
                dir.check()?;
            }
        }
        Ok(())
    }

    /// The directory in which the log is, and whether it is there. What a power cut has left without its files may be an
    /// earlier topic's of the name, and is as good as nothing.
    pub fn find(&self, id: &LogId) -> Result<Option<(usize, bool)>, StorageError> {
        let (disk, name) = (self.files.disk(), id.dir_name());
        let (mut found, mut without_id, mut empty) = (None, None, Vec::new());
        for (at, dir) in self.dirs.iter().enumerate().filter(|(_, dir)| !dir.health.is_offline()) {
            let path = dir.path.join(&name);
            let read = partition_metadata::read(disk, &path);
            match read.map_err(|error| StorageError::io("read", &path, error))? {
                Some(topic_id) if topic_id == id.topic_id => found = Some(at),
                Some(topic_id) => self.make_way(dir, &name, topic_id)?,
                None => match disk.list(&path) {
                    Ok(names) if names.iter().all(|name| name.ends_with(".tmp")) => empty.push(at),
                    Ok(_) => without_id = without_id.or(Some(at)),
                    Err(_) => {}
                },
            }
            if found.is_some() {
                break;
            }
        }
        let found = found.or(without_id);
        let home = found.or(empty.first().copied());
        for at in empty.into_iter().filter(|at| home != Some(*at)) {
            let path = self.dirs[at].path.join(&name);
            disk.remove_dir(&path).map_err(|error| StorageError::io("remove", &path, error))?;
        }
        Ok(home.map(|at| (at, found.is_some())))
    }

    /// Does on the caller's thread what else goes on in the background.
    #[cfg(test)]
    pub fn without_threads(&self) {
        self.files.doomed.without_thread();
    }

    /// Topic and partition of every directory that looks like a log's.
    pub fn stored(&self) -> Result<Vec<(String, i32)>, StorageError> {
        let mut stored = Vec::new();
        for dir in self.online() {
            let names = self.files.disk().list(&dir.path);
            for name in names.map_err(|error| StorageError::io("list", &dir.path, error))? {
                stored.extend(deletion::parse_name(&name).map(|(topic, at)| (topic.to_owned(), at)));
            }
        }
        Ok(stored)
    }

    /// What is new of a log, for the next checkpoint.
    pub fn take_checkpoint(&self, id: &LogId, home: usize, checkpoint: Checkpoint) {
        self.dirs[home].take_checkpoint(id, checkpoint);
    }

    /// Writes the checkpoint files that are not up to date: in each directory, whatever becomes of the others.
    pub fn write_checkpoints(&self) -> Result<(), StorageError> {
        let written = self.online().map(|dir| dir.write_checkpoints(self.files.disk()));
        written.fold(Ok(()), Result::and)
    }

    /// Which directories have logs that were put away and are not wholly on the disk.
    pub fn unflushed_dirs(&self) -> Vec<usize> {
        let is_unflushed = |at: &usize| !self.dirs[*at].health.is_offline() && self.dirs[*at].has_unflushed();
        (0..self.dirs.len()).filter(is_unflushed).collect()
    }

    /// Makes everything in a directory durable.
    pub fn sync_all(&self, home: usize) -> Result<(), StorageError> {
        let dir = &self.dirs[home];
        self.files.disk().sync_all(&dir.path).map_err(|error| StorageError::io("sync", &dir.path, error))?;
        dir.all_synced();
        Ok(())
    }

    /// After everything was flushed and noted, but in the directories `except`: the next start may believe what it finds.
    pub fn mark_clean(&self, except: &[usize]) -> Result<(), StorageError> {
        let mut outcome = Ok(());
        for (at, dir) in self.dirs.iter().enumerate() {
            if !dir.health.is_offline() && !except.contains(&at) && !dir.state().are_unwritten {
                outcome = outcome.and(dir.mark_clean(self.files.disk()));
            }
        }
        outcome
    }

    /// Each directory with its file system's size and what is left of it.
    pub fn spaces(&self) -> Vec<LogDir> {
        self.dirs.iter().map(Dir::space).collect()
    }

    pub fn paths(&self) -> Vec<PathBuf> {
        self.dirs.iter().map(|dir| dir.path.clone()).collect()
    }

    /// To be called from time to time. Which directories are offline, by their places in `log.dirs`, and why.
    pub fn offline(&self) -> Vec<(usize, String)> {
        self.dirs.iter().for_each(|dir| dir.health.look());
        let offline = |(at, dir): (usize, &Dir)| Some((at, dir.health.why()?.to_owned()));
        self.dirs.iter().enumerate().filter_map(offline).collect()
    }

    /// The directory must not be used, for a reason that only the caller sees.
    pub fn take_offline(&self, at: usize, why: &str) {
        if let Some(dir) = self.dirs.get(at) {
            dir.health.take_offline(why);
        }
    }

    fn online(&self) -> impl Iterator<Item = &Dir> {
        self.dirs.iter().filter(|dir| !dir.health.is_offline())
    }
}

/// The directory that it belongs to is none of `log.dirs`.
fn lost(id: &LogId) -> StorageError {
    StorageError::Offline { dir: format!("that {id} is in, which is not in log.dirs") }
}
