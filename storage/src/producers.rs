//! The state of a partition's idempotent and transactional producers: who wrote last, with which sequence numbers, and
//! which transactions are open. Rebuilt from the log; kept in `.snapshot` files so that not all of it must be read.

mod checks;

pub(crate) use checks::Place;

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::aborted::AbortedTransaction;
use crate::batch_info::{BatchInfo, Marker};
use crate::error::StorageError;

/// Duplicates of a producer's last five batches are recognised, which is why a producer may have five in flight.
const BATCHES_REMEMBERED: usize = 5;
const NO_EPOCH: i16 = -1;
const SNAPSHOT_VERSION: u16 = 1;
const SNAPSHOT_HEADER_BYTES: usize = 10;
const SNAPSHOT_ENTRY_BYTES: usize = 46;

/// What is known of one producer, as DescribeProducers tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveProducer {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// -1 when nothing with a sequence is remembered.
    pub last_sequence: i32,
    pub last_timestamp: i64,
    pub coordinator_epoch: i32,
    /// The first offset of its open transaction, or -1.
    pub current_txn_start_offset: i64,
}

/// What a producer wrote last: compaction keeps the batch, for its sequence and its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastRecord {
    /// None when only a marker is known.
    pub data_offset: Option<i64>,
    pub epoch: i16,
}

/// A batch that was written before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RememberedBatch {
    last_sequence: i32,
    pub last_offset: i64,
    offset_delta: i32,
    pub timestamp: i64,
}

impl RememberedBatch {
    fn of(batch: &BatchInfo) -> Self {
        Self {
            last_sequence: batch.last_sequence(),
            last_offset: batch.last_offset,
            offset_delta: (batch.last_offset - batch.base_offset) as i32,
            timestamp: batch.max_timestamp,
        }
    }

    pub fn first_offset(&self) -> i64 {
        self.last_offset - i64::from(self.offset_delta)
    }

    fn first_sequence(&self) -> i32 {
        first_sequence(self.last_sequence, self.offset_delta)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    coordinator_epoch: i32,
    last_timestamp: i64,
    txn_first_offset: Option<i64>,
    batches: VecDeque<RememberedBatch>,
}

impl Producer {
    fn new(epoch: i16) -> Self {
        Self {
            epoch,
            coordinator_epoch: -1,
            last_timestamp: -1,
            txn_first_offset: None,
            batches: VecDeque::new(),
        }
    }

    fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(-1, |batch| batch.last_sequence)
    }

    fn enter_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }
}

/// All producers of one partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Producers {
    by_id: HashMap<i64, Producer>,
    /// First offsets of the open transactions.
    open_transactions: BTreeSet<i64>,
    /// First offset and marker of those that have ended, while their markers are not committed.
    ending_transactions: BTreeSet<(i64, i64)>,
}

impl Producers {
    /// Takes a batch that is in the log. Returns the transaction that its marker aborted.
    pub fn replay(&mut self, batch: &BatchInfo, marker: Option<Marker>) -> Option<AbortedTransaction> {
        if !batch.has_producer() || (batch.is_control() && marker.is_none()) {
            return None;
        }
        let producer =
            self.by_id.entry(batch.producer_id).or_insert_with(|| Producer::new(batch.producer_epoch));
        producer.enter_epoch(batch.producer_epoch);
        producer.last_timestamp = batch.max_timestamp;
        let Some(marker) = marker else {
            if producer.batches.len() == BATCHES_REMEMBERED {
                producer.batches.pop_front();
            }
            producer.batches.push_back(RememberedBatch::of(batch));
            if batch.is_transactional() && producer.txn_first_offset.is_none() {
                producer.txn_first_offset = Some(batch.base_offset);
                self.open_transactions.insert(batch.base_offset);
            }
            return None;
        };
        producer.coordinator_epoch = marker.coordinator_epoch;
        let first_offset = producer.txn_first_offset.take()?;
        self.open_transactions.remove(&first_offset);
        self.ending_transactions.insert((first_offset, batch.last_offset));
        let last_stable_offset = self.open_transactions.first().copied().unwrap_or(batch.next_offset());
        (!marker.commit).then_some(AbortedTransaction {
            producer_id: batch.producer_id,
            first_offset,
            last_offset: batch.last_offset,
            last_stable_offset,
        })
    }

    /// A batch from before a snapshot that this was read from, the newest one first: remembered when it leads up to
    /// what is remembered of its producer.
    pub fn recall(&mut self, batch: &BatchInfo) {
        let Some(producer) = self.by_id.get_mut(&batch.producer_id) else { return };
        let Some(oldest) = producer.batches.front() else { return };
        if producer.epoch == batch.producer_epoch
            && producer.batches.len() < BATCHES_REMEMBERED
            && batch.last_offset < oldest.first_offset()
            && follows(batch.last_sequence(), oldest.first_sequence())
        {
            producer.batches.push_front(RememberedBatch::of(batch));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Where the oldest transaction begins that is open, or whose marker is not committed: read-committed consumers stop
    /// there.
    pub fn first_unstable_offset(&self) -> Option<i64> {
        let ending = self.ending_transactions.first().map(|(first_offset, _)| *first_offset);
        self.open_transactions.first().copied().into_iter().chain(ending).min()
    }

    /// All before `offset` is committed: markers, too.
    pub fn committed_up_to(&mut self, offset: i64) {
        if !self.ending_transactions.is_empty() {
            self.ending_transactions.retain(|(_, marker)| *marker >= offset);
        }
    }

    /// Whether a transaction of the producer has begun here, in this epoch.
    pub fn has_ongoing_transaction(&self, producer_id: i64, epoch: i16) -> bool {
        let producer = self.by_id.get(&producer_id);
        producer.is_some_and(|producer| producer.epoch == epoch && producer.txn_first_offset.is_some())
    }

    /// Forgets who has been silent for `expiration_ms` (producer.id.expiration.ms) and has no transaction open.
    pub fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.by_id.retain(|_, producer| {
            producer.txn_first_offset.is_some()
                || now_ms.saturating_sub(producer.last_timestamp) < expiration_ms
        });
    }

    pub fn last_records(&self) -> HashMap<i64, LastRecord> {
        let last = |producer: &Producer| LastRecord {
            data_offset: producer.batches.back().map(|batch| batch.last_offset),
            epoch: producer.epoch,
        };
        self.by_id.iter().map(|(id, producer)| (*id, last(producer))).collect()
    }

    pub fn active(&self) -> Vec<ActiveProducer> {
        let mut active: Vec<_> = self
            .by_id
            .iter()
            .map(|(id, producer)| ActiveProducer {
                producer_id: *id,
                producer_epoch: producer.epoch,
                last_sequence: producer.last_sequence(),
                last_timestamp: producer.last_timestamp,
                coordinator_epoch: producer.coordinator_epoch,
                current_txn_start_offset: producer.txn_first_offset.unwrap_or(-1),
            })
            .collect();
        active.sort_unstable_by_key(|producer| producer.producer_id);
        active
    }

    /// A `.snapshot` file: version, CRC-32C of all that follows it, count, and 46 bytes for each producer.
    pub fn encode(&self) -> Vec<u8> {
        let mut ids: Vec<_> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        let mut file = Vec::with_capacity(SNAPSHOT_HEADER_BYTES + ids.len() * SNAPSHOT_ENTRY_BYTES);
        file.extend(SNAPSHOT_VERSION.to_be_bytes());
        file.extend([0; 4]);
        file.extend((ids.len() as u32).to_be_bytes());
        for id in ids {
            let producer = &self.by_id[&id];
            let last = producer.batches.back();
            file.extend(id.to_be_bytes());
            file.extend(producer.epoch.to_be_bytes());
            file.extend(producer.last_sequence().to_be_bytes());
            file.extend(last.map_or(-1, |batch| batch.last_offset).to_be_bytes());
            file.extend(last.map_or(0, |batch| batch.offset_delta).to_be_bytes());
            file.extend(producer.last_timestamp.to_be_bytes());
            file.extend(producer.coordinator_epoch.to_be_bytes());
            file.extend(producer.txn_first_offset.unwrap_or(-1).to_be_bytes());
        }
        let crc = crc32c::crc32c(&file[6..]);
        file[2..6].copy_from_slice(&crc.to_be_bytes());
        file
    }

    /// Reads a `.snapshot` file.
    pub fn decode(file: &[u8]) -> Result<Self, StorageError> {
        let mut producers = Self::default();
        for entry in read_snapshot(file)? {
            producers.take_entry(entry);
        }
        Ok(producers)
    }

    fn take_entry(&mut self, entry: SnapshotEntry) {
        let mut producer = Producer::new(entry.producer_epoch);
        producer.last_timestamp = entry.last_timestamp;
        producer.coordinator_epoch = entry.coordinator_epoch;
        if entry.last_offset >= 0 {
            producer.batches.push_back(RememberedBatch {
                last_sequence: entry.last_sequence,
                last_offset: entry.last_offset,
                offset_delta: entry.offset_delta,
                timestamp: entry.last_timestamp,
            });
        }
        if entry.current_txn_first_offset >= 0 {
            producer.txn_first_offset = Some(entry.current_txn_first_offset);
            self.open_transactions.insert(entry.current_txn_first_offset);
        }
        self.by_id.insert(entry.producer_id, producer);
    }
}

/// A producer in a `.snapshot` file, field by field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotEntry {
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// Of its last batch, whose last offset this is; -1 when no batch is remembered.
    pub last_sequence: i32,
    pub last_offset: i64,
    pub offset_delta: i32,
    pub last_timestamp: i64,
    pub coordinator_epoch: i32,
    /// -1 when no transaction is open.
    pub current_txn_first_offset: i64,
}

impl SnapshotEntry {
    fn decode(entry: &[u8; SNAPSHOT_ENTRY_BYTES]) -> Self {
        let long = |at: usize| entry[at..at + 8].iter().fold(0i64, |n, byte| n << 8 | i64::from(*byte));
        let int = |at: usize| entry[at..at + 4].iter().fold(0i32, |n, byte| n << 8 | i32::from(*byte));
        Self {
            producer_id: long(0),
            producer_epoch: i16::from_be_bytes([entry[8], entry[9]]),
            last_sequence: int(10),
            last_offset: long(14),
            offset_delta: int(22),
            last_timestamp: long(26),
            coordinator_epoch: int(34),
            current_txn_first_offset: long(38),
        }
    }

    pub fn first_sequence(&self) -> i32 {
        first_sequence(self.last_sequence, self.offset_delta)
    }
}

/// What a whole `.snapshot` file holds, in its order.
pub fn read_snapshot(file: &[u8]) -> Result<Vec<SnapshotEntry>, StorageError> {
    let bad = |why: &str| StorageError::corrupt(format!("producer snapshot: {why}"));
    let header = file.get(..SNAPSHOT_HEADER_BYTES).ok_or_else(|| bad("too short"))?;
    if header[..2] != SNAPSHOT_VERSION.to_be_bytes() {
        return Err(bad("unknown version"));
    }
    if crc32c::crc32c(&file[6..]).to_be_bytes() != header[2..6] {
        return Err(bad("wrong CRC"));
    }
    let entries = &file[SNAPSHOT_HEADER_BYTES..];
    let count = u32::from_be_bytes([header[6], header[7], header[8], header[9]]) as usize;
    if Some(entries.len()) != count.checked_mul(SNAPSHOT_ENTRY_BYTES) {
        return Err(bad("wrong length"));
    }
    Ok(entries.as_chunks().0.iter().map(SnapshotEntry::decode).collect())
}

/// Sequences wrap below 0 to the largest integer.
fn first_sequence(last_sequence: i32, offset_delta: i32) -> i32 {
    ((last_sequence as u32).wrapping_sub(offset_delta as u32) & i32::MAX as u32) as i32
}

/// Sequences wrap from the largest integer to 0.
fn follows(last_sequence: i32, first_sequence: i32) -> bool {
    i64::from(first_sequence) == i64::from(last_sequence) + 1
        || (first_sequence == 0 && last_sequence == i32::MAX)
}
