//! What the local engine asks of a file system: narrow, so that tests can put one under it that fails.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A file system. Paths are whole paths.
pub(crate) trait Disk: Send + Sync {
    /// Opens for reading and writing; creates the file when it is not there and `create` says so.
    fn open(&self, path: &Path, create: Create) -> io::Result<Arc<dyn DiskFile>>;
    /// The names in a directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Only this one: where the directory around it has gone, nothing is to begin in its place.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// With all that is in it.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes creations and renames in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// An error when it is not there, or nobody can look into it.
    fn check_dir(&self, dir: &Path) -> io::Result<()> {
        self.list(dir).map(drop)
    }

    /// Makes everything durable that is in the directory and in those in it.
    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        for name in self.list(dir)? {
            let path = dir.join(name);
            let Ok(names) = self.list(&path) else { continue };
            for name in names {
                match self.open(&path.join(name), Create::Never) {
                    Ok(file) => file.sync()?,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
            }
            self.sync_dir(&path)?;
        }
        self.sync_dir(dir)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Create {
    Never,
    IfMissing,
}

/// An open file.
pub(crate) trait DiskFile: Send + Sync {
    fn size(&self) -> io::Result<u64>;
    /// When it was last written, in milliseconds since the epoch.
    fn modified_ms(&self) -> io::Result<i64>;
    /// Fills as much of `buffer` as there is.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;
    fn set_size(&self, size: u64) -> io::Result<()>;
    /// Sets the time that `modified_ms` gives.
    fn set_modified_ms(&self, at_ms: i64) -> io::Result<()>;
    /// Waits until data and size are on the platter.
    fn sync(&self) -> io::Result<()>;
}

/// The operating system's.
pub(crate) struct OsDisk;

impl Disk for OsDisk {
    fn open(&self, path: &Path, create: Create) -> io::Result<Arc<dyn DiskFile>> {
        let is_new = create == Create::IfMissing;
        let file = OpenOptions::new().read(true).write(true).create(is_new).truncate(false).open(path)?;
        Ok(Arc::new(OsFile(file)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        match fs::create_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            outcome => outcome,
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir_all(dir)
    }

    fn check_dir(&self, dir: &Path) -> io::Result<()> {
        fs::read_dir(dir).map(drop)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // Other systems cannot open a directory to sync it.
        if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
    }

    /// One call for a hundred thousand logs, which would take minutes one by one.
    #[cfg(target_os = "linux")]
    fn sync_all(&self, dir: &Path) -> io::Result<()> {
        Ok(rustix::fs::syncfs(File::open(dir)?)?)
    }
}

struct OsFile(File);

impl DiskFile for OsFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn modified_ms(&self) -> io::Result<i64> {
        let since = self.0.metadata()?.modified()?.duration_since(std::time::UNIX_EPOCH);
        Ok(since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)))
    }

    fn read_at(&self, mut buffer: &mut [u8], mut position: u64) -> io::Result<usize> {
        let mut total = 0;
        while !buffer.is_empty() {
            match read_some(&self.0, buffer, position) {
                Ok(0) => break,
                Ok(count) => {
                    total += count;
                    position += count as u64;
                    buffer = &mut buffer[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }

    #[cfg(unix)]
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.0, bytes, position)
    }

    #[cfg(windows)]
    fn write_at(&self, mut bytes: &[u8], mut position: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            let count = std::os::windows::fs::FileExt::seek_write(&self.0, bytes, position)?;
            position += count as u64;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    fn set_modified_ms(&self, at_ms: i64) -> io::Result<()> {
        let since = Duration::from_millis(u64::try_from(at_ms).unwrap_or(0));
        self.0.set_modified(std::time::UNIX_EPOCH + since)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(unix)]
fn read_some(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, position)
}

#[cfg(windows)]
fn read_some(file: &File, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, position)
}

/// The whole of a small file; nothing when it is not there.
pub(crate) fn read_whole(disk: &dyn Disk, path: &Path, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, Create::Never) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let size = file.size()?;
    if size > max_bytes {
        return Err(io::Error::other(format!("{size} bytes are more than such a file may have")));
    }
    let mut bytes = vec![0; size as usize];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// Replaces a small file, all or nothing: a crash leaves the old one or the new one.
pub(crate) fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    let temporary = Path::new(&temporary);
    let file = disk.open(temporary, Create::IfMissing)?;
    let written = file.set_size(0).and_then(|()| file.write_at(bytes, 0)).and_then(|()| file.sync());
    // Half of a file is of no use, and may take the last space.
    written.inspect_err(|_| drop(disk.remove_file(temporary)))?;
    disk.rename(temporary, path)
}
