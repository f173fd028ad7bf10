//! The behaviour that every engine shares: each test runs on each engine.

mod common;

use common::*;
use ottla_storage::{AppendError, LogId, Logs, StorageError};
use uuid::Uuid;

/// Runs a test on each engine.
fn check(name: &str, test: impl Fn(&Logs)) {
    test(&Logs::memory());
    test(&Directory::new(name).logs());
}

#[test]
fn offsets_follow_each_other_and_reads_return_whole_batches() {
    check("offsets_follow_each_other_and_reads_return_whole_batches", |logs| {
        let log = logs.log(&id("t", 0), &options());
        for (first, count) in [(0, 3), (3, 1), (4, 5)] {
            let appended = log.append(batch(count, 1000 + first), client()).unwrap();
            assert_eq!(appended.base_offset, first);
            assert_eq!(appended.last_offset, first + count - 1);
            assert!(appended.commit.is_ready());
        }
        assert_eq!(log.end_offset().unwrap(), 9);
        assert_eq!(base_offsets(&read(&log, 5, 1 << 20)), [4]);
        assert_eq!(base_offsets(&read(&log, 1, 1 << 20)), [0, 3, 4]);
        assert_eq!(base_offsets(&read(&log, 9, 1 << 20)), [] as [i64; 0]);
        assert_eq!(base_offsets(&read(&log, 0, 1)), [0], "the first batch comes whole, whatever the limit");
        assert!(matches!(
            log.read(10, limits(1)),
            Err(StorageError::OffsetOutOfRange { start: 0, end: 9, .. })
        ));
    });
}

#[test]
fn a_retried_batch_is_answered_with_its_first_offsets() {
    check("a_retried_batch_is_answered_with_its_first_offsets", |logs| {
        let log = logs.log(&id("t", 0), &options());
        for (sequence, offset) in [(0, 0), (3, 3), (6, 6)] {
            assert_eq!(log.append(idempotent(7, 0, sequence, 3), client()).unwrap().base_offset, offset);
        }
        let retried = log.append(idempotent(7, 0, 3, 3), client()).unwrap();
        assert!(retried.duplicate);
        assert_eq!((retried.base_offset, retried.last_offset), (3, 5));
        assert_eq!(log.end_offset().unwrap(), 9);

        let gap = log.append(idempotent(7, 0, 10, 1), client());
        assert!(matches!(gap, Err(AppendError::OutOfOrderSequence { .. })), "{gap:?}");
        log.append(idempotent(7, 1, 0, 1), client()).unwrap();
        let fenced = log.append(idempotent(7, 0, 9, 1), client());
        assert!(matches!(fenced, Err(AppendError::InvalidProducerEpoch { .. })), "{fenced:?}");
    });
}

#[test]
fn only_the_last_five_batches_are_remembered() {
    check("only_the_last_five_batches_are_remembered", |logs| {
        let log = logs.log(&id("t", 0), &options());
        for sequence in 0..6 {
            log.append(idempotent(7, 0, sequence, 1), client()).unwrap();
        }
        assert!(log.append(idempotent(7, 0, 1, 1), client()).unwrap().duplicate);
        let forgotten = log.append(idempotent(7, 0, 0, 1), client());
        assert!(matches!(forgotten, Err(AppendError::OutOfOrderSequence { .. })), "{forgotten:?}");
    });
}

#[test]
fn times_are_found_to_the_record() {
    check("times_are_found_to_the_record", |logs| {
        let log = logs.log(&id("t", 0), &options());
        log.append(batch(3, 1000), client()).unwrap(); // 1000, 1001, 1002
        log.append(batch(3, 2000), client()).unwrap();
        log.append(batch(1, 1500), client()).unwrap();
        let at = |timestamp| {
            log.offset_for_timestamp(timestamp).unwrap().map(|found| (found.timestamp, found.offset))
        };
        assert_eq!(at(0), Some((1000, 0)));
        assert_eq!(at(1001), Some((1001, 1)));
        assert_eq!(at(1003), Some((2000, 3)));
        assert_eq!(at(2003), None);
        assert_eq!(
            log.max_timestamp().unwrap().map(|found| (found.timestamp, found.offset)),
            Some((2002, 5))
        );
        log.set_start_offset(5, NOW).unwrap();
        assert_eq!(at(0), Some((2002, 5)));
    });
}

#[test]
fn deleted_records_cannot_be_read() {
    check("deleted_records_cannot_be_read", |logs| {
        let log = logs.log(&id("t", 0), &options());
        log.append(batch(5, 1000), client()).unwrap();
        assert_eq!(log.set_start_offset(3, NOW).unwrap(), 3);
        assert_eq!(log.set_start_offset(1, NOW).unwrap(), 3, "a start never goes back");
        assert!(log.set_start_offset(6, NOW).is_err());
        assert!(log.read(2, limits(1)).is_err());
        assert_eq!(base_offsets(&read(&log, 3, 1 << 20)), [0]);
        delete(logs, &log, NOW);
        assert!(matches!(log.end_offset(), Err(StorageError::Deleted)));
        let again = LogId { topic_id: Uuid::from_u128(2), ..id("t", 0) };
        assert_eq!(logs.log(&again, &options()).end_offset().unwrap(), 0);
    });
}
