//! What is refused, in which words; and that nothing was written for it.

use std::fs;
use std::path::{Path, PathBuf};

use ottla_protocol::kafka_id;
use ottla_protocol::record_formats::control::voters_record::Voter;
use ottla_protocol::record_formats::control::{KRaftVersionRecord, VotersRecord};
use ottla_protocol::record_formats::metadata::{
    ConfigRecord, FeatureLevelRecord, PartitionRecord, RegisterBrokerRecord, RegisterControllerRecord,
    TopicRecord,
};
use ottla_protocol::record_formats::{ControlRecord, MetadataRecord};

use super::data_dir::{Given, examine};
use super::snapshot_file::{self, Frame, SnapshotId};
use super::*;
use crate::metadata::{bootstrap_records, feature_levels, newest_metadata_version};

const DIRECTORY: Uuid = Uuid::from_u128(0x1234_5678_9abc_def0);
const TOPIC: Uuid = Uuid::from_u128(0xabc);

/// A directory as a single node of Kafka leaves it, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str, records: &[MetadataRecord], quorum: &[ControlRecord]) -> Dir {
        let dir = Dir(std::env::temp_dir().join(format!("ottla-takeover-{}-{name}", std::process::id())));
        let metadata = dir.0.join("__cluster_metadata-0");
        fs::create_dir_all(&metadata).unwrap();
        fs::create_dir_all(dir.0.join("t-0")).unwrap();
        let id = kafka_id(&DIRECTORY);
        let meta = format!("#\nversion=1\nnode.id=1\ncluster.id=T3R0bGEtcmVmZXJlbmNlMQ\ndirectory.id={id}\n");
        dir.write("meta.properties", meta.as_bytes());
        dir.write("t-0/partition.metadata", b"version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAKvA\n");
        dir.write("__cluster_metadata-0/quorum-state", br#"{"leaderId":1,"leaderEpoch":3,"data_version":1}"#);
        let frame = Frame {
            epoch: 3,
            now_ms: 0,
            last_contained_log_timestamp: 0,
            quorum,
            metadata_version: newest_metadata_version(),
        };
        let path = SnapshotId { end_offset: 100, epoch: 3 }.path_in(&metadata);
        snapshot_file::write_durably(&path, &frame, records.iter().cloned()).unwrap();
        dir
    }

    fn write(&self, path: &str, content: &[u8]) {
        fs::write(self.0.join(path), content).unwrap();
    }

    /// The refusal, or nothing; and the tree is as it was.
    #[track_caller]
    fn examine(&self, node_id: i32, cluster_id: Option<&str>) -> String {
        let before = tree(&self.0);
        let log_dirs = [self.0.clone()];
        let given = Given { log_dirs: &log_dirs, metadata_log_dir: &self.0, node_id, cluster_id };
        let refused = examine(&given).map_or_else(|error| error.to_string(), |()| String::new());
        assert_eq!(tree(&self.0), before, "it was changed");
        refused
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        // What cannot be removed now is in the directory for temporary files.
        let _removed = fs::remove_dir_all(&self.0).is_ok();
    }
}

/// Every path below a directory, with what the files hold.
fn tree(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(tree(&path)),
            false => found.push((path.clone(), fs::read(&path).unwrap())),
        }
        found.push((path, Vec::new()));
    }
    found.sort();
    found
}

fn healthy() -> Vec<MetadataRecord> {
    let mut records = bootstrap_records(feature_levels());
    records
        .push(RegisterBrokerRecord { broker_id: 1, log_dirs: vec![DIRECTORY], ..Default::default() }.into());
    records.push(TopicRecord { name: StrBytes::from_static_str("t"), topic_id: TOPIC }.into());
    records.push(partition().into());
    records
}

fn partition() -> PartitionRecord {
    PartitionRecord {
        partition_id: 0,
        topic_id: TOPIC,
        replicas: vec![1],
        isr: vec![1],
        leader: 1,
        directories: vec![DIRECTORY],
        ..Default::default()
    }
}

fn quorum(version: i16, voters: &[(i32, Uuid)]) -> Vec<ControlRecord> {
    let voter = |(voter_id, voter_directory_id): &(i32, Uuid)| Voter {
        voter_id: *voter_id,
        voter_directory_id: *voter_directory_id,
        ..Default::default()
    };
    let voters = voters.iter().map(voter).collect();
    vec![
        ControlRecord::KRaftVersion(KRaftVersionRecord { version: 0, k_raft_version: version }),
        ControlRecord::KRaftVoters(VotersRecord { version: 0, voters }),
    ]
}

/// What the metadata say beside what is healthy, and the words of the refusal; none when it is served.
#[track_caller]
fn check(name: &str, more: Option<MetadataRecord>, quorum: &[ControlRecord], words: &str) {
    let mut records = healthy();
    records.extend(more);
    let refused = Dir::new(name, &records, quorum).examine(1, None);
    assert_eq!(refused.is_empty(), words.is_empty(), "{name}: {refused}");
    assert!(refused.contains(words), "{name}: {words:?} is not in {refused:?}");
}

fn level(name: &'static str, feature_level: i16) -> Option<MetadataRecord> {
    Some(FeatureLevelRecord { name: StrBytes::from_static_str(name), feature_level }.into())
}

#[test]
fn metadata_that_cannot_be_carried_over_is_refused() {
    let alone = quorum(1, &[(1, DIRECTORY)]);
    check("healthy", None, &alone, "");
    check("static-voters", None, &[], "");
    check("voters", None, &quorum(1, &[(1, DIRECTORY), (2, TOPIC)]), "node 2 is in the metadata quorum");
    let controller = RegisterControllerRecord { controller_id: 3, ..Default::default() };
    check("controllers", Some(controller.into()), &[], "node 3 is in the metadata quorum");
    check("voter-elsewhere", None, &quorum(1, &[(1, TOPIC)]), "metadata.log.dir");
    check("kraft-version", None, &quorum(2, &[(1, DIRECTORY)]), "kraft.version 2");
    check("newer", level("metadata.version", 31), &alone, "metadata.version is at level 31");
    check("feature", level("warp.version", 1), &alone, "the feature warp.version");
    let other = RegisterBrokerRecord { broker_id: 2, ..Default::default() };
    check("brokers", Some(other.into()), &alone, "broker 2 is registered");
    let elsewhere = PartitionRecord { replicas: vec![1, 3], ..partition() };
    check("replicas", Some(elsewhere.into()), &alone, "t-0 has a replica on broker 3");
    let elsewhere = PartitionRecord { directories: vec![Uuid::from_u128(0x9999)], ..partition() };
    check("directory", Some(elsewhere.into()), &alone, "none of log.dirs");
    let unassigned = PartitionRecord { directories: vec![Uuid::from_u128(1)], ..partition() };
    check("unassigned", Some(unassigned.into()), &alone, "");
    let tiered = ConfigRecord {
        resource_type: 2,
        resource_name: StrBytes::from_static_str("t"),
        name: StrBytes::from_static_str("remote.storage.enable"),
        value: Some(StrBytes::from_static_str("true")),
    };
    check("tiered", Some(tiered.into()), &alone, "tiered storage");
    let lost = TopicRecord { name: StrBytes::from_static_str("u"), topic_id: DIRECTORY };
    let lost = [lost.into(), PartitionRecord { topic_id: Uuid::from_u128(7), ..partition() }.into()];
    let [topic, partition]: [MetadataRecord; 2] = lost;
    check("more-topics", Some(topic), &alone, "");
    check("no-topic", Some(partition), &alone, "the metadata cannot be read");
}

/// What is done to a healthy directory, and the words of the refusal.
#[track_caller]
fn check_files(name: &str, spoil: impl FnOnce(&Dir), words: &str) {
    let dir = Dir::new(name, &healthy(), &quorum(1, &[(1, DIRECTORY)]));
    spoil(&dir);
    let refused = dir.examine(1, None);
    assert_eq!(refused.is_empty(), words.is_empty(), "{name}: {refused}");
    assert!(refused.contains(words), "{name}: {words:?} is not in {refused:?}");
}

#[test]
fn files_that_cannot_be_carried_over_are_refused() {
    let zookeeper = b"version=0\nbroker.id=1\ncluster.id=T3R0bGEtcmVmZXJlbmNlMQ\n";
    check_files("zookeeper", |dir| dir.write("meta.properties", zookeeper), "ZooKeeper");
    check_files(
        "damaged-meta",
        |dir| dir.write("meta.properties", b"\0\0\0"),
        "meta.properties: it has no version",
    );
    let no_meta = |dir: &Dir| fs::remove_file(dir.0.join("meta.properties")).unwrap();
    check_files("no-meta", no_meta, "no meta.properties");
    let no_metadata = |dir: &Dir| fs::remove_dir_all(dir.0.join("__cluster_metadata-0")).unwrap();
    check_files("no-metadata", no_metadata, "metadata.log.dir");
    let moving = |dir: &Dir| fs::create_dir(dir.0.join("t-1.0123abcd-future")).unwrap();
    check_files("moving", moving, "being moved");
    let mut legacy = [0; 40];
    (legacy[11], legacy[16]) = (28, 1);
    check_files("legacy", |dir| dir.write("t-0/00000000000000000000.log", &legacy), "message format v1");
    check_files("preallocated", |dir| dir.write("t-0/00000000000000000000.log", &[0; 40]), "");
    let log = "__cluster_metadata-0/00000000000000000100.log";
    check_files("torn-tail", |dir| dir.write(log, &[7; 30]), "");
    let two = |dir: &Dir| {
        dir.write(log, &[7; 30]);
        dir.write("__cluster_metadata-0/00000000000000000200.log", &[]);
    };
    check_files("torn-middle", two, "others follow it");
    let snapshot = "__cluster_metadata-0/00000000000000000100-0000000003.checkpoint";
    check_files("torn-snapshot", |dir| dir.write(snapshot, &[7; 30]), "the metadata cannot be read");
    let led_elsewhere =
        |dir: &Dir| dir.write("__cluster_metadata-0/quorum-state", br#"{"leaderId":3000,"leaderEpoch":3}"#);
    check_files("led-elsewhere", led_elsewhere, "node 3000 is in the metadata quorum");
    let formatted_newer = |dir: &Dir| {
        fs::remove_dir_all(dir.0.join("__cluster_metadata-0")).unwrap();
        fs::remove_dir_all(dir.0.join("t-0")).unwrap();
        let frame = Frame {
            epoch: 0,
            now_ms: 0,
            last_contained_log_timestamp: 0,
            quorum: &[],
            metadata_version: newest_metadata_version(),
        };
        let records = level("metadata.version", 31).into_iter();
        snapshot_file::write_durably(&dir.0.join("bootstrap.checkpoint"), &frame, records).unwrap();
    };
    check_files("formatted-newer", formatted_newer, "metadata.version is at level 31");
    let cut_at_the_first_start = |dir: &Dir| {
        fs::remove_dir_all(dir.0.join("t-0")).unwrap();
        fs::remove_file(dir.0.join(snapshot)).unwrap();
        for path in ["bootstrap.checkpoint", "__cluster_metadata-0/quorum-state"] {
            dir.write(path, b"");
        }
        dir.write("__cluster_metadata-0/00000000000000000000-0000000000.checkpoint", &[0; 300]);
    };
    check_files("cut-at-the-first-start", cut_at_the_first_start, "");
    // Who led last has looked, and has carried on since.
    let ours = |dir: &Dir| {
        dir.write(snapshot, &[7; 30]);
        dir.write("__cluster_metadata-0/quorum-state", b"{\"leaderEpoch\":3}\n");
    };
    check_files("ours", ours, "");
}

#[test]
fn another_node_or_cluster_than_configured_is_refused() {
    let dir = Dir::new("other", &healthy(), &quorum(1, &[(1, DIRECTORY)]));
    assert!(dir.examine(2, None).contains("Stored node id 1"));
    assert!(dir.examine(1, Some("anotherclusteranother0")).contains("Invalid cluster.id"));
    assert_eq!(dir.examine(1, Some("T3R0bGEtcmVmZXJlbmNlMQ")), "");
}
