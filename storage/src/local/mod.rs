//! The engine on local disks: Kafka's own files, byte for byte, so that Kafka's tools read them and Kafka opens them.
//!
//! Enters: placed batches. Leaves: offsets and bytes of the `.log` files. Only this folder touches files.
//!
//! `store` is one log, `segment`, `index`, `txn_index` and `scan` its files, `cold` a read of them, `recovery`,
//! `recall` and `swap` their opening;
//! `checkpoint_files` and `partition_metadata` the small ones; `open_files` bounds what is open; `doomed` is on its
//! way out; `disk` is the file system.

mod checkpoint_files;
mod cold;
mod disk;
mod doomed;
mod index;
mod open_files;
mod partition_metadata;
mod recall;
mod recovery;
mod scan;
mod segment;
mod store;
mod swap;
#[cfg(test)]
mod tests;
mod txn_index;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use checkpoint_files::Checkpoint;
use checkpoint_files::Checkpoints;
use disk::{Disk, OsDisk, read_whole, write_whole};
use open_files::OpenFiles;
use uuid::Uuid;

use crate::error::StorageError;
use crate::log::Opened;
use crate::logs::LogDir;
use crate::options::{LogId, LogOptions};

const LOCK_FILE: &str = ".lock";
const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";
/// What Kafka 4.3 writes. The broker's epoch is unknown to storage: -1 is Kafka's own word for that.
const CLEAN_SHUTDOWN: &[u8] = br#"{"version":0,"brokerEpoch":-1}"#;
const METADATA_TOPIC: &str = "__cluster_metadata";
const DELETE_SUFFIX: &str = "-delete";

/// What the local engine may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalSettings {
    /// Files that are open at once.
    pub open_files_max: usize,
}

impl Default for LocalSettings {
    fn default() -> Self {
        Self { open_files_max: 512 }
    }
}

/// The log directories of this process.
pub(crate) struct LocalEngine {
    dirs: Vec<Dir>,
    files: Arc<OpenFiles>,
    has_looked_for_doomed: AtomicBool,
}

struct Dir {
    path: PathBuf,
    /// Whether the last process stopped cleanly.
    was_clean: bool,
    state: Mutex<DirState>,
    /// Held for as long as the process lives.
    _lock: Option<File>,
}

#[derive(Default)]
struct DirState {
    checkpoints: Checkpoints,
    /// How many logs this process has put or found here.
    logs: usize,
}

impl LocalEngine {
    /// Takes the directories, making them where they are missing.
    pub fn open(dirs: Vec<PathBuf>, settings: LocalSettings) -> Result<Self, StorageError> {
        let mut locks = Vec::new();
        for dir in &dirs {
            std::fs::create_dir_all(dir).map_err(|error| StorageError::io("create", dir, error))?;
            locks.push(Some(lock(dir)?));
        }
        Self::on(Arc::new(OsDisk), dirs, locks, settings)
    }

    fn on(
        disk: Arc<dyn Disk>,
        dirs: Vec<PathBuf>,
        locks: Vec<Option<File>>,
        settings: LocalSettings,
    ) -> Result<Self, StorageError> {
        let mut opened = Vec::new();
        for (path, lock) in dirs.into_iter().zip(locks) {
            opened.push(Dir::open(&*disk, path, lock)?);
        }
        let files = Arc::new(OpenFiles::new(disk, settings.open_files_max));
        Ok(Self { dirs: opened, files, has_looked_for_doomed: AtomicBool::new(false) })
    }

    /// Opens a log, or begins an empty one, which then has no files yet.
    pub fn open_log(&self, id: &LogId, options: &LogOptions) -> Result<Opened, StorageError> {
        let (dir, exists) = self.place(id)?;
        let name = id.dir_name();
        let checkpoint = {
            let mut state = dir.state();
            state.logs += 1;
            let known = state.checkpoints.get(&name).copied();
            if exists { known.unwrap_or_default() } else { Checkpoint::default() }
        };
        recovery::open(id, dir.path.join(name), self.files.clone(), checkpoint, dir.was_clean, options)
    }

    /// The directory that a log has, or will have.
    pub fn dir_of(&self, id: &LogId) -> Result<PathBuf, StorageError> {
        Ok(self.place(id)?.0.path.join(id.dir_name()))
    }

    /// Where the log is, or else where it belongs: with the fewest others, as Kafka places it. Cluster metadata is always
    /// in the first directory.
    fn place(&self, id: &LogId) -> Result<(&Dir, bool), StorageError> {
        let disk = self.files.disk();
        for dir in &self.dirs {
            let path = dir.path.join(id.dir_name());
            let found = partition_metadata::read(disk, &path);
            let found = found.map_err(|error| StorageError::io("read", &path, error))?;
            match found {
                Some(topic_id) if topic_id == id.topic_id => return Ok((dir, true)),
                // An earlier topic of the same name that was deleted while nobody ran.
                Some(topic_id) => self.doom(dir, &id.dir_name(), topic_id, 0)?,
                None if disk.list(&path).is_ok() => return Ok((dir, true)),
                None => {}
            }
        }
        let is_metadata = &*id.topic == METADATA_TOPIC;
        let emptiest = self.dirs.iter().min_by_key(|dir| dir.state().logs);
        let chosen = if is_metadata { self.dirs.first() } else { emptiest };
        let dir = chosen.ok_or_else(|| StorageError::corrupt("no log directory is configured"))?;
        Ok((dir, false))
    }

    /// The topic is gone: its directory gets a name that nobody looks for, and is removed later.
    pub fn delete(&self, id: &LogId, remove_at_ms: i64) -> Result<(), StorageError> {
        let (dir, exists) = self.place(id)?;
        dir.state().checkpoints.remove(&id.dir_name());
        if exists { self.doom(dir, &id.dir_name(), id.topic_id, remove_at_ms) } else { Ok(()) }
    }

    fn doom(&self, dir: &Dir, name: &str, id: Uuid, remove_at_ms: i64) -> Result<(), StorageError> {
        let from = dir.path.join(name);
        // A name has at most 255 bytes: a long topic loses its end, as with Kafka.
        let room = 255 - 1 - 32 - DELETE_SUFFIX.len();
        let mut length = name.len().min(room);
        while !name.is_char_boundary(length) {
            length -= 1;
        }
        let to = dir.path.join(format!("{}.{}{DELETE_SUFFIX}", &name[..length], id.simple()));
        self.files.disk().rename(&from, &to).map_err(|error| StorageError::io("rename", &from, error))?;
        self.files.doomed.add_dir(to, remove_at_ms);
        Ok(())
    }

    /// Removes, in the background, what was deleted and whose time has come; the first time also the directories that an
    /// earlier process left.
    pub fn remove_doomed(&self, now_ms: i64) {
        let doomed = &self.files.doomed;
        if !self.has_looked_for_doomed.swap(true, Ordering::Relaxed) {
            for dir in &self.dirs {
                let names = self.files.disk().list(&dir.path).unwrap_or_default();
                let found = names.iter().filter(|name| name.ends_with(DELETE_SUFFIX) && name.contains('.'));
                for path in found.map(|name| dir.path.join(name)).filter(|path| !doomed.has_dir(path)) {
                    doomed.add_dir(path, 0);
                }
            }
        }
        doomed.remove_due(now_ms);
    }

    /// Does on the caller's thread what else goes on in the background.
    #[cfg(test)]
    pub fn without_threads(&self) {
        self.files.doomed.without_thread();
    }

    /// Ends what goes on in the background.
    pub fn stop(&self) {
        self.files.doomed.stop();
    }

    /// Topic and partition of every directory that looks like a log's.
    pub fn stored(&self) -> Result<Vec<(String, i32)>, StorageError> {
        let mut stored = Vec::new();
        for dir in &self.dirs {
            let names = self.files.disk().list(&dir.path);
            for name in names.map_err(|error| StorageError::io("list", &dir.path, error))? {
                let Some((topic, partition)) = name.rsplit_once('-') else { continue };
                if let Ok(partition) = partition.parse() {
                    stored.push((topic.to_owned(), partition));
                }
            }
        }
        Ok(stored)
    }

    /// Writes the checkpoint files, with what is new of the logs in `current`.
    pub fn checkpoint(&self, current: &HashMap<LogId, Checkpoint>) -> Result<(), StorageError> {
        for dir in &self.dirs {
            let mut state = dir.state();
            for (id, checkpoint) in current {
                let name = id.dir_name();
                if &*id.topic != METADATA_TOPIC && self.files.disk().list(&dir.path.join(&name)).is_ok() {
                    state.checkpoints.insert(name, *checkpoint);
                }
            }
            checkpoint_files::write(self.files.disk(), &dir.path, &state.checkpoints)
                .map_err(|error| StorageError::io("write checkpoints in", &dir.path, error))?;
        }
        Ok(())
    }

    /// After everything was flushed: the next start may believe what it finds.
    pub fn mark_clean(&self) -> Result<(), StorageError> {
        for dir in &self.dirs {
            let path = dir.path.join(CLEAN_SHUTDOWN_FILE);
            write_whole(self.files.disk(), &path, CLEAN_SHUTDOWN)
                .map_err(|error| StorageError::io("write", &path, error))?;
        }
        Ok(())
    }

    /// Each directory with its file system's size and what is left of it.
    pub fn spaces(&self) -> Vec<LogDir> {
        self.dirs.iter().map(|dir| space(&dir.path)).collect()
    }
}

impl Dir {
    fn open(disk: &dyn Disk, path: PathBuf, lock: Option<File>) -> Result<Self, StorageError> {
        let failed = |error| StorageError::io("open", &path, error);
        let clean_file = path.join(CLEAN_SHUTDOWN_FILE);
        let was_clean = read_whole(disk, &clean_file, 4096).map_err(failed)?.is_some();
        if was_clean {
            // From here on a crash is a crash, also one that would bring the file back.
            disk.remove_file(&clean_file).map_err(failed)?;
            disk.sync_dir(&path).map_err(failed)?;
        }
        let checkpoints = checkpoint_files::read(disk, &path);
        let state = Mutex::new(DirState { checkpoints, logs: 0 });
        Ok(Self { path, was_clean, state, _lock: lock })
    }

    fn state(&self) -> MutexGuard<'_, DirState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the directory's `.lock` as Kafka does, with a lock of the whole file.
fn lock(dir: &Path) -> Result<File, StorageError> {
    let path = dir.join(LOCK_FILE);
    let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let file = open.map_err(|error| StorageError::io("open", &path, error))?;
    #[cfg(unix)]
    let locked = rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok();
    #[cfg(not(unix))]
    let locked = true;
    if locked { Ok(file) } else { Err(StorageError::Locked { dir: dir.display().to_string() }) }
}

#[cfg(unix)]
fn space(path: &Path) -> LogDir {
    let (total_bytes, usable_bytes) = rustix::fs::statvfs(path).map_or((0, 0), |stat| {
        (stat.f_blocks.saturating_mul(stat.f_frsize), stat.f_bavail.saturating_mul(stat.f_frsize))
    });
    LogDir { path: path.to_owned(), total_bytes, usable_bytes, logs: Vec::new() }
}

#[cfg(not(unix))]
fn space(path: &Path) -> LogDir {
    LogDir { path: path.to_owned(), ..LogDir::default() }
}
