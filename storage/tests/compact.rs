//! Compaction, on each engine: what survives is what Kafka's cleaner leaves, whoever reads or writes meanwhile.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::*;
use ottla_protocol::batch::{BatchBuilder, Batches, RecordBatch, ValidatedBatches};
use ottla_protocol::codec::Compression;
use ottla_storage::{
    AppendContext, Compacted, CompactionLimits, Log, LogId, LogOptions, Logs, Origin, Pace, StorageError,
    VerificationGuard,
};

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

#[test]
fn a_tombstone_stays_until_its_horizon() {
    check("compact-tombstones", |logs| {
        let logs = logs();
        let log = open(&logs, small());
        put(&log, Compression::Lz4, &[("gone", Some("a")), ("stays", Some("b"))]);
        put(&log, Compression::Lz4, &[("gone", None), ("other", Some("c"))]);
        fill(&log, 60);
        let is_there = |log: &Log, value: Option<&str>| {
            rows(log).iter().any(|(_, key, found)| key == "gone" && found.as_deref() == value)
        };
        let horizon = || batches_of(&log).iter().find_map(|batch| batch.delete_horizon_ms());
        compact(&log, NOW);
        assert!(!is_there(&log, Some("a")) && is_there(&log, None));
        assert_eq!(horizon(), Some(NOW + 1000));
        for (now, is_kept) in [(NOW + 500, true), (NOW + 999, true), (NOW + 1000, false)] {
            fill(&log, 40);
            compact(&log, now);
            assert_eq!(is_there(&log, None), is_kept, "{}", now - NOW);
            assert_eq!(horizon(), Some(NOW + 1000), "it does not move");
        }
    });
}

#[test]
fn a_small_map_goes_as_far_as_it_can() {
    check("compact-small-map", |logs| {
        let logs = logs();
        let log = open(&logs, small());
        for n in 0..300 {
            put(&log, Compression::None, &[(&format!("key-{}", n % 100), Some("value"))]);
        }
        let limits = CompactionLimits { dedupe_buffer_bytes: 30 * 24, io_buffer_bytes: 512 };
        let (mut passes, mut dirty_from) = (0, 0);
        loop {
            let before = rows(&log);
            let done = log.compact(&limits, NOW, &mut |_| Pace::Go).unwrap();
            if done == Compacted::default() {
                break;
            }
            assert_eq!(done.first_dirty_offset, dirty_from);
            assert!(done.next_dirty_offset > dirty_from && done.map_entries <= 27, "{done:?}");
            dirty_from = done.next_dirty_offset;
            assert_eq!(rows(&log), last_of_each(&before, dirty_from));
            passes += 1;
        }
        assert!(passes >= 9, "{passes}");
        assert!(rows(&log).len() < 130);
    });
}

#[test]
fn what_is_dirty_is_counted_as_kafka_counts_it() {
    check("compact-candidate", |logs| {
        let logs = logs();
        let log = open(&logs, small());
        let candidate = |options: LogOptions, now| {
            log.update_options(Arc::new(options));
            log.compaction_candidate(now).unwrap()
        };
        assert_eq!(candidate(small(), NOW), None, "it is empty");
        fill(&log, 60);
        let all = candidate(small(), NOW).unwrap();
        assert!(all.dirty_ratio == 1.0 && all.dirty_bytes == all.total_bytes && !all.must_compact, "{all:?}");
        let size = log.size().unwrap();
        assert!(all.total_bytes < size && all.total_bytes > size - 2100, "all but the active segment");

        assert_eq!(candidate(LogOptions { cleanup_compact: false, ..small() }, NOW), None);
        let fresh = LogOptions { min_compaction_lag_ms: 1000, ..small() };
        assert_eq!(candidate(fresh.clone(), NOW + 999), None, "too fresh");
        assert_eq!(log.compact(&LIMITS, NOW + 999, &mut |_| Pace::Go).unwrap(), Compacted::default());
        assert_eq!(candidate(fresh, NOW + 1000), Some(all), "old enough");
        let late = LogOptions { max_compaction_lag_ms: 500, ..small() };
        assert!(!candidate(late.clone(), NOW + 500).unwrap().must_compact);
        assert!(candidate(late, NOW + 501).unwrap().must_compact);

        log.update_options(Arc::new(small()));
        let done = compact(&log, NOW);
        let clean = log.compaction_candidate(NOW).unwrap().unwrap();
        assert_eq!((clean.dirty_bytes, clean.total_bytes), (0, done.bytes_after));
        fill(&log, 60);
        let some = log.compaction_candidate(NOW).unwrap().unwrap();
        assert_eq!(some.total_bytes - some.dirty_bytes, done.bytes_after);
        assert_eq!(some.dirty_ratio, some.dirty_bytes as f64 / some.total_bytes as f64);
    });
}

fn transactional(log: &Log, producer: i64, sequence: i32, key: &str, value: &str) {
    let mut builder = BatchBuilder::new().producer(producer, 0, sequence).transactional();
    builder.append(NOW, Some(key.as_bytes()), Some(value.as_bytes()));
    let origin = Origin::VerifiedClient(VerificationGuard::NotRequired);
    let context = AppendContext { leader_epoch: 0, now_ms: NOW, origin };
    log.append(ValidatedBatches::internal([builder.build()]), context).unwrap();
}

fn end(log: &Log, producer: i64, commit: bool) {
    let mut builder = BatchBuilder::new().producer(producer, 0, -1).transactional().control();
    builder.append(NOW, Some(&[0, 0, 0, u8::from(commit)]), Some(&[0, 0, 0, 0, 0, 0]));
    let context =
        AppendContext { leader_epoch: 0, now_ms: NOW, origin: Origin::Marker { transaction_version: 0 } };
    log.append(ValidatedBatches::internal([builder.build()]), context).unwrap();
}

fn markers(log: &Log) -> Vec<(i64, Option<i64>)> {
    let markers = batches_of(log).into_iter().filter(|batch| batch.is_control() && batch.records_count > 0);
    markers.map(|batch| (batch.producer_id, batch.delete_horizon_ms())).collect()
}

#[test]
fn aborted_records_go_and_markers_follow_them() {
    check("compact-transactions", |logs| {
        let logs = logs();
        let log = open(&logs, small());
        put(&log, Compression::None, &[("a", Some("old")), ("b", Some("old"))]);
        transactional(&log, 1, 0, "a", "committed");
        transactional(&log, 2, 0, "b", "aborted");
        end(&log, 2, false);
        end(&log, 1, true);
        // Of both producers something comes later: only that is kept for their sequences.
        transactional(&log, 1, 1, "c", "committed");
        transactional(&log, 2, 1, "c", "aborted");
        end(&log, 1, true);
        end(&log, 2, false);
        fill(&log, 60);
        let value = |key: &str| {
            let rows = rows(&log);
            rows.iter().rev().find(|row| row.1 == key).and_then(|row| row.2.clone())
        };
        compact(&log, NOW);
        assert_eq!(value("a").as_deref(), Some("committed"));
        assert_eq!(value("b").as_deref(), Some("old"), "what was aborted overwrites nothing");
        assert_eq!(value("c").as_deref(), Some("committed"));
        let sequences: Vec<_> = log.producers().unwrap().iter().map(|known| known.last_sequence).collect();
        assert_eq!(sequences, [1, 1]);
        assert_eq!(markers(&log), [(2, None), (1, None), (1, None), (2, None)], "their batches were there");
        // All of the first aborted transaction is gone; of the second the emptied batch is left, for its sequence.
        let aborted = log.aborted_transactions(0, i64::MAX).unwrap().wait().unwrap();
        assert_eq!(aborted.len(), 2);
        fill(&log, 60);
        compact(&log, NOW);
        let horizon = Some(NOW + 1000);
        assert_eq!(markers(&log), [(2, horizon), (1, None), (1, None), (2, None)]);
        assert_eq!(log.aborted_transactions(0, i64::MAX).unwrap().wait().unwrap().len(), 1);
        put(&log, Compression::None, &[("a", Some("new")), ("c", Some("new"))]);
        fill(&log, 60);
        compact(&log, NOW + 1000);
        assert_eq!(markers(&log), [(1, None), (1, None), (2, None)], "the horizon has passed for one");
        fill(&log, 60);
        compact(&log, NOW + 1000);
        assert_eq!(markers(&log), [(1, Some(NOW + 2000)), (1, None), (2, None)]);
    });
}

#[test]
fn an_open_transaction_stops_a_pass() {
    check("compact-open", |logs| {
        let logs = logs();
        let log = open(&logs, small());
        fill(&log, 40);
        let begins = log.end_offset().unwrap();
        transactional(&log, 1, 0, "key-1", "undecided");
        fill(&log, 60);
        let before = rows(&log);
        let done = compact(&log, NOW);
        assert!(done.next_dirty_offset <= begins && done.next_dirty_offset > 0, "{done:?}");
        assert_eq!(rows(&log), last_of_each(&before, done.next_dirty_offset));
        end(&log, 1, false);
        fill(&log, 30);
        assert!(compact(&log, NOW).next_dirty_offset > begins);
        assert!(!rows(&log).iter().any(|row| row.2.as_deref() == Some("undecided")));
    });
}

#[test]
fn a_pass_disturbs_nobody_and_gives_up_when_its_segments_go() {
    check("compact-meanwhile", |logs| {
        let logs = logs();
        let log = open(&logs, small());
        fill(&log, 100);
        let before = rows(&log);
        let old = log.read(before[40].0, limits(700)).unwrap();
        let mut is_first = true;
        let done = log.compact(&LIMITS, NOW, &mut |_| {
            if std::mem::take(&mut is_first) {
                fill(&log, 3);
                assert_eq!(log.compact(&LIMITS, NOW, &mut |_| Pace::Go).unwrap(), Compacted::default());
                assert!(read(&log, before[20].0, 500).bytes > 0);
            }
            Pace::Go
        });
        assert!(done.unwrap().next_dirty_offset > 0);
        let old = old.wait().unwrap();
        assert!(old.chunks.into_iter().flat_map(Batches::new).all(|batch| batch.unwrap().records_count > 0));
        let after = rows(&log);

        fill(&log, 100);
        let middle = after.last().unwrap().0;
        let done = log.compact(&LIMITS, NOW, &mut |_| {
            log.set_start_offset(middle, NOW).unwrap();
            Pace::Go
        });
        let done = done.unwrap();
        assert_eq!(done.next_dirty_offset, done.first_dirty_offset, "it ended early: {done:?}");
        let first = rows(&log)[0].0;
        assert!(first <= middle && log.start_offset().unwrap() == middle);
        let before: Vec<_> = rows(&log).into_iter().filter(|row| row.0 >= middle).collect();
        let done = compact(&log, NOW);
        assert!(done.next_dirty_offset > middle);
        let after: Vec<_> = rows(&log).into_iter().filter(|row| row.0 >= middle).collect();
        assert_eq!(after, last_of_each(&before, done.next_dirty_offset));

        fill(&log, 100);
        let before = rows(&log);
        let mut steps = 0;
        let stopped = log.compact(&LIMITS, NOW, &mut |_| {
            steps += 1;
            if steps < 6 { Pace::Go } else { Pace::Stop }
        });
        let stopped = stopped.unwrap();
        assert_eq!((steps, stopped.next_dirty_offset), (6, stopped.first_dirty_offset));
        assert_eq!(rows(&log), before);

        let deleted = log.compact(&LIMITS, NOW, &mut |_| {
            delete(&logs, &log, NOW);
            Pace::Go
        });
        assert!(matches!(deleted, Err(StorageError::Deleted)), "{deleted:?}");
    });
}

#[test]
fn records_without_a_key_go() {
    check("compact-keyless", |logs| {
        let logs = logs();
        let log = open(&logs, LogOptions { cleanup_compact: false, ..small() });
        let mut builder = BatchBuilder::new();
        builder.append(NOW, None, Some(b"no key"));
        builder.append(NOW, Some(b"key"), Some(b"value"));
        log.append(ValidatedBatches::internal([builder.build()]), client()).unwrap();
        fill(&log, 60);
        log.update_options(Arc::new(small()));
        let done = compact(&log, NOW);
        assert_eq!(done.records_without_key, 1);
        assert_eq!(rows(&log)[0], (1, "key".to_owned(), Some("value".to_owned())));
    });
}

#[test]
fn a_reader_comes_past_any_number_of_emptied_segments() {
    check("compact-emptied", |logs| {
        let logs = logs();
        let log = open(&logs, small());
        let value = "x".repeat(1900);
        for _ in 0..40 {
            put(&log, Compression::None, &[("key", Some(&value))]);
        }
        compact(&log, NOW);
        let offsets: Vec<_> = rows(&log).iter().map(|row| row.0).collect();
        assert_eq!(offsets, [38, 39]);
        for from in 0..40 {
            assert_eq!(base_offsets(&read(&log, from, 1))[0], from.max(38), "from {from}");
        }
        assert_eq!(log.offset_for_timestamp(0).unwrap().unwrap().offset, 38);
        put(&log, Compression::None, &[("key", Some(&value))]);
        assert!(compact(&log, NOW).bytes_after < 2100);
        assert_eq!(rows(&log).len(), 2);
    });
}

#[test]
fn a_damaged_batch_leaves_the_log_as_it_is() {
    let dir = Directory::new("compact-damaged");
    let logs = dir.logs();
    let log = open(&logs, small());
    fill(&log, 60);
    log.flush().unwrap();
    let home = dir.path().join("t-0");
    let path = home.join(format!("{:020}.log", 0));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let names = || {
        let names = std::fs::read_dir(&home).unwrap().map(|entry| entry.unwrap().file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let before = names();
    let outcome = log.compact(&LIMITS, NOW, &mut |_| Pace::Go);
    assert!(matches!(outcome, Err(StorageError::Corrupt { .. })), "{outcome:?}");
    assert_eq!(names(), before);
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[test]
fn retention_goes_on_counting_where_there_are_no_timestamps() {
    let dir = Directory::new("compact-modified");
    let logs = dir.logs();
    let options = LogOptions { cleanup_delete: true, retention_ms: 10_000, ..small() };
    let log = open(&logs, options.clone());
    let append = |now_ms: i64, key: &str| {
        let mut builder = BatchBuilder::new();
        builder.append(-1, Some(key.as_bytes()), Some(&[b'x'; 600]));
        let context = AppendContext { now_ms, ..client() };
        log.append(ValidatedBatches::internal([builder.build()]), context).unwrap();
    };
    for n in 0..30 {
        append(NOW + n, &format!("key-{}", n % 5));
    }
    compact(&log, NOW + 5000);
    logs.close(NOW).unwrap();
    drop((log, logs));
    let logs = dir.logs();
    let log = open(&logs, options);
    let first = rows(&log)[0].0;
    let end = log.end_offset().unwrap();
    assert_eq!(log.apply_retention(NOW + 10_000, end).unwrap(), 0);
    assert!(
        log.apply_retention(NOW + 10_040, end).unwrap() > first,
        "the compacted segment is as old as it was"
    );
}

#[test]
fn gaps_are_no_losses_when_the_policy_is_another_after_a_crash() {
    let dir = Directory::new("compact-policy");
    let logs = dir.logs();
    let log = open(&logs, small());
    fill(&log, 60);
    let mut steps = 0;
    // Some groups of segments are in place when the process ends.
    let stopped = log.compact(&LIMITS, NOW, &mut |_| {
        steps += 1;
        if steps < 8 { Pace::Go } else { Pace::Stop }
    });
    let stopped = stopped.unwrap();
    assert!(stopped.bytes_before > 0 && stopped.next_dirty_offset == 0, "{stopped:?}");
    let before = rows(&log);
    drop((log, logs));
    let _ = std::fs::remove_file(dir.path().join("recovery-point-offset-checkpoint"));
    let logs = dir.logs();
    let log = open(&logs, LogOptions { cleanup_compact: false, cleanup_delete: true, ..small() });
    assert_eq!(rows(&log), before);
}
