//! What one log must hold: all that it took, and how much of that is certain.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_protocol::batch::{Batches, RecordBatch, Records};
use uuid::Uuid;

use crate::{AbortedTransaction, LogId, LogOptions};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Plain,
    Transactional,
    Commit,
    Abort,
}

/// Producer, epoch and first sequence number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sent {
    pub id: i64,
    pub epoch: i16,
    pub sequence: i32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Record {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
}

/// A batch that the log took.
#[derive(Clone)]
pub(super) struct Written {
    pub base_offset: i64,
    pub last_offset: i64,
    pub leader_epoch: i32,
    pub kind: Kind,
    pub sent: Option<Sent>,
    /// As it lies in the log now; nothing: compaction has removed it.
    pub bytes: Bytes,
    /// So many it had when it was written.
    pub original_bytes: usize,
    /// Those that compaction has left.
    pub records: Vec<Record>,
    /// Those that it had.
    pub original: Vec<Record>,
    pub is_compacted: bool,
    /// Compaction went over it: from then on what only says that something is gone may go.
    pub horizon_ms: Option<i64>,
}

impl Written {
    pub fn of(batch: &RecordBatch, kind: Kind, sent: Option<Sent>) -> Self {
        let records = records(batch);
        Self {
            base_offset: batch.base_offset,
            last_offset: batch.last_offset(),
            leader_epoch: batch.partition_leader_epoch,
            kind,
            sent,
            bytes: batch.bytes().clone(),
            original_bytes: batch.bytes().len(),
            original: records.clone(),
            records,
            is_compacted: false,
            horizon_ms: None,
        }
    }

    pub fn is_gone(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many records it had when it was written.
    pub fn count(&self) -> usize {
        (self.last_offset - self.base_offset) as usize + 1
    }

    pub fn is_marker(&self) -> bool {
        matches!(self.kind, Kind::Commit | Kind::Abort)
    }
}

pub(super) fn records(batch: &RecordBatch) -> Vec<Record> {
    let payload = batch.inflate(1 << 20).unwrap();
    let records = Records::new(&payload, batch.records_count).map(|record| {
        let record = record.unwrap();
        Record {
            offset: batch.offset_of(record.offset_delta),
            timestamp: batch.timestamp_of(record.timestamp_delta),
            key: record.key.map(Bytes::copy_from_slice),
            value: record.value.map(Bytes::copy_from_slice),
        }
    });
    records.collect()
}

pub(super) fn batches(bytes: Bytes) -> Vec<RecordBatch> {
    Batches::new(bytes).map(|batch| batch.unwrap()).collect()
}

/// A transactional producer as it knows itself.
#[derive(Clone, Copy, Default)]
pub(super) struct Producer {
    pub epoch: i16,
    pub next_sequence: i32,
}

pub(super) struct Ledger {
    pub id: LogId,
    pub options: LogOptions,
    pub leader_epoch: i32,
    /// All that the log ever took and did not lose in a power cut, readable or not.
    pub written: Vec<Written>,
    pub producers: BTreeMap<i64, Producer>,
    pub start: i64,
    pub end: i64,
    /// Before it nothing may be lost.
    pub flushed: i64,
    pub checkpointed_start: i64,
    /// An append that failed: it may be found after a restart, or some of its batches.
    pub maybe: Vec<Written>,
    /// What the start may be after a call that did not return.
    pub start_maybe: i64,
    /// Before it a compaction that did not end may or may not have removed records.
    pub in_flux_below: i64,
    /// When it began.
    pub in_flux_since_ms: i64,
    /// What compaction did before it nobody could see, since the start was there; a crash may bring it back.
    pub unsure_below: i64,
    /// Batches before it may not have been on the disk at the last restart.
    pub on_disk_from: i64,
    /// A power cut may have taken what was known of producers that wrote before it.
    pub known_from: i64,
    /// The latest start ever: what a crash brings back from before it has no epoch any more.
    pub epochs_from: i64,
    pub had_power_cut: bool,
    pub was_compacted: bool,
    /// A sync failed: nothing is known to be on the disk from then on.
    pub has_sync_failed: bool,
}

impl Ledger {
    pub fn new(topic: &str, topic_id: u128, options: LogOptions) -> Self {
        Self {
            id: LogId { topic: topic.into(), topic_id: Uuid::from_u128(topic_id), partition: 0 },
            options,
            leader_epoch: 0,
            written: Vec::new(),
            producers: BTreeMap::new(),
            start: 0,
            end: 0,
            flushed: 0,
            checkpointed_start: 0,
            maybe: Vec::new(),
            start_maybe: 0,
            in_flux_below: 0,
            in_flux_since_ms: 0,
            unsure_below: 0,
            on_disk_from: 0,
            known_from: 0,
            epochs_from: 0,
            had_power_cut: false,
            was_compacted: false,
            has_sync_failed: false,
        }
    }

    /// What a reader of `offset` finds, and what follows.
    pub fn batches_from(&self, offset: i64) -> impl Iterator<Item = &Written> {
        let first = self.written.partition_point(|batch| batch.last_offset < offset);
        self.written[first..].iter().filter(|batch| !batch.is_gone())
    }

    /// Each record that can be read.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        let all = self.written.iter().flat_map(|batch| &batch.records);
        all.filter(|record| record.offset >= self.start)
    }

    /// The batches of a producer, in order, by their places.
    pub fn sent_by(&self, id: i64) -> Vec<(usize, Sent)> {
        let all = self.written.iter().enumerate().filter(|(_, batch)| !batch.is_marker());
        all.filter_map(|(at, batch)| Some((at, batch.sent.filter(|sent| sent.id == id)?))).collect()
    }

    /// Whether the log must know all about a producer's transactions.
    pub fn is_known(&self, id: i64) -> bool {
        let mut own = self.written.iter().filter(|batch| batch.sent.is_some_and(|sent| sent.id == id));
        own.all(|batch| batch.base_offset >= self.known_from)
    }

    /// The open transactions at the end with their first offsets, and those that were aborted.
    pub fn transactions(&self) -> (BTreeMap<i64, i64>, Vec<AbortedTransaction>) {
        let (mut open, mut aborted) = (BTreeMap::<i64, i64>::new(), Vec::new());
        for batch in &self.written {
            let Some(Sent { id: producer_id, .. }) = batch.sent else { continue };
            if batch.kind == Kind::Transactional {
                open.entry(producer_id).or_insert(batch.base_offset);
            } else if batch.is_marker()
                && let Some(first_offset) = open.remove(&producer_id)
                && batch.kind == Kind::Abort
            {
                let last_stable_offset = open.values().min().copied().unwrap_or(batch.base_offset + 1);
                let last_offset = batch.base_offset;
                aborted.push(AbortedTransaction {
                    producer_id,
                    first_offset,
                    last_offset,
                    last_stable_offset,
                });
            }
        }
        (open, aborted)
    }

    /// What is committed: of each key the last record. A transaction whose marker a power cut took may be open or not: the log
    /// may know of the marker by a snapshot.
    pub fn committed(&self) -> BTreeMap<Bytes, &Record> {
        let (open, aborted) = self.transactions();
        let known = open.iter().filter(|(id, _)| self.is_known(**id));
        let stable = known.map(|(_, first)| *first).min().unwrap_or(i64::MAX);
        let mut last = BTreeMap::new();
        for batch in self.written.iter().filter(|batch| !batch.is_marker() && batch.base_offset < stable) {
            let is_aborted = batch.kind == Kind::Transactional
                && aborted.iter().any(|aborted| {
                    Some(aborted.producer_id) == batch.sent.map(|sent| sent.id)
                        && (aborted.first_offset..aborted.last_offset).contains(&batch.base_offset)
                });
            let readable = batch.records.iter().filter(|record| !is_aborted && record.offset >= self.start);
            last.extend(readable.filter_map(|record| Some((record.key.clone()?, record))));
        }
        last
    }
}
