//! What this broker has in its log directories, and what it is told of them.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_protocol::kafka_id;
use ottla_storage::{Home, LogId, Logs};
use tracing::warn;
use uuid::Uuid;

use super::{Cluster, ClusterError};
use crate::metadata::BrokerDirectories;

impl Cluster {
    /// What can be used, and where replicas are of which nobody has told. Reads the disk for those.
    pub fn directories(&self, logs: &Logs) -> BrokerDirectories {
        let ids = self.directory_ids();
        let offline: Vec<usize> = logs.offline_dirs().into_iter().map(|(at, _)| at).collect();
        let online = ids.iter().enumerate().filter(|(at, _)| !offline.contains(at)).map(|(_, id)| *id);
        let mut directories = BrokerDirectories {
            online: online.collect(),
            has_offline: !offline.is_empty(),
            ..BrokerDirectories::default()
        };
        let (image, node_id) = (self.image(), self.node_id());
        for topic in image.topics() {
            for (index, partition) in (0..).zip(&topic.partitions) {
                let known = partition.directory_on(node_id);
                let is_here = partition.membership.replicas.contains(&node_id);
                if !is_here || known.is_some_and(|id| directories.online.contains(&id)) {
                    continue;
                }
                let id = LogId { topic: Arc::from(&*topic.name), topic_id: topic.id, partition: index };
                match logs.find(&id) {
                    Ok(Some(at)) => {
                        directories.found.extend(ids.get(at).map(|found| ((topic.id, index), *found)));
                    }
                    Ok(None) => {}
                    Err(error) => warn!(log = %id, %error, "its log directory is not known"),
                }
            }
        }
        directories
    }

    /// Takes out of use what cannot be read, and begins the directories that have nothing in them. But when the metadata
    /// tells of logs in a directory that is not there, such a one may be the mount point of a disk that is missing, and
    /// logs that began in it would be out of sight once the disk is back.
    pub fn begin_directories(&self, logs: &Logs) {
        for (at, why) in &self.identity.unusable {
            logs.take_offline(*at, why);
        }
        let Some((_, first)) = self.identity.unformatted.first() else { return };
        let lost = self.lost_directory();
        for (at, dir) in &self.identity.unformatted {
            let begun = match lost {
                None => {
                    let id = self.directory_ids().get(*at).copied().unwrap_or_default();
                    self.identity.format(dir, id).map(|_| ()).map_err(|error| error.to_string())
                }
                Some(lost) => Err(format!(
                    "it has no meta.properties, and partitions of this broker are in the directory {}, which is not there: \
                     is a disk not mounted? To begin it anew, copy the meta.properties of {} without its directory.id.",
                    kafka_id(&lost),
                    self.identity.metadata_root.as_deref().unwrap_or(first).display()
                )),
            };
            if let Err(why) = begun {
                logs.take_offline(*at, &why);
            }
        }
    }

    /// A directory in which this broker has partitions and that it does not find.
    fn lost_directory(&self) -> Option<Uuid> {
        let (image, node_id) = (self.image(), self.node_id());
        let partitions = image.topics().flat_map(|topic| &topic.partitions);
        let known = partitions.filter_map(|partition| partition.directory_on(node_id));
        let lost: BTreeSet<Uuid> = known.filter(|id| !self.directory_ids().contains(id)).collect();
        // Those that are there and cannot be read are some of them.
        lost.first().copied().filter(|_| lost.len() > self.identity.unusable.len())
    }

    /// Why the metadata log cannot be written any more, when its directory has failed.
    pub fn metadata_failure(&self) -> Option<String> {
        let root = self.identity.metadata_root.as_deref()?;
        let offline = self.logs.offline_dirs();
        let dirs = self.logs.dirs();
        let failed = offline.into_iter().find(|(at, _)| dirs.get(*at).is_some_and(|dir| dir == root));
        failed.map(|(_, why)| format!("the log directory of the cluster's metadata has failed: {why}"))
    }

    /// Where logs belong, as the metadata says at any time.
    pub fn place_logs(&self, logs: &Logs) {
        let (images, node_id, ids) = (self.changes(), self.node_id(), self.directory_ids().to_vec());
        logs.set_placement(Arc::new(move |id| {
            let image = images.borrow().clone();
            let partition = image.partition(&id.topic_id, id.partition);
            match partition.and_then(|partition| partition.directory_on(node_id)) {
                None => Home::Anywhere,
                Some(directory) => {
                    ids.iter().position(|known| *known == directory).map_or(Home::Lost, Home::In)
                }
            }
        }));
    }

    /// The log directories at these places of `log.dirs` have failed: what lies in them has no leader from now on.
    pub async fn directories_failed(&self, dirs: &[usize]) -> Result<(), ClusterError> {
        let node_id = self.node_id();
        let failed: Vec<Uuid> = dirs.iter().filter_map(|at| self.directory_ids().get(*at)).copied().collect();
        self.decide(move |controller| controller.directories_offline(node_id, &failed)).await
    }
}
