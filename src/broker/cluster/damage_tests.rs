//! Files of the metadata that something changes while no broker runs: the node starts with what it had acknowledged, or
//! says why it does not. It never makes up a cluster, nor a topic.

use std::fs;
use std::path::{Path, PathBuf};

use ottla_storage::LocalSettings;

use super::data_dir::{Given, examine, prepare};
use super::tests::{register, settings, topic};
use super::*;
use crate::coordinator::chance::{Chance, for_each_seed};

const CLUSTER_ID: &str = "T3R0bGEtcmVmZXJlbmNlMQ";

/// A data directory, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir = Dir(std::env::temp_dir().join(format!("ottla-damage-{}-{name}", std::process::id())));
        let _ = fs::remove_dir_all(&dir.0);
        fs::create_dir_all(&dir.0).unwrap();
        dir
    }

    fn open(&self) -> Result<Cluster, String> {
        let log_dirs = [self.0.clone()];
        let cluster_id = Some(CLUSTER_ID);
        let given = Given { log_dirs: &log_dirs, metadata_log_dir: &self.0, node_id: 1, cluster_id };
        examine(&given).map_err(|error| error.to_string())?;
        let logs = Logs::local(log_dirs.to_vec(), LocalSettings::default());
        let logs = Arc::new(logs.map_err(|error| error.to_string())?);
        let identity = prepare(&given).map_err(|error| error.to_string())?;
        let settings =
            ClusterSettings { max_record_bytes_between_snapshots: 1500, segment_bytes: 2000, ..settings() };
        Cluster::open(identity, settings, logs, Clock::manual(0)).map_err(|error| error.to_string())
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        collect(&self.0, &mut files);
        files.sort();
        files
    }

    /// As a kill leaves it.
    fn copy_to(&self, copy: &Dir) {
        for path in self.files() {
            let to = copy.0.join(path.strip_prefix(&self.0).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&path, to).unwrap();
        }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // What cannot be removed now is in the directory for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

async fn write(dir: &Dir, topics: u64) {
    let cluster = dir.open().unwrap();
    register(&cluster).await;
    for n in 0..topics {
        cluster.create_topics(vec![topic(&format!("t{n}"))], false).await.unwrap();
    }
    cluster.settle().await;
}

/// Changes a file. True when it is one that holds the metadata itself.
fn strike(path: &Path, files: &[PathBuf], chance: &mut Chance) -> bool {
    let mut bytes = fs::read(path).unwrap_or_default();
    let at = if bytes.is_empty() { 0 } else { chance.index(bytes.len()) };
    match chance.below(8) {
        0 => fs::remove_file(path).unwrap_or_default(),
        1 => {
            fs::remove_file(path).unwrap_or_default();
            fs::create_dir_all(path).unwrap();
        }
        2 => fs::write(path, fs::read(&files[chance.index(files.len())]).unwrap_or_default()).unwrap(),
        kind => {
            match kind {
                3 => bytes.truncate(at),
                4 => bytes.extend((0..1 + chance.below(300)).map(|n| (n * 37) as u8)),
                5 => bytes.iter_mut().skip(at).take(64).for_each(|byte| *byte = 0),
                _ => bytes.iter_mut().skip(at).take(2).for_each(|byte| *byte ^= 1 << chance.below(8)),
            }
            fs::write(path, bytes).unwrap();
        }
    }
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    name.ends_with(".log") || name.ends_with(".checkpoint")
}

fn run(seed: u64) {
    let mut chance = Chance::new(seed);
    let (first, dir) = (Dir::new("first"), Dir::new("second"));
    let topics = chance.below(60);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(write(&first, topics));
    first.copy_to(&dir);
    let files = dir.files();
    let mut is_metadata_damaged = false;
    for _ in 0..1 + chance.below(2) {
        let path = files[chance.index(files.len())].clone();
        if path.is_file() {
            is_metadata_damaged |= strike(&path, &files, &mut chance);
        }
    }
    // Twice: what the first start did must not be worse than what it found.
    for _ in 0..2 {
        let cluster = match dir.open() {
            Ok(cluster) => cluster,
            Err(why) => {
                assert!(!why.is_empty());
                continue;
            }
        };
        let image = cluster.image();
        let known = image.topic_count() as u64;
        assert!((0..known).all(|n| image.topic(&format!("t{n}")).is_some()), "{known} of {topics}");
        assert!(known == topics || (is_metadata_damaged && known < topics), "{known} of {topics}");
        assert_eq!(cluster.cluster_id().as_str(), CLUSTER_ID);
        drop(cluster);
    }
}

#[test]
fn damaged_metadata_is_refused_or_is_the_beginning_of_what_was_acknowledged() {
    for_each_seed(25, run);
}
