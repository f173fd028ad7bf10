//! Compaction on a disk that fails: whenever it does, no key loses its last value, and no reader sees anything else than
//! what was written.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use ottla_protocol::batch::{BatchBuilder, Batches, RecordBatch, Records, ValidatedBatches};

use uuid::Uuid;

use super::simulated_disk::{Fault, Left, SimulatedDisk};
use super::{NOW, log_with, logs, run_with};
use crate::batch_info::BatchInfo;
use crate::local::open_files::OpenFiles;
use crate::local::replace::NewSegments;
use crate::local::store::LocalStore;
use crate::log::{CompactionLimits, Pace};
use crate::store::{LogStore, Placed, Replacing, Rewrite};
use crate::{
    AppendContext, AppendError, Beginning, Log, LogId, LogOptions, Logs, Origin, ReadLimits, StorageError,
};

const BATCHES: i64 = 45;
const LIMITS: CompactionLimits = CompactionLimits { dedupe_buffer_bytes: 1 << 16, io_buffer_bytes: 400 };

fn options() -> LogOptions {
    LogOptions {
        segment_bytes: 700,
        index_interval_bytes: 150,
        cleanup_compact: true,
        cleanup_delete: false,
        delete_retention_ms: i64::MAX / 2,
        file_delete_delay_ms: 0,
        ..LogOptions::default()
    }
}

fn open(logs: &Logs) -> Arc<Log> {
    log_with(logs, &options())
}

/// The key of each record, and its value, which may be none.
fn record_at(offset: i64) -> (String, Option<String>) {
    let key = format!("key-{}", offset * 7 % 13);
    (key, (offset % 9 != 4).then(|| format!("value of {offset}")))
}

/// Two records; the producer is one of three, the second of which writes in the first half alone.
fn append(log: &Log, batch: i64) -> Result<(), AppendError> {
    let offset = batch * 2;
    let producer = if batch < BATCHES / 2 { 1 + batch % 3 } else { 1 + batch % 2 * 2 };
    let mut builder = BatchBuilder::new().producer(producer, 0, batch as i32);
    for offset in [offset, offset + 1] {
        let (key, value) = record_at(offset);
        builder.append(NOW + offset, Some(key.as_bytes()), value.as_deref().map(str::as_bytes));
    }
    let batches = ValidatedBatches::internal([builder.build()]);
    // Sequences have gaps, since producers take turns: nobody checks them here.
    let context = AppendContext { leader_epoch: 0, now_ms: NOW, origin: Origin::Coordinator };
    assert_eq!(log.append(batches, context)?.base_offset, offset);
    Ok(())
}

/// One segment that is put in the place of the first three of a log and is too large for one: power is cut at each step.
#[test]
fn what_is_too_large_for_one_segment_becomes_several() {
    for at in 0.. {
        let disk = SimulatedDisk::default();
        disk.world().put_dir(Path::new("/data"));
        let id = LogId { topic: "t".into(), topic_id: Uuid::from_u128(7), partition: 0 };
        let files = Arc::new(OpenFiles::new(Arc::new(disk.clone()), 5));
        let mut store = LocalStore::empty(id, "/data/t-0".into(), files);
        for batch in 0..20 {
            let mut builder = BatchBuilder::new().base_offset(batch);
            builder.append(NOW, Some(b"key"), Some(&[b'x'; 50]));
            let bytes = builder.build().into_bytes();
            let placed = Placed { info: BatchInfo::parse(&bytes).unwrap(), bytes };
            store.submit(&[placed], &options(), NOW).unwrap();
        }
        store.flush().run().unwrap();
        let operations = disk.world().operations;
        disk.world().fault = (at > 0).then(|| (operations + at..=operations + at, Fault::Crash));
        let done = replace_three(&mut store);
        drop(store);
        let bases = if done.is_ok() && at == 0 { vec![0, 2, 4, 6] } else { Vec::new() };
        for (left, what) in [(Left::All, "crash"), (Left::Some(at as u64), "power cut")] {
            let again = logs(&disk.after_crash(left)).unwrap();
            let log = open(&again);
            let (mut offset, mut found) = (0, Vec::new());
            while offset < log.end_offset().unwrap() {
                let batches = read(&log, offset);
                found.extend(batches.iter().map(|batch| batch.base_offset));
                offset = batches.last().unwrap_or_else(|| panic!("{what} at {at}: {offset}")).next_offset();
            }
            assert_eq!(found, (0..20).collect::<Vec<_>>(), "{what} at {at}");
            let named = disk.world().files();
            let logs = named.keys().filter(|path| path.to_string_lossy().ends_with(".log"));
            let names: Vec<_> = logs.map(|path| path.to_string_lossy().into_owned()).collect();
            for base in &bases {
                assert!(names.contains(&format!("/data/t-0/{base:020}.log")), "{base}: {names:?}");
            }
        }
        if at > 0 && done.is_ok() {
            assert!(at > 30, "there was nothing left to fail at {at}");
            break;
        }
    }
}

/// The same batches again, in segments of at most two.
fn replace_three(store: &mut LocalStore) -> Result<(), StorageError> {
    let extents = store.extents()?;
    let extents = &extents[..3];
    let mut new = store.begin_replacement(extents, &options()).unwrap();
    let any: &mut dyn std::any::Any = &mut *new;
    any.downcast_mut::<NewSegments>().unwrap().segment_max_bytes = 300;
    for extent in extents {
        let mut source = store.source(extent.base_offset, extent.base_offset, 100).unwrap();
        while let Some(chunk) = source.next()? {
            new.append(chunk, &[])?;
        }
    }
    new.finish()?;
    loop {
        match store.replace(extents, &mut *new, NOW)? {
            Replacing::Next(flush) => flush.run()?,
            Replacing::Done => return Ok(()),
            Replacing::Gone => panic!("nobody else is here"),
        }
    }
}

fn compact(log: &Log) -> Result<(), StorageError> {
    log.compact(&LIMITS, NOW, &mut |_| Pace::Go).map(|_| ())
}

#[derive(Debug, Default)]
struct Promised {
    appended: i64,
    flushed: i64,
}

fn run(logs: &Logs, promised: &mut Promised) -> Result<(), AppendError> {
    let log = open(logs);
    for batch in 0..BATCHES {
        append(&log, batch)?;
        promised.appended = batch * 2 + 2;
        if batch % 15 == 13 {
            compact(&log)?;
            logs.maintain(NOW);
        }
        if batch == 30 {
            log.flush()?;
            promised.flushed = promised.appended;
            logs.checkpoint(NOW)?;
        }
    }
    logs.close(NOW)?;
    promised.flushed = promised.appended;
    Ok(())
}

fn read(log: &Log, from: i64) -> Vec<RecordBatch> {
    let limits = ReadLimits { max_bytes: 300, upper_offset: i64::MAX, whole_first_batch: true };
    let records = log.read(from, limits).unwrap().wait().unwrap();
    records.chunks.into_iter().flat_map(Batches::new).map(Result::unwrap).collect()
}

/// The log holds what was written, the last of each key at least; what is not flushed may lack anything after a power cut,
/// as with Kafka, since a gap in a compacted log says nothing. Returns its end.
fn check(logs: &Logs, flushed: Option<i64>, what: &str) -> i64 {
    let log = open(logs);
    let end = log.end_offset().unwrap();
    let sure_to = flushed.unwrap_or(end);
    let (mut offset, mut last, mut seen) = (0, BTreeMap::new(), Vec::new());
    while offset < end {
        let batches = read(&log, offset);
        if batches.is_empty() {
            assert!(offset >= sure_to, "{what}: nothing at {offset} of {end}");
            break;
        }
        for batch in batches {
            assert!(batch.is_crc_valid() && batch.base_offset >= offset, "{what}: at {offset}");
            offset = batch.next_offset();
            seen.push((batch.base_offset, batch.last_offset()));
            let payload = batch.inflate(1 << 20).unwrap();
            for record in Records::new(&payload, batch.records_count).map(Result::unwrap) {
                let at = batch.offset_of(record.offset_delta);
                let (key, value) = record_at(at);
                let expected = (key.as_bytes(), value.as_deref().map(str::as_bytes));
                assert_eq!((record.key.unwrap(), record.value), expected, "{what}: {at}");
                assert_eq!(batch.timestamp_of(record.timestamp_delta), NOW + at, "{what}: {at}");
                last.insert(key, at);
            }
        }
    }
    let expected: BTreeMap<_, _> = (0..sure_to).map(|offset| (record_at(offset).0, offset)).collect();
    for (key, at) in &expected {
        let found = last.get(key).copied().unwrap_or(-1);
        assert!(found == *at || (found > *at && sure_to < end), "{what}: {key} is at {found}, not {at}");
    }
    for from in (0..end).step_by(5) {
        let wanted = seen.iter().find(|(_, last_offset)| *last_offset >= from).map(|(base, _)| *base);
        assert_eq!(read(&log, from).first().map(|batch| batch.base_offset), wanted, "{what}: from {from}");
    }
    let known = log.producers().unwrap();
    let known: BTreeMap<_, _> = known.iter().map(|known| (known.producer_id, known.last_sequence)).collect();
    let mut written = BTreeMap::new();
    for batch in 0..sure_to / 2 {
        let producer = if batch < BATCHES / 2 { 1 + batch % 3 } else { 1 + batch % 2 * 2 };
        written.insert(producer, batch as i32 + 1);
    }
    for (producer, sequence) in written {
        let found = known.get(&producer).copied().unwrap_or(-1);
        assert!(found == sequence || (found > sequence && sure_to < end), "{what}: {producer}: {found}");
    }
    end
}

/// After whatever happened: what is there is right, and the log goes on, with another pass and another start.
fn check_and_go_on(disk: &SimulatedDisk, flushed: Option<i64>, what: &str) -> i64 {
    let again = logs(disk).unwrap();
    let end = check(&again, flushed, what);
    let log = open(&again);
    assert_eq!(end % 2, 0, "{what}");
    for batch in end / 2..end / 2 + 8 {
        append(&log, batch).unwrap();
    }
    compact(&log).unwrap();
    assert_eq!(check(&again, flushed, what), end + 16);
    drop((log, again));
    let disk = disk.after_crash(Left::All);
    assert_eq!(check(&logs(&disk).unwrap(), flushed, &format!("{what}, again")), end + 16);
    for name in disk.world().files().keys() {
        let name = name.to_string_lossy();
        assert!(!name.ends_with(".swap") && !name.ends_with(".cleaned"), "{what}: {name} is left");
    }
    end
}

fn operations_of_a_whole_run() -> usize {
    let disk = SimulatedDisk::default();
    run(&logs(&disk).unwrap(), &mut Promised::default()).unwrap();
    assert!(check_and_go_on(&disk, None, "no fault") == BATCHES * 2);
    disk.world().operations
}

#[test]
fn a_crash_at_any_write_of_a_compaction_loses_nothing() {
    for at in 1..=operations_of_a_whole_run() {
        let (disk, promised) = run_with(run, Fault::Crash, at);
        let end = check_and_go_on(&disk.after_crash(Left::All), None, &format!("crash at {at}"));
        assert!((promised.appended..=promised.appended + 2).contains(&end), "crash at {at}: {end}");
    }
}

#[test]
fn a_power_cut_at_any_write_of_a_compaction_loses_nothing_that_was_flushed() {
    for at in 1..=operations_of_a_whole_run() {
        let (disk, promised) = run_with(run, Fault::Crash, at);
        let what = format!("power cut at {at}");
        let end = check_and_go_on(&disk.after_crash(Left::Some(at as u64)), Some(promised.flushed), &what);
        assert!(end >= promised.flushed, "{what}: {end}, {promised:?}");
    }
}

#[test]
fn a_write_that_fails_ends_a_pass_and_harms_nobody() {
    for at in 1..=operations_of_a_whole_run() {
        let disk = SimulatedDisk::default();
        disk.world().fault = Some((at..=at, Fault::Error));
        let Ok(logs) = logs(&disk) else { continue };
        let log = open(&logs);
        for batch in 0..BATCHES {
            let mut tries = 0;
            while append(&log, batch).is_err() {
                tries += 1;
                assert!(tries < 5, "an error at {at}");
                let _ = log.flush(); // after a failed sync nothing is appended before one that succeeds
            }
            if batch % 15 == 13 {
                let _ = compact(&log);
                logs.maintain(NOW);
            }
        }
        disk.world().fault = None;
        let what = format!("an error at {at}");
        assert_eq!(check(&logs, None, &what), BATCHES * 2);
        drop((log, logs));
        check_and_go_on(&disk.after_crash(Left::All), None, &what);
    }
}

fn has_unsettled(disk: &SimulatedDisk) -> bool {
    disk.world().files().keys().any(|path| path.to_string_lossy().ends_with(".log.swap"))
}

/// Until a start has given them their names they are the only ones that have what they hold.
#[test]
fn what_a_pass_could_not_rename_survives_a_crash_in_the_next() {
    let mut unsettled = 0;
    for (at, crash) in (1..40).flat_map(|at| (1..6).map(move |crash| (at, crash))) {
        let disk = SimulatedDisk::default();
        let logs = logs(&disk).unwrap();
        let log = open(&logs);
        let fill = |from: i64, to: i64| (from..to).for_each(|batch| append(&log, batch).unwrap());
        let fail = |after: usize, fault: Fault| {
            let at = disk.world().operations + after;
            disk.world().fault = Some((at..=at, fault));
        };
        fill(0, 15);
        fail(at, Fault::Error);
        let _ = compact(&log);
        log.flush().unwrap(); // after a failed sync nothing is appended before one that succeeds
        fill(15, 25);
        if has_unsettled(&disk) {
            unsettled += 1;
            fail(crash, Fault::Crash);
            let _ = compact(&log);
            let what = format!("an error at {at}, a crash at {crash}");
            check_and_go_on(&disk.after_crash(Left::All), None, &what);
        }
    }
    assert!(unsettled > 0, "no name was missing");
}

#[test]
fn what_a_pass_could_not_rename_the_next_one_does() {
    let mut unsettled = 0;
    for at in 1.. {
        let disk = SimulatedDisk::default();
        let logs = logs(&disk).unwrap();
        let log = open(&logs);
        let fill = |from: i64, to: i64| (from..to).for_each(|batch| append(&log, batch).unwrap());
        fill(0, 15);
        let first = disk.world().operations + at;
        disk.world().fault = Some((first..=first, Fault::Error));
        let _ = compact(&log);
        if disk.world().hits == 0 {
            break;
        }
        unsettled += usize::from(has_unsettled(&disk));
        log.flush().unwrap(); // after a failed sync nothing is appended before one that succeeds
        fill(15, BATCHES);
        compact(&log).unwrap();
        assert!(!has_unsettled(&disk), "an error at {at}");
        check(&logs, None, &format!("an error at {at}"));
        check_and_go_on(&disk.after_crash(Left::All), None, &format!("an error at {at}"));
    }
    assert!(unsettled > 0, "no name was missing");
}

/// A start takes what is beside it for a part of what was not finished: it must not be beside what a later pass has finished.
#[test]
fn what_a_pass_could_not_remove_is_no_harm_to_a_crash_in_the_next() {
    let ends_with = |disk: &SimulatedDisk, ending: &str| {
        disk.world().files().keys().any(|path| path.to_string_lossy().ends_with(ending))
    };
    let mut left = 0;
    for (at, crash) in (1..40).flat_map(|at| (0..80).map(move |crash| (at, crash))) {
        let disk = SimulatedDisk::default();
        let logs = logs(&disk).unwrap();
        let log = open(&logs);
        let fill = |from: i64, to: i64| (from..to).for_each(|batch| append(&log, batch).unwrap());
        fill(0, 15);
        let first = disk.world().operations + at;
        disk.world().fault = Some((first..=first + 20, Fault::Error));
        let _ = compact(&log);
        disk.world().fault = None;
        if !ends_with(&disk, ".cleaned") {
            continue;
        }
        left += 1;
        log.flush().unwrap(); // after a failed sync nothing is appended before one that succeeds
        fill(15, 25);
        log.flush().unwrap();
        log.set_start_offset(13, NOW).unwrap();
        let crash_at = disk.world().operations + crash;
        disk.world().fault = (crash > 0).then_some((crash_at..=crash_at, Fault::Crash));
        let outcome = compact(&log);
        let what = format!("errors at {at}, a crash at {crash}");
        assert!(crash > 0 || (outcome.is_ok() && !ends_with(&disk, ".cleaned")), "{what}");
        let again = self::logs(&disk.after_crash(Left::All)).unwrap();
        let log = open(&again);
        let (start, end) = (log.start_offset().unwrap(), log.end_offset().unwrap());
        assert!(start <= 13 && end == 50, "{what}: {start}..{end}");
    }
    assert!(left > 0, "nothing was left");
}

/// Otherwise a pass that drops a tombstone from before the start would bring its key's value back.
#[test]
fn what_was_deleted_before_a_pass_is_not_back_after_a_crash() {
    let disk = SimulatedDisk::default();
    let logs = logs(&disk).unwrap();
    let log = open(&logs);
    for batch in 0..BATCHES {
        append(&log, batch).unwrap();
    }
    log.set_start_offset(5, NOW).unwrap();
    compact(&log).unwrap();
    for left in [Left::All, Left::Some(1), Left::Some(2), Left::Some(3)] {
        let again = self::logs(&disk.after_crash(left)).unwrap();
        assert_eq!(open(&again).start_offset().unwrap(), 5, "{left:?}");
    }
}

/// The old segments that a pass could not take out of the way go before those that it has put in their place: a start would
/// find them alone, and what the later ones knew of their transactions is gone.
#[test]
fn what_is_deleted_after_a_pass_that_failed_is_not_back_after_a_crash() {
    let mut unsettled = 0;
    for at in 1.. {
        let disk = SimulatedDisk::default();
        let logs = logs(&disk).unwrap();
        let log = open(&logs);
        for batch in 0..BATCHES {
            append(&log, batch).unwrap();
        }
        log.flush().unwrap();
        let first = disk.world().operations + at;
        disk.world().fault = Some((first..=first, Fault::Error));
        let _ = compact(&log);
        if disk.world().hits == 0 {
            break;
        }
        unsettled += usize::from(has_unsettled(&disk));
        let end = log.end_offset().unwrap();
        log.set_start_offset(end - 4, NOW).unwrap();
        let again = self::logs(&disk.after_crash(Left::All)).unwrap();
        let start = open(&again).start_offset().unwrap();
        assert!(start > end / 2, "starts at {start} after an error at {at}");
    }
    assert!(unsettled > 0, "nothing was in the way");
}

/// A transaction's record stands in for an older one since its marker says so: without it the key would have no value.
#[test]
fn the_marker_that_a_pass_went_by_survives_a_power_cut() {
    let disk = SimulatedDisk::default();
    let logs = logs(&disk).unwrap();
    let log = open(&logs);
    let append = |builder: BatchBuilder, value: &[u8], origin| {
        let mut builder = builder;
        builder.append(NOW, Some(b"\0\0\0\x01"), Some(value));
        let context = AppendContext { leader_epoch: 0, now_ms: NOW, origin };
        log.append(ValidatedBatches::internal([builder.build()]), context).unwrap();
    };
    let transactional = || BatchBuilder::new().transactional();
    append(BatchBuilder::new(), b"old", Origin::Coordinator);
    let beginning =
        Beginning { producer_id: 9, producer_epoch: 0, base_sequence: 0, supports_epoch_bump: true };
    let guard = log.begin_verification(&beginning, NOW).unwrap().unwrap();
    append(transactional().producer(9, 0, 0), b"new", Origin::VerifiedClient(guard));
    append(BatchBuilder::new(), &[b'x'; 500], Origin::Coordinator);
    log.flush().unwrap();
    let marker = Origin::Marker { transaction_version: 1 };
    append(transactional().control().producer(9, 0, -1), &[0; 6], marker);
    compact(&log).unwrap();
    assert_eq!(read(&log, 0)[0].base_offset, 1, "the old one is gone");
    for seed in 0..20 {
        let again = self::logs(&disk.after_crash(Left::Some(seed))).unwrap();
        let log = open(&again);
        assert_eq!((log.end_offset().unwrap(), log.last_stable_offset().unwrap()), (4, 4), "seed {seed}");
    }
}

/// A batch that came later and was lost does not say any more which sequence was the last.
#[test]
fn the_last_sequence_that_a_pass_went_by_survives_a_power_cut() {
    let mut without_snapshot = 0;
    for at in 1.. {
        let disk = SimulatedDisk::default();
        let logs = logs(&disk).unwrap();
        let log = open(&logs);
        let append = |sequence: Option<i32>| {
            let builder = BatchBuilder::new();
            let mut builder =
                sequence.map_or(builder, |sequence| BatchBuilder::new().producer(9, 0, sequence));
            builder.append(NOW, Some(b"key"), Some(&[b'x'; 50]));
            let origin = if sequence.is_some() { Origin::Client } else { Origin::Coordinator };
            let context = AppendContext { leader_epoch: 0, now_ms: NOW, origin };
            log.append(ValidatedBatches::internal([builder.build()]), context)
        };
        disk.world().fault = Some((at..=at, Fault::Error));
        for sequence in [Some(0), Some(1), None, None, None, None, None] {
            if append(sequence).is_err() {
                let _ = log.flush(); // after a failed sync nothing is appended before one that succeeds
                drop(append(sequence).unwrap());
            }
        }
        let is_over = disk.world().hits == 0;
        disk.world().fault = None;
        let mut later = Some(2);
        let pace = &mut |_| {
            later.take().into_iter().for_each(|sequence| drop(append(Some(sequence)).unwrap()));
            Pace::Go
        };
        log.compact(&LIMITS, NOW, pace).unwrap();
        let has_snapshot =
            disk.world().files().keys().any(|path| path.extension().is_some_and(|it| it == "snapshot"));
        without_snapshot += usize::from(!has_snapshot);
        for left in (0..8).map(Left::Some) {
            let again = self::logs(&disk.after_crash(left)).unwrap();
            let producers = open(&again).producers().unwrap();
            let last = producers.first().map_or(-1, |producer| producer.last_sequence);
            assert!(last >= 1, "sequence {last} after an error at {at}");
        }
        if is_over {
            break;
        }
    }
    assert!(without_snapshot > 0);
}
