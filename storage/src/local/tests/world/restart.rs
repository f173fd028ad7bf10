//! The process ends, or the machine does, and the next one finds what is left.

use std::collections::BTreeSet;

use super::Run;
use super::check::read_all;
use super::ledger::Ledger;
use crate::local::tests::logs_in;
use crate::local::tests::simulated_disk::{Fault, Left, SimulatedDisk};
use crate::{Log, StorageError};

impl Run {
    /// After a clean stop, a crash of the process, or one of the machine.
    pub(super) fn restart(&mut self) {
        if self.disk.is_none() {
            return;
        }
        match self.random.below(3) {
            0 => self.stop_and_start(),
            1 => self.go_on_with(Left::All),
            _ => {
                let left = Left::Some(self.random.next());
                self.go_on_with(left);
            }
        }
    }

    pub(super) fn stop_and_start(&mut self) {
        self.note("stop cleanly");
        match self.logs.close(self.now_ms) {
            Ok(()) => {
                for ledger in &mut self.ledgers {
                    (ledger.flushed, ledger.checkpointed_start) = (ledger.end, ledger.start);
                }
            }
            Err(error) => self.accept_late(&error),
        }
        let left = Left::Some(self.random.next());
        self.go_on_with(left);
    }

    /// A fault has ended the process or the machine.
    pub(super) fn restart_dead(&mut self) {
        let left = if self.random.is_one_in(2) { Left::All } else { Left::Some(self.random.next()) };
        self.go_on_with(left);
    }

    pub(super) fn go_on_with(&mut self, mut left: Left) {
        let mut is_whole = left == Left::All;
        for crash in 0.. {
            self.note(&format!("restart {left:?}"));
            let Some(disk) = &self.disk else { return };
            let disk = disk.after_crash(left);
            // The recovery may crash as well.
            if self.setting.has_faults && crash < 3 && self.random.is_one_in(3) {
                let at = self.random.between(1, 30) as usize;
                disk.world().fault = Some((at..=at, Fault::Crash));
            }
            self.spent += self.disk.replace(disk.clone()).map_or(0, |before| before.world().operations);
            self.arm();
            self.note_files();
            let mut opened = self.open_all(&disk);
            if disk.world().hits > 0 && !disk.world().is_dead() {
                opened = self.open_all(&disk); // an error of the disk may have been in the way
            }
            if !disk.world().is_dead() {
                opened.unwrap();
                break;
            }
            left = if self.random.is_one_in(2) { Left::All } else { Left::Some(self.random.next()) };
            is_whole &= left == Left::All;
        }
        self.disarm();
        // The log remembers that it has gaps.
        let files = self.disk.as_ref().map(|disk| disk.world().files()).unwrap_or_default();
        let cleaned = files.iter().filter(|(path, _)| path.ends_with("cleaner-offset-checkpoint"));
        let cleaned: Vec<_> = cleaned.map(|(_, bytes)| String::from_utf8_lossy(bytes)).collect();
        for at in 0..self.ledgers.len() {
            let log = self.log(at);
            let line = format!("\n{} 0 ", self.ledgers[at].id.topic);
            self.ledgers[at].was_compacted |= cleaned.iter().any(|text| text.contains(&line));
            // A snapshot of producers that could not be written is no reason to keep what is to be deleted.
            self.ledgers[at].go_on(&log, is_whole, is_whole && !self.setting.has_faults);
            if self.ledgers[at].in_flux_below > 0 {
                let since_ms = self.ledgers[at].in_flux_since_ms;
                self.ledgers[at].take_compacted(&log, None, since_ms);
            }
        }
        for at in 0..self.ledgers.len() {
            self.check_all(at);
        }
        self.arm();
    }

    fn open_all(&mut self, disk: &SimulatedDisk) -> Result<(), StorageError> {
        self.logs = logs_in(disk, &self.setting.dirs)?;
        (0..self.ledgers.len()).try_for_each(|at| self.log(at).start_offset().map(|_| ()))
    }
}

impl Ledger {
    /// Takes over what the log says after a restart, where it may say several things.
    fn go_on(&mut self, log: &Log, is_whole: bool, has_snapshots: bool) {
        if !has_snapshots {
            self.had_power_cut |= self.flushed < self.end || self.start > 0;
        }
        self.epochs_from = self.epochs_from.max(self.start);
        let (start, end) = (log.start_offset().unwrap(), log.end_offset().unwrap());
        let promised = if is_whole { self.end } else { self.flushed };
        let possible = self.maybe.last().map_or(self.end, |last| last.last_offset + 1);
        assert!((promised..=possible).contains(&end), "{end}, not {promised} to {possible}");
        let latest_start = self.start.max(self.start_maybe);
        // Of a log that never had anything on the disk nothing need be left, its start neither.
        let is_lost = !is_whole && self.flushed == 0 && end == 0;
        self.checkpointed_start = if is_lost { 0 } else { self.checkpointed_start };
        assert!(
            (self.checkpointed_start..=latest_start).contains(&start),
            "starts at {start}, not {} to {latest_start}",
            self.checkpointed_start
        );
        if !has_snapshots {
            // What lies before the start may be gone, and with it what was known of it.
            self.known_from = self.known_from.max(latest_start).min(end);
        }
        self.written.append(&mut self.maybe);
        for lost in self.written.iter().filter(|batch| batch.last_offset >= end) {
            // The client sends again what was lost, in a new epoch.
            if let Some(producer) = lost.sent.and_then(|sent| self.producers.get_mut(&sent.id)) {
                (producer.epoch, producer.next_sequence) = (producer.epoch + 1, 0);
            }
        }
        self.written.retain(|batch| batch.last_offset < end);
        if !is_whole {
            self.take_holes(log);
        }
        let is_whole_batch = self.written.last().is_some_and(|last| last.last_offset + 1 == end);
        let may_end_in_hole = self.known_from >= end;
        assert!(end == start || is_whole_batch || may_end_in_hole, "{end} is within a batch");
        self.unsure_below = self.unsure_below.max(self.start);
        (self.start, self.end, self.flushed) = (start, end, self.flushed.min(end));
        (self.start_maybe, self.has_sync_failed) = (start, false);
        if start < self.unsure_below {
            self.take_unsure(log);
        }
        self.on_disk_from = self.on_disk_from.max(latest_start);
    }

    /// Where compaction may have left gaps, nobody can tell them from what a power cut took out of the middle.
    fn take_holes(&mut self, log: &Log) {
        if !self.options.cleanup_compact && !self.was_compacted {
            return;
        }
        let found: BTreeSet<i64> = read_all(log).iter().map(|batch| batch.base_offset).collect();
        let (start, flushed) = (log.start_offset().unwrap(), self.flushed);
        let count = self.written.len();
        self.written.retain(|batch| {
            batch.last_offset < start.max(flushed) || batch.is_gone() || found.contains(&batch.base_offset)
        });
        if self.written.len() < count {
            // The producers' state may be of batches that are gone.
            (self.on_disk_from, self.known_from) = (self.end, self.end);
            self.had_power_cut = true;
            for producer in self.producers.values_mut() {
                (producer.epoch, producer.next_sequence) = (producer.epoch + 1, 0);
            }
        }
    }
}
