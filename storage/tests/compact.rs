//! Compaction, on each engine: what survives is what Kafka's cleaner leaves, whoever reads or writes meanwhile.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::*;
use ottla_protocol::batch::{BatchBuilder, Batches, RecordBatch, ValidatedBatches};
use ottla_protocol::codec::Compression;
use ottla_storage::{Compacted, CompactionLimits, Log, LogId, LogOptions, Logs, Pace};

const LIMITS: CompactionLimits = CompactionLimits { dedupe_buffer_bytes: 1 << 20, io_buffer_bytes: 4096 };

fn small() -> LogOptions {
    LogOptions {
        segment_bytes: 2000,
        index_interval_bytes: 300,
        cleanup_compact: true,
        cleanup_delete: false,
        delete_retention_ms: 1000,
        ..LogOptions::default()
    }
}

fn open(logs: &Logs, options: LogOptions) -> Arc<Log> {
    let options = Arc::new(options);
    let log = logs.log(&id("t", 0), &options);
    log.update_options(options);
    log
}

/// Runs a test on each engine. The test may ask for the log as the next process finds it.
fn check(name: &str, test: impl Fn(&mut dyn FnMut() -> Logs)) {
    let mut memory = Some(Logs::memory());
    test(&mut || memory.take().expect("memory is not opened twice"));
    let dir = Directory::new(name);
    test(&mut || dir.logs());
}

fn compact(log: &Log, now_ms: i64) -> Compacted {
    log.compact(&LIMITS, now_ms, &mut |_| Pace::Go).unwrap()
}

fn batches_of(log: &Log) -> Vec<RecordBatch> {
    let (mut offset, end) = (log.start_offset().unwrap(), log.end_offset().unwrap());
    let mut found = Vec::new();
    while offset < end {
        let records = read(log, offset, 1 << 20);
        if records.bytes == 0 {
            break;
        }
        for batch in records.chunks.into_iter().flat_map(Batches::new) {
            let batch = batch.unwrap();
            assert!(batch.is_crc_valid() && batch.last_offset() >= offset);
            offset = batch.next_offset();
            found.push(batch);
        }
    }
    found
}

/// Offset, key and value of each record.
type Row = (i64, String, Option<String>);

fn rows(log: &Log) -> Vec<Row> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut rows = Vec::new();
    for batch in batches_of(log).iter().filter(|batch| !batch.is_control()) {
        let payload = batch.inflate(1 << 20).unwrap();
        for record in ottla_protocol::batch::Records::new(&payload, batch.records_count) {
            let record = record.unwrap();
            let key = record.key.map_or_else(|| "-".to_owned(), text);
            rows.push((batch.offset_of(record.offset_delta), key, record.value.map(text)));
        }
    }
    rows
}

/// What a reader who knows all of `rows` would keep: the last of each key, and all from `dirty_from` on.
fn last_of_each(rows: &[Row], dirty_from: i64) -> Vec<Row> {
    let last: BTreeMap<_, _> = rows
        .iter()
        .filter(|(offset, ..)| *offset < dirty_from)
        .map(|(offset, key, _)| (key.clone(), *offset))
        .collect();
    rows.iter().filter(|(offset, key, _)| *offset >= dirty_from || last[key] == *offset).cloned().collect()
}

fn put(log: &Log, codec: Compression, records: &[(&str, Option<&str>)]) -> i64 {
    let mut builder = BatchBuilder::new().compression(codec, None);
    for (key, value) in records {
        builder.append(NOW, Some(key.as_bytes()), value.map(str::as_bytes));
    }
    log.append(ValidatedBatches::internal([builder.build()]), client()).unwrap().base_offset
}

/// Many batches that write a few keys over and over.
fn fill(log: &Log, batches: i64) {
    let codecs =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for n in 0..batches {
        let keys: Vec<_> = (0..1 + n % 4).map(|k| format!("key-{}", (n * 7 + k * 3) % 11)).collect();
        let value = format!("value {n} {}", "x".repeat(30));
        let records: Vec<_> = keys.iter().map(|key| (key.as_str(), Some(value.as_str()))).collect();
        put(log, codecs[n as usize % 5], &records);
    }
}

#[test]
fn the_latest_of_each_key_survives() {
    check("compact-latest", |logs| {
        let first = logs();
        let log = open(&first, small());
        fill(&log, 150);
        let before = rows(&log);
        let done = compact(&log, NOW);
        let after = rows(&log);
        assert_eq!(after, last_of_each(&before, done.next_dirty_offset));
        assert!(
            done.bytes_after < done.bytes_before / 4 && done.bytes_written == done.bytes_after,
            "{done:?}"
        );
        assert_eq!((done.first_dirty_offset, done.map_entries), (0, 11));
        assert_eq!(log.end_offset().unwrap(), before.last().unwrap().0 + 1);
        let again = compact(&log, NOW);
        assert_eq!(again, Compacted::default(), "nothing is dirty");

        fill(&log, 60);
        let before = rows(&log);
        let next = compact(&log, NOW);
        assert_eq!(next.first_dirty_offset, done.next_dirty_offset);
        assert_eq!(rows(&log), last_of_each(&before, next.next_dirty_offset));
        assert_eq!(
            log.size().unwrap(),
            batches_of(&log).iter().map(|batch| batch.size() as u64).sum::<u64>()
        );
    });
}

#[test]
fn a_restart_finds_what_was_compacted_and_where_it_ended() {
    let dir = Directory::new("compact-restart");
    let (mut expected, mut dirty_from) = (Vec::new(), 0);
    for round in 0..4 {
        let logs = dir.logs();
        let log = open(&logs, small());
        assert_eq!(rows(&log), expected, "round {round}");
        fill(&log, 80);
        let before = rows(&log);
        let done = compact(&log, NOW);
        assert_eq!(done.first_dirty_offset, dirty_from, "round {round}");
        dirty_from = done.next_dirty_offset;
        expected = rows(&log);
        assert_eq!(expected, last_of_each(&before, dirty_from));
        if round % 2 == 0 {
            logs.close(NOW).unwrap();
        }
    }
    let text = std::fs::read_to_string(dir.path().join("cleaner-offset-checkpoint")).unwrap();
    assert_eq!(text, format!("0\n1\nt 0 {dirty_from}\n"));
    let logs = dir.logs();
    delete(&logs, &open(&logs, small()), NOW);
    let again = LogId { topic_id: uuid::Uuid::from_u128(2), ..id("t", 0) };
    let log = logs.log(&again, &Arc::new(small()));
    fill(&log, 80);
    assert_eq!(compact(&log, NOW).first_dirty_offset, 0, "another topic of the name");
}
