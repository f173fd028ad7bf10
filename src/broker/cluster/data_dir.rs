//! The small files that make a directory Kafka's: `meta.properties` in each, and `quorum-state` beside the metadata log.
//! There is no format step: what is missing is made.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kafka_protocol::protocol::StrBytes;
use ottla_protocol::{kafka_id, parse_kafka_id};
use uuid::Uuid;

use super::ids::random_kafka_id;

const META_PROPERTIES: &str = "meta.properties";
const QUORUM_STATE: &str = "quorum-state";
const METADATA_LOG_DIR: &str = "__cluster_metadata-0";

/// Who this node is, as its directories remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub node_id: i32,
    pub cluster_id: StrBytes,
    /// One for each log directory, in their order.
    pub directory_ids: Vec<Uuid>,
    /// The first log directory; `None` when everything is in memory.
    pub metadata_root: Option<PathBuf>,
}

impl Identity {
    /// A new cluster that leaves no trace.
    pub fn in_memory(node_id: i32, cluster_id: Option<&str>) -> Self {
        let cluster_id = cluster_id.map_or_else(|| kafka_id(&random_kafka_id()), str::to_owned);
        Identity {
            node_id,
            cluster_id: StrBytes::from_string(cluster_id),
            directory_ids: vec![random_kafka_id()],
            metadata_root: None,
        }
    }

    pub(super) fn metadata_dir(&self) -> Option<PathBuf> {
        self.metadata_root.as_ref().map(|root| root.join(METADATA_LOG_DIR))
    }
}

#[derive(Debug)]
pub enum DataDirError {
    Io(PathBuf, io::Error),
    /// What is in the directory is not what this node was told to be.
    Mismatch(String),
    Malformed(PathBuf, String),
}

impl fmt::Display for DataDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataDirError::Io(path, error) => write!(f, "{}: {error}", path.display()),
            DataDirError::Mismatch(why) => f.write_str(why),
            DataDirError::Malformed(path, why) => write!(f, "{}: {why}", path.display()),
        }
    }
}

impl std::error::Error for DataDirError {}

/// Reads each directory's `meta.properties`, and makes the directories and files that are missing. `cluster_id` is what
/// the configuration says, if it does.
pub fn prepare(
    log_dirs: &[PathBuf],
    node_id: i32,
    cluster_id: Option<&str>,
) -> Result<Identity, DataDirError> {
    let mut found = Vec::with_capacity(log_dirs.len());
    for dir in log_dirs {
        fs::create_dir_all(dir).map_err(|error| DataDirError::Io(dir.clone(), error))?;
        found.push(MetaProperties::read(&dir.join(META_PROPERTIES))?);
    }
    let remembered = found.iter().flatten().map(|meta| meta.cluster_id.as_str()).next();
    let cluster_id = match (remembered, cluster_id) {
        (Some(remembered), Some(given)) if remembered != given => {
            return Err(DataDirError::Mismatch(format!(
                "Invalid cluster.id in {}: expected {given}, but read {remembered}",
                log_dirs[0].join(META_PROPERTIES).display()
            )));
        }
        (Some(known), _) | (None, Some(known)) => known.to_owned(),
        (None, None) => kafka_id(&random_kafka_id()),
    };
    let mut directory_ids = Vec::with_capacity(log_dirs.len());
    for (dir, meta) in log_dirs.iter().zip(&found) {
        let path = dir.join(META_PROPERTIES);
        let meta = match meta {
            Some(meta) => meta.checked(&path, node_id, &cluster_id)?.clone(),
            None => MetaProperties::create(&path, node_id, &cluster_id)?,
        };
        directory_ids.push(meta.directory_id);
    }
    Ok(Identity {
        node_id,
        cluster_id: StrBytes::from_string(cluster_id),
        directory_ids,
        metadata_root: log_dirs.first().cloned(),
    })
}

#[derive(Debug, Clone)]
struct MetaProperties {
    node_id: i32,
    cluster_id: String,
    directory_id: Uuid,
}

impl MetaProperties {
    fn read(path: &Path) -> Result<Option<Self>, DataDirError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(DataDirError::Io(path.to_owned(), error)),
        };
        let malformed = |why: &str| DataDirError::Malformed(path.to_owned(), why.to_owned());
        let value = |key: &str| {
            text.lines().filter_map(|line| line.split_once('=')).find(|(name, _)| name.trim() == key)
        };
        let required = |key: &str| {
            value(key).map(|(_, value)| value.trim()).ok_or_else(|| malformed(&format!("it has no {key}")))
        };
        if required("version")? != "1" {
            return Err(malformed("only version=1 (KRaft) can be read"));
        }
        let node_id = required("node.id")?.parse().map_err(|_| malformed("node.id is not a number"))?;
        // Directories that Kafka formatted before 3.7 have no id yet.
        let directory_id = match value("directory.id") {
            Some((_, id)) => {
                parse_kafka_id(id.trim()).ok_or_else(|| malformed("directory.id is not an id"))?
            }
            None => Uuid::nil(),
        };
        Ok(Some(MetaProperties { node_id, cluster_id: required("cluster.id")?.to_owned(), directory_id }))
    }

    fn create(path: &Path, node_id: i32, cluster_id: &str) -> Result<Self, DataDirError> {
        let directory_id = random_kafka_id();
        let text = format!(
            "#\n#\nnode.id={node_id}\ndirectory.id={}\nversion=1\ncluster.id={cluster_id}\n",
            kafka_id(&directory_id)
        );
        replace(path, text.as_bytes()).map_err(|error| DataDirError::Io(path.to_owned(), error))?;
        Ok(MetaProperties { node_id, cluster_id: cluster_id.to_owned(), directory_id })
    }

    fn checked(&self, path: &Path, node_id: i32, cluster_id: &str) -> Result<&Self, DataDirError> {
        if self.node_id != node_id {
            return Err(DataDirError::Mismatch(format!(
                "Stored node id {} doesn't match previous node id {node_id} in {}. If you moved your data, make sure your \
                 configured node id matches. If you intend to create a new node, you should remove all data in your data \
                 directories.",
                self.node_id,
                path.display()
            )));
        }
        if self.cluster_id != cluster_id {
            return Err(DataDirError::Mismatch(format!(
                "Invalid cluster.id in {}: expected {cluster_id}, but read {}",
                path.display(),
                self.cluster_id
            )));
        }
        Ok(self)
    }
}

/// The quorum's epoch as this node last knew it; 0 when there is none yet, or a power cut left an empty file: the log
/// then knows.
pub(super) fn read_quorum_epoch(metadata_dir: &Path) -> io::Result<i32> {
    let text = match fs::read_to_string(metadata_dir.join(QUORUM_STATE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    if text.is_empty() {
        return Ok(0);
    }
    let number = text.split_once("\"leaderEpoch\":").and_then(|(_, rest)| {
        rest.trim_start().split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok())
    });
    number.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "quorum-state has no leaderEpoch"))
}

/// Notes that this node leads in `epoch`. Not synced: the log's first batch in this epoch says the same, and is on the
/// disk before anything is answered.
pub(super) fn write_quorum_state(metadata_dir: &Path, leader_id: i32, epoch: i32) -> io::Result<()> {
    let nobody = kafka_id(&Uuid::nil());
    let text = format!(
        r#"{{"leaderId":{leader_id},"leaderEpoch":{epoch},"votedId":-1,"votedDirectoryId":"{nobody}","data_version":1}}"#
    );
    let path = metadata_dir.join(QUORUM_STATE);
    let part = part_of(&path);
    fs::write(&part, text)?;
    fs::rename(&part, &path)
}

/// Writes a file so that a crash leaves the old or the new one.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let part = part_of(path);
    let mut file = File::create(&part)?;
    file.write_all(content)?;
    file.sync_data()?;
    fs::rename(&part, path)?;
    sync_parent(path)
}

fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(".tmp");
    PathBuf::from(part)
}

/// Makes a rename last; only Unix has directories that can be synced.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if cfg!(unix) => File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}
