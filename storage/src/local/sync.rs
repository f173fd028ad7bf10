//! Making a log durable, and what becomes of it when the disk says that it could not.
//!
//! After a failed sync the kernel may count pages as clean that never got to the disk, and a second sync would find nothing
//! to do and succeed. So what was written since the last good sync is written once more from what is in memory, once
//! checksums have shown that it is still there, and synced again. Until that succeeds the log above takes no appends.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::disk::DiskFile;
use super::open_files::{CachedFile, OpenFiles};
use super::scan::Scanner;
use crate::batch_info::crc_matches;

/// So much is written again at once.
const CHUNK_BYTES: usize = 256 * 1024;

/// A file with writes that are perhaps not on the disk.
pub(super) struct ToSync {
    pub file: CachedFile,
    pub written: Written,
}

/// What must be written again if the sync fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// Batches between two positions.
    Batches { from: u64, to: u64 },
    /// Any of a small file, which is of use and need not be there.
    Hints,
    /// The same, of a file that has to be there.
    Anything,
}

/// What an earlier sync has failed to bring to the disk.
#[derive(Default)]
pub(super) struct InDoubt(Mutex<Doubts>);

#[derive(Default)]
struct Doubts {
    files: Vec<ToSync>,
    is_dir: bool,
}

/// One flush: what it has to sync, with what is in doubt.
pub(super) struct SyncJob {
    pub to_sync: Vec<ToSync>,
    /// The log's directory, and whether files in it were made.
    pub dir: PathBuf,
    pub is_dir: bool,
    pub in_doubt: Arc<InDoubt>,
    pub files: Arc<OpenFiles>,
}

impl SyncJob {
    /// Waits for the disk. After an error all of it is in doubt.
    pub fn run(mut self) -> io::Result<()> {
        let Doubts { files: again, is_dir } = std::mem::take(&mut *self.in_doubt.lock());
        self.is_dir |= is_dir;
        let outcome = self.sync(&again);
        if outcome.is_err() {
            let mut doubts = self.in_doubt.lock();
            doubts.files.extend(again.into_iter().chain(self.to_sync));
            doubts.is_dir |= self.is_dir;
        }
        outcome
    }

    fn sync(&self, again: &[ToSync]) -> io::Result<()> {
        for doubtful in again {
            if let Some(file) = doubtful.open(&self.files)? {
                doubtful.written.rewrite(&*file)?;
                file.sync()?;
            }
        }
        for to_sync in &self.to_sync {
            if let Some(file) = to_sync.open(&self.files)? {
                file.sync()?;
            }
        }
        if self.is_dir {
            self.files.disk().sync_dir(&self.dir)?;
            self.dir.parent().map_or(Ok(()), |parent| self.files.disk().sync_dir(parent))?;
        }
        Ok(())
    }
}

impl InDoubt {
    fn lock(&self) -> MutexGuard<'_, Doubts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ToSync {
    /// Nothing when it has left the log meanwhile.
    fn open(&self, files: &OpenFiles) -> io::Result<Option<Arc<dyn DiskFile>>> {
        match files.get(&self.file) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.may_be_gone() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn may_be_gone(&self) -> bool {
        self.written == Written::Hints || self.file.is_moved()
    }
}

impl Written {
    fn rewrite(self, file: &dyn DiskFile) -> io::Result<()> {
        let (mut position, end) = match self {
            Self::Batches { from, to } => {
                check_batches(file, from, to)?;
                (from, to)
            }
            Self::Hints | Self::Anything => (0, file.size()?),
        };
        let mut chunk = vec![0; CHUNK_BYTES];
        while position < end {
            let wanted = usize::try_from(end - position).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
            let read = file.read_at(&mut chunk[..wanted], position)?;
            if read == 0 {
                break;
            }
            file.write_at(&chunk[..read], position)?;
            position += read as u64;
        }
        Ok(())
    }
}

/// Memory may have let go of what the disk did not take.
fn check_batches(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let mut scanner = Scanner::new(file, to);
    let mut position = from;
    while position < to {
        let size = scanner.header(position)?.map_or(0, |batch| batch.size);
        if size == 0 || !crc_matches(scanner.bytes(position, size as usize)?) {
            return Err(io::Error::other(format!(
                "what was written at position {position} is lost; only a restart recovers the log, up to there"
            )));
        }
        position += u64::from(size);
    }
    Ok(())
}
