//! The local engine on a disk that fails: crashes at each write, power cuts, full disks.

mod compaction;
mod full;
mod random;
mod recovery;
mod simulated_disk;
mod world;

use std::path::Path;
use std::sync::Arc;

use ottla_protocol::batch::{BatchBuilder, Batches, ValidatedBatches};
use uuid::Uuid;

use super::disk::Disk;
use super::{LocalEngine, LocalSettings};
use crate::{AppendContext, AppendError, Log, LogId, LogOptions, Logs, Origin, ReadLimits, StorageError};
use simulated_disk::{Fault, Left, SimulatedDisk};

const NOW: i64 = 1_800_000_000_000;
const RECORDS_PER_BATCH: i64 = 3;

fn logs(disk: &SimulatedDisk) -> Result<Logs, StorageError> {
    logs_in(disk, &["/data"])
}

/// In directories that are made where they are missing.
fn logs_in(disk: &SimulatedDisk, dirs: &[&str]) -> Result<Logs, StorageError> {
    for dir in dirs {
        if disk.list(Path::new(dir)).is_err() {
            disk.world().put_dir(Path::new(dir));
        }
    }
    let settings = LocalSettings { open_files_max: 5, ..LocalSettings::default() };
    let (paths, locks) = dirs.iter().map(|dir| (dir.into(), None)).unzip();
    Ok(Logs::on(LocalEngine::on(Arc::new(disk.clone()), paths, locks, settings)?))
}

fn log(logs: &Logs) -> Arc<Log> {
    log_with(logs, &LogOptions { segment_bytes: 700, index_interval_bytes: 150, ..LogOptions::default() })
}

fn log_with(logs: &Logs, options: &LogOptions) -> Arc<Log> {
    let id = LogId { topic: "t".into(), topic_id: Uuid::from_u128(7), partition: 0 };
    logs.log(&id, &Arc::new(options.clone()))
}

/// The batch that begins at this offset, whoever writes it and whenever.
fn append(log: &Log, offset: i64) -> Result<bool, AppendError> {
    let mut builder = BatchBuilder::new().producer(1, 0, offset as i32);
    for n in 0..RECORDS_PER_BATCH {
        let value = format!("value of {}", offset + n);
        builder.append(NOW + offset + n, Some(b"key"), Some(value.as_bytes()));
    }
    let context = AppendContext { leader_epoch: (offset / 30) as i32, now_ms: NOW, origin: Origin::Client };
    let appended = log.append(ValidatedBatches::internal([builder.build()]), context)?;
    assert_eq!(appended.base_offset, offset);
    Ok(!appended.duplicate)
}

/// What a run was promised before it ended.
#[derive(Default, Debug)]
struct Promised {
    appended: i64,
    flushed: i64,
    start: i64,
}

/// Appends, with flushes, checkpoints and a deletion of records, until the disk fails or 20 batches are in.
fn run(logs: &Logs, promised: &mut Promised) -> Result<(), AppendError> {
    let log = log(logs);
    for n in 0..20 {
        append(&log, n * RECORDS_PER_BATCH)?;
        promised.appended = (n + 1) * RECORDS_PER_BATCH;
        if n % 5 == 2 {
            log.flush()?;
            promised.flushed = promised.appended;
        }
        if n == 12 {
            promised.start = 8; // from here on it may be
            log.set_start_offset(8, NOW)?;
        }
        if n % 6 == 5 {
            logs.checkpoint(NOW)?;
        }
    }
    logs.close(NOW)?;
    promised.flushed = promised.appended;
    Ok(())
}

/// The log holds a run of whole batches, in order, each as it was written, and goes on. Returns its end.
fn check(logs: &Logs, promised: &Promised, what: &str) -> i64 {
    let log = log(logs);
    let (start, end) = (log.start_offset().unwrap(), log.end_offset().unwrap());
    assert!(start <= promised.start && end % RECORDS_PER_BATCH == 0, "{what}: {start}..{end}, {promised:?}");
    let mut offset = start;
    while offset < end {
        let limits = ReadLimits { max_bytes: 400, upper_offset: i64::MAX, whole_first_batch: true };
        let records = log.read(offset, limits).unwrap().wait().unwrap();
        assert!(records.bytes > 0, "{what}: nothing at {offset} of {start}..{end}");
        for batch in records.chunks.into_iter().flat_map(Batches::new) {
            let batch = batch.unwrap();
            assert!(batch.is_crc_valid() && batch.base_offset <= offset, "{what}: at {offset}");
            assert_eq!(batch.base_timestamp_ms, NOW + batch.base_offset, "{what}");
            offset = batch.next_offset();
        }
        assert_eq!(records.next_offset, offset, "{what}");
    }
    let sequences: Vec<_> = log.producers().unwrap().iter().map(|producer| producer.last_sequence).collect();
    assert_eq!(sequences, if end == 0 { vec![] } else { vec![end as i32 - 1] }, "{what}");
    let found = log.offset_for_timestamp(NOW + end - 1).unwrap().map(|found| found.offset);
    assert_eq!(found, (end > start).then_some(end - 1), "{what}");
    assert!(end == 0 || !append(&log, end - RECORDS_PER_BATCH).unwrap(), "{what}: the last batch is known");
    assert!(append(&log, end).unwrap(), "{what}");
    end
}

fn operations_of_a_whole_run() -> usize {
    let disk = SimulatedDisk::default();
    run(&logs(&disk).unwrap(), &mut Promised::default()).unwrap();
    let operations = disk.world().operations;
    assert!(operations > 100, "{operations}");
    operations
}

/// Does `run` on a disk with a fault at one of its writes.
fn run_with<P: Default>(
    run: fn(&Logs, &mut P) -> Result<(), AppendError>,
    fault: Fault,
    at: usize,
) -> (SimulatedDisk, P) {
    let disk = SimulatedDisk::default();
    disk.world().fault = Some((at..=at, fault));
    let mut promised = P::default();
    if let Ok(logs) = logs(&disk) {
        let _ = run(&logs, &mut promised);
    }
    (disk, promised)
}

#[test]
fn a_process_that_dies_at_any_write_loses_nothing_that_it_acknowledged() {
    for at in 1..=operations_of_a_whole_run() {
        let (disk, promised) = run_with(run, Fault::Crash, at);
        let disk = disk.after_crash(Left::All);
        let end = check(&logs(&disk).unwrap(), &promised, &format!("crash at {at}"));
        // One more may be in, whose answer got lost.
        assert!(
            end >= promised.appended && end <= promised.appended + RECORDS_PER_BATCH,
            "crash at {at}: {end}"
        );
    }
}

#[test]
fn a_machine_that_dies_at_any_write_loses_nothing_that_was_flushed() {
    for at in 1..=operations_of_a_whole_run() {
        for seed in 0..3 {
            let (disk, promised) = run_with(run, Fault::Crash, at);
            let disk = disk.after_crash(Left::Some(seed));
            let what = format!("power cut at {at}, seed {seed}");
            let end = check(&logs(&disk).unwrap(), &promised, &what);
            assert!(end >= promised.flushed, "{what}: {end}, {promised:?}");
        }
    }
}

#[test]
fn a_full_disk_fails_an_append_and_no_more() {
    for at in 1..=operations_of_a_whole_run() {
        let disk = SimulatedDisk::default();
        disk.world().fault = Some((at..=at, Fault::Error));
        let Ok(logs) = logs(&disk) else { continue };
        let log = log(&logs);
        let mut refused = 0;
        for n in 0..20 {
            while append(&log, n * RECORDS_PER_BATCH).is_err() {
                refused += 1;
                logs.maintain(NOW); // what was not flushed is tried again
                assert_eq!(log.end_offset().unwrap_or(n * RECORDS_PER_BATCH), n * RECORDS_PER_BATCH);
            }
        }
        disk.world().fault = None;
        assert!(refused <= 1, "full at {at}: {refused} were refused");
        let promised = Promised { appended: 60, ..Promised::default() };
        assert_eq!(check(&logs, &promised, &format!("full at {at}")), 60);
        drop((log, logs));
        let reopened = self::logs(&disk.after_crash(Left::All)).unwrap();
        assert_eq!(check(&reopened, &promised, &format!("reopened after full at {at}")), 63);
    }
}

#[test]
fn a_disk_without_space_takes_nothing_and_goes_on_when_there_is_some() {
    for at in 1..=operations_of_a_whole_run() {
        let disk = SimulatedDisk::default();
        let Ok(logs) = logs(&disk) else { panic!() };
        let log = log(&logs);
        disk.world().fault = Some((at..=at + 5, Fault::Full));
        for n in 0..20 {
            // Six attempts at a write are six operations: the space is back then at the latest.
            let attempts = (1..=8).find(|_| {
                logs.maintain(NOW);
                append(&log, n * RECORDS_PER_BATCH).is_ok()
            });
            assert!(attempts.is_some(), "full from {at} on: {n}");
            let limits = ReadLimits { max_bytes: 400, upper_offset: i64::MAX, whole_first_batch: true };
            assert!(log.read(0, limits).unwrap().wait().unwrap().bytes > 0, "full from {at} on: {n}");
        }
        disk.world().fault = None;
        let promised = Promised { appended: 60, flushed: 0, start: 0 };
        assert_eq!(check(&logs, &promised, &format!("full from {at} on")), 60);
        drop((log, logs));
        let reopened = self::logs(&disk.after_crash(Left::All)).unwrap();
        assert_eq!(check(&reopened, &promised, &format!("reopened after full from {at} on")), 63);
    }
}

#[test]
fn what_a_power_cut_left_of_an_earlier_topic_does_not_hide_a_log() {
    let disk = SimulatedDisk::default();
    let dirs = ["/data", "/more"];
    let logs = logs_in(&disk, &dirs).unwrap();
    disk.world().put_dir(Path::new("/data/other-0"));
    disk.world().put(Path::new("/data/other-0/partition.metadata"), Vec::new());
    let other = LogId { topic: "other".into(), topic_id: Uuid::from_u128(8), partition: 0 };
    logs.log(&other, &Arc::new(LogOptions::default())).end_offset().unwrap(); // the next one goes elsewhere
    let log = log(&logs);
    assert!(append(&log, 0).unwrap());
    assert_eq!(logs.dir_of(log.id()).unwrap().as_deref(), Some(Path::new("/more/t-0")));
    drop((log, logs));
    disk.world().put_dir(Path::new("/data/t-0"));
    let log = self::log(&logs_in(&disk, &dirs).unwrap());
    assert_eq!(log.end_offset().unwrap(), RECORDS_PER_BATCH);
    assert!(disk.list(Path::new("/data/t-0")).is_err(), "Kafka takes no log that is in two directories");
}
