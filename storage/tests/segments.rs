//! The files of segments: how they grow, how they are kept small, and how they go.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::*;
use ottla_storage::{Log, LogOptions, Read};

fn small_segments() -> LogOptions {
    LogOptions { segment_bytes: 1000, index_interval_bytes: 200, ..LogOptions::default() }
}

fn fill(log: &Log, batches: i64) {
    for n in 0..batches {
        log.append(batch(3, NOW + n * 10), client()).unwrap();
    }
}

/// Names and sizes, without those of the whole log.
fn sizes(dir: &Path) -> BTreeMap<String, u64> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let named =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len()));
    named.filter(|(name, _)| name.starts_with('0')).collect()
}

fn names(dir: &Path, suffix: &str) -> Vec<String> {
    sizes(dir).into_keys().filter(|name| name.ends_with(suffix)).collect()
}

#[test]
fn a_segment_that_goes_is_renamed_and_stays_readable_for_the_delay() {
    let dir = Directory::new("retired");
    let logs = dir.logs();
    let options = LogOptions { file_delete_delay_ms: 5000, ..small_segments() };
    let log = logs.log(&id("t", 0), &Arc::new(options));
    fill(&log, 40);
    logs.maintain(NOW + 1); // the first checkpoint
    logs.maintain(NOW + 20_000); // nothing is left in memory
    let Read::Cold(begun) = log.read(0, limits(600)).unwrap() else { panic!("not on the disk") };
    let segments = names(&dir.path().join("t-0"), ".log").len();
    log.set_start_offset(60, NOW).unwrap();

    let partition = dir.path().join("t-0");
    let (left, gone) = (names(&partition, ".log"), names(&partition, ".log.deleted"));
    assert!(left.len() + gone.len() == segments && gone.len() == 2, "{left:?} {gone:?}");
    assert_eq!(names(&partition, ".index.deleted").len(), gone.len());
    assert_eq!(names(&partition, ".timeindex.deleted").len(), gone.len());
    assert_eq!(base_offsets(&begun.run().unwrap())[0], 0, "who began before is not disturbed");
    assert!(log.read(0, limits(600)).is_err());

    logs.maintain(NOW + 4999);
    assert_eq!(names(&partition, ".log.deleted"), gone);
    logs.maintain(NOW + 5000);
    gone.iter().for_each(|name| wait_until_gone(&partition.join(name)));
    for name in names(&partition, ".deleted") {
        wait_until_gone(&partition.join(name));
    }
    assert_eq!(names(&partition, ".log"), left);
}

#[test]
fn what_a_killed_process_did_not_remove_goes_when_the_log_is_opened() {
    let dir = Directory::new("left-over");
    let partition = dir.path().join("t-0");
    let logs = dir.logs();
    let log = logs.log(&id("t", 0), &Arc::new(small_segments()));
    fill(&log, 40);
    log.set_start_offset(60, NOW).unwrap();
    // Killed between the names of one segment's files.
    let orphan = partition.join("00000000000000000003.index");
    fs::write(&orphan, [0; 8]).unwrap();
    assert!(!names(&partition, ".deleted").is_empty());
    drop((log, logs));

    let logs = dir.logs();
    let log = logs.log(&id("t", 0), &Arc::new(small_segments()));
    assert_eq!(log.end_offset().unwrap(), 120);
    assert_eq!(names(&partition, ".deleted"), [] as [&str; 0]);
    assert!(!orphan.exists());
}

#[test]
fn a_preallocated_segment_has_its_size_at_once_and_gives_back_what_it_does_not_use() {
    let options = Arc::new(LogOptions { preallocate: true, segment_bytes: 1000, ..LogOptions::default() });
    let dir = Directory::new("preallocated");
    let partition = dir.path().join("t-0");
    let length = |base: i64| fs::metadata(partition.join(format!("{base:020}.log"))).unwrap().len();
    let logs = dir.logs();
    let log = logs.log(&id("t", 0), &options);
    fill(&log, 1);
    let size = log.size().unwrap();
    assert_eq!((length(0), size < 200), (1000, true));
    fill(&log, 10);
    let rolled = (1000 / size * 3) as i64;
    assert_eq!(length(0), 1000 / size * size, "sealed");
    assert_eq!(length(rolled), 1000);
    assert_eq!(log.size().unwrap(), 11 * size, "only what is written counts");
    drop((log, logs)); // killed

    let logs = dir.logs();
    let log = logs.log(&id("t", 0), &options);
    assert_eq!((log.end_offset().unwrap(), log.size().unwrap()), (33, 11 * size));
    assert_eq!(length(rolled), 11 * size - length(0));
    fill(&log, 10);
    let active = names(&partition, ".log").pop().unwrap();
    assert_eq!(sizes(&partition)[&active], 1000);
    logs.close(NOW).unwrap();
    assert_eq!(sizes(&partition)[&active], 21 * size % (1000 / size * size), "stopped");
}

#[test]
fn index_entries_that_were_not_written_are_made_anew_after_a_crash() {
    let each = |name: &str, stop: fn(&ottla_storage::Logs)| {
        let dir = Directory::new(name);
        let options = Arc::new(LogOptions {
            segment_bytes: 20_000,
            index_interval_bytes: 200,
            ..LogOptions::default()
        });
        let logs = dir.logs();
        let log = logs.log(&id("t", 0), &options);
        fill(&log, 300);
        let written = sizes(&dir.path().join("t-0"));
        stop(&logs);
        drop((log, logs));
        let logs = dir.logs();
        let log = logs.log(&id("t", 0), &options);
        assert_eq!(log.end_offset().unwrap(), 900);
        for offset in [0, 1, 449, 450, 898, 899] {
            assert_eq!(base_offsets(&read(&log, offset, 1))[0], offset / 3 * 3);
            let time = log.offset_for_timestamp(NOW + offset / 3 * 10).unwrap().unwrap();
            assert_eq!(time.offset, offset / 3 * 3);
        }
        logs.close(NOW).unwrap();
        let partition = dir.path().join("t-0");
        let mut indexes = BTreeMap::new();
        for name in names(&partition, "index") {
            indexes.insert(name.clone(), fs::read(partition.join(name)).unwrap());
        }
        (written, indexes)
    };
    let (written, clean) = each("indexes-clean", |logs| logs.close(NOW).unwrap());
    let (_, killed) = each("indexes-killed", |_| ());
    assert_eq!(clean, killed);
    let active = clean.keys().rev().find(|name| name.ends_with(".index")).unwrap();
    assert!(written[active] < clean[active].len() as u64, "some were in memory");
}

#[test]
fn an_index_without_room_begins_a_segment_with_each_append() {
    let dir = Directory::new("no-room");
    let logs = dir.logs();
    let options = LogOptions { segment_index_bytes: 4, ..LogOptions::default() };
    let log = logs.log(&id("t", 0), &Arc::new(options));
    fill(&log, 3);
    log.set_start_offset(9, NOW).unwrap();
    log.apply_retention(NOW + (1 << 40), 9).unwrap();
    fill(&log, 1);
    assert_eq!(names(&dir.path().join("t-0"), ".log"), ["00000000000000000009.log"]);
    assert_eq!(base_offsets(&read(&log, 9, 1000)), [9]);
}
