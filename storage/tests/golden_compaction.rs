//! Logs that Kafka 4.3 wrote and compacted (tests/kafka/compacted, made by Compacted.java): from the same files, ours are
//! the same after a pass. Transactions, aborted and committed, tombstones, producers whose records are all overwritten; and a
//! second pass, after the delete horizon of the first. Of compressed batches the records are the same: encoders differ.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use common::*;
use ottla_protocol::batch::{BatchHeader, Batches, RecordBatch, Records};
use ottla_storage::{CompactionLimits, LogOptions, Pace};

const DELETE_RETENTION_MS: i64 = 4000;

type Files = BTreeMap<String, Vec<u8>>;

fn recorded(topic: &str, name: &str) -> Files {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/compacted");
    let text = std::fs::read_to_string(dir.join(format!("{topic}-{name}.txt"))).unwrap();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, hex)| (name.to_owned(), hex.as_bytes().chunks(2).map(byte).collect()))
        .collect()
}

fn options() -> Arc<LogOptions> {
    Arc::new(LogOptions {
        segment_bytes: 3000,
        segment_index_bytes: 1200,
        index_interval_bytes: 400,
        delete_retention_ms: DELETE_RETENTION_MS,
        cleanup_compact: true,
        cleanup_delete: false,
        ..LogOptions::default()
    })
}

fn active_base(files: &Files) -> i64 {
    let last = files.keys().filter_map(|name| name.strip_suffix(".log")).next_back();
    last.unwrap().parse().unwrap()
}

fn batches(log: &[u8]) -> Vec<RecordBatch> {
    Batches::new(Bytes::copy_from_slice(log)).map(Result::unwrap).collect()
}

/// Each horizon that a batch has.
fn horizons(files: &Files) -> Vec<i64> {
    let logs = files.iter().filter(|(name, _)| name.ends_with(".log"));
    let mut horizons: Vec<_> =
        logs.flat_map(|(_, log)| batches(log)).filter_map(|batch| batch.delete_horizon_ms()).collect();
    horizons.sort_unstable();
    horizons.dedup();
    horizons
}

/// What must be the same of a compressed batch.
fn account(batch: &RecordBatch) -> (BatchHeader, String) {
    assert!(batch.is_crc_valid());
    let payload = batch.inflate(1 << 20).unwrap();
    let records = Records::new(&payload, batch.records_count).map(|record| {
        let record = record.unwrap();
        let headers: Vec<_> = record.headers().collect();
        format!(
            "{} {} {:?} {:?} {headers:?}",
            record.offset_delta, record.timestamp_delta, record.key, record.value
        )
    });
    (BatchHeader { batch_length: 0, crc: 0, ..**batch }, records.collect::<Vec<_>>().join("\n"))
}

fn check(topic: &str, pass: u32) {
    let before = recorded(topic, &format!("{pass}-before"));
    let expected = recorded(topic, &format!("{pass}-after"));
    let earlier = if pass == 1 { Vec::new() } else { horizons(&recorded(topic, "1-after")) };
    let is_new = |horizon: &i64| !earlier.contains(horizon);
    let horizon = horizons(&expected).into_iter().find(is_new).expect("the pass began a horizon");
    let first_dirty = if pass == 1 { 0 } else { active_base(&recorded(topic, "1-before")) };

    let dir = Directory::new(&format!("golden-{topic}-{pass}"));
    let home = dir.path().join(format!("{topic}-0"));
    std::fs::create_dir_all(&home).unwrap();
    for (name, bytes) in &before {
        std::fs::write(home.join(name), bytes).unwrap();
    }
    let cleaned = format!("0\n1\n{topic} 0 {first_dirty}\n");
    std::fs::write(dir.path().join("cleaner-offset-checkpoint"), cleaned).unwrap();

    let logs = dir.logs();
    let log = logs.log(&id(topic, 0), &options());
    let limits = CompactionLimits { dedupe_buffer_bytes: 1 << 20, io_buffer_bytes: 1 << 16 };
    let done = log.compact(&limits, horizon - DELETE_RETENTION_MS, &mut |_| Pace::Go).unwrap();
    assert_eq!(
        (done.first_dirty_offset, done.next_dirty_offset),
        (first_dirty, active_base(&before)),
        "{topic} {pass}"
    );

    let base = |name: &str| name.split_once('.').unwrap().0.parse::<i64>().unwrap();
    let sealed = |files: Files| -> Files {
        files.into_iter().filter(|(name, _)| base(name) < active_base(&before)).collect()
    };
    let ours = std::fs::read_dir(&home).unwrap().map(|entry| entry.unwrap());
    let ours = ours.map(|entry| {
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap_or_default())
    });
    let kinds = [".log", ".index", ".timeindex", ".txnindex"];
    let ours =
        sealed(ours.filter(|(name, _)| kinds.iter().any(|kind| name.get(20..) == Some(kind))).collect());
    let expected = sealed(expected);
    assert_eq!(ours.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{topic} {pass}");
    for (name, bytes) in &expected {
        let what = format!("{topic} {pass} {name}");
        if name.ends_with(".log") {
            let accounts = |log: &[u8]| batches(log).iter().map(account).collect::<Vec<_>>();
            assert_eq!(accounts(&ours[name]), accounts(bytes), "{what}");
        }
        let is_index = name.ends_with(".index") || name.ends_with(".timeindex") || name.ends_with(".log");
        if topic == "plain" || !is_index {
            assert!(ours[name] == *bytes, "{what}: ours {:02x?}\ntheirs {bytes:02x?}", ours[name]);
        }
    }
}

#[test]
fn a_pass_leaves_the_bytes_that_kafkas_cleaner_leaves() {
    for pass in [1, 2] {
        check("plain", pass);
    }
}

#[test]
fn a_pass_leaves_the_records_that_kafkas_cleaner_leaves_in_compressed_batches() {
    for pass in [1, 2] {
        check("codecs", pass);
    }
}
