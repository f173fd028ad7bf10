//! What an error of the disk means for the log directory that it comes from.
//!
//! A disk without room refuses writes until there is some: nothing else changes. A disk that is broken or gone takes its
//! directory offline: nothing in it is read or written any more, until a restart finds it whole. Each is said once.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::disk::{Create, Disk, DiskFile};

/// What an error says of more than the file that it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing.
    OneFile,
    /// Full, over a quota, read-only: writes fail for now.
    NoRoom,
    /// The device, the mount or the file server does not answer as it should.
    Broken,
}

impl Meaning {
    pub fn of(error: &io::Error) -> Self {
        use std::io::ErrorKind::{
            FileTooLarge, NotConnected, QuotaExceeded, ReadOnlyFilesystem, StaleNetworkFileHandle,
            StorageFull,
        };
        match error.kind() {
            StorageFull | QuotaExceeded | ReadOnlyFilesystem | FileTooLarge => Self::NoRoom,
            StaleNetworkFileHandle | NotConnected => Self::Broken,
            _ if error.raw_os_error().is_some_and(is_of_device) => Self::Broken,
            _ => Self::OneFile,
        }
    }
}

#[cfg(unix)]
fn is_of_device(code: i32) -> bool {
    use rustix::io::Errno;
    [Errno::IO, Errno::NXIO, Errno::NODEV].iter().any(|errno| errno.raw_os_error() == code)
}

#[cfg(not(unix))]
fn is_of_device(_: i32) -> bool {
    false
}

/// Every call that concerns a directory which is offline ends in this.
#[derive(Debug, Clone)]
pub(crate) struct Offline {
    pub dir: PathBuf,
}

impl fmt::Display for Offline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the log directory {} is offline", self.dir.display())
    }
}

impl std::error::Error for Offline {}

/// How one log directory is.
#[derive(Debug)]
pub(crate) struct Health {
    dir: PathBuf,
    is_offline: AtomicBool,
    why: OnceLock<String>,
    /// Writes that there was no room for.
    refusals: AtomicU64,
    refusals_seen: AtomicU64,
    is_refusing: AtomicBool,
    /// So often nothing new had been refused when somebody looked.
    quiet_looks: AtomicU64,
}

/// Clients try again every second or so: what is quiet for longer is over.
const QUIET_LOOKS: u64 = 10;

impl Health {
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            is_offline: AtomicBool::new(false),
            why: OnceLock::new(),
            refusals: AtomicU64::new(0),
            refusals_seen: AtomicU64::new(0),
            is_refusing: AtomicBool::new(false),
            quiet_looks: AtomicU64::new(0),
        }
    }

    pub fn is_offline(&self) -> bool {
        self.is_offline.load(Ordering::Acquire)
    }

    /// Why it is offline.
    pub fn why(&self) -> Option<&str> {
        self.is_offline().then(|| self.why.get().map_or("", String::as_str))
    }

    pub fn offline(&self) -> Offline {
        Offline { dir: self.dir.clone() }
    }

    pub fn take_offline(&self, why: impl fmt::Display) {
        let why = why.to_string();
        if self.why.set(why.clone()).is_ok() {
            self.is_offline.store(true, Ordering::Release);
            let dir = self.dir.display();
            tracing::error!("the log directory {dir} has failed and is offline until a restart: {why}");
        }
    }

    /// To be called every second or so: says so when no write was refused for a while.
    pub fn look(&self) {
        if !self.is_refusing.load(Ordering::Relaxed) {
            return;
        }
        let refusals = self.refusals.load(Ordering::Relaxed);
        if self.refusals_seen.swap(refusals, Ordering::Relaxed) != refusals {
            self.quiet_looks.store(0, Ordering::Relaxed);
        } else if self.quiet_looks.fetch_add(1, Ordering::Relaxed) + 1 == QUIET_LOOKS {
            self.is_refusing.store(false, Ordering::Relaxed);
            tracing::info!("the log directory {} has refused no write for a while", self.dir.display());
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.is_offline() { Err(io::Error::other(self.offline())) } else { Ok(()) }
    }

    fn heard(&self, error: &io::Error) {
        match Meaning::of(error) {
            Meaning::OneFile => {}
            Meaning::Broken => self.take_offline(error),
            Meaning::NoRoom => {
                self.refusals.fetch_add(1, Ordering::Relaxed);
                if !self.is_refusing.swap(true, Ordering::Relaxed) {
                    let dir = self.dir.display();
                    tracing::error!(%error, "the log directory {dir} takes no writes; they are refused until it does");
                }
            }
        }
    }
}

/// A file system whose errors are heard by the directories that they concern.
pub(crate) struct WatchedDisk {
    disk: Arc<dyn Disk>,
    dirs: Vec<Arc<Health>>,
}

impl WatchedDisk {
    pub fn new(disk: Arc<dyn Disk>, dirs: Vec<Arc<Health>>) -> Self {
        Self { disk, dirs }
    }

    /// The innermost directory that the path lies in.
    fn health(&self, path: &Path) -> Option<&Arc<Health>> {
        let around = self.dirs.iter().filter(|health| path.starts_with(&health.dir));
        around.max_by_key(|health| health.dir.as_os_str().len())
    }

    fn run<T>(&self, path: &Path, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let Some(health) = self.health(path) else { return work() };
        health.check()?;
        work().inspect_err(|error| health.heard(error))
    }

    /// The same for a change: it finds nothing to change where the whole directory has gone.
    fn change<T>(&self, path: &Path, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.run(path, work).inspect_err(|error| {
            let is_missing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
            if is_missing
                && let Some(health) = self.health(path)
                && let Err(gone) = self.disk.check_dir(&health.dir)
            {
                health.take_offline(gone);
            }
        })
    }
}

impl Disk for WatchedDisk {
    fn open(&self, path: &Path, create: Create) -> io::Result<Arc<dyn DiskFile>> {
        let open = || self.disk.open(path, create);
        let file = match create {
            Create::Never => self.run(path, open)?,
            Create::IfMissing => self.change(path, open)?,
        };
        Ok(match self.health(path) {
            Some(health) => Arc::new(WatchedFile { file, health: health.clone() }),
            None => file,
        })
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.run(dir, || self.disk.list(dir))
    }

    fn check_dir(&self, dir: &Path) -> io::Result<()> {
        self.run(dir, || self.disk.check_dir(dir))
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(dir, || self.disk.create_dir(dir))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(from, || self.disk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.run(path, || self.disk.remove_file(path))
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.run(dir, || self.disk.remove_dir(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(dir, || self.disk.sync_dir(dir))
    }

    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        self.change(dir, || self.disk.sync_all(dir))
    }
}

struct WatchedFile {
    file: Arc<dyn DiskFile>,
    health: Arc<Health>,
}

impl WatchedFile {
    fn run<T>(&self, work: impl FnOnce(&dyn DiskFile) -> io::Result<T>) -> io::Result<T> {
        self.health.check()?;
        work(&*self.file).inspect_err(|error| self.health.heard(error))
    }
}

impl DiskFile for WatchedFile {
    fn size(&self) -> io::Result<u64> {
        self.run(|file| file.size())
    }

    fn modified_ms(&self) -> io::Result<i64> {
        self.run(|file| file.modified_ms())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.run(|file| file.read_at(buffer, position))
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.run(|file| file.write_at(bytes, position))
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.run(|file| file.set_size(size))
    }

    fn set_modified_ms(&self, at_ms: i64) -> io::Result<()> {
        self.run(|file| file.set_modified_ms(at_ms))
    }

    fn sync(&self) -> io::Result<()> {
        self.run(|file| file.sync())
    }
}
