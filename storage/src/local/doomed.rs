//! What left a log and waits to be removed: files of segments (`.deleted`), directories of deleted topics (`-delete`).
//! Readers that began before go on reading them for `file.delete.delay.ms`.
//!
//! Removing a large file takes the file system a while, and there may be a hundred thousand of them: a thread of its own
//! does it, which lives for as long as there is something to remove.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use uuid::Uuid;

use super::deletion::DeletedTopic;
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
    /// Where something in `waiting` has been renamed, perhaps not on the disk yet.
    unsynced: HashSet<PathBuf>,
    /// Deleted topics whose directories may have their names yet, and when their files go.
    topics: HashMap<Uuid, i64>,
    remover: Option<JoinHandle<()>>,
    is_removing: bool,
    /// For tests: whoever finds something due removes it himself.
    has_no_thread: bool,
}

enum Doom {
    File(PathBuf),
    Dir(PathBuf),
    /// Directories that have their names yet.
    Topic(DeletedTopic),
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

    /// Comes before everything else.
    pub fn add_topic(&self, topic: DeletedTopic) {
        self.0.state().topics.insert(topic.id, topic.remove_at_ms);
        self.add(Doom::Topic(topic), i64::MIN);
    }

    /// When the files of a topic go whose directories may have their names yet.
    pub fn removes_topic_at(&self, id: Uuid) -> Option<i64> {
        self.0.state().topics.get(&id).copied()
    }

    pub fn has_topics(&self) -> bool {
        !self.0.state().topics.is_empty()
    }

    /// The directories that wait for their time.
    pub fn dirs(&self) -> HashSet<PathBuf> {
        let state = self.0.state();
        let dirs = state.waiting.values().filter_map(|doom| match doom {
            Doom::Dir(path) => Some(path.clone()),
            Doom::File(_) | Doom::Topic(_) => None,
        });
        dirs.collect()
    }

    fn add(&self, doom: Doom, remove_at_ms: i64) {
        self.0.state().add(doom, remove_at_ms);
    }

    /// Sees to it that what is due is removed soon.
    pub fn remove_due(&self, now_ms: i64) {
        let mut state = self.0.state();
        let is_due = state.waiting.first_key_value().is_some_and(|((at_ms, _), _)| *at_ms <= now_ms);
        if !is_due || state.is_removing {
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

    /// Ends after the file that is being removed now, when all deleted topics have lost their names. What is left is
    /// found at the next start.
    pub fn stop(&self) {
        self.0.is_stopped.store(true, Ordering::Relaxed);
        let remover = self.0.state().remover.take();
        if let Some(remover) = remover {
            // It ends without an answer only when it panicked, and then there is nothing to wait for.
            let _ = remover.join();
        }
        self.0.remove(i64::MIN);
    }
}

impl State {
    fn add(&mut self, doom: Doom, remove_at_ms: i64) {
        self.number += 1;
        if let Doom::Dir(path) = &doom
            && let Some(parent) = path.parent()
        {
            self.unsynced.insert(parent.to_owned());
        }
        let key = (remove_at_ms, self.number);
        self.waiting.insert(key, doom);
    }
}

impl Inner {
    fn remove(&self, now_ms: i64) {
        loop {
            let mut state = self.state();
            let is_stopped = self.is_stopped.load(Ordering::Relaxed);
            // Renaming is quick, and what has its name yet would be a stray at the next start.
            let limit_ms = if is_stopped { i64::MIN } else { now_ms };
            let next = state.waiting.first_entry().filter(|next| next.key().0 <= limit_ms);
            let Some(doom) = next.map(|next| next.remove()) else {
                state.is_removing = false;
                return;
            };
            drop(state);
            let (removed, path) = match doom {
                Doom::File(path) => (self.disk.remove_file(&path), path),
                Doom::Dir(path) => (self.sync_name_of(&path).and_then(|()| self.remove_dir(&path)), path),
                Doom::Topic(topic) => {
                    self.rename(topic, now_ms);
                    continue;
                }
            };
            if let Err(error) = removed
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), %error, "could not remove what was deleted");
            }
        }
    }

    fn rename(&self, mut topic: DeletedTopic, now_ms: i64) {
        let mut renamed = Vec::new();
        let outcome = topic.rename_some(&*self.disk, |path| renamed.push(path));
        let mut state = self.state();
        for path in renamed {
            state.add(Doom::Dir(path), topic.remove_at_ms);
        }
        // After an error at the next call, or the next start.
        let next_ms = if outcome.is_ok() { i64::MIN } else { now_ms.saturating_add(1) };
        if let Err(error) = outcome {
            tracing::warn!(topic = %topic.name, %error, "could not rename a deleted log; it is tried again");
        }
        if topic.partitions.is_empty() {
            state.topics.remove(&topic.id);
        } else {
            state.add(Doom::Topic(topic), next_ms);
        }
    }

    /// A power cut must not bring its old name back when its files are gone: it would be taken for the next topic's of the name.
    fn sync_name_of(&self, dir: &Path) -> io::Result<()> {
        let Some(parent) = dir.parent().filter(|parent| self.state().unsynced.remove(*parent)) else {
            return Ok(());
        };
        self.disk.sync_dir(parent).inspect_err(|_| {
            self.state().unsynced.insert(parent.to_owned());
        })
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
