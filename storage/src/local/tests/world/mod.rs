//! Logs and what they must hold: random appends, transactions, deletions, retention and restarts, held against plain
//! vectors; with faults of the disk between any two of its operations, or without.

mod check;
mod compact;
mod damage;
mod every_write;
mod ledger;
mod produce;
mod restart;

use std::sync::Arc;

use super::random::{Random, for_seeds};
use super::simulated_disk::{Fault, SimulatedDisk};
use super::{NOW, logs_in};
use crate::{Log, LogOptions, Logs, StorageError};
use ledger::{Ledger, Written};

/// A disk stays full for so many further writes.
const FULL_FOR: usize = 4;

/// What a run is made of.
#[derive(Clone)]
struct Setting {
    steps: u64,
    /// Directories; none: in memory.
    dirs: Vec<&'static str>,
    topics: Vec<&'static str>,
    has_faults: bool,
}

struct Run {
    random: Random,
    setting: Setting,
    disk: Option<SimulatedDisk>,
    logs: Logs,
    ledgers: Vec<Ledger>,
    now_ms: i64,
    next_topic_id: u128,
    /// Faults that had hit before this step.
    known_hits: usize,
    /// A fault at one write, counted over all restarts.
    fault_at: Option<(usize, Fault)>,
    /// Writes before the last restart.
    spent: usize,
    is_traced: bool,
}

fn options(random: &mut Random) -> LogOptions {
    LogOptions {
        segment_bytes: random.pick(&[400, 1000, 3000, 40_000]),
        segment_ms: random.pick(&[i64::MAX, 400]),
        segment_index_bytes: random.pick(&[60, 10 << 20]),
        index_interval_bytes: random.pick(&[0, 150, 4096]),
        flush_messages: random.pick(&[i64::MAX, i64::MAX, 7, 1]),
        flush_ms: random.pick(&[i64::MAX, 50]),
        file_delete_delay_ms: random.pick(&[0, 100]),
        preallocate: random.is_one_in(4),
        producer_id_expiration_ms: i64::MAX,
        cleanup_compact: random.is_one_in(2),
        min_compaction_lag_ms: random.pick(&[0, 0, 200]),
        delete_retention_ms: random.pick(&[0, 300, 86_400_000]),
        retention_ms: -1,
        ..LogOptions::default()
    }
}

impl Run {
    fn new(seed: u64, setting: &Setting) -> Self {
        let mut random = Random::new(seed);
        let disk = (!setting.dirs.is_empty()).then(SimulatedDisk::default);
        let logs = disk.as_ref().map_or_else(Logs::memory, |disk| logs_in(disk, &setting.dirs).unwrap());
        let topics = setting.topics.iter().zip(1..);
        let ledgers = topics.map(|(topic, id)| Ledger::new(topic, id, options(&mut random))).collect();
        Self {
            random,
            setting: setting.clone(),
            disk,
            logs,
            ledgers,
            now_ms: NOW,
            next_topic_id: 100,
            known_hits: 0,
            fault_at: None,
            spent: 0,
            is_traced: std::env::var_os("OTTLA_SIMULATOR_TRACE").is_some(),
        }
    }

    fn run(mut self) {
        self.live();
        (0..self.ledgers.len()).for_each(|at| self.check_all(at));
    }

    fn live(&mut self) {
        for _ in 0..self.setting.steps {
            self.step();
            if self.is_dead() {
                self.restart_dead();
            }
        }
        self.disarm();
    }

    fn is_dead(&self) -> bool {
        self.disk.as_ref().is_some_and(|disk| disk.world().is_dead())
    }

    /// Sees to it that the fault comes at its write, if that is still to come.
    fn arm(&self) {
        if let (Some((at, fault)), Some(disk)) = (self.fault_at, &self.disk)
            && at > self.spent
        {
            let at = at - self.spent;
            let until = if fault == Fault::Full { at + FULL_FOR } else { at };
            disk.world().fault = Some((at..=until, fault));
        }
    }

    fn disarm(&self) {
        if let Some(disk) = &self.disk {
            disk.world().fault = None;
        }
    }

    fn begin_step(&mut self) {
        if let Some(disk) = &self.disk {
            let mut world = disk.world();
            world.now_ms = self.now_ms;
            self.known_hits = world.hits;
        }
    }

    fn step(&mut self) {
        self.now_ms += self.random.between(0, 40);
        self.begin_step();
        if let Some(disk) = &self.disk {
            let mut world = disk.world();
            let is_past = world.fault.as_ref().is_none_or(|(range, _)| *range.end() <= world.operations);
            if self.setting.has_faults && is_past && self.random.is_one_in(4) {
                let at = world.operations + self.random.between(1, 40) as usize;
                let fault = self.random.pick(&[Fault::Crash, Fault::Crash, Fault::Error, Fault::Full]);
                let until = if fault == Fault::Full { at + self.random.below(6) as usize } else { at };
                world.fault = Some((at..=until, fault));
            }
        }
        let at = self.random.below(self.ledgers.len() as u64) as usize;
        self.note_step(at);
        match self.random.below(60) {
            0..10 => self.append_plain(at),
            10..18 => self.append_idempotent(at),
            18..24 => self.append_transactional(at),
            24..28 => self.end_transaction(at),
            28..40 => self.look(at),
            40 => self.delete_records(at),
            41 => self.retain(at),
            42..44 => self.upkeep(),
            44 => self.flush(at),
            45 => self.change_options(at),
            46 => self.ledgers[at].leader_epoch += 1,
            47..50 => self.restart(),
            54..57 => self.compact(at),
            50 if self.random.is_one_in(4) => self.delete_topic(at),
            _ => self.look(at),
        }
    }

    /// While nothing fails: a log that is opened to be looked at may write as well.
    fn look(&mut self, at: usize) {
        let fault = self.disk.as_ref().and_then(|disk| disk.world().fault.take());
        match self.random.below(12) {
            0..5 => self.read(at),
            5..7 => self.find_time(at),
            7 => self.find_largest(at),
            8..10 => self.check_transactions(at),
            _ => self.check_facts(at),
        }
        if let Some(disk) = &self.disk {
            disk.world().fault = fault;
        }
    }

    fn log(&self, at: usize) -> Arc<Log> {
        let ledger = &self.ledgers[at];
        self.logs.log(&ledger.id, &Arc::new(ledger.options.clone()))
    }

    fn delete_records(&mut self, at: usize) {
        let ledger = &self.ledgers[at];
        let offset = self.random.between(ledger.start - 2, ledger.end + 1);
        self.note(&format!("delete before {offset}"));
        let moved = self.log(at).set_start_offset(offset, self.now_ms);
        let ledger = &mut self.ledgers[at];
        match moved {
            Ok(start) => {
                ledger.start = ledger.start.max(offset);
                assert_eq!(start, ledger.start);
            }
            Err(StorageError::OffsetOutOfRange { .. }) => assert!(offset > ledger.end),
            Err(error) => self.accept_move(at, offset, &error),
        }
    }

    /// Whole batches go from the start, each of them old enough or too many.
    fn retain(&mut self, at: usize) {
        let (retention_ms, retention_bytes) = if self.random.is_one_in(2) {
            (self.random.between(0, 600), -1)
        } else {
            (-1, self.random.between(0, 3000))
        };
        self.note(&format!("retain {retention_ms} ms, {retention_bytes} bytes"));
        let (log, end) = (self.log(at), self.ledgers[at].end);
        let kept = self.ledgers[at].options.clone();
        log.update_options(Arc::new(LogOptions { retention_ms, retention_bytes, ..kept.clone() }));
        let start = log.apply_retention(self.now_ms, end);
        log.update_options(Arc::new(kept));
        let start = match start {
            Ok(start) => start,
            Err(error) => return self.accept_move(at, end, &error),
        };
        let ledger = &mut self.ledgers[at];
        assert!(start >= ledger.start && start <= ledger.end, "{start} of {}..{}", ledger.start, ledger.end);
        if start > ledger.start {
            // (It may lie in a hole that a power cut has left.)
            let is_within = |batch: &Written| (batch.base_offset + 1..=batch.last_offset).contains(&start);
            assert!(!ledger.written.iter().any(is_within), "{start} is within a batch");
            let gone = ledger.batches_from(ledger.start).filter(|batch| batch.last_offset < start);
            let newest = gone.flat_map(|batch| &batch.records).map(|record| record.timestamp).max();
            let newest = newest.unwrap_or(-1);
            let is_old = retention_ms >= 0 && (newest < 0 || self.now_ms - newest > retention_ms);
            let left: usize = ledger.batches_from(start).map(|batch| batch.bytes.len()).sum();
            assert!(
                is_old || (retention_bytes >= 0 && left >= retention_bytes as usize),
                "{start}: {left} are left"
            );
            ledger.start = start;
        }
    }

    fn upkeep(&mut self) {
        if self.random.is_one_in(2) {
            let pause_ms = self.random.pick(&[0, 0, 100_000]);
            return self.maintain(pause_ms);
        }
        self.checkpoint();
    }

    fn maintain(&mut self, pause_ms: i64) {
        self.note("maintain");
        self.now_ms += pause_ms;
        self.logs.maintain(self.now_ms);
    }

    fn checkpoint(&mut self) {
        self.note("checkpoint");
        match self.logs.checkpoint(self.now_ms) {
            Ok(()) => {
                for ledger in &mut self.ledgers {
                    ledger.checkpointed_start = ledger.start;
                }
            }
            Err(error) => self.accept_late(&error),
        }
    }

    fn flush(&mut self, at: usize) {
        self.note("flush");
        match self.log(at).flush() {
            Ok(()) => {
                self.ledgers[at].flushed = self.ledgers[at].end;
                self.ledgers[at].has_sync_failed = false;
            }
            Err(error) => self.accept_of_flush(at, &error),
        }
    }

    fn change_options(&mut self, at: usize) {
        let options = options(&mut self.random);
        self.log(at).update_options(Arc::new(options.clone()));
        self.ledgers[at].options = options;
    }

    /// And another one of the same name is begun.
    fn delete_topic(&mut self, at: usize) {
        self.note("delete the topic");
        let (id, delay_ms) = (&self.ledgers[at].id, self.ledgers[at].options.file_delete_delay_ms);
        self.logs.delete(&id.topic, id.topic_id, id.partition..id.partition + 1, self.now_ms + delay_ms);
        self.next_topic_id += 1;
        let topic = self.ledgers[at].id.topic.clone();
        self.ledgers[at] = Ledger::new(&topic, self.next_topic_id, options(&mut self.random));
    }

    /// The start moved or did not.
    fn accept_move(&mut self, at: usize, offset: i64, error: &StorageError) {
        self.accept(error);
        let (start, ledger) = (self.log(at).start_offset(), &mut self.ledgers[at]);
        ledger.start_maybe = ledger.start_maybe.max(offset);
        if let Ok(start) = start {
            let latest = offset.max(ledger.start);
            assert!((ledger.start..=latest).contains(&start), "{start} of {}..={latest}", ledger.start);
            ledger.start = start;
        }
    }

    /// An error that the disk has just made.
    fn accept(&self, error: &StorageError) {
        let hits = self.disk.as_ref().map_or(0, |disk| disk.world().hits);
        assert!(hits > self.known_hits, "{error}");
    }

    /// An error that the disk has made some time ago.
    fn accept_late(&self, error: &StorageError) {
        let hits = self.disk.as_ref().map_or(0, |disk| disk.world().hits);
        assert!(hits > 0, "{error}");
    }

    fn accept_of_flush(&mut self, at: usize, error: &StorageError) {
        self.accept_late(error);
        self.ledgers[at].has_sync_failed = true;
    }

    fn note(&self, what: &str) {
        if self.is_traced {
            eprintln!("  {what}");
        }
    }

    fn note_files(&self) {
        if let (true, Some(disk)) = (self.is_traced, &self.disk) {
            let world = disk.world();
            eprintln!("  {} hits of {:?}", world.hits, world.fault);
            for (path, bytes) in world.files() {
                let index: Vec<_> = match path.extension().and_then(|extension| extension.to_str()) {
                    Some("timeindex") => bytes.chunks(12).collect(),
                    Some("index") => bytes.chunks(8).collect(),
                    _ => Vec::new(),
                };
                eprintln!("    {} {} {index:x?}", path.display(), bytes.len());
            }
        }
    }

    fn note_step(&self, at: usize) {
        if self.is_traced {
            let Ledger { start, end, flushed, .. } = self.ledgers[at];
            let operations = self.disk.as_ref().map_or(0, |disk| disk.world().operations);
            eprintln!("{at}: {start}..{end}, flushed {flushed}, {operations} operations");
            for batch in &self.ledgers[at].written {
                eprintln!(
                    "    {}..={} {:?} {:?} {} bytes",
                    batch.base_offset,
                    batch.last_offset,
                    batch.kind,
                    batch.sent,
                    batch.bytes.len()
                );
            }
            self.note_files();
        }
    }
}

const ONE: Setting = Setting { steps: 80, dirs: Vec::new(), topics: Vec::new(), has_faults: false };

#[test]
fn a_log_is_what_the_model_says() {
    let one = Setting { dirs: vec!["/data"], topics: vec!["t"], ..ONE };
    for_seeds(300, |seed| Run::new(seed, &one).run());
}

#[test]
fn logs_in_several_directories_are_what_the_model_says() {
    let two = Setting { dirs: vec!["/data", "/more"], topics: vec!["t", "u", "v"], steps: 150, ..ONE };
    for_seeds(60, |seed| Run::new(seed, &two).run());
}

#[test]
fn a_log_in_memory_is_what_the_model_says() {
    let memory = Setting { topics: vec!["t"], ..ONE };
    for_seeds(200, |seed| Run::new(seed, &memory).run());
}

#[test]
fn a_log_keeps_what_it_promised_whatever_the_disk_does_and_when() {
    let faults = Setting { dirs: vec!["/data"], topics: vec!["t"], has_faults: true, ..ONE };
    for_seeds(200, |seed| Run::new(seed, &faults).run());
}

/// Each of them found something, when the world was as it is now.
#[test]
fn what_failed_once_does_not_fail_again() {
    let one = Setting { dirs: vec!["/data"], topics: vec!["t"], ..ONE };
    let faults = Setting { has_faults: true, ..one.clone() };
    let several = Setting { dirs: vec!["/data", "/more"], topics: vec!["t", "u", "v"], steps: 150, ..ONE };
    let cases: [(&Setting, &[u64]); 3] = [
        (&one, &[6, 205, 598, 2800, 3578, 48_194, 127_258, 131_596, 161_834]),
        (
            &faults,
            &[
                16, 24, 36, 304, 393, 765, 1743, 3192, 3537, 5419, 10_271, 10_853, 10_964, 15_720, 400_756,
                415_775, 10_015_456, 10_024_367, 10_065_497, 10_108_224, 10_214_221, 10_278_962, 11_013_332,
                11_047_562, 12_021_579, 12_043_867, 12_044_408, 12_247_326, 8_170_638, 20_032_160,
                50_338_658,
            ],
        ),
        (&several, &[2, 52, 117, 159, 423, 1333, 10_148, 10_522, 16_495, 152_272]),
    ];
    for (setting, seeds) in cases {
        seeds.iter().for_each(|seed| Run::new(*seed, setting).run());
    }
}
