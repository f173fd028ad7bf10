//! What the log says, held against the ledger.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::Run;
use super::ledger::{Ledger, Written};
use crate::{AbortedTransaction, Log, ReadLimits, StorageError};

impl Run {
    pub(super) fn read(&mut self, at: usize) {
        let ledger = &self.ledgers[at];
        let from = self.random.between(ledger.start - 1, ledger.end + 1);
        let limits = ReadLimits {
            max_bytes: self.random.pick(&[0, 100, 500, 5000, 100_000]),
            upper_offset: if self.random.is_one_in(2) {
                i64::MAX
            } else {
                self.random.between(0, ledger.end)
            },
            whole_first_batch: self.random.is_one_in(2),
        };
        self.check_read(at, from, limits);
    }

    /// What is read is what was written, whole, in order, within the limits. Returns where to go on.
    fn check_read(&self, at: usize, from: i64, limits: ReadLimits) -> i64 {
        let (ledger, read) = (&self.ledgers[at], self.log(at).read(from, limits));
        if from < ledger.start || from > ledger.end {
            assert!(matches!(read, Err(StorageError::OffsetOutOfRange { .. })), "{from}");
            return from;
        }
        let records = read.unwrap().wait().unwrap();
        let read = Bytes::from(records.chunks.concat());
        assert_eq!(read.len(), records.bytes);
        let mut expected = ledger.batches_from(from);
        let (mut position, mut next_offset, mut count) = (0, from, 0);
        let mut rest = expected.next();
        while position < read.len() {
            let batch = rest.unwrap_or_else(|| panic!("more than was written from {from}"));
            assert!(
                read[position..].starts_with(&batch.bytes),
                "not what was written at {}",
                batch.base_offset
            );
            assert!(batch.base_offset < limits.upper_offset, "{limits:?}");
            (position, next_offset, count) = (position + batch.bytes.len(), batch.last_offset + 1, count + 1);
            rest = expected.next();
        }
        assert_eq!((position, records.next_offset), (read.len(), next_offset), "from {from}");
        let is_first_alone = count == 1 && limits.whole_first_batch;
        assert!(read.len() <= limits.max_bytes || is_first_alone, "{} of {limits:?}", read.len());
        if let (0, Some(first)) = (count, rest) {
            let is_too_large = first.bytes.len() > limits.max_bytes && !limits.whole_first_batch;
            let (start, end) = (ledger.start, ledger.end);
            let is_upper = first.base_offset.max(from) >= limits.upper_offset;
            let next = first.base_offset;
            assert!(is_too_large || is_upper, "nothing at {from} of {start}..{end}, where {next} is next");
        }
        next_offset
    }

    pub(super) fn find_time(&mut self, at: usize) {
        let timestamp = self.random.between(self.now_ms - 500, self.now_ms + 150);
        let mut records = self.ledgers[at].records();
        let expected = records.find(|record| record.timestamp >= timestamp);
        let found = self.log(at).offset_for_timestamp(timestamp).unwrap();
        let expected = expected.map(|record| (record.timestamp, record.offset));
        assert_eq!(found.map(|found| (found.timestamp, found.offset)), expected, "at {timestamp}");
    }

    /// The first of the largest.
    pub(super) fn find_largest(&mut self, at: usize) {
        let ledger = &self.ledgers[at];
        let largest = ledger.records().map(|record| record.timestamp).max().filter(|at| *at >= 0);
        let expected = ledger.records().find(|record| Some(record.timestamp) == largest);
        let expected = expected.map(|record| (record.timestamp, record.offset));
        let found = self.log(at).max_timestamp().unwrap().map(|found| (found.timestamp, found.offset));
        let is_compacted = ledger.written.iter().any(|batch| batch.is_compacted);
        assert!(found == expected || is_compacted, "{found:?}, not {expected:?}");
    }

    pub(super) fn check_facts(&self, at: usize) {
        let (log, ledger) = (self.log(at), &self.ledgers[at]);
        assert_eq!((log.start_offset().unwrap(), log.end_offset().unwrap()), (ledger.start, ledger.end));
        let size = |batch: &Written| batch.bytes.len() as u64;
        let least: u64 = ledger.batches_from(ledger.start).map(size).sum();
        // What a compaction that failed could not remove is found by the next start, before the log's own.
        let unsure = ledger.start.min(ledger.unsure_below);
        let most = |batch: &Written| {
            let is_unsure = batch.last_offset < unsure;
            size(batch).max(if is_unsure { batch.original_bytes as u64 } else { 0 })
        };
        let all: u64 = ledger.written.iter().map(most).sum();
        let size = log.size().unwrap();
        // Compaction may make what nobody reads any more a little larger.
        let is_compacted = ledger.written.iter().any(|batch| batch.horizon_ms.is_some());
        let all = if is_compacted { all + 100 * ledger.written.len() as u64 } else { all };
        let (start, end) = (ledger.start, ledger.end);
        assert!((least..=all).contains(&size), "{start}..{end}: {size} bytes, not {least} to {all}");
        let readable = ledger.batches_from(ledger.start);
        for batch in readable.filter(|batch| batch.last_offset >= ledger.epochs_from) {
            let epoch = log.epoch_at(batch.last_offset).unwrap();
            assert_eq!(epoch, Some(batch.leader_epoch), "at {}", batch.last_offset);
        }
        for producer in log.producers().unwrap() {
            let known = ledger.sent_by(producer.producer_id);
            let Some((place, last)) = known.last() else { continue };
            let batch = &ledger.written[*place];
            if batch.base_offset >= ledger.on_disk_from && producer.producer_epoch == last.epoch {
                let last_sequence = last.sequence + batch.count() as i32 - 1;
                assert_eq!(producer.last_sequence, last_sequence, "{producer:?}");
            }
        }
    }

    pub(super) fn check_transactions(&mut self, at: usize) {
        let (log, ledger) = (self.log(at), &self.ledgers[at]);
        let (open, aborted) = ledger.transactions();
        let stable = log.last_stable_offset().unwrap();
        let first = open.values().min().copied().unwrap_or(ledger.end).max(ledger.start);
        let has_uncommitted_markers = ledger.options.flush_messages < i64::MAX || ledger.has_sync_failed;
        let ids: BTreeSet<i64> = ledger.written.iter().filter_map(|batch| Some(batch.sent?.id)).collect();
        // A snapshot knows of open transactions whose batches a power cut took, and goes on knowing it when the start moves on.
        let mut producers = log.producers().unwrap().into_iter();
        let has_unknown = ledger.had_power_cut
            && producers
                .any(|known| known.current_txn_start_offset >= 0 && !ids.contains(&known.producer_id));
        let may_be_earlier = has_uncommitted_markers || has_unknown || ledger.known_from > ledger.start;
        if ids.iter().all(|id| ledger.is_known(*id)) {
            assert!(stable == first || (may_be_earlier && stable <= first), "{stable}, not {first}");
        }
        let from = self.random.between(ledger.start, stable);
        let upper_offset = self.random.between(from, stable);
        let told = match log.aborted_transactions(from, upper_offset) {
            Ok(read) => read.wait().unwrap(),
            Err(StorageError::OffsetOutOfRange { .. }) => return,
            Err(error) => panic!("{error}"),
        };
        assert!(told.iter().is_sorted_by_key(|aborted| aborted.last_offset), "{told:?}");
        for one in &told {
            let is_right = aborted.iter().any(|known| is_same(one, known, ledger));
            let is_right = is_right || is_harmless(one, &aborted, ledger);
            assert!(is_right || !ledger.is_known(one.producer_id), "{one:?} is none of {aborted:?}");
        }
        for one in aborted.iter().filter(|one| one.first_offset >= ledger.known_from) {
            let is_in_range = |batch: &Written| {
                batch.sent.is_some_and(|sent| sent.id == one.producer_id)
                    && (one.first_offset..one.last_offset).contains(&batch.base_offset)
                    && batch.records.iter().any(|record| (from..upper_offset).contains(&record.offset))
            };
            if ledger.written.iter().any(is_in_range) {
                let is_told = told.iter().any(|known| known.last_offset == one.last_offset);
                assert!(is_told, "{one:?} is missing in {told:?} of {from}..{upper_offset}");
            }
        }
    }

    pub(super) fn check_all(&mut self, at: usize) {
        let mut offset = self.ledgers[at].start;
        while self.ledgers[at].batches_from(offset).next().is_some() {
            let limits = ReadLimits { max_bytes: 2000, upper_offset: i64::MAX, whole_first_batch: true };
            let next_offset = self.check_read(at, offset, limits);
            assert!(next_offset > offset, "stuck at {offset}");
            offset = next_offset;
        }
        self.check_facts(at);
        self.check_transactions(at);
    }
}

/// All that can be read, batch by batch.
pub(super) fn read_all(log: &Log) -> Vec<ottla_protocol::batch::RecordBatch> {
    let (mut offset, mut read) = (log.start_offset().unwrap(), Vec::new());
    let end = log.end_offset().unwrap();
    while offset < end {
        let limits = ReadLimits { max_bytes: 2000, upper_offset: i64::MAX, whole_first_batch: true };
        let records = log.read(offset, limits).unwrap().wait().unwrap();
        for batch in super::ledger::batches(records.chunks.concat().into()) {
            assert!(batch.is_crc_valid() && batch.last_offset() >= offset, "at {offset}");
            offset = batch.next_offset();
            read.push(batch);
        }
        assert_eq!(records.next_offset, offset);
        if records.bytes == 0 {
            break;
        }
    }
    read
}

/// Compaction may take a marker whose transaction has no records any more, before a crash brings back a time when that one
/// was open; and a snapshot knows of open ones whose batches a power cut took. Then a later marker ends it: that hides nothing
/// but what was aborted.
fn is_harmless(told: &AbortedTransaction, aborted: &[AbortedTransaction], ledger: &Ledger) -> bool {
    let of_producer =
        |batch: &&Written| batch.sent.is_some_and(|sent| sent.id == told.producer_id && !batch.is_gone());
    let is_aborted = |batch: &Written| {
        aborted.iter().any(|known| {
            known.producer_id == told.producer_id
                && (known.first_offset..=known.last_offset).contains(&batch.base_offset)
        })
    };
    let hidden = ledger.written.iter().filter(of_producer).filter(|batch| {
        !batch.is_marker()
            && (told.first_offset..told.last_offset).contains(&batch.base_offset)
            && batch.records.iter().any(|record| record.offset >= ledger.start)
    });
    let has_compacted = ledger.written.iter().any(|batch| batch.horizon_ms.is_some());
    let has_lost = ledger.had_power_cut && told.first_offset < ledger.known_from;
    (has_compacted || has_lost) && hidden.into_iter().all(is_aborted)
}

fn is_same(told: &AbortedTransaction, known: &AbortedTransaction, ledger: &Ledger) -> bool {
    // Of what began before a power cut, what lies between may be unknown.
    // An index that was made anew knows the open transactions by the first batches that compaction has left.
    let is_compacted = |batch: &Written| batch.base_offset == known.last_stable_offset && batch.is_compacted;
    let known_from = ledger.known_from.max(ledger.unsure_below);
    let is_stable_known = known.last_stable_offset >= known_from && !ledger.written.iter().any(is_compacted);
    let last_stable_offset = if is_stable_known { known.last_stable_offset } else { told.last_stable_offset };
    // An index that was made anew begins with the first batch that compaction has left.
    let skipped = known.first_offset..told.first_offset;
    let is_of_skipped = |batch: &Written| {
        batch.sent.is_some_and(|sent| sent.id == known.producer_id)
            && skipped.contains(&batch.base_offset)
            && batch.last_offset >= ledger.unsure_below
            && !batch.records.is_empty()
    };
    let is_begin_right = !skipped.is_empty() && !ledger.written.iter().any(is_of_skipped);
    let first_offset = if is_begin_right { told.first_offset } else { known.first_offset };
    AbortedTransaction { last_stable_offset, first_offset, ..*known } == *told
}
