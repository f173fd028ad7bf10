//! Topics that go: their directories get names that nobody looks for (`-delete`) and are removed later, in the background,
//! however many there are. And directories whose topic is not in the metadata: those of a deletion that a crash cut short
//! go on being deleted; all others are strays, which are set aside as Kafka does (`-stray`) and never removed, since a
//! damaged `partition.metadata` or an old copy of the metadata can make a stray of a topic's only data.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use uuid::Uuid;

use super::dirs::Dir;
use super::disk::{Create, Disk, read_whole};
use super::{LocalEngine, METADATA_TOPIC, partition_metadata};
use crate::error::StorageError;

const DELETE_SUFFIX: &str = "-delete";
const STRAY_SUFFIX: &str = "-stray";
/// In the first log directory while topics are being deleted: their ids, one a line. Kafka passes over such a file.
const DELETED_TOPICS_FILE: &str = ".deleted-topics";
const DELETED_TOPICS_MAX_BYTES: u64 = 256 << 20;

/// A topic that was deleted, with partitions whose directories may be in any of these.
pub(super) struct DeletedTopic {
    pub name: Arc<str>,
    pub id: Uuid,
    pub partitions: Range<i32>,
    pub dirs: Vec<PathBuf>,
    pub remove_at_ms: i64,
}

impl DeletedTopic {
    /// Gives some partitions' directories their new names, each of which `doom` is told of.
    pub fn rename_some(&mut self, disk: &dyn Disk, mut doom: impl FnMut(PathBuf)) -> io::Result<()> {
        for partition in self.partitions.clone().take(64) {
            let name = format!("{}-{partition}", self.name);
            for dir in &self.dirs {
                rename_own(disk, dir, &name, self.id)?.into_iter().for_each(&mut doom);
            }
            self.partitions.start = partition + 1;
        }
        Ok(())
    }
}

fn rename_own(disk: &dyn Disk, dir: &Path, name: &str, id: Uuid) -> io::Result<Option<PathBuf>> {
    let path = dir.join(name);
    if partition_metadata::read(disk, &path)? != Some(id) {
        return Ok(None);
    }
    rename_with(disk, &path, id, DELETE_SUFFIX)
}

/// `topic-partition.ID-suffix`, where a long topic loses its end, as with Kafka: a name has at most 255 bytes. Nothing when
/// somebody else was faster.
fn rename_with(disk: &dyn Disk, path: &Path, id: Uuid, suffix: &str) -> io::Result<Option<PathBuf>> {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let room = 255 - 1 - 32 - suffix.len();
    let mut length = name.len().min(room);
    while !name.is_char_boundary(length) {
        length -= 1;
    }
    let to = path.with_file_name(format!("{}.{}{suffix}", &name[..length], id.simple()));
    match disk.rename(path, &to) {
        Ok(()) => Ok(Some(to)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl LocalEngine {
    /// The topic is gone. What it has in a directory that is offline is a stray when that comes back.
    pub fn delete(&self, topic: &Arc<str>, id: Uuid, partitions: Range<i32>, remove_at_ms: i64) {
        let dirs: Vec<_> = self.online().map(|dir| dir.path.clone()).collect();
        for dir in self.online() {
            for partition in partitions.clone() {
                dir.forget(&format!("{topic}-{partition}"));
            }
        }
        self.files.doomed.add_topic(DeletedTopic { name: topic.clone(), id, partitions, dirs, remove_at_ms });
        self.note_deleted(id);
        self.files.doomed.remove_due(i64::MIN);
    }

    /// So that a crash does not leave half of a topic.
    fn note_deleted(&self, id: Uuid) {
        let Some(first) = self.dirs.first() else { return };
        self.has_noted_deleted.store(true, Ordering::Relaxed);
        let path = first.path.join(DELETED_TOPICS_FILE);
        let noted = self.files.disk().open(&path, Create::IfMissing).and_then(|file| {
            let size = file.size()?;
            file.write_at(format!("{}\n", id.simple()).as_bytes(), size)
        });
        if let Err(error) = noted {
            tracing::warn!(path = %path.display(), %error, "could not note that a topic is being deleted");
        }
    }

    /// Once nothing is being deleted there is nothing to note.
    fn forget_deleted(&self) {
        let Some(first) = self.dirs.first() else { return };
        let (disk, path) = (self.files.disk(), first.path.join(DELETED_TOPICS_FILE));
        if !self.files.doomed.has_topics() && disk.open(&path, Create::Never).is_ok() {
            self.has_noted_deleted.store(false, Ordering::Relaxed);
            // One that stays does no harm: no topic has its ids again.
            let _ = disk.remove_file(&path);
        }
    }

    /// The ids of topics whose deletion the last process did not finish.
    fn half_deleted(&self) -> HashSet<Uuid> {
        let Some(first) = self.dirs.first() else { return HashSet::new() };
        let path = first.path.join(DELETED_TOPICS_FILE);
        let read = read_whole(self.files.disk(), &path, DELETED_TOPICS_MAX_BYTES);
        let text = read.ok().flatten().unwrap_or_default();
        String::from_utf8_lossy(&text).lines().filter_map(|line| Uuid::parse_str(line).ok()).collect()
    }

    /// What another topic, or an earlier one of the same name, has left where a log belongs.
    pub(super) fn make_way(&self, dir: &Dir, name: &str, id: Uuid) -> Result<(), StorageError> {
        let path = dir.path.join(name);
        let failed = |error| StorageError::io("rename", &path, error);
        if let Some(remove_at_ms) = self.files.doomed.removes_topic_at(id) {
            let renamed = rename_with(self.files.disk(), &path, id, DELETE_SUFFIX).map_err(failed)?;
            renamed.into_iter().for_each(|to| self.files.doomed.add_dir(to, remove_at_ms));
            return Ok(());
        }
        self.set_aside(&path, id).map_err(failed)
    }

    fn set_aside(&self, path: &Path, id: Uuid) -> io::Result<()> {
        if let Some(to) = rename_with(self.files.disk(), path, id, STRAY_SUFFIX)? {
            tracing::warn!(
                path = %to.display(), topic_id = %id.simple(),
                "a log of a topic that the metadata does not know was set aside; remove it when nobody misses it"
            );
        }
        Ok(())
    }

    /// To be called once the metadata is known: deals with the directories of topics that are not in it.
    pub fn settle_strays(
        &self,
        is_known: &dyn Fn(&str, i32) -> bool,
        now_ms: i64,
    ) -> Result<(), StorageError> {
        let half_deleted = self.half_deleted();
        for dir in self.online() {
            let names = self.files.disk().list(&dir.path);
            for name in names.map_err(|error| StorageError::io("list", &dir.path, error))? {
                let Some((topic, partition)) = parse_name(&name) else { continue };
                let is_known = topic == METADATA_TOPIC || is_known(topic, partition);
                if is_known && half_deleted.is_empty() {
                    continue;
                }
                let path = dir.path.join(&name);
                let failed = |error| StorageError::io("rename", &path, error);
                // Somebody's own directory that only has such a name is none of ours.
                let Ok(Some(id)) = partition_metadata::read(self.files.disk(), &path) else { continue };
                if half_deleted.contains(&id) {
                    dir.forget(&name);
                    let renamed = rename_with(self.files.disk(), &path, id, DELETE_SUFFIX).map_err(failed)?;
                    renamed.into_iter().for_each(|to| self.files.doomed.add_dir(to, now_ms));
                } else if !is_known {
                    dir.forget(&name);
                    self.set_aside(&path, id).map_err(failed)?;
                }
            }
        }
        self.forget_deleted();
        Ok(())
    }

    /// Removes, in the background, what was deleted and whose time has come; the first time also the directories that an
    /// earlier process left.
    pub fn remove_doomed(&self, now_ms: i64) {
        let doomed = &self.files.doomed;
        if !self.has_looked_for_doomed.swap(true, Ordering::Relaxed) {
            let known = doomed.dirs();
            for dir in self.online() {
                let names = self.files.disk().list(&dir.path).unwrap_or_default();
                let found = names.iter().filter(|name| is_doomed(name)).map(|name| dir.path.join(name));
                found.filter(|path| !known.contains(path)).for_each(|path| doomed.add_dir(path, 0));
            }
        }
        doomed.remove_due(now_ms);
        if self.has_noted_deleted.load(Ordering::Relaxed) && !doomed.has_topics() {
            self.forget_deleted();
        }
    }

    /// Ends what goes on in the background; topics that were deleted no longer have their names after it.
    pub fn stop(&self) {
        self.files.doomed.stop();
        self.forget_deleted();
    }
}

/// Topic and partition, when the name looks like that of a log's directory.
pub(super) fn parse_name(name: &str) -> Option<(&str, i32)> {
    let (topic, partition) = name.rsplit_once('-')?;
    Some((topic, partition.parse().ok()?))
}

/// Whether a directory has the name that Kafka gives to a deleted topic's: `topic-partition.ID-delete`, where the id has 32
/// digits. Anything else may be somebody's own.
fn is_doomed(name: &str) -> bool {
    let id = name.strip_suffix(DELETE_SUFFIX).and_then(|stem| Some(stem.rsplit_once('.')?.1));
    id.is_some_and(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
