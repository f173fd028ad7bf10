//! What must be true of a directory of Kafka's before Ottla takes it over. Everything is read, nothing is written: each
//! refusal is one line that says why, and what to do.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use ottla_protocol::batch::{BatchError, RecordBatch};
use ottla_protocol::kafka_id;
use uuid::Uuid;

use super::journal::BOOTSTRAP_CHECKPOINT;
use super::loading::Loading;
use super::snapshot_file;
use crate::metadata::{FEATURES, Image, Membership, ResourceType};

/// Bytes of the log that are read at a time.
const READ_BYTES: usize = 1 << 20;

const MAGIC_AT: usize = 16;
/// The first format that Ottla reads.
const MAGIC_V2: u8 = 2;

/// Directory ids below this one are not of directories: unassigned, lost, being migrated.
const FIRST_DIRECTORY_ID: u128 = 100;

/// Feature levels of kraft.version that are known.
const KRAFT_VERSION_MAX: i16 = 1;

/// Who wants to take it over.
pub(super) struct Node<'a> {
    pub id: i32,
    pub metadata_directory_id: Uuid,
    /// Of the log directories, and of the metadata log's.
    pub directory_ids: &'a [Uuid],
    /// Who led when `quorum-state` was written; negative for nobody.
    pub quorum_leader: Option<i32>,
}

/// Replays the metadata as it lies there, and checks what it says.
pub(super) fn check_metadata(dir: &Path, node: &Node<'_>) -> Result<(), String> {
    let loading = replay(dir).map_err(|why| {
        format!("the metadata cannot be read: {why}; it may be damaged, or of a newer Kafka than 4.3")
    })?;
    check_quorum(&loading, node)?;
    let image = loading.controller.image();
    check_features(image)?;
    check_brokers(image, node)?;
    check_topics(image, node)
}

fn check_quorum(loading: &Loading, node: &Node<'_>) -> Result<(), String> {
    let quorum = &loading.quorum;
    if quorum.kraft_version() > KRAFT_VERSION_MAX {
        return Err(format!("kraft.version {} is newer than is known here", quorum.kraft_version()));
    }
    let controllers = loading.controller.image().controller_ids();
    let mut known = quorum.voter_ids().into_iter().chain(controllers).chain(node.quorum_leader);
    if let Some(other) = known.find(|id| *id >= 0 && *id != node.id) {
        return Err(format!(
            "node {other} is in the metadata quorum, too; Ottla serves a single node: remove it from the quorum first"
        ));
    }
    let voter = quorum.voters.iter().flat_map(|record| &record.voters).next();
    match voter.map(|voter| voter.voter_directory_id) {
        Some(id) if id != node.metadata_directory_id => Err(format!(
            "the voter's directory is {}, and this one is {}: it is not the directory that led; give that one as metadata.log.dir",
            kafka_id(&id),
            kafka_id(&node.metadata_directory_id)
        )),
        _ => Ok(()),
    }
}

fn check_features(image: &Image) -> Result<(), String> {
    for (name, level) in image.features() {
        let Some(known) = FEATURES.iter().find(|feature| *feature.name == **name) else {
            return Err(format!(
                "the feature {name} (level {level}) is not known here; downgrade it with Kafka first"
            ));
        };
        if !(known.min_level..=known.max_level).contains(&level) {
            return Err(format!(
                "{name} is at level {level}, and levels {} to {} are known here; change it with Kafka first",
                known.min_level, known.max_level
            ));
        }
    }
    Ok(())
}

fn check_brokers(image: &Image, node: &Node<'_>) -> Result<(), String> {
    match image.brokers().find(|broker| broker.id != node.id) {
        Some(other) => Err(format!(
            "broker {} is registered, too; Ottla serves a single node: move its partitions here and unregister it first",
            other.id
        )),
        None => Ok(()),
    }
}

fn check_topics(image: &Image, node: &Node<'_>) -> Result<(), String> {
    for topic in image.topics() {
        let configs = image.configs(ResourceType::Topic, &topic.name);
        if configs
            .is_some_and(|configs| configs.get("remote.storage.enable").is_some_and(|value| value == "true"))
        {
            return Err(format!(
                "topic {} has records in tiered storage, which Ottla does not read; disable it with Kafka first",
                topic.name
            ));
        }
        for (index, partition) in topic.partitions.iter().enumerate() {
            check_membership(&partition.membership, node)
                .map_err(|why| format!("{}-{index} {why}", topic.name))?;
        }
    }
    Ok(())
}

fn check_membership(membership: &Membership, node: &Node<'_>) -> Result<(), String> {
    let others = [&membership.replicas, &membership.adding_replicas];
    if let Some(other) = others.into_iter().flatten().find(|id| **id != node.id) {
        return Err(format!("has a replica on broker {other}; reassign it to this node alone first"));
    }
    let elsewhere = |id: &&Uuid| id.as_u128() >= FIRST_DIRECTORY_ID && !node.directory_ids.contains(id);
    if let Some(directory) = membership.directories.iter().find(elsewhere) {
        return Err(format!(
            "is in the log directory with the id {}, which is none of log.dirs; name all of them",
            kafka_id(directory)
        ));
    }
    Ok(())
}

/// The state as the newest snapshot and the log after it have it. A tail that was torn by a crash is left out, as
/// recovery will leave it out.
fn replay(dir: &Path) -> Result<Loading, String> {
    let mut loading = Loading::default();
    if let Some(newest) = snapshot_file::list(dir).map_err(|error| error.to_string())?.last()
        && !(newest.end_offset == 0 && snapshot_file::is_unwritten(&newest.path_in(dir)))
    {
        loading.replay_snapshot(*newest, dir)?;
    }
    let segments = match segments(dir) {
        Ok(segments) => segments,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error.to_string()),
    };
    for (at, path) in segments.iter().enumerate() {
        let is_whole = replay_segment(path, &mut loading)?;
        if !is_whole && at + 1 < segments.len() {
            return Err(format!("{}: it is damaged, and others follow it", path.display()));
        }
    }
    let formatted = dir.parent().map(|root| root.join(BOOTSTRAP_CHECKPOINT));
    let formatted = formatted.filter(|path| path.exists() && !snapshot_file::is_unwritten(path));
    if let Some(path) = formatted.filter(|_| loading.controller.next_offset() == 0) {
        loading.replay_file(&path)?;
    }
    Ok(loading)
}

/// False when it ends in what is not a whole batch.
fn replay_segment(path: &Path, loading: &mut Loading) -> Result<bool, String> {
    let failed = |error: io::Error| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(failed)?;
    let mut unread = BytesMut::new();
    loop {
        let mut chunk = vec![0; READ_BYTES];
        let count = file.read(&mut chunk).map_err(failed)?;
        unread.extend_from_slice(&chunk[..count]);
        let mut bytes = std::mem::take(&mut unread).freeze();
        loop {
            let batch = match RecordBatch::parse(&bytes) {
                Ok(batch) if batch.is_crc_valid() => batch,
                Err(BatchError::Truncated) => break,
                Ok(_) | Err(_) => return Ok(false),
            };
            bytes = bytes.slice(batch.size()..);
            let next_offset = loading.controller.next_offset();
            if batch.base_offset > next_offset {
                return Err(format!(
                    "{}: offset {next_offset} is missing, and no snapshot holds it",
                    path.display()
                ));
            }
            loading.replay_batch(&batch).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        if count == 0 {
            return Ok(bytes.is_empty());
        }
        unread = BytesMut::from(&bytes[..]);
    }
}

/// Refuses logs that are between two directories, and formats that are not read here. An old format begins a segment, or
/// is not in it: what is written to it later is never older.
pub(super) fn check_logs(log_dir: &Path) -> Result<(), (PathBuf, String)> {
    let failed = |error: io::Error| (log_dir.to_owned(), error.to_string());
    let entries = match fs::read_dir(log_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let dir = entry.map_err(failed)?.path();
        if dir.extension().and_then(|end| end.to_str()).is_some_and(|end| end.ends_with("-future")) {
            let why = "a replica is being moved between log directories; let Kafka finish it, or take the move back";
            return Err((dir, why.to_owned()));
        }
        if dir.is_dir() {
            check_formats(&dir)?;
        }
    }
    Ok(())
}

fn check_formats(dir: &Path) -> Result<(), (PathBuf, String)> {
    for path in segments(dir).map_err(|error| (dir.to_owned(), error.to_string()))? {
        let mut head = [0; MAGIC_AT + 1];
        let read = File::open(&path).and_then(|mut file| file.read_exact(&mut head));
        // What has no length is space that was set aside.
        if read.is_ok() && head[MAGIC_AT] < MAGIC_V2 && head[8..12] != [0; 4] {
            let why = format!(
                "records of message format v{}, which Ottla does not read; copy the topic with Kafka first",
                head[MAGIC_AT]
            );
            return Err((path, why));
        }
    }
    Ok(())
}

/// The `.log` files of a directory, in the order of their offsets.
fn segments(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "log") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
