//! What a log knows of its producers across restarts: whoever sends the last five batches again, right after the
//! restart, is told where they are, and the next one is taken. (Kafka's snapshots alone keep the last batch only, so
//! that a Java client with five requests in flight at a restart ends in OUT_OF_ORDER_SEQUENCE_NUMBER.)

mod common;

use std::sync::Arc;

use common::*;
use ottla_storage::{AppendError, Log, LogOptions, Logs};

const PRODUCER: i64 = 7;
const RECORDS: i64 = 3;

fn log(logs: &Logs) -> Arc<Log> {
    let small = LogOptions { segment_bytes: 1000, index_interval_bytes: 200, ..LogOptions::default() };
    logs.log(&id("t", 0), &Arc::new(small))
}

fn append(log: &Log, batch: i64) -> Result<(i64, bool), AppendError> {
    let sequence = (batch * RECORDS) as i32;
    let appended = log.append(idempotent(PRODUCER, 0, sequence, RECORDS), client())?;
    Ok((appended.base_offset, appended.duplicate))
}

fn append_all(log: &Log, batches: std::ops::Range<i64>) {
    for batch in batches {
        assert_eq!(append(log, batch).unwrap(), (batch * RECORDS, false));
    }
}

/// Does `before` with a log, which leaves `batches` in it, restarts in some way, and asks for what is remembered.
fn check(
    name: &str,
    batches: i64,
    remembered: i64,
    before: impl Fn(&Log),
    restart: impl Fn(&Directory, Logs),
) {
    let dir = Directory::new(name);
    let logs = dir.logs();
    before(&log(&logs));
    restart(&dir, logs);

    let logs = dir.logs();
    let log = log(&logs);
    for batch in batches - remembered..batches {
        let answer = append(&log, batch).unwrap_or_else(|error| panic!("{name}: batch {batch}: {error}"));
        assert_eq!(answer, (batch * RECORDS, true), "{name}: batch {batch} of {batches}");
    }
    let forgotten = append(&log, batches - remembered - 1);
    assert!(matches!(forgotten, Err(AppendError::OutOfOrderSequence { .. })), "{name}: {forgotten:?}");
    let skipping = append(&log, batches + 1);
    assert!(matches!(skipping, Err(AppendError::OutOfOrderSequence { .. })), "{name}: {skipping:?}");
    assert_eq!(append(&log, batches).unwrap(), (batches * RECORDS, false), "{name}");
}

fn clean(_: &Directory, logs: Logs) {
    logs.close(NOW).unwrap();
}

fn killed(_: &Directory, logs: Logs) {
    drop(logs);
}

/// The next process stops without having used the log.
fn twice_clean(dir: &Directory, logs: Logs) {
    logs.close(NOW).unwrap();
    drop(logs);
    dir.logs().close(NOW).unwrap();
}

fn clean_then_killed(dir: &Directory, logs: Logs) {
    logs.close(NOW).unwrap();
    drop(logs);
    drop(dir.logs());
}

/// The next process uses the log and writes nothing.
fn read_then_killed(dir: &Directory, logs: Logs) {
    logs.close(NOW).unwrap();
    drop(logs);
    assert!(log(&dir.logs()).end_offset().unwrap() > 0);
}

#[test]
fn the_last_five_batches_are_known_after_every_kind_of_restart() {
    // Eight batches make a segment: a stop right before and right after a new one is among these.
    let lengths = 15..=25;
    for batches in lengths.clone() {
        check(&format!("producers-clean-{batches}"), batches, 5, |log| append_all(log, 0..batches), clean);
        check(&format!("producers-killed-{batches}"), batches, 5, |log| append_all(log, 0..batches), killed);
    }
    for batches in [lengths.start() + 1, lengths.start() + 2] {
        for (name, restart) in [
            ("twice-clean", twice_clean as fn(&Directory, Logs)),
            ("clean-then-killed", clean_then_killed),
            ("read-then-killed", read_then_killed),
        ] {
            let name = format!("producers-{name}-{batches}");
            check(&name, batches, 5, |log| append_all(log, 0..batches), restart);
        }
    }
}

#[test]
fn a_producer_outlives_its_batches() {
    for (name, restart) in [("clean", clean as fn(&Directory, Logs)), ("killed", killed)] {
        // Retention took everything; the active segment is empty. What is in no batch is in the snapshot.
        let name = format!("producers-outlive-{name}");
        let all_too_old = |log: &Log| {
            append_all(log, 0..20);
            let old = LogOptions {
                retention_ms: 0,
                producer_id_expiration_ms: i64::MAX,
                ..(*log.options()).clone()
            };
            log.update_options(Arc::new(old));
            assert_eq!(log.apply_retention(NOW + 1_000_000, 60).unwrap(), 60);
            assert_eq!(log.size().unwrap(), 0);
        };
        check(&name, 20, 1, all_too_old, restart);
        // Somebody else's batches lie between, in segments of their own; the producer's are deleted.
        let deleted = |log: &Log| {
            append_all(log, 0..3);
            for sequence in 0..60 {
                log.append(idempotent(8, 0, sequence, 1), client()).unwrap();
            }
            log.set_start_offset(60, NOW).unwrap();
        };
        let dir = Directory::new(&format!("{name}-deleted"));
        let logs = dir.logs();
        deleted(&log(&logs));
        restart(&dir, logs);
        let logs = dir.logs();
        assert_eq!(append(&log(&logs), 2).unwrap(), (6, true));
        assert_eq!(append(&log(&logs), 3).unwrap(), (69, false));
    }
}

#[test]
fn a_new_epoch_begins_anew() {
    let dir = Directory::new("producers-epoch");
    let logs = dir.logs();
    append_all(&log(&logs), 0..4);
    for sequence in 0..2 {
        log(&logs).append(idempotent(PRODUCER, 1, sequence, 1), client()).unwrap();
    }
    logs.close(NOW).unwrap();
    drop(logs);
    let logs = dir.logs();
    let again = log(&logs).append(idempotent(PRODUCER, 1, 0, 1), client()).unwrap();
    assert_eq!((again.base_offset, again.duplicate), (12, true));
    let fenced = append(&log(&logs), 3);
    assert!(matches!(fenced, Err(AppendError::InvalidProducerEpoch { .. })), "{fenced:?}");
}
