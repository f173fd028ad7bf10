//! One log directory: its lock, its checkpoints, whether the last process left it in order.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::METADATA_TOPIC;
use super::checkpoint_files::{self, Checkpoint, Checkpoints, CleanedOffsets};
use super::disk::{Disk, read_whole, write_whole};
use super::faults::Health;
use crate::error::StorageError;
use crate::logs::LogDir;
use crate::options::LogId;

const LOCK_FILE: &str = ".lock";
const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";
/// What Kafka 4.3 writes. The broker's epoch is unknown to storage: -1 is Kafka's own word for that.
const CLEAN_SHUTDOWN: &[u8] = br#"{"version":0,"brokerEpoch":-1}"#;

pub(super) struct Dir {
    pub path: PathBuf,
    /// Whether the last process stopped cleanly.
    pub was_clean: bool,
    pub health: Arc<Health>,
    state: Mutex<DirState>,
    /// Held for as long as the process lives.
    _lock: Option<File>,
}

#[derive(Default)]
pub(super) struct DirState {
    pub checkpoints: Checkpoints,
    pub cleaned: CleanedOffsets,
    /// How many logs this process has put or found here.
    pub logs: usize,
    /// The checkpoints are newer than the files.
    pub are_unwritten: bool,
    /// So are those of compaction.
    is_cleaned_unwritten: bool,
    /// Names of logs that are gone and that the files may still know.
    forgotten: HashSet<String>,
}

impl Dir {
    /// What the last process has left. A directory that cannot be read is offline from the start.
    pub fn open(disk: &dyn Disk, path: PathBuf, lock: Option<File>, health: Arc<Health>) -> Self {
        let was_clean = take_clean_shutdown(disk, &path).unwrap_or_else(|error| {
            health.take_offline(StorageError::io("open", &path, error));
            false
        });
        let mut state = DirState::default();
        if !health.is_offline() {
            state.checkpoints = checkpoint_files::read(disk, &path);
            state.cleaned = checkpoint_files::read_cleaned(disk, &path);
        }
        let state = Mutex::new(state);
        Self { path, was_clean, health, state, _lock: lock }
    }

    pub fn state(&self) -> MutexGuard<'_, DirState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error when it is offline.
    pub fn check(&self) -> Result<(), StorageError> {
        if self.health.is_offline() { Err(self.health.offline().into()) } else { Ok(()) }
    }

    /// Notes what is new of a log that is here.
    pub fn take_checkpoint(&self, id: &LogId, checkpoint: Checkpoint) {
        if &*id.topic != METADATA_TOPIC {
            let mut state = self.state();
            state.are_unwritten = true;
            state.checkpoints.insert(id.dir_name(), checkpoint);
        }
    }

    /// Whether logs that were put away have something that is not on the disk.
    pub fn has_unflushed(&self) -> bool {
        let state = self.state();
        state.checkpoints.values().any(|known| known.is_closed && known.recovery_point < known.high_watermark)
    }

    /// Everything in it is on the disk, also of those logs that were put away.
    pub fn all_synced(&self) {
        let mut state = self.state();
        state.are_unwritten = true;
        for closed in state.checkpoints.values_mut().filter(|known| known.is_closed) {
            closed.recovery_point = closed.high_watermark;
        }
    }

    /// Writes the checkpoint files, if they are not what they should be.
    pub fn write_checkpoints(&self, disk: &dyn Disk) -> Result<(), StorageError> {
        let mut state = self.state();
        if !state.are_unwritten || self.health.is_offline() {
            return Ok(());
        }
        checkpoint_files::write(disk, &self.path, &state.checkpoints)
            .map_err(|error| StorageError::io("write checkpoints in", &self.path, error))?;
        if state.is_cleaned_unwritten {
            self.write_cleaned(&mut state, disk)?;
        }
        state.are_unwritten = false;
        state.forgotten.clear();
        Ok(())
    }

    /// Writes where a log starts, if the files do not say so.
    pub fn note_start(
        &self,
        id: &LogId,
        checkpoint: Checkpoint,
        disk: &dyn Disk,
    ) -> Result<(), StorageError> {
        let is_known = {
            let state = self.state();
            let known = state.checkpoints.get(&id.dir_name()).map_or(0, |known| known.start_offset);
            known == checkpoint.start_offset && (known == 0 || !state.are_unwritten)
        };
        if is_known {
            return Ok(());
        }
        self.take_checkpoint(id, checkpoint);
        self.write_checkpoints(disk)
    }

    /// Notes up to where a log was compacted.
    pub fn note_cleaned(&self, id: &LogId, offset: i64, disk: &dyn Disk) -> Result<(), StorageError> {
        let mut state = self.state();
        state.cleaned.insert(id.dir_name(), offset);
        self.write_cleaned(&mut state, disk)
    }

    fn write_cleaned(&self, state: &mut DirState, disk: &dyn Disk) -> Result<(), StorageError> {
        state.is_cleaned_unwritten = true;
        checkpoint_files::write_cleaned(disk, &self.path, &state.cleaned)
            .map_err(|error| StorageError::io("write checkpoints in", &self.path, error))?;
        state.is_cleaned_unwritten = false;
        Ok(())
    }

    /// The log of this name is gone.
    pub fn forget(&self, name: &str) {
        let mut state = self.state();
        let was_cleaned = state.cleaned.remove(name).is_some();
        state.is_cleaned_unwritten |= was_cleaned;
        if state.checkpoints.remove(name).is_some() || was_cleaned {
            state.forgotten.insert(name.to_owned());
            state.are_unwritten = true;
        }
    }

    /// Another log of this name begins: what the files say of an earlier one must not be taken for its own after a crash.
    pub fn begin(&self, name: &str, disk: &dyn Disk) -> Result<(), StorageError> {
        self.forget(name);
        let may_be_known = self.state().forgotten.contains(name);
        if may_be_known { self.write_checkpoints(disk) } else { Ok(()) }
    }

    /// The next start may believe what it finds.
    pub fn mark_clean(&self, disk: &dyn Disk) -> Result<(), StorageError> {
        let path = self.path.join(CLEAN_SHUTDOWN_FILE);
        write_whole(disk, &path, CLEAN_SHUTDOWN).map_err(|error| StorageError::io("write", &path, error))
    }

    /// What the file system says of it.
    pub fn space(&self) -> LogDir {
        let is_offline = self.health.is_offline();
        let (total_bytes, usable_bytes) = if is_offline { (0, 0) } else { space(&self.path) };
        LogDir { path: self.path.clone(), total_bytes, usable_bytes, is_offline, logs: Vec::new() }
    }
}

/// Whether the last process stopped cleanly. From here on a crash is a crash, also one that would bring the file back.
fn take_clean_shutdown(disk: &dyn Disk, dir: &Path) -> io::Result<bool> {
    let file = dir.join(CLEAN_SHUTDOWN_FILE);
    let was_clean = read_whole(disk, &file, 4096)?.is_some();
    if was_clean {
        disk.remove_file(&file)?;
        disk.sync_dir(dir)?;
    }
    Ok(was_clean)
}

/// Makes the directory where it is missing, and takes it for this process.
pub(super) fn take(dir: &Path) -> Result<File, StorageError> {
    std::fs::create_dir_all(dir).map_err(|error| StorageError::io("create", dir, error))?;
    lock(dir)
}

/// The first directory that is listed twice, by whatever names.
pub(super) fn duplicate(dirs: &[PathBuf]) -> Option<&Path> {
    let real: Vec<_> =
        dirs.iter().map(|dir| std::fs::canonicalize(dir).unwrap_or_else(|_| dir.clone())).collect();
    let is_known = |at: usize| real[..at].contains(&real[at]);
    (0..dirs.len()).find(|at| is_known(*at)).map(|at| dirs[at].as_path())
}

/// Takes the directory's `.lock` as Kafka does, with a lock of the whole file.
fn lock(dir: &Path) -> Result<File, StorageError> {
    let path = dir.join(LOCK_FILE);
    let open = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let file = open.map_err(|error| StorageError::io("open", &path, error))?;
    match try_lock(&file) {
        Ok(true) => Ok(file),
        Ok(false) => Err(StorageError::Locked { dir: dir.display().to_string() }),
        Err(error) => Err(StorageError::io("lock", &path, error)),
    }
}

/// False when another process has it.
#[cfg(unix)]
fn try_lock(file: &File) -> io::Result<bool> {
    use rustix::io::Errno;
    match rustix::fs::fcntl_lock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn try_lock(_: &File) -> io::Result<bool> {
    Ok(true)
}

/// Bytes of the file system, and what is left of them.
#[cfg(unix)]
fn space(path: &Path) -> (u64, u64) {
    rustix::fs::statvfs(path).map_or((0, 0), |stat| {
        (stat.f_blocks.saturating_mul(stat.f_frsize), stat.f_bavail.saturating_mul(stat.f_frsize))
    })
}

#[cfg(not(unix))]
fn space(_: &Path) -> (u64, u64) {
    (0, 0)
}
