//! Compaction, with appends and reads and deletions in its middle, and what it may do to a log.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ottla_protocol::batch::RecordBatch;

use super::Run;
use super::check::read_all;
use super::ledger::{Kind, Ledger, Record, Written, batches, records};
use crate::{CompactionLimits, Log, Pace, ReadLimits};

impl Run {
    pub(super) fn compact(&mut self, at: usize) {
        if !self.ledgers[at].options.cleanup_compact {
            return;
        }
        let limits = CompactionLimits {
            dedupe_buffer_bytes: self.random.pick(&[100, 300, 1 << 20]),
            io_buffer_bytes: self.random.pick(&[100, 1000, 1 << 16]),
        };
        let retention_ms = self.ledgers[at].options.delete_retention_ms;
        self.note(&format!("compact at {} with {limits:?}, {retention_ms} ms", self.now_ms));
        self.ledgers[at].was_compacted = true;
        let (log, now_ms) = (self.log(at), self.now_ms);
        match log.last_stable_offset() {
            Ok(stable) => {
                let ledger = &mut self.ledgers[at];
                (ledger.in_flux_below, ledger.in_flux_since_ms) = (stable, now_ms);
            }
            Err(error) => return self.accept(&error),
        }
        let id = self.ledgers[at].id.clone();
        let outcome = log.compact(&limits, now_ms, &mut |_| self.while_compacting(at));
        if self.disk.as_ref().is_some_and(|disk| disk.world().is_dead()) {
            return;
        }
        if self.ledgers[at].id != id {
            return; // its topic was deleted meanwhile
        }
        let range = match outcome {
            Ok(done) => {
                self.note(&format!("{done:?}"));
                Some((done.first_dirty_offset, done.next_dirty_offset))
            }
            Err(error) => {
                self.accept_late(&error);
                // The next start may find what it had replaced.
                let ledger = &mut self.ledgers[at];
                ledger.unsure_below = ledger.unsure_below.max(ledger.in_flux_below);
                None
            }
        };
        let fault = self.disk.as_ref().and_then(|disk| disk.world().fault.take());
        self.ledgers[at].take_compacted(&log, range, now_ms);
        self.check_all(at);
        if let Some(disk) = &self.disk {
            disk.world().fault = fault;
        }
    }

    /// Life goes on.
    fn while_compacting(&mut self, at: usize) -> Pace {
        match self.random.below(40) {
            0..3 => self.append_plain(at),
            3..6 => self.append_idempotent(at),
            6..9 => self.append_transactional(at),
            9..11 => self.end_transaction(at),
            11..15 => self.read_in_flux(at),
            15 => self.delete_records(at),
            16 => self.flush(at),
            17 => self.upkeep(),
            18 => return Pace::Stop,
            19 if self.random.is_one_in(10) => self.delete_topic(at),
            _ => {}
        }
        Pace::Go
    }

    /// Old or new, what is read was written.
    fn read_in_flux(&mut self, at: usize) {
        let ledger = &self.ledgers[at];
        let mut offset = self.random.between(ledger.start, ledger.end);
        let max_bytes = self.random.pick(&[0, 500, 5000]);
        let limits = ReadLimits { max_bytes, upper_offset: i64::MAX, whole_first_batch: true };
        let read = match self.log(at).read(offset, limits).and_then(|read| read.wait()) {
            Ok(read) => read,
            Err(error) => return self.accept(&error),
        };
        let ledger = &self.ledgers[at];
        for batch in batches(read.chunks.concat().into()) {
            assert!(batch.is_crc_valid() && batch.last_offset() >= offset, "at {offset}");
            offset = batch.next_offset();
            ledger.check_is_of(&batch);
        }
    }
}

impl Ledger {
    /// A batch that is read is one that was written, or what compaction has left of it.
    fn check_is_of(&self, batch: &RecordBatch) {
        let at = self.written.partition_point(|written| written.base_offset < batch.base_offset);
        let written = self.written.get(at).filter(|written| written.base_offset == batch.base_offset);
        let written = written.unwrap_or_else(|| panic!("nobody wrote a batch at {}", batch.base_offset));
        written.check_is_left(batch);
    }

    /// Takes over what compaction has left; `range`: from where to where it went, when it did. `written` is what was there
    /// before.
    pub(super) fn take_compacted(&mut self, log: &Log, range: Option<(i64, i64)>, now_ms: i64) {
        let found: BTreeMap<i64, RecordBatch> =
            read_all(log).into_iter().map(|batch| (batch.base_offset, batch)).collect();
        found.values().for_each(|batch| self.check_is_of(batch));
        let before: BTreeMap<Bytes, Record> =
            self.committed().into_iter().map(|(key, record)| (key, record.clone())).collect();
        let horizons: BTreeMap<i64, i64> =
            self.written.iter().filter_map(|batch| Some((batch.base_offset, batch.horizon_ms?))).collect();
        let is_over = |offset: i64| horizons.get(&offset).is_some_and(|horizon_ms| *horizon_ms <= now_ms);
        let gone_markers = self.replace_with(&found);

        let doubtful = self.doubtful_keys();
        let after = self.committed();
        for (key, record) in before.iter().filter(|(key, _)| !doubtful.contains(*key)) {
            let is_kept = after.get(key).is_some_and(|kept| *kept == record);
            let base_offset = self.batch_of(record.offset).base_offset;
            let is_old_tombstone = record.value.is_none() && !after.contains_key(key) && is_over(base_offset);
            assert!(is_kept || is_old_tombstone, "{record:?} is gone; now {:?}", after.get(key));
        }
        assert!(after.keys().all(|key| before.contains_key(key) || doubtful.contains(key)));
        for (marker, producer_id) in gone_markers {
            assert!(is_over(marker), "the marker at {marker} is gone too early");
            self.check_has_no_records(marker, producer_id);
        }
        if let Some((first, next)) = range {
            self.check_is_compacted(first, next, &doubtful);
        }

        let upto = range.map_or(self.in_flux_below, |(_, next)| next.max(self.in_flux_below));
        let horizon_ms = now_ms.saturating_add(self.options.delete_retention_ms);
        for batch in self.written.iter_mut().filter(|batch| batch.base_offset < upto) {
            // Of a pass that had nothing to do nobody knows that it did not set any.
            batch.horizon_ms = Some(batch.horizon_ms.map_or(horizon_ms, |earlier| earlier.min(horizon_ms)));
        }
        self.in_flux_below = 0;
        self.unsure_below = self.unsure_below.max(self.start);
    }

    /// The start is before what was deleted, where compaction went on while nobody could read it, and where a segment may be
    /// back that it had replaced.
    pub(super) fn take_unsure(&mut self, log: &Log) {
        let found: BTreeMap<i64, RecordBatch> =
            read_all(log).into_iter().map(|batch| (batch.base_offset, batch)).collect();
        let unsure = self.start..self.unsure_below;
        for batch in self.written.iter_mut().filter(|batch| unsure.contains(&batch.last_offset)) {
            batch.records = batch.original.clone();
            let left = found.get(&batch.base_offset);
            left.into_iter().for_each(|left| batch.check_is_left(left));
            batch.leave(left);
        }
    }

    /// Returns the markers that are gone, with their producers.
    fn replace_with(&mut self, found: &BTreeMap<i64, RecordBatch>) -> Vec<(i64, i64)> {
        let (start, in_flux_below) = (self.start, self.in_flux_below);
        let mut gone_markers = Vec::new();
        for batch in self.written.iter_mut().filter(|batch| batch.last_offset >= start && !batch.is_gone()) {
            let left = found.get(&batch.base_offset);
            if left.is_some_and(|left| left.bytes() == &batch.bytes) {
                continue;
            }
            let offset = batch.base_offset;
            assert!(offset < in_flux_below, "{offset} must not be compacted yet, only up to {in_flux_below}");
            if left.is_none() && batch.is_marker() {
                gone_markers.push((offset, batch.sent.map_or(-1, |sent| sent.id)));
            }
            batch.leave(left);
        }
        gone_markers
    }

    fn batch_of(&self, offset: i64) -> &Written {
        &self.written[self.written.partition_point(|batch| batch.last_offset < offset)]
    }

    /// Those of transactions that the log may have forgotten in a power cut.
    fn doubtful_keys(&self) -> BTreeSet<Bytes> {
        let doubtful = self.written.iter().filter(|batch| {
            batch.kind == Kind::Transactional && batch.sent.is_some_and(|sent| !self.is_known(sent.id))
        });
        doubtful.flat_map(|batch| &batch.original).filter_map(|record| record.key.clone()).collect()
    }

    /// As long as the records of an aborted transaction are there, so is its marker.
    fn check_has_no_records(&self, marker: i64, producer_id: i64) {
        let own = self.written.iter().filter(|batch| batch.sent.is_some_and(|sent| sent.id == producer_id));
        let of_transaction =
            own.rev().skip_while(|batch| batch.base_offset >= marker).take_while(|batch| !batch.is_marker());
        let readable =
            of_transaction.flat_map(|batch| &batch.records).any(|record| record.offset >= self.start);
        assert!(!readable, "the marker at {marker} is gone before its records");
    }

    /// What must be gone: records that a later one of the same key stands in for, and those that were aborted.
    fn check_is_compacted(&self, first: i64, next: i64, doubtful: &BTreeSet<Bytes>) {
        let (_, aborted) = self.transactions();
        let is_aborted = |batch: &Written| {
            batch.kind == Kind::Transactional
                && aborted.iter().any(|one| {
                    batch.sent.is_some_and(|sent| sent.id == one.producer_id)
                        && (one.first_offset..one.last_offset).contains(&batch.base_offset)
                        && one.last_offset < next
                })
        };
        let mut latest: BTreeMap<&Bytes, i64> = BTreeMap::new();
        let readable = |record: &&Record| (self.start..next).contains(&record.offset);
        let of_range = self.written.iter().filter(|batch| batch.base_offset < next && !batch.is_marker());
        for batch in of_range.rev() {
            let is_known = batch.sent.is_none_or(|sent| self.is_known(sent.id));
            assert!(
                !is_aborted(batch) || !is_known || !batch.records.iter().any(|record| readable(&record)),
                "aborted records are left at {}",
                batch.base_offset
            );
            for record in batch.records.iter().rev().filter(readable) {
                let Some(key) = record.key.as_ref().filter(|key| !doubtful.contains(*key)) else { continue };
                let later = latest.get(key).copied().filter(|later| *later >= first);
                assert!(later.is_none(), "{record:?} is left beside {later:?} of {first}..{next}");
                latest.insert(key, record.offset);
            }
        }
    }
}

impl Written {
    fn leave(&mut self, left: Option<&RecordBatch>) {
        self.is_compacted = true;
        self.bytes = left.map(|left| left.bytes().clone()).unwrap_or_default();
        self.records = left.map(records).unwrap_or_default();
    }

    fn check_is_left(&self, batch: &RecordBatch) {
        let at = self.base_offset;
        assert_eq!(batch.last_offset(), self.last_offset, "at {at}");
        assert_eq!(batch.partition_leader_epoch, self.leader_epoch, "at {at}");
        assert_eq!(batch.is_control(), self.is_marker(), "at {at}");
        let is_transactional = self.is_marker() || self.kind == Kind::Transactional;
        assert_eq!(batch.is_transactional(), is_transactional, "at {at}");
        if let Some(sent) = self.sent {
            let left = (batch.producer_id, batch.producer_epoch, batch.base_sequence);
            assert_eq!(left, (sent.id, sent.epoch, sent.sequence), "at {at}");
        }
        let left = records(batch);
        assert!(left.iter().all(|record| self.records.contains(record)), "at {at}: {left:?}");
        assert!(left.is_sorted_by_key(|record| record.offset), "at {at}");
        // One without records tells a last sequence, or where a pass has ended.
    }
}
