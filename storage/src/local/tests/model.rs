//! Random operations on a log, held against a plain `Vec` of batches.

use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::batch::{BatchBuilder, ValidatedBatches};
use ottla_protocol::codec::Compression;

use super::random::{Random, for_seeds};
use super::simulated_disk::{Left, SimulatedDisk};
use super::{NOW, log_with, logs};
use crate::{AppendContext, AppendError, Log, LogOptions, Logs, Origin, ReadLimits, StorageError};

const OPERATIONS: u64 = 60;

/// A batch that the log took.
struct Written {
    base_offset: i64,
    bytes: Bytes,
    leader_epoch: i32,
    /// Of each record.
    timestamps: Vec<i64>,
    producer: Option<Sent>,
}

/// Producer, epoch and first sequence number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Sent {
    id: i64,
    epoch: i16,
    sequence: i32,
}

impl Written {
    fn last_offset(&self) -> i64 {
        self.base_offset + self.timestamps.len() as i64 - 1
    }
}

/// What an append of a producer may be answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Taken,
    Duplicate(i64),
    OutOfOrder,
    Fenced,
    /// For a segment: checked before the rest.
    TooLarge,
}

struct Run {
    random: Random,
    /// None: in memory.
    disk: Option<SimulatedDisk>,
    logs: Logs,
    log: Arc<Log>,
    options: LogOptions,
    now_ms: i64,
    leader_epoch: i32,
    /// All that the log ever took and did not lose in a power cut, readable or not.
    written: Vec<Written>,
    start: i64,
    end: i64,
    flushed: i64,
    checkpointed_start: i64,
    /// Batches before it may not have been on the disk at the last restart.
    on_disk_from: i64,
    had_power_cut: bool,
    /// The latest start ever: what a crash brings back from before it has no epoch any more.
    epochs_from: i64,
}

fn options(random: &mut Random) -> LogOptions {
    LogOptions {
        segment_bytes: [400, 1000, 3000, 40_000][random.below(4) as usize],
        segment_ms: [i64::MAX, 400][random.below(2) as usize],
        segment_index_bytes: [60, 10 << 20][random.below(2) as usize],
        index_interval_bytes: [0, 150, 4096][random.below(3) as usize],
        flush_messages: [i64::MAX, i64::MAX, 7][random.below(3) as usize],
        flush_ms: [i64::MAX, 50][random.below(2) as usize],
        producer_id_expiration_ms: i64::MAX,
        retention_ms: -1,
        ..LogOptions::default()
    }
}

impl Run {
    fn new(seed: u64, disk: Option<SimulatedDisk>) -> Self {
        let mut random = Random::new(seed);
        let logs = disk.as_ref().map_or_else(Logs::memory, |disk| logs(disk).unwrap());
        let options = options(&mut random);
        let log = log_with(&logs, &options);
        Self {
            random,
            disk,
            logs,
            log,
            options,
            now_ms: NOW,
            leader_epoch: 0,
            written: Vec::new(),
            start: 0,
            end: 0,
            flushed: 0,
            checkpointed_start: 0,
            on_disk_from: 0,
            had_power_cut: false,
            epochs_from: 0,
        }
    }

    fn run(&mut self) {
        for _ in 0..OPERATIONS {
            self.now_ms += self.random.between(0, 40);
            match self.random.below(40) {
                0..10 => self.append_plain(),
                10..18 => self.append_idempotent(),
                18..26 => self.read(),
                26..28 => self.find_time(),
                28 => self.find_largest(),
                29..31 => self.delete_records(),
                31 => self.retain(),
                32 => self.upkeep(),
                33 => self.change_options(),
                34 => self.leader_epoch += 1,
                35..38 => self.restart(),
                _ => self.check_facts(),
            }
        }
        self.check_all();
    }

    fn append_plain(&mut self) {
        let count = if self.random.is_one_in(3) { self.random.between(2, 4) } else { 1 };
        let built: Vec<_> = (0..count).map(|_| self.build(None, None)).collect();
        let (batches, timestamps): (Vec<_>, Vec<_>) = built.into_iter().unzip();
        let answer = self.append(ValidatedBatches { batches }, &timestamps, None);
        assert!(matches!(answer, Answer::Taken | Answer::TooLarge), "{answer:?}");
    }

    /// As a producer's next batch, or as one that comes again, too early, from an old or a new epoch.
    fn append_idempotent(&mut self) {
        let id = self.random.between(1, 3);
        let known: Vec<(usize, Sent, usize)> = self.sent_by(id);
        let next =
            known.last().map(|(_, sent, count)| Sent { sequence: sent.sequence + *count as i32, ..*sent });
        let (sent, count) = match (self.random.below(10), next) {
            (0..2, Some(_)) => {
                let again = self.random.below(7.min(known.len() as u64)) as usize;
                let (_, sent, count) = known[known.len() - 1 - again];
                (sent, Some(count))
            }
            (2, Some(next)) => (Sent { sequence: next.sequence + 1, ..next }, None),
            (3, Some(next)) => (Sent { epoch: next.epoch + 1, sequence: 0, ..next }, None),
            (4, Some(next)) if next.epoch > 0 => (Sent { epoch: next.epoch - 1, sequence: 0, ..next }, None),
            (_, Some(next)) => (next, None),
            (_, None) => (Sent { id, epoch: 0, sequence: 0 }, None),
        };
        let (batch, timestamps) = self.build(Some(sent), count);
        let allowed = self.answers(&known, sent, timestamps.len());
        let answer = self.append(ValidatedBatches { batches: vec![batch] }, &[timestamps], Some(sent));
        let is_allowed = allowed.is_empty() || answer == Answer::TooLarge || allowed.contains(&answer);
        assert!(is_allowed, "{sent:?}: {answer:?}, not {allowed:?}");
    }

    /// What the log may answer; nothing: it may have forgotten the producer.
    fn answers(&self, known: &[(usize, Sent, usize)], sent: Sent, count: usize) -> Vec<Answer> {
        let Some((_, current, last_count)) = known.last() else { return vec![Answer::Taken] };
        let mut recent = known.iter().rev().take(6);
        if self.had_power_cut && recent.any(|(at, ..)| self.written[*at].base_offset < self.on_disk_from) {
            return Vec::new(); // its batches were deleted, and the snapshot perhaps lost
        }
        if sent.epoch < current.epoch {
            return vec![Answer::Fenced];
        }
        let of_epoch = known.iter().rev().take_while(|(_, sent, _)| sent.epoch == current.epoch);
        for (nth, (at, earlier, earlier_count)) in of_epoch.take(5).enumerate() {
            if *earlier == sent && *earlier_count == count {
                let base_offset = self.written[*at].base_offset;
                let may_be_forgotten = nth > 0 && base_offset < self.on_disk_from;
                let mut answers = vec![Answer::Duplicate(base_offset)];
                answers.extend(may_be_forgotten.then_some(Answer::OutOfOrder));
                return answers;
            }
        }
        let follows = match sent.epoch == current.epoch {
            true => sent.sequence == current.sequence + *last_count as i32,
            false => sent.sequence == 0,
        };
        vec![if follows { Answer::Taken } else { Answer::OutOfOrder }]
    }

    /// Where, what and how many records, in order.
    fn sent_by(&self, id: i64) -> Vec<(usize, Sent, usize)> {
        let all = self.written.iter().enumerate();
        let own = all.filter_map(|(at, batch)| Some((at, batch.producer?, batch.timestamps.len())));
        own.filter(|(_, sent, _)| sent.id == id).collect()
    }

    /// A batch, and the timestamps that its records will have.
    fn build(
        &mut self,
        sent: Option<Sent>,
        count: Option<usize>,
    ) -> (ottla_protocol::batch::ValidatedBatch, Vec<i64>) {
        let random = &mut self.random;
        let count = count.unwrap_or(random.between(1, 5) as usize);
        let size = match random.below(20) {
            0 => 17_000,
            1..4 => 300,
            _ => random.below(20) as usize,
        };
        let mut builder = BatchBuilder::new();
        if random.is_one_in(10) {
            builder = builder.compression(Compression::Lz4, None);
        }
        if let Some(sent) = sent {
            builder = builder.producer(sent.id, sent.epoch, sent.sequence);
        }
        let (is_append_time, has_none) = (random.is_one_in(6), random.is_one_in(20));
        if is_append_time {
            builder = builder.log_append_time(1);
        }
        let value: Vec<u8> = (0..size).map(|_| random.next() as u8).collect();
        let mut timestamps = Vec::new();
        for n in 0..count {
            let timestamp = if has_none { -1 } else { self.now_ms + random.between(-100, 100) };
            let value = (n == 0 || size < 1000).then_some(&value[..]);
            builder.append(timestamp, Some(b"key"), value);
            timestamps.push(if is_append_time { self.now_ms } else { timestamp });
        }
        (ottla_protocol::batch::ValidatedBatch::internal(builder.build()), timestamps)
    }

    fn append(
        &mut self,
        batches: ValidatedBatches,
        timestamps: &[Vec<i64>],
        producer: Option<Sent>,
    ) -> Answer {
        let context =
            AppendContext { leader_epoch: self.leader_epoch, now_ms: self.now_ms, origin: Origin::Client };
        let (sent, size) = (batches.clone(), batches.size());
        let appended = match self.log.append(batches, context) {
            Ok(appended) if appended.duplicate => return Answer::Duplicate(appended.base_offset),
            Ok(appended) => appended,
            Err(AppendError::LargerThanSegment { .. }) => {
                assert!(size > self.options.segment_bytes as usize);
                return Answer::TooLarge;
            }
            Err(AppendError::OutOfOrderSequence { .. }) => return Answer::OutOfOrder,
            Err(AppendError::InvalidProducerEpoch { .. }) => return Answer::Fenced,
            Err(error) => panic!("{error}"),
        };
        assert!(size <= self.options.segment_bytes as usize);
        assert_eq!((appended.base_offset, appended.log_start_offset), (self.end, self.start));
        for (batch, timestamps) in sent.batches.into_iter().zip(timestamps) {
            let append_time_ms = timestamps.iter().all(|at| *at == self.now_ms).then_some(self.now_ms);
            let is_append_time =
                batch.timestamp_type() == ottla_protocol::batch::TimestampType::LogAppendTime;
            let assigned =
                batch.assign(self.end, self.leader_epoch, append_time_ms.filter(|_| is_append_time));
            self.written.push(Written {
                base_offset: self.end,
                bytes: assigned.into_bytes(),
                leader_epoch: self.leader_epoch,
                timestamps: timestamps.clone(),
                producer,
            });
            self.end += timestamps.len() as i64;
        }
        assert_eq!(appended.last_offset, self.end - 1);
        Answer::Taken
    }

    fn delete_records(&mut self) {
        let offset = self.random.between(self.start - 2, self.end + 1);
        match self.log.set_start_offset(offset, self.now_ms) {
            Ok(start) => {
                self.start = self.start.max(offset);
                assert_eq!(start, self.start);
            }
            Err(StorageError::OffsetOutOfRange { .. }) => assert!(offset > self.end),
            Err(error) => panic!("{error}"),
        }
    }

    /// Whole batches go from the start, each of them old enough or too many.
    fn retain(&mut self) {
        let (retention_ms, retention_bytes) = if self.random.is_one_in(2) {
            (self.random.between(0, 600), -1)
        } else {
            (-1, self.random.between(0, 3000))
        };
        let options = LogOptions { retention_ms, retention_bytes, ..self.options.clone() };
        self.log.update_options(Arc::new(options));
        let start = self.log.apply_retention(self.now_ms, self.end).unwrap();
        self.log.update_options(Arc::new(self.options.clone()));
        assert!(start >= self.start && start <= self.end, "{start} of {}..{}", self.start, self.end);
        if start > self.start {
            assert!(start == self.end || self.written.iter().any(|batch| batch.base_offset == start));
            let gone = self.batches_from(self.start).iter().filter(|batch| batch.last_offset() < start);
            let newest = gone.flat_map(|batch| &batch.timestamps).max().copied().unwrap_or(-1);
            let is_old = retention_ms >= 0 && (newest < 0 || self.now_ms - newest > retention_ms);
            let left: usize = self.batches_from(start).iter().map(|batch| batch.bytes.len()).sum();
            assert!(
                is_old || (retention_bytes >= 0 && left >= retention_bytes as usize),
                "{start}: {left} are left"
            );
            self.start = start;
        }
    }

    fn upkeep(&mut self) {
        match self.random.below(4) {
            0 => self.logs.maintain(self.now_ms),
            1 => {
                self.now_ms += 100_000;
                self.logs.maintain(self.now_ms);
                self.checkpointed_start = self.start;
            }
            2 => {
                self.logs.checkpoint(self.now_ms).unwrap();
                self.checkpointed_start = self.start;
            }
            _ => {
                self.log.flush().unwrap();
                self.flushed = self.end;
            }
        }
    }

    fn change_options(&mut self) {
        self.options = options(&mut self.random);
        self.log.update_options(Arc::new(self.options.clone()));
    }

    /// After a clean stop, a crash of the process, or one of the machine.
    fn restart(&mut self) {
        let Some(disk) = &self.disk else { return };
        let left = match self.random.below(3) {
            0 => {
                self.logs.close(self.now_ms).unwrap();
                (self.flushed, self.checkpointed_start) = (self.end, self.start);
                Left::Some(self.random.next() % 1000)
            }
            1 => Left::All,
            _ => Left::Some(self.random.next() % 1000),
        };
        if matches!(left, Left::Some(_)) {
            self.had_power_cut |= self.flushed < self.end || self.start > 0;
        }
        self.epochs_from = self.epochs_from.max(self.start);
        let disk = disk.after_crash(left);
        self.logs = logs(&disk).unwrap();
        self.disk = Some(disk);
        self.log = log_with(&self.logs, &self.options);
        let (start, end) = (self.log.start_offset().unwrap(), self.log.end_offset().unwrap());
        let promised = if left == Left::All { self.end } else { self.flushed };
        assert!((promised..=self.end).contains(&end), "{end}, not {promised} to {}", self.end);
        assert!((self.checkpointed_start..=self.start).contains(&start), "{start}: {left:?}");
        self.written.retain(|batch| batch.last_offset() < end);
        assert!(end == start || self.written.last().is_some_and(|last| last.last_offset() + 1 == end));
        (self.start, self.end, self.flushed) = (start, end, self.flushed.min(end));
        self.on_disk_from = self.on_disk_from.max(start);
        self.check_all();
    }

    fn batches_from(&self, offset: i64) -> &[Written] {
        &self.written[self.written.partition_point(|batch| batch.last_offset() < offset)..]
    }

    fn read(&mut self) {
        let from = self.random.between(self.start - 1, self.end + 1);
        let limits = ReadLimits {
            max_bytes: self.random.pick(&[0, 100, 500, 5000, 100_000]),
            upper_offset: if self.random.is_one_in(2) { i64::MAX } else { self.random.between(0, self.end) },
            whole_first_batch: self.random.is_one_in(2),
        };
        self.check_read(from, limits);
    }

    /// What is read is what was written, whole, in order, within the limits. Returns where to go on.
    fn check_read(&self, from: i64, limits: ReadLimits) -> i64 {
        let read = self.log.read(from, limits);
        if from < self.start || from > self.end {
            assert!(matches!(read, Err(StorageError::OffsetOutOfRange { .. })), "{from}");
            return from;
        }
        let records = read.unwrap().wait().unwrap();
        let read = records.chunks.concat();
        assert_eq!(read.len(), records.bytes);
        let expected = self.batches_from(from);
        let (mut position, mut next_offset, mut count) = (0, from, 0);
        while position < read.len() {
            let batch = &expected[count];
            assert!(
                read[position..].starts_with(&batch.bytes),
                "not what was written at {}",
                batch.base_offset
            );
            assert!(batch.base_offset < limits.upper_offset, "{limits:?}");
            (position, next_offset, count) =
                (position + batch.bytes.len(), batch.last_offset() + 1, count + 1);
        }
        assert_eq!((position, records.next_offset), (read.len(), next_offset), "from {from}");
        let is_first_alone = count == 1 && limits.whole_first_batch;
        assert!(read.len() <= limits.max_bytes || is_first_alone, "{} of {limits:?}", read.len());
        if let (0, Some(first)) = (count, expected.first()) {
            let is_too_large = first.bytes.len() > limits.max_bytes && !limits.whole_first_batch;
            assert!(is_too_large || first.base_offset.max(from) >= limits.upper_offset, "nothing at {from}");
        }
        next_offset
    }

    /// Timestamp and offset of each readable record.
    fn records(&self) -> impl Iterator<Item = (i64, i64)> {
        let all = self.written.iter().flat_map(|batch| (batch.base_offset..).zip(&batch.timestamps));
        all.filter(|(offset, _)| *offset >= self.start).map(|(offset, timestamp)| (*timestamp, offset))
    }

    fn find_time(&mut self) {
        let timestamp = self.random.between(NOW - 150, self.now_ms + 150);
        let expected = self.records().find(|(at, _)| *at >= timestamp);
        let found = self.log.offset_for_timestamp(timestamp).unwrap();
        assert_eq!(found.map(|found| (found.timestamp, found.offset)), expected, "at {timestamp}");
    }

    /// The first of the largest; where deleted records that still lie in a segment were as late, those or none.
    fn find_largest(&mut self) {
        let largest = self.records().map(|(at, _)| at).max().filter(|at| *at >= 0);
        let expected = self.records().find(|(at, _)| Some(*at) == largest);
        let found = self.log.max_timestamp().unwrap().map(|found| (found.timestamp, found.offset));
        let gone = self.written.iter().filter(|batch| batch.base_offset < self.start);
        let largest_gone = gone.flat_map(|batch| &batch.timestamps).max().copied();
        let is_among_gone = largest_gone >= largest && found.is_none_or(|(_, offset)| offset < self.start);
        assert!(found == expected || is_among_gone, "{found:?}, not {expected:?}");
    }

    fn check_facts(&mut self) {
        let log = &self.log;
        assert_eq!((log.start_offset().unwrap(), log.end_offset().unwrap()), (self.start, self.end));
        let readable = self.batches_from(self.start);
        let least: u64 = readable.iter().map(|batch| batch.bytes.len() as u64).sum();
        let all: u64 = self.written.iter().map(|batch| batch.bytes.len() as u64).sum();
        assert!((least..=all).contains(&log.size().unwrap()));
        for batch in readable.iter().filter(|batch| batch.last_offset() >= self.epochs_from) {
            let epoch = log.epoch_at(batch.last_offset()).unwrap();
            assert_eq!(epoch, Some(batch.leader_epoch), "at {}", batch.last_offset());
        }
        for producer in log.producers().unwrap() {
            let known = self.sent_by(producer.producer_id);
            let Some((at, last, count)) = known.last() else { continue };
            if self.written[*at].base_offset >= self.on_disk_from {
                let told = (producer.producer_epoch, producer.last_sequence);
                assert_eq!(told, (last.epoch, last.sequence + *count as i32 - 1), "{producer:?}");
            }
        }
    }

    fn check_all(&mut self) {
        self.check_facts();
        let mut offset = self.start;
        while offset < self.end {
            let limits = ReadLimits { max_bytes: 2000, upper_offset: i64::MAX, whole_first_batch: true };
            let next_offset = self.check_read(offset, limits);
            assert!(next_offset > offset, "stuck at {offset}");
            offset = next_offset;
        }
    }
}

#[test]
fn the_local_engine_does_what_the_model_does() {
    for_seeds(1500, |seed| Run::new(seed, Some(SimulatedDisk::default())).run());
}

#[test]
fn the_memory_engine_does_what_the_model_does() {
    for_seeds(1500, |seed| Run::new(seed, None).run());
}
