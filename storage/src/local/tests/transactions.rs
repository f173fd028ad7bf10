//! Random transactions in a log, with restarts, crashes and power cuts between any two steps: what is unstable and what
//! is aborted is always what the batches and markers that are left say.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::batch::{BatchBuilder, ValidatedBatches};

use super::random::{Random, for_seeds};
use super::simulated_disk::{Left, SimulatedDisk};
use super::{NOW, log_with, logs};
use crate::{
    AbortedTransaction, AppendContext, AppendError, Beginning, Log, LogOptions, Logs, Origin, StorageError,
};

const OPERATIONS: u64 = 80;
const PRODUCERS: i64 = 4;

/// What the log took, at this offset.
#[derive(Clone, Copy, Debug)]
struct Written {
    offset: i64,
    /// None: a record of nobody's.
    producer: Option<i64>,
    epoch: i16,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Record,
    Commit,
    Abort,
}

/// A producer as it knows itself.
#[derive(Clone, Copy, Default)]
struct Producer {
    epoch: i16,
    next_sequence: i32,
}

struct Run {
    random: Random,
    disk: Option<SimulatedDisk>,
    logs: Logs,
    log: Arc<Log>,
    options: LogOptions,
    producers: BTreeMap<i64, Producer>,
    written: Vec<Written>,
    start: i64,
    end: i64,
    flushed: i64,
    checkpointed_start: i64,
    /// A power cut may have taken what was known of transactions that began before.
    known_from: i64,
}

impl Run {
    fn new(seed: u64, disk: Option<SimulatedDisk>) -> Self {
        let mut random = Random::new(seed);
        let logs = disk.as_ref().map_or_else(Logs::memory, |disk| logs(disk).unwrap());
        let options = LogOptions {
            segment_bytes: [300, 800, 3000][random.below(3) as usize],
            index_interval_bytes: [0, 150, 4096][random.below(3) as usize],
            flush_messages: [i64::MAX, i64::MAX, 9][random.below(3) as usize],
            producer_id_expiration_ms: i64::MAX,
            ..LogOptions::default()
        };
        let log = log_with(&logs, &options);
        let producers = (0..PRODUCERS).map(|id| (id, Producer::default())).collect();
        let (written, start, end, flushed) = (Vec::new(), 0, 0, 0);
        Self {
            random,
            disk,
            logs,
            log,
            options,
            producers,
            written,
            start,
            end,
            flushed,
            checkpointed_start: 0,
            known_from: 0,
        }
    }

    fn run(&mut self) {
        for _ in 0..OPERATIONS {
            match self.random.below(20) {
                0..8 => self.append_transactional(),
                8..13 => self.end_transaction(),
                13 => {
                    self.append(BatchBuilder::new(), None, Origin::Client).unwrap();
                }
                14 => self.delete_records(),
                15 => self.upkeep(),
                16..18 => self.restart(),
                _ => self.check(),
            }
        }
        self.check();
    }

    fn append_transactional(&mut self) {
        let id = self.random.between(0, PRODUCERS - 1);
        let Producer { epoch, next_sequence } = self.producers[&id];
        let beginning = Beginning {
            producer_id: id,
            producer_epoch: epoch,
            base_sequence: next_sequence,
            supports_epoch_bump: self.random.is_one_in(2),
        };
        let guard = self.log.begin_verification(&beginning, NOW).unwrap();
        if self.is_known(id) {
            let last = self.written.iter().rfind(|written| written.producer == Some(id));
            let is_ongoing = last.is_some_and(|last| last.what == What::Record && last.epoch == epoch);
            assert_eq!(guard.is_none(), is_ongoing, "{beginning:?}");
        }
        let builder = || BatchBuilder::new().transactional().producer(id, epoch, next_sequence);
        let origin = guard.map_or(Origin::Client, Origin::VerifiedClient);
        if guard.is_some() {
            let refused = self.append(builder(), Some((id, What::Record)), Origin::Client);
            assert!(matches!(refused, Err(AppendError::InvalidTxnState { .. })), "{refused:?}");
        }
        match self.append(builder(), Some((id, What::Record)), origin) {
            Ok(()) => self.producers.insert(id, Producer { epoch, next_sequence: next_sequence + 1 }),
            Err(error) => {
                assert!(!self.is_known(id), "{error:?}");
                self.producers.insert(id, Producer { epoch: epoch + 1, next_sequence: 0 })
            }
        };
        let plain = BatchBuilder::new().producer(id, epoch, next_sequence + 1);
        if self.is_known(id) && self.open().contains_key(&id) {
            let refused = self.append(plain, Some((id, What::Record)), Origin::Client);
            assert!(matches!(refused, Err(AppendError::InvalidTxnState { .. })), "{refused:?}");
        }
    }

    /// Of version 1, with the epoch of the records, or of version 2, with the next one.
    fn end_transaction(&mut self) {
        let id = self.random.between(0, PRODUCERS - 1);
        let producer = self.producers[&id];
        let (what, kind) = if self.random.is_one_in(2) { (What::Commit, 1) } else { (What::Abort, 0) };
        let transaction_version = self.random.between(1, 2) as i16;
        let epoch = if transaction_version == 2 { producer.epoch + 1 } else { producer.epoch };
        let marker = || BatchBuilder::new().transactional().control().producer(id, epoch, -1);
        let origin = Origin::Marker { transaction_version };
        let key = [0, 0, 0, kind];
        let appended = self.append_record(marker(), Some((id, what)), origin, &key, &[0; 6]);
        if let Err(error) = appended {
            return assert!(!self.is_known(id), "{error:?}");
        }
        if transaction_version == 2 {
            self.producers.insert(id, Producer { epoch, next_sequence: 0 });
            // Its answer was lost; and one that comes after the next transaction has begun.
            self.append_record(marker(), Some((id, what)), origin, &key, &[0; 6]).unwrap();
        }
    }

    fn append(
        &mut self,
        builder: BatchBuilder,
        of: Option<(i64, What)>,
        origin: Origin,
    ) -> Result<(), AppendError> {
        self.append_record(builder, of, origin, b"key", b"value")
    }

    fn append_record(
        &mut self,
        mut builder: BatchBuilder,
        of: Option<(i64, What)>,
        origin: Origin,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), AppendError> {
        builder.append(NOW, Some(key), Some(value));
        let context = AppendContext { leader_epoch: 0, now_ms: NOW, origin };
        let batches = ValidatedBatches::internal([builder.build()]);
        let epoch = batches.batches[0].producer_epoch;
        let appended = self.log.append(batches, context)?;
        assert_eq!((appended.base_offset, appended.duplicate), (self.end, false));
        let (producer, what) = of.map_or((None, What::Record), |(id, what)| (Some(id), what));
        self.written.push(Written { offset: self.end, producer, epoch, what });
        self.end += 1;
        Ok(())
    }

    fn delete_records(&mut self) {
        let offset = self.random.between(self.start, self.end);
        self.start = self.log.set_start_offset(offset, NOW).unwrap();
    }

    fn upkeep(&mut self) {
        if self.random.is_one_in(2) {
            self.logs.checkpoint(NOW).unwrap();
            self.checkpointed_start = self.start;
        } else {
            self.log.flush().unwrap();
            self.flushed = self.end;
        }
    }

    fn restart(&mut self) {
        let Some(disk) = &self.disk else { return };
        let left = match self.random.below(3) {
            0 => {
                self.logs.close(NOW).unwrap();
                (self.flushed, self.checkpointed_start) = (self.end, self.start);
                Left::Some(self.random.below(1000))
            }
            1 => Left::All,
            _ => Left::Some(self.random.below(1000)),
        };
        let disk = disk.after_crash(left);
        self.logs = logs(&disk).unwrap();
        self.disk = Some(disk);
        self.log = log_with(&self.logs, &self.options);
        let (start, end) = (self.log.start_offset().unwrap(), self.log.end_offset().unwrap());
        let promised = if left == Left::All { self.end } else { self.flushed };
        assert!((promised..=self.end).contains(&end), "{end}, not {promised} to {}", self.end);
        if left != Left::All {
            // What lies before the start may be gone, and with it what was known of it.
            self.known_from = self.known_from.max(self.start).min(end);
        }
        for lost in self.written.iter().filter(|written| written.offset >= end) {
            // The client sends again what was lost, in a new epoch.
            if let Some(producer) = lost.producer.and_then(|id| self.producers.get_mut(&id)) {
                (producer.epoch, producer.next_sequence) = (producer.epoch + 1, 0);
            }
        }
        self.written.retain(|written| written.offset < end);
        (self.start, self.end, self.flushed) = (start, end, self.flushed.min(end));
        self.check();
    }

    /// Whether the log must know all about a producer.
    fn is_known(&self, id: i64) -> bool {
        self.written.iter().all(|written| written.producer != Some(id) || written.offset >= self.known_from)
    }

    /// The open transactions at the end: first offsets.
    fn open(&self) -> BTreeMap<i64, i64> {
        self.fold().0
    }

    fn fold(&self) -> (BTreeMap<i64, i64>, Vec<AbortedTransaction>) {
        let (mut open, mut aborted) = (BTreeMap::<i64, i64>::new(), Vec::new());
        for Written { offset, producer, what, .. } in &self.written {
            let Some(producer_id) = *producer else { continue };
            if *what == What::Record {
                open.entry(producer_id).or_insert(*offset);
            } else if let Some(first_offset) = open.remove(&producer_id)
                && *what == What::Abort
            {
                let last_stable_offset = open.values().min().copied().unwrap_or(offset + 1);
                aborted.push(AbortedTransaction {
                    producer_id,
                    first_offset,
                    last_offset: *offset,
                    last_stable_offset,
                });
            }
        }
        (open, aborted)
    }

    fn check(&mut self) {
        let (open, aborted) = self.fold();
        let stable = self.log.last_stable_offset().unwrap();
        let first = open.values().min().copied().unwrap_or(self.end).max(self.start);
        let is_all_known = open.keys().all(|id| self.is_known(*id));
        let has_uncommitted_markers = self.options.flush_messages < i64::MAX;
        if is_all_known {
            assert!(stable == first || (has_uncommitted_markers && stable <= first), "{stable}, not {first}");
        }
        let from = self.random.between(self.start, stable);
        let upper_offset = self.random.between(from, stable);
        let told = match self.log.aborted_transactions(from, upper_offset) {
            Ok(read) => read.wait().unwrap(),
            Err(StorageError::OffsetOutOfRange { .. }) => return,
            Err(error) => panic!("{error}"),
        };
        assert!(told.iter().is_sorted_by_key(|aborted| aborted.last_offset), "{told:?}");
        for one in &told {
            let is_it = |known: &&AbortedTransaction| {
                let is_stable_known = known.last_stable_offset >= self.known_from;
                let expected_stable =
                    if is_stable_known { known.last_stable_offset } else { one.last_stable_offset };
                AbortedTransaction { last_stable_offset: expected_stable, ..**known } == *one
            };
            let is_right = aborted.iter().any(|known| is_it(&known)) || !self.is_known(one.producer_id);
            assert!(is_right, "{one:?} is none of {aborted:?}");
        }
        for one in aborted.iter().filter(|one| one.first_offset >= self.known_from) {
            let is_in_range = |written: &&Written| {
                written.producer == Some(one.producer_id)
                    && (one.first_offset..one.last_offset).contains(&written.offset)
                    && (from..upper_offset).contains(&written.offset)
            };
            if self.written.iter().any(|written| is_in_range(&written)) {
                let is_told = told.iter().any(|known| known.last_offset == one.last_offset);
                assert!(is_told, "{one:?} is missing in {told:?} of {from}..{upper_offset}");
            }
        }
    }
}

#[test]
fn transactions_are_what_the_batches_say_after_every_kind_of_crash() {
    for_seeds(500, |seed| Run::new(seed, Some(SimulatedDisk::default())).run());
}

#[test]
fn transactions_in_memory_are_what_the_batches_say() {
    for_seeds(500, |seed| Run::new(seed, None).run());
}
