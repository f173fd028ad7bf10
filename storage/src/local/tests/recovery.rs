//! What a start makes of files that are not what they should be, and what it leaves when it is itself cut short.

use std::path::Path;
use std::sync::Arc;

use ottla_protocol::batch::{BatchBuilder, ValidatedBatches};
use uuid::Uuid;

use super::simulated_disk::{Fault, Left, SimulatedDisk};
use super::{NOW, Promised, RECORDS_PER_BATCH, append, check, log, log_with, logs, run};
use crate::{AbortedTransaction, AppendContext, Beginning, Log, LogId, LogOptions, Origin};

#[test]
fn an_index_entry_behind_the_last_batch_hides_none() {
    let disk = SimulatedDisk::default();
    run(&logs(&disk).unwrap(), &mut Promised::default()).unwrap();
    let files = disk.world().files();
    let mut changed = 0;
    for (path, mut entries) in
        files.clone().into_iter().filter(|(path, _)| path.extension() == Some("index".as_ref()))
    {
        let size = files[&path.with_extension("log")].len() as u32;
        // The last entry is looked at when the log is opened.
        for entry in entries.as_chunks_mut::<8>().0.iter_mut().rev().skip(1) {
            entry[4..].copy_from_slice(&size.to_be_bytes());
            changed += 1;
        }
        disk.world().put(&path, entries);
    }
    assert!(changed > 2, "{changed} entries");
    let promised = Promised { appended: 60, flushed: 60, start: 8 };
    assert_eq!(check(&logs(&disk).unwrap(), &promised, "damaged indexes"), 60);
}

fn aborted(log: &Log) -> Vec<AbortedTransaction> {
    log.aborted_transactions(0, log.end_offset().unwrap()).unwrap().wait().unwrap()
}

/// A power cut can bring back what an earlier recovery has cut off, when other batches have taken the place of those.
#[test]
fn a_transaction_index_is_not_believed_beyond_what_was_flushed() {
    let disk = SimulatedDisk::default();
    let log = log(&logs(&disk).unwrap());
    for batch in 0..3 {
        append(&log, batch * RECORDS_PER_BATCH).unwrap();
    }
    let stale = AbortedTransaction { producer_id: 1, first_offset: 0, last_offset: 4, last_stable_offset: 5 };
    disk.world().put(Path::new("/data/t-0/00000000000000000000.txnindex"), stale.encode().to_vec());
    let log = self::log(&logs(&disk.after_crash(Left::All)).unwrap());
    assert_eq!(aborted(&log), []);
}

#[test]
fn a_transaction_index_that_could_not_be_written_at_once_survives_a_power_cut() {
    let disk = SimulatedDisk::default();
    let logs = logs(&disk).unwrap();
    let log = log(&logs);
    let append = |mut builder: BatchBuilder, origin| {
        builder.append(NOW, Some(&[0; 4]), Some(&[0; 6]));
        let context = AppendContext { leader_epoch: 0, now_ms: NOW, origin };
        log.append(ValidatedBatches::internal([builder.build()]), context).unwrap();
    };
    let beginning =
        Beginning { producer_id: 9, producer_epoch: 0, base_sequence: 0, supports_epoch_bump: true };
    let guard = log.begin_verification(&beginning, NOW).unwrap().unwrap();
    append(BatchBuilder::new().transactional().producer(9, 0, 0), Origin::VerifiedClient(guard));
    let operations = disk.world().operations;
    // The marker has room, its entry has not.
    disk.world().fault = Some((operations + 2..=usize::MAX, Fault::Full));
    let marker = BatchBuilder::new().transactional().control().producer(9, 0, -1);
    append(marker, Origin::Marker { transaction_version: 1 });
    assert!(log.flush().is_err());
    disk.world().fault = None;
    log.flush().unwrap();
    logs.checkpoint(NOW).unwrap();
    assert_eq!(aborted(&log).len(), 1);
    for seed in 0..10 {
        let again = self::log(&self::logs(&disk.after_crash(Left::Some(seed))).unwrap());
        assert_eq!(aborted(&again), aborted(&log), "seed {seed}");
    }
}

/// The next start would believe in an offset index that is whole, beside a time index that is not.
#[test]
fn a_start_that_is_cut_short_leaves_what_the_indexes_said_of_flushed_batches() {
    let disk = SimulatedDisk::default();
    let options = LogOptions { segment_bytes: 3000, index_interval_bytes: 100, ..LogOptions::default() };
    let paths = ["index", "timeindex"].map(|kind| format!("/data/t-0/00000000000000000000.{kind}"));
    let read =
        |disk: &SimulatedDisk| paths.each_ref().map(|path| disk.world().files()[Path::new(path)].clone());
    let logs = logs(&disk).unwrap();
    let log = log_with(&logs, &options);
    let mut flushed = [Vec::new(), Vec::new()];
    for batch in 0..35 {
        if batch == 15 {
            log.flush().unwrap();
            logs.checkpoint(NOW).unwrap();
            flushed = read(&disk);
        }
        let mut builder = BatchBuilder::new();
        builder.append(NOW + batch, None, Some(&[0; 50]));
        let context = AppendContext { leader_epoch: 0, now_ms: NOW, origin: Origin::Coordinator };
        log.append(ValidatedBatches::internal([builder.build()]), context).unwrap();
    }
    assert!(flushed[0].len() > 60 && flushed[1].len() > 60 && read(&disk)[0].len() > flushed[0].len());
    for (seed, at) in (0..30).flat_map(|seed| (1..10).map(move |at| (seed, at))) {
        let disk = disk.after_crash(Left::Some(seed));
        disk.world().fault = Some((at..=at, Fault::Crash));
        let _ = self::logs(&disk).map(|logs| log_with(&logs, &options).end_offset());
        for (now, flushed) in read(&disk).iter().zip(&flushed) {
            assert!(now.starts_with(flushed), "seed {seed}, cut short at {at}");
        }
    }
}

/// What it writes of one of the indexes may be left where the other's is zeros.
#[test]
fn a_start_that_is_cut_short_while_it_makes_indexes_anew_does_not_mislead_the_next() {
    check_a_start_that_is_cut_short(NOW);
    // No timestamp.
    check_a_start_that_is_cut_short(-1);
}

fn check_a_start_that_is_cut_short(first_timestamp: i64) {
    let disk = SimulatedDisk::default();
    let options = LogOptions { index_interval_bytes: 0, ..LogOptions::default() };
    let logs = logs(&disk).unwrap();
    let log = log_with(&logs, &options);
    const LATEST: i64 = 30;
    // More entries than wait for one write.
    for batch in 0..80 {
        let mut builder = BatchBuilder::new();
        let timestamp = match batch {
            0 => first_timestamp,
            LATEST => NOW + 1000,
            _ => NOW + batch,
        };
        builder.append(timestamp, None, Some(&[0; 50]));
        let context = AppendContext { leader_epoch: 0, now_ms: NOW, origin: Origin::Coordinator };
        log.append(ValidatedBatches::internal([builder.build()]), context).unwrap();
    }
    log.flush().unwrap();
    logs.checkpoint(NOW).unwrap();
    for kind in ["index", "timeindex"] {
        let path = format!("/data/t-0/00000000000000000000.{kind}");
        disk.world().put(Path::new(&path), Vec::new());
    }
    for (seed, at) in (0..100).flat_map(|seed| (1..12).map(move |at| (seed, at))) {
        let disk = disk.after_crash(Left::All);
        disk.world().fault = Some((at..=at, Fault::Crash));
        let _ = self::logs(&disk).map(|logs| log_with(&logs, &options).end_offset());
        let logs = self::logs(&disk.after_crash(Left::Some(seed))).unwrap();
        let found = log_with(&logs, &options).max_timestamp().unwrap().map(|found| found.offset);
        assert_eq!(found, Some(LATEST), "seed {seed}, cut short at {at}");
    }
}

/// A directory of the name says nothing without its files, and what could not be written at once is tried again.
#[test]
fn what_a_deleted_topic_has_left_says_nothing_of_the_next_one_of_its_name() {
    for (at, left) in (0..20).flat_map(|at| ["", "/partition.metadata.tmp"].map(|left| (at, left))) {
        let disk = SimulatedDisk::default();
        disk.world().put_dir(Path::new("/data"));
        disk.world().put_dir(Path::new("/data/t-0"));
        if !left.is_empty() {
            disk.world().put(Path::new(&format!("/data/t-0{left}")), b"version".to_vec());
        }
        disk.world().put(Path::new("/data/log-start-offset-checkpoint"), b"0\n1\nt 0 4\n".to_vec());
        let logs = logs(&disk).unwrap();
        if at > 0 {
            let at = disk.world().operations + at;
            disk.world().fault = Some((at..=at, Fault::Error));
        }
        let mut appended = 0;
        for _ in 0..4 {
            appended += i64::from(append(&log(&logs), appended * RECORDS_PER_BATCH).is_ok());
        }
        assert!(appended > 1, "an error at {at}");
        let logs = self::logs(&disk.after_crash(Left::All)).unwrap();
        let bounds = log(&logs).bounds().unwrap();
        assert_eq!((bounds.start_offset, bounds.end_offset), (0, appended * RECORDS_PER_BATCH), "{at}");
    }
}

#[test]
fn a_removed_directory_does_not_come_back_empty_at_a_power_cut() {
    for at in 1..20 {
        let disk = SimulatedDisk::default();
        let logs = logs(&disk).unwrap();
        let log = log(&logs);
        append(&log, 0).unwrap();
        log.set_start_offset(RECORDS_PER_BATCH, NOW).unwrap();
        log.flush().unwrap();
        logs.checkpoint(NOW).unwrap();
        logs.delete(&"t".into(), log.id().topic_id, 0..1, NOW);
        let at = disk.world().operations + at;
        disk.world().fault = Some((at..=at, Fault::Crash));
        logs.maintain(NOW);
        let id = LogId { topic_id: Uuid::from_u128(8), ..log.id().clone() };
        for seed in 0..30 {
            let logs = self::logs(&disk.after_crash(Left::Some(seed))).unwrap();
            let next = logs.log(&id, &Arc::new(LogOptions::default()));
            assert_eq!(next.start_offset().unwrap(), 0, "a crash at {at}, seed {seed}");
        }
    }
}

#[test]
fn a_start_that_retention_has_moved_is_noted_when_the_rest_of_it_fails() {
    let mut moved = 0;
    for at in 1..25 {
        let disk = SimulatedDisk::default();
        let logs = logs(&disk).unwrap();
        let options = LogOptions { retention_ms: 1000, ..LogOptions::default() };
        let log = log_with(&logs, &options);
        append(&log, 0).unwrap();
        let later_ms = NOW + 1_000_000;
        logs.checkpoint(later_ms).unwrap(); // nobody has written to it for long
        let operations = disk.world().operations + at;
        disk.world().fault = Some((operations..=operations, Fault::Error));
        let retained = log.apply_retention(later_ms, RECORDS_PER_BATCH);
        disk.world().fault = None;
        let start = log.start_offset().unwrap();
        moved += i32::from(retained.is_err() && start > 0);
        logs.checkpoint(later_ms).unwrap();
        let again = self::logs(&disk.after_crash(Left::All)).unwrap();
        assert_eq!(log_with(&again, &options).start_offset().unwrap(), start, "an error at {at}");
    }
    assert!(moved > 0);
}
