//! The small files that make a directory Kafka's: `meta.properties` in each, and `quorum-state` beside the metadata log.
//! There is no format step: what is missing is made. What cannot be carried over is refused before anything is written.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kafka_protocol::protocol::StrBytes;
use ottla_protocol::{kafka_id, parse_kafka_id};
use uuid::Uuid;

use super::ids::random_kafka_id;
use super::{METADATA_TOPIC, takeover};

const META_PROPERTIES: &str = "meta.properties";
const QUORUM_STATE: &str = "quorum-state";
const METADATA_LOG_DIR: &str = "__cluster_metadata-0";
const PARTITION_METADATA: &str = "partition.metadata";

/// Who this node is, as its directories remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub node_id: i32,
    pub cluster_id: StrBytes,
    /// One for each log directory, in their order; nil for one that cannot be used.
    pub directory_ids: Vec<Uuid>,
    /// Those that cannot be used, by their places, and why.
    pub unusable: Vec<(usize, String)>,
    /// Those with nothing in them, in a cluster that is none: their ids are not written yet.
    pub unformatted: Vec<(usize, PathBuf)>,
    /// The directory with the metadata log; `None` when everything is in memory.
    pub metadata_root: Option<PathBuf>,
    pub metadata_directory_id: Uuid,
}

impl Identity {
    /// A new cluster that leaves no trace.
    pub fn in_memory(node_id: i32, cluster_id: Option<&str>) -> Self {
        let cluster_id = cluster_id.map_or_else(|| kafka_id(&random_kafka_id()), str::to_owned);
        let directory_id = random_kafka_id();
        Identity {
            node_id,
            cluster_id: StrBytes::from_string(cluster_id),
            directory_ids: vec![directory_id],
            unusable: Vec::new(),
            unformatted: Vec::new(),
            metadata_root: None,
            metadata_directory_id: directory_id,
        }
    }

    /// Makes a directory this node's. Answers its id.
    pub(super) fn format(&self, dir: &Path, directory_id: Uuid) -> Result<Uuid, DataDirError> {
        let text = format!(
            "#\n#\nnode.id={}\ndirectory.id={}\nversion=1\ncluster.id={}\n",
            self.node_id,
            kafka_id(&directory_id),
            self.cluster_id.as_str()
        );
        let path = dir.join(META_PROPERTIES);
        let written = fs::create_dir_all(dir).and_then(|()| replace(&path, text.as_bytes()));
        written.map(|()| directory_id).map_err(|error| DataDirError::Io(path, error))
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
    /// Ottla cannot carry it over: why, and what to do.
    Refused(PathBuf, String),
}

impl fmt::Display for DataDirError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataDirError::Io(path, error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let path = path.display();
                write!(
                    f,
                    "{path}: {error}; the user that runs this process must be able to read and write it"
                )
            }
            DataDirError::Io(path, error) => write!(f, "{}: {error}", path.display()),
            DataDirError::Mismatch(why) => f.write_str(why),
            DataDirError::Malformed(path, why) => write!(f, "{}: {why}", path.display()),
            DataDirError::Refused(path, why) => {
                write!(f, "{}: {why} (nothing was changed)", path.display())
            }
        }
    }
}

impl std::error::Error for DataDirError {}

/// What the configuration says of the directories.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    pub log_dirs: &'a [PathBuf],
    /// Where the metadata log is; one of the others, or one of its own.
    pub metadata_log_dir: &'a Path,
    pub node_id: i32,
    pub cluster_id: Option<&'a str>,
}

impl Given<'_> {
    /// All directories: those of the logs, then that of the metadata log, if it is one of its own.
    fn all(&self) -> impl Iterator<Item = &Path> {
        let own =
            (!self.log_dirs.iter().any(|dir| dir == self.metadata_log_dir)).then_some(self.metadata_log_dir);
        self.log_dirs.iter().map(PathBuf::as_path).chain(own)
    }
}

/// Refuses what this node must not, or cannot, serve. Reads only; a directory that Ottla has led before is not searched
/// again.
pub fn examine(given: &Given<'_>) -> Result<(), DataDirError> {
    let found = read_all(given)?;
    let metadata_dir = given.metadata_log_dir.join(METADATA_LOG_DIR);
    let has_metadata =
        fs::exists(&metadata_dir).map_err(|error| DataDirError::Io(metadata_dir.clone(), error))?;
    for (dir, found) in given.all().zip(&found) {
        if !matches!(found, Found::Unusable(_)) {
            check_origin(dir, found.meta().is_some(), has_metadata)?;
        }
    }
    if is_led_by_ottla(&metadata_dir) {
        return Ok(());
    }
    let of_metadata = given.all().zip(&found).find(|(dir, _)| *dir == given.metadata_log_dir);
    let metadata_directory_id = of_metadata.and_then(|(_, found)| Some(found.meta()?.directory_id));
    let directory_ids: Vec<Uuid> =
        found.iter().filter_map(Found::meta).map(|meta| meta.directory_id).collect();
    let node = takeover::Node {
        id: given.node_id,
        metadata_directory_id: metadata_directory_id.unwrap_or_default(),
        directory_ids: &directory_ids,
        quorum_leader: quorum_number(&metadata_dir, "leaderId").ok().flatten(),
    };
    takeover::check_metadata(&metadata_dir, &node)
        .map_err(|why| DataDirError::Refused(metadata_dir.clone(), why))?;
    for dir in given.log_dirs {
        takeover::check_logs(dir).map_err(|(path, why)| DataDirError::Refused(path, why))?;
    }
    Ok(())
}

/// Refuses logs without what says whose they are.
fn check_origin(dir: &Path, has_meta: bool, has_metadata: bool) -> Result<(), DataDirError> {
    let why = match (has_meta, has_metadata) {
        (true, true) => return Ok(()),
        (false, _) => {
            "there are logs, and no meta.properties says whose they are; bring that file back".to_owned()
        }
        (true, false) => format!(
            "there are logs, and no {METADATA_TOPIC}-0 tells of them; say with metadata.log.dir where it is"
        ),
    };
    let is_log = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.path().join(PARTITION_METADATA).is_file())
    };
    // What is not there is made, or fails, when it is opened.
    let has_logs = fs::read_dir(dir).is_ok_and(|mut entries| entries.any(is_log));
    if has_logs { Err(DataDirError::Refused(dir.to_owned(), why)) } else { Ok(()) }
}

/// Reads each directory's `meta.properties`, and makes the directories and files that are missing. One that cannot be used
/// is left to itself, but not the metadata log's.
pub fn prepare(given: &Given<'_>) -> Result<Identity, DataDirError> {
    let found = read_all(given)?;
    let remembered = found.iter().find_map(|found| Some(found.meta()?.cluster_id.as_str()));
    let cluster_id = match remembered.or(given.cluster_id) {
        Some(known) => known.to_owned(),
        None => kafka_id(&random_kafka_id()),
    };
    let mut identity = Identity {
        node_id: given.node_id,
        cluster_id: StrBytes::from_string(cluster_id),
        directory_ids: Vec::with_capacity(found.len()),
        unusable: Vec::new(),
        unformatted: Vec::new(),
        metadata_root: Some(given.metadata_log_dir.to_owned()),
        metadata_directory_id: Uuid::nil(),
    };
    for (at, (dir, found_here)) in given.all().zip(&found).enumerate() {
        let directory_id = match found_here {
            Found::Meta(meta) if !meta.directory_id.is_nil() => meta.directory_id,
            Found::Unusable(why) => {
                identity.unusable.push((at, why.clone()));
                Uuid::nil()
            }
            // A disk that is not mounted looks like this: whether it is one, the metadata will tell.
            Found::Nothing if remembered.is_some() && dir != given.metadata_log_dir => {
                identity.unformatted.push((at, dir.to_owned()));
                random_kafka_id()
            }
            Found::Meta(_) | Found::Nothing => identity.format(dir, random_kafka_id())?,
        };
        if dir == given.metadata_log_dir {
            identity.metadata_directory_id = directory_id;
        }
        identity.directory_ids.push(directory_id);
    }
    identity.directory_ids.truncate(given.log_dirs.len());
    Ok(identity)
}

/// What is in a log directory.
enum Found {
    Meta(MetaProperties),
    Nothing,
    /// It cannot be read, and why.
    Unusable(String),
}

impl Found {
    fn meta(&self) -> Option<&MetaProperties> {
        if let Found::Meta(meta) = self { Some(meta) } else { None }
    }
}

/// What every directory remembers, in the order of `Given::all`; an error where they do not agree.
fn read_all(given: &Given<'_>) -> Result<Vec<Found>, DataDirError> {
    let mut all: Vec<Found> = Vec::new();
    let mut cluster_id = given.cluster_id.map(str::to_owned);
    for dir in given.all() {
        let path = dir.join(META_PROPERTIES);
        let meta = match MetaProperties::read(&path) {
            Err(error @ DataDirError::Io(..)) if dir != given.metadata_log_dir => {
                all.push(Found::Unusable(error.to_string()));
                continue;
            }
            read => read?,
        };
        if let Some(meta) = &meta {
            let expected = cluster_id.get_or_insert_with(|| meta.cluster_id.clone());
            meta.check(&path, given.node_id, expected)?;
            let twin = all
                .iter()
                .filter_map(Found::meta)
                .find(|other| other.directory_id == meta.directory_id && !meta.directory_id.is_nil());
            if twin.is_some() {
                let why = "another log directory has the same directory.id: one is a copy of the other";
                return Err(DataDirError::Malformed(path, why.to_owned()));
            }
        }
        all.push(meta.map_or(Found::Nothing, Found::Meta));
    }
    Ok(all)
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
            let mut pairs = text.lines().filter_map(|line| line.split_once('='));
            // As in Java's properties, the last one wins.
            pairs.rfind(|(name, _)| name.trim() == key).map(|(_, value)| value.trim())
        };
        let required = |key: &str| value(key).ok_or_else(|| malformed(&format!("it has no {key}")));
        match required("version")? {
            "1" => {}
            "0" => {
                let why =
                    "it is of a Kafka with ZooKeeper (version=0); migrate to KRaft with Kafka 3.9, then to 4";
                return Err(malformed(why));
            }
            other => return Err(malformed(&format!("version={other}; only version=1 (KRaft) can be read"))),
        }
        let node_id = required("node.id")?.parse().map_err(|_| malformed("node.id is not a number"))?;
        // Directories that Kafka formatted before 3.7 have no id yet.
        let directory_id = match value("directory.id") {
            Some(id) => parse_kafka_id(id).ok_or_else(|| malformed("directory.id is not an id"))?,
            None => Uuid::nil(),
        };
        Ok(Some(MetaProperties { node_id, cluster_id: required("cluster.id")?.to_owned(), directory_id }))
    }

    fn check(&self, path: &Path, node_id: i32, cluster_id: &str) -> Result<(), DataDirError> {
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
        Ok(())
    }
}

/// The quorum's epoch as this node last knew it; 0 when there is none yet, or a power cut left an empty file: the log
/// then knows.
pub(super) fn read_quorum_epoch(metadata_dir: &Path) -> io::Result<i32> {
    quorum_number(metadata_dir, "leaderEpoch").map(|epoch| epoch.unwrap_or(0))
}

/// A number in `quorum-state`; nothing when the file is not there, or empty.
fn quorum_number(metadata_dir: &Path, key: &str) -> io::Result<Option<i32>> {
    let text = match fs::read_to_string(metadata_dir.join(QUORUM_STATE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.split_once(&format!("\"{key}\":")).and_then(|(_, rest)| {
        rest.trim_start().split(|c: char| c != '-' && !c.is_ascii_digit()).next()?.parse().ok()
    });
    let missing = || io::Error::new(io::ErrorKind::InvalidData, format!("quorum-state has no {key}"));
    number.map(Some).ok_or_else(missing)
}

/// Kafka writes one line without an end. It reads ours all the same, and writes its own when it leads again.
const LED_BY_OTTLA: &str = "\n";

fn is_led_by_ottla(metadata_dir: &Path) -> bool {
    fs::read_to_string(metadata_dir.join(QUORUM_STATE)).is_ok_and(|text| text.ends_with(LED_BY_OTTLA))
}

/// Notes that this node leads in `epoch`. Not synced: the log's first batch in this epoch says the same, and is on the
/// disk before anything is answered.
pub(super) fn write_quorum_state(
    metadata_dir: &Path,
    leader_id: i32,
    epoch: i32,
    kraft_version: i16,
) -> io::Result<()> {
    let text = if kraft_version > 0 {
        let nobody = kafka_id(&Uuid::nil());
        format!(
            r#"{{"leaderId":{leader_id},"leaderEpoch":{epoch},"votedId":-1,"votedDirectoryId":"{nobody}","data_version":1}}"#
        )
    } else {
        format!(
            r#"{{"clusterId":"","leaderId":{leader_id},"leaderEpoch":{epoch},"votedId":-1,"appliedOffset":0,"currentVoters":[{{"voterId":{leader_id}}}],"data_version":0}}"#
        )
    };
    let path = metadata_dir.join(QUORUM_STATE);
    let part = part_of(&path);
    fs::write(&part, text + LED_BY_OTTLA)?;
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
