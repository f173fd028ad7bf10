//! Files that Kafka 4.3 wrote (tests/kafka): ours are the same, and theirs can be opened.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use common::*;
use ottla_protocol::batch::{Batches, RecordBatch, ValidatedBatches};
use ottla_storage::{AppendContext, LogId, LogOptions, Origin, TimestampOffset, VerificationGuard};
use uuid::Uuid;

fn kafkas() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/fixture-0")
}

fn fixture_id() -> LogId {
    let topic_id = Uuid::from_u128(0x2a14_b809_4348_4950_b382_19d1_3641_e77f);
    LogId { topic: "fixture".into(), topic_id, partition: 0 }
}

/// The topic's own: a record a minute after its segment's first begins a new one.
fn fixture_options() -> Arc<LogOptions> {
    Arc::new(LogOptions { segment_ms: 60_000, retention_ms: -1, ..LogOptions::default() })
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let files =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()));
    files.collect()
}

fn batches() -> Vec<RecordBatch> {
    let logs = files(&kafkas()).into_iter().filter(|(name, _)| name.ends_with(".log"));
    let batches = logs.flat_map(|(_, bytes)| Batches::new(Bytes::from(bytes)));
    batches.map(|batch| batch.unwrap()).collect()
}

#[test]
fn the_same_batches_make_the_same_files() {
    let dir = Directory::new("golden");
    let logs = dir.logs();
    let log = logs.log(&fixture_id(), &fixture_options());
    for batch in batches() {
        let origin = match batch.is_control() {
            true => Origin::Marker { transaction_version: 2 },
            false => Origin::VerifiedClient(VerificationGuard::NotRequired),
        };
        let context = AppendContext { leader_epoch: 0, now_ms: NOW, origin };
        log.append(ValidatedBatches::internal([batch]), context).unwrap();
    }
    logs.close(NOW).unwrap();
    let (ours, theirs) = (files(&dir.path().join("fixture-0")), files(&kafkas()));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>());
    for (name, bytes) in theirs {
        assert!(ours[&name] == bytes, "{name}: ours {:02x?}\ntheirs {bytes:02x?}", ours[&name]);
    }
}

#[test]
fn a_directory_of_kafkas_is_opened() {
    // As Kafka left it, without its marks of a clean stop, and without anything that can be rebuilt.
    for (name, has_checkpoints, kept) in [
        (
            "kafka-clean",
            true,
            [".log", ".index", ".timeindex", ".snapshot", "checkpoint", "metadata"].as_slice(),
        ),
        ("kafka-crashed", false, &[".log", ".index", ".timeindex", ".snapshot", "checkpoint", "metadata"]),
        ("kafka-bare", false, &[".log"]),
    ] {
        let dir = Directory::new(name);
        let home = dir.path().join("fixture-0");
        std::fs::create_dir_all(&home).unwrap();
        for (file, bytes) in files(&kafkas()) {
            if kept.iter().any(|suffix| file.ends_with(suffix)) {
                std::fs::write(home.join(file), bytes).unwrap();
            }
        }
        if has_checkpoints {
            std::fs::write(dir.path().join(".kafka_cleanshutdown"), r#"{"version":0,"brokerEpoch":17}"#)
                .unwrap();
            std::fs::write(dir.path().join("recovery-point-offset-checkpoint"), "0\n1\nfixture 0 295\n")
                .unwrap();
        }
        let logs = dir.logs();
        let log = logs.log(&fixture_id(), &fixture_options());
        assert_eq!((log.start_offset().unwrap(), log.end_offset().unwrap()), (0, 295), "{name}");
        assert_eq!(log.latest_epoch().unwrap(), Some(0));
        let producers = log.producers().unwrap();
        assert_eq!(producers.len(), 6, "{name}");
        assert_eq!((producers[5].producer_epoch, producers[5].last_sequence), (3, -1), "{name}");
        assert_eq!(log.last_stable_offset().unwrap(), 295);
        for batch in batches() {
            let records = read(&log, batch.last_offset(), 1);
            assert!(records.chunks.concat() == *batch.bytes(), "{name}: offset {}", batch.base_offset);
        }
        // As the dump of these files has it: the first record of the second segment, and the last marker.
        let found = log.offset_for_timestamp(1_700_000_120_000).unwrap().map(|found| found.offset);
        assert_eq!(found, Some(57), "{name}");
        let newest = log.max_timestamp().unwrap().unwrap();
        assert_eq!(newest, TimestampOffset { timestamp: newest.timestamp, offset: 294, leader_epoch: 0 });
    }
}
