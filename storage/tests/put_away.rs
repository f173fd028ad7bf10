//! Logs that nobody holds are put away, and come back as they were.

mod common;

use std::sync::Arc;

use common::{Directory, NOW, base_offsets, batch, client, id, idempotent, options, read};
use ottla_protocol::batch::{BatchBuilder, ValidatedBatches};
use ottla_storage::{AppendContext, Beginning, CompactionLimits, Log, LogOptions, Logs, Origin, Pace};

/// A minute later, nobody having written meanwhile.
const LATER: i64 = NOW + 60_000;

fn use_log(logs: &Logs, work: impl FnOnce(&Log)) {
    work(&logs.log(&id("t", 0), &options()));
}

/// A flush in the background may have to end first.
fn put_away(logs: &Logs) {
    for _ in 0..1000 {
        logs.maintain(LATER);
        if logs.open_count() == 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("the logs stay open");
}

/// Everything that can be asked of a log.
fn told(log: &Log) -> String {
    let bounds = log.bounds().unwrap();
    let records: Vec<_> =
        (bounds.start_offset..bounds.end_offset).flat_map(|from| base_offsets(&read(log, from, 1))).collect();
    format!(
        "{bounds:?} {:?} {:?} {:?} {:?} {:?} {records:?}",
        log.producers(),
        log.latest_epoch(),
        log.size(),
        log.max_timestamp(),
        log.offset_for_timestamp(NOW + 1)
    )
}

/// Puts the log away, and expects that it comes back as it was.
fn check(name: &str, work: impl FnOnce(&Log)) {
    let dir = Directory::new(name);
    let logs = dir.logs();
    let mut before = String::new();
    use_log(&logs, |log| {
        work(log);
        before = told(log);
        logs.maintain(LATER);
        assert_eq!(logs.open_count(), 1, "it is held");
    });
    put_away(&logs);
    use_log(&logs, |log| assert_eq!(told(log), before));
    // As it lies there, it is whole: after a kill, and after a clean stop.
    logs.maintain(LATER + 60_000);
    drop(logs);
    let logs = dir.logs();
    use_log(&logs, |log| assert_eq!(told(log), before));
    logs.maintain(LATER);
    logs.close(LATER).unwrap();
    drop(logs);
    use_log(&dir.logs(), |log| assert_eq!(told(log), before));
}

#[test]
fn what_a_log_knows_comes_back() {
    check("nothing", |_| ());
    check("batches", |log| (0..3).for_each(|n| drop(log.append(batch(3, NOW + n), client()).unwrap())));
    check("producers", |log| {
        for sequence in 0..9 {
            log.append(idempotent(7, 0, sequence, 1), client()).unwrap();
        }
    });
    check("compacted", |log| {
        let small = LogOptions { segment_bytes: 300, cleanup_compact: true, ..LogOptions::default() };
        log.update_options(Arc::new(small));
        for n in 0..9 {
            let mut builder = BatchBuilder::new();
            builder.append(NOW + n, Some(b"key"), Some(b"value"));
            log.append(ValidatedBatches::internal([builder.build()]), client()).unwrap();
        }
        let limits = CompactionLimits { dedupe_buffer_bytes: 1 << 16, io_buffer_bytes: 4096 };
        let done = log.compact(&limits, NOW, &mut |_| Pace::Go).unwrap();
        assert!(done.records_after < done.records_before);
    });
    check("a-start", |log| {
        (0..3).for_each(|n| drop(log.append(batch(3, NOW + n), client()).unwrap()));
        log.set_start_offset(4, NOW).unwrap();
    });
    check("segments", |log| {
        log.update_options(Arc::new(LogOptions { segment_bytes: 200, ..LogOptions::default() }));
        (0..9).for_each(|n| drop(log.append(batch(3, NOW + n), client()).unwrap()));
    });
    check("much", |log| {
        for n in 0..2000 {
            log.append(batch(3, NOW + n), client()).unwrap();
        }
    });
}

#[test]
fn a_producer_goes_on_where_it_was() {
    let dir = Directory::new("goes-on");
    let logs = dir.logs();
    for sequence in 0..20 {
        use_log(&logs, |log| {
            let appended = log.append(idempotent(7, 0, sequence, 1), client()).unwrap();
            assert_eq!((appended.base_offset, appended.duplicate), (i64::from(sequence), false));
        });
        logs.maintain(LATER);
        assert_eq!(logs.open_count(), 0);
        // Any of the last five may come again.
        use_log(&logs, |log| {
            for earlier in (sequence - 4).max(0)..=sequence {
                let again = log.append(idempotent(7, 0, earlier, 1), client()).unwrap();
                assert_eq!((again.base_offset, again.duplicate), (i64::from(earlier), true));
            }
        });
    }
}

#[test]
fn what_goes_on_keeps_a_log_open() {
    let dir = Directory::new("busy");
    let logs = dir.logs();
    let beginning =
        Beginning { producer_id: 7, producer_epoch: 0, base_sequence: 0, supports_epoch_bump: true };
    let mut guard = None;
    use_log(&logs, |log| guard = log.begin_verification(&beginning, NOW).unwrap());
    logs.maintain(LATER);
    assert_eq!(logs.open_count(), 1, "a verification");

    let mut transaction = BatchBuilder::new().producer(7, 0, 0).transactional();
    transaction.append(NOW, None, Some(b"value"));
    let transaction = ottla_protocol::batch::ValidatedBatches::internal([transaction.build()]);
    let verified = AppendContext { origin: Origin::VerifiedClient(guard.unwrap()), ..client() };
    use_log(&logs, |log| drop(log.append(transaction, verified).unwrap()));
    logs.maintain(LATER);
    assert_eq!(logs.open_count(), 1, "a transaction");
}

#[test]
fn a_put_away_log_is_deleted_with_its_topic() {
    let dir = Directory::new("deleted");
    let logs = dir.logs();
    use_log(&logs, |log| drop(log.append(batch(3, NOW), client()).unwrap()));
    logs.maintain(LATER);
    let of_topic = id("t", 0);
    logs.delete(&of_topic.topic, of_topic.topic_id, 0..1, LATER);
    let another = ottla_storage::LogId { topic_id: uuid::Uuid::from_u128(2), ..of_topic };
    assert_eq!(logs.log(&another, &options()).end_offset().unwrap(), 0);
}

/// The recovery point in Kafka's file: how far a start after a power cut must believe the files.
#[test]
fn the_recovery_point_is_honest_until_a_clean_stop() {
    let dir = Directory::new("recovery-point");
    let logs = dir.logs();
    let noted = || std::fs::read_to_string(dir.path().join("recovery-point-offset-checkpoint")).unwrap();
    use_log(&logs, |log| {
        log.append(batch(3, NOW), client()).unwrap();
        log.flush().unwrap();
        log.append(batch(3, NOW), client()).unwrap();
    });
    logs.maintain(LATER);
    logs.maintain(LATER + 60_000);
    assert_eq!((logs.open_count(), noted()), (0, "0\n1\nt 0 3\n".to_owned()));
    use_log(&logs, |log| assert_eq!(log.end_offset().unwrap(), 6));
    logs.maintain(LATER + 120_000);
    assert_eq!((logs.open_count(), noted()), (0, "0\n1\nt 0 3\n".to_owned()));
    logs.close(LATER).unwrap();
    assert_eq!(noted(), "0\n1\nt 0 6\n");
}
