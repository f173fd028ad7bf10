//! The log directories: what lies in them, and what is taken out.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_storage::{LogDir, LogId, StorageError};
use tracing::warn;

use super::Broker;
use super::cluster::ClusterError;
use crate::metadata::{DeletedTopic, Image, TopicToDelete};

impl Broker {
    /// The directories with those of `ids` that lie in them, and their sizes in bytes. A log that nothing was written to
    /// has no files yet, but its place is known. Reads the disk.
    pub fn log_dirs(&self, ids: Vec<LogId>) -> Result<Vec<LogDir>, StorageError> {
        let mut dirs = self.logs().describe()?;
        let mut open = HashMap::new();
        for dir in &mut dirs {
            for (id, size) in dir.logs.drain(..) {
                open.insert((id.topic_id, id.partition), size);
            }
        }
        for id in ids {
            let path = match self.logs().dir_of(&id) {
                // Nobody can look into its directory.
                Err(StorageError::Offline { .. }) => continue,
                outcome => outcome?,
            };
            let size = match (open.get(&(id.topic_id, id.partition)), &path) {
                (Some(size), _) => *size,
                // Not in use since the start: its files say how large it is, and opening it would cost more.
                (None, Some(path)) => size_of_segments(path).unwrap_or(0),
                (None, None) => 0,
            };
            let home = path.as_deref().and_then(Path::parent).map(PathBuf::from).unwrap_or_default();
            if let Some(dir) = dirs.iter_mut().find(|dir| dir.path == home) {
                dir.logs.push((id, size));
            }
        }
        Ok(dirs)
    }

    /// Takes directories out of use that have failed since the last call. An error says why this broker cannot go on.
    pub async fn check_log_dirs(&self) -> Result<(), String> {
        let offline = self.logs().offline_dirs();
        let ids = self.cluster.directory_ids();
        let (node_id, image) = (self.node_id(), self.image());
        let registered =
            image.broker(node_id).map(|broker| broker.directories.as_slice()).unwrap_or_default();
        let is_new = |at: &usize| ids.get(*at).is_some_and(|id| registered.contains(id));
        let failed: Vec<usize> = offline.iter().map(|(at, _)| *at).filter(is_new).collect();
        if offline.len() == ids.len() && !offline.is_empty() {
            return Err("all log directories have failed".to_owned());
        }
        if let Some(why) = self.cluster.metadata_failure() {
            return Err(why);
        }
        if failed.is_empty() {
            return Ok(());
        }
        match self.cluster.directories_failed(&failed).await {
            Ok(()) => self.directories_failed(),
            // At the next call.
            Err(error) => warn!(%error, "the failed log directories could not be noted"),
        }
        Ok(())
    }

    /// Whoever waits for something that lies in a failed directory asks again, and is told.
    fn directories_failed(&self) {
        for partition in self.partitions.all() {
            partition.wake();
        }
        self.groups.unload();
        self.transactions.unload();
        self.share_states.unload();
    }

    /// Finishes deletions that a crash cut short, and sets aside other logs whose topic the metadata does not know, as Kafka
    /// does. Reads the disk.
    pub fn settle_strays(&self) {
        let (image, now_ms) = (self.image(), self.clock.now_ms());
        let is_known = |topic: &str, partition: i32| {
            let is_there =
                |image: &Image| image.topic(topic).is_some_and(|known| known.partition(partition).is_some());
            // A topic may have been created since.
            is_there(&image) || is_there(&self.image())
        };
        if let Err(error) = self.logs().settle_strays(&is_known, now_ms) {
            warn!(%error, "the log directories could not be searched for deleted topics");
        }
    }

    /// Deletes topics and takes their files out of use, whether or not the one who asked still waits.
    pub async fn delete_topics(
        self: &Arc<Self>,
        topics: Vec<TopicToDelete>,
    ) -> Result<Vec<DeletedTopic>, ClusterError> {
        let broker = Arc::clone(self);
        let deletion = tokio::spawn(async move {
            // The names and sizes of what goes are known only until it has gone.
            let before = broker.image();
            let deleted = broker.cluster.delete_topics(topics).await?;
            for topic in deleted.iter().filter(|topic| topic.result.is_ok()) {
                if let Some(gone) = before.topic_by_id(&topic.id) {
                    broker.topic_deleted(gone);
                }
            }
            Ok(deleted)
        });
        deletion.await.unwrap_or_else(|stopped| Err(ClusterError::Unknown(stopped.to_string())))
    }
}

fn size_of_segments(dir: &Path) -> io::Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            size += entry.metadata()?.len();
        }
    }
    Ok(size)
}
