//! What left a log and waits to be removed: files of segments (`.deleted`), directories of deleted topics (`-delete`).
//! Readers that began before go on reading them for `file.delete.delay.ms`.
//!
//! Removing a large file takes the file system a while, and there may be a hundred thousand of them: a thread of its own
//! does it, which lives for as long as there is something to remove.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::disk::Disk;

#[derive(Clone)]
pub(crate) struct Doomed(Arc<Inner>);

struct Inner {
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
    is_stopped: AtomicBool,
}

#[derive(Default)]
struct State {
    /// By the time at which it may go, and a number that keeps the order.
    waiting: BTreeMap<(i64, u64), Doom>,
    number: u64,
    remover: Option<JoinHandle<()>>,
    is_removing: bool,
    /// For tests: whoever finds something due removes it himself.
    has_no_thread: bool,
}

enum Doom {
    File(PathBuf),
    Dir(PathBuf),
}

impl Doomed {
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self(Arc::new(Inner { disk, state: Mutex::default(), is_stopped: AtomicBool::new(false) }))
    }

    #[cfg(test)]
    pub fn without_thread(&self) {
        self.0.state().has_no_thread = true;
    }

    pub fn add_file(&self, path: PathBuf, remove_at_ms: i64) {
        self.add(Doom::File(path), remove_at_ms);
    }

    pub fn add_dir(&self, path: PathBuf, remove_at_ms: i64) {
        self.add(Doom::Dir(path), remove_at_ms);
    }

    pub fn has_dir(&self, path: &Path) -> bool {
        self.0.state().waiting.values().any(|doom| matches!(doom, Doom::Dir(known) if known == path))
    }

    fn add(&self, doom: Doom, remove_at_ms: i64) {
        let mut state = self.0.state();
        state.number += 1;
        let key = (remove_at_ms, state.number);
        state.waiting.insert(key, doom);
    }

    /// Sees to it that what is due is removed soon.
    pub fn remove_due(&self, now_ms: i64) {
        let mut state = self.0.state();
        let is_due = state.waiting.first_key_value().is_some_and(|((at_ms, _), _)| *at_ms <= now_ms);
        if !is_due || state.is_removing || self.0.is_stopped.load(Ordering::Relaxed) {
            return;
        }
        let inner = self.0.clone();
        state.is_removing = true;
        if state.has_no_thread {
            drop(state);
            inner.remove(now_ms);
            return;
        }
        let named = std::thread::Builder::new().name("ottla-remove".to_owned());
        match named.spawn(move || inner.remove(now_ms)) {
            Ok(remover) => state.remover = Some(remover),
            Err(_) => state.is_removing = false, // at the next call
        }
    }

    /// Ends after the file that is being removed now. What is left is found at the next start.
    pub fn stop(&self) {
        self.0.is_stopped.store(true, Ordering::Relaxed);
        let remover = self.0.state().remover.take();
        if let Some(remover) = remover {
            // It ends without an answer only when it panicked, and then there is nothing to wait for.
            let _ = remover.join();
        }
    }
}

impl Inner {
    fn remove(&self, now_ms: i64) {
        loop {
            let mut state = self.state();
            let is_stopped = self.is_stopped.load(Ordering::Relaxed);
            let next = state.waiting.first_entry().filter(|next| next.key().0 <= now_ms && !is_stopped);
            let Some(doom) = next.map(|next| next.remove()) else {
                state.is_removing = false;
                return;
            };
            drop(state);
            let (path, removed) = match &doom {
                Doom::File(path) => (path, self.disk.remove_file(path)),
                Doom::Dir(path) => (path, self.remove_dir(path)),
            };
            if let Err(error) = removed
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "could not remove what was deleted");
            }
        }
    }

    /// File by file, so that a stop need not wait for all of a large partition.
    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        for name in self.disk.list(dir)? {
            if self.is_stopped.load(Ordering::Relaxed) {
                return Ok(());
            }
            // A directory inside goes with the whole.
            let _ = self.disk.remove_file(&dir.join(name));
        }
        self.disk.remove_dir(dir)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
