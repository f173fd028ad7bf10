//! A bound on the files that are open at once: who was used longest ago is closed, and opened again when it is needed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::disk::{Create, Disk, DiskFile};
use super::doomed::Doomed;

/// The process's open files.
pub(crate) struct OpenFiles {
    disk: Arc<dyn Disk>,
    limit: usize,
    /// What waits to be removed.
    pub doomed: Doomed,
    /// Counts uses: what is "long ago" needs no clock.
    uses: AtomicU64,
    open: Mutex<Vec<Weak<Slot>>>,
}

/// A file that is open when it is in use and perhaps a while longer. Cheap to clone.
#[derive(Clone)]
pub(crate) struct CachedFile(Arc<Slot>);

struct Slot {
    path: PathBuf,
    last_use: AtomicU64,
    state: Mutex<SlotState>,
}

#[derive(Default)]
struct SlotState {
    file: Option<Arc<dyn DiskFile>>,
    /// Its name now, when it is no more the first one.
    moved_to: Option<PathBuf>,
}

impl OpenFiles {
    pub fn new(disk: Arc<dyn Disk>, limit: usize) -> Self {
        let doomed = Doomed::new(disk.clone());
        Self { disk, limit: limit.max(4), doomed, uses: AtomicU64::new(0), open: Mutex::default() }
    }

    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// The open file, which stays open for as long as the caller holds it.
    pub fn get(&self, file: &CachedFile) -> io::Result<Arc<dyn DiskFile>> {
        self.open(file, Create::Never)
    }

    /// The same, for a file that may not exist yet.
    pub fn get_or_create(&self, file: &CachedFile) -> io::Result<Arc<dyn DiskFile>> {
        self.open(file, Create::IfMissing)
    }

    fn open(&self, file: &CachedFile, create: Create) -> io::Result<Arc<dyn DiskFile>> {
        let slot = &file.0;
        slot.last_use.store(self.uses.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let mut current = slot.lock();
        if let Some(open) = &current.file {
            return Ok(open.clone());
        }
        let opened = match &current.moved_to {
            Some(path) => self.disk.open(path, create)?,
            None => self.disk.open(&slot.path, create)?,
        };
        current.file = Some(opened.clone());
        drop(current);
        self.admit(slot);
        Ok(opened)
    }

    /// One that nobody had yet.
    pub fn next_number(&self) -> u64 {
        self.uses.fetch_add(1, Ordering::Relaxed)
    }

    /// Gives the file another name. Whoever holds it reads on. One that is not there has the name all the same.
    pub fn rename(&self, file: &CachedFile, to: PathBuf) -> io::Result<()> {
        let mut current = file.0.lock();
        let from = current.moved_to.as_deref().unwrap_or(&file.0.path);
        let renamed = self.disk.rename(from, &to);
        if renamed.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::NotFound) {
            return renamed;
        }
        // Opened again only if somebody still reads it.
        let moved_to = (to != file.0.path).then_some(to);
        *current = SlotState { file: None, moved_to };
        renamed
    }

    /// Removes the file, whatever its name is now.
    pub fn remove(&self, file: &CachedFile) -> io::Result<()> {
        let mut current = file.0.lock();
        current.file = None;
        self.disk.remove_file(current.moved_to.as_deref().unwrap_or(&file.0.path))
    }

    /// Gives the file the name that it was made with, if it still has this one.
    pub fn settle(&self, file: &CachedFile, from: &Path) -> io::Result<()> {
        let mut current = file.0.lock();
        if current.moved_to.as_deref() != Some(from) {
            return Ok(());
        }
        match self.disk.rename(from, &file.0.path) {
            // It is not elsewhere either: a segment without aborted transactions has no index of them.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            renamed => renamed?,
        }
        current.moved_to = None;
        Ok(())
    }

    fn admit(&self, slot: &Arc<Slot>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push(Arc::downgrade(slot));
        if open.len() <= self.limit {
            return;
        }
        // Closes a quarter, so that this is not done for each file.
        let mut slots: Vec<_> = open.iter().filter_map(Weak::upgrade).collect();
        slots.sort_by_key(|slot| slot.last_use.load(Ordering::Relaxed));
        let excess = slots.len().saturating_sub(self.limit * 3 / 4);
        for slot in slots.drain(..excess) {
            slot.lock().file = None;
        }
        *open = slots.iter().map(Arc::downgrade).collect();
    }
}

impl CachedFile {
    pub fn new(path: PathBuf) -> Self {
        Self(Arc::new(Slot { path, last_use: AtomicU64::new(0), state: Mutex::default() }))
    }

    /// A file that has another name for now.
    pub fn moved(path: PathBuf, to: PathBuf) -> Self {
        let state = Mutex::new(SlotState { file: None, moved_to: Some(to) });
        Self(Arc::new(Slot { path, last_use: AtomicU64::new(0), state }))
    }

    /// Whether it has another name than its own.
    pub fn is_moved(&self) -> bool {
        self.0.lock().moved_to.is_some()
    }

    /// The name that it was made with: its own.
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, SlotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
