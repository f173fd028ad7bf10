//! Appends of every kind, with the answers that they may have.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use ottla_protocol::batch::{BatchBuilder, TimestampType, ValidatedBatches};
use ottla_protocol::codec::Compression;

use super::Run;
use super::ledger::{Kind, Ledger, Producer, Sent, Written};
use crate::{AppendContext, AppendError, Beginning, Commit, Origin, StorageError};

/// What an append may be answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Taken,
    Duplicate(i64),
    OutOfOrder,
    Fenced,
    /// For a segment: checked before the rest.
    TooLarge,
    InvalidTxnState,
    /// By the disk.
    Failed,
}

/// Of transactional producers.
const FIRST_TRANSACTIONAL: i64 = 11;
const LAST_TRANSACTIONAL: i64 = 14;

impl Run {
    pub(super) fn append_plain(&mut self, at: usize) {
        let count = if self.random.is_one_in(3) { self.random.between(2, 4) } else { 1 };
        let built = (0..count).map(|_| self.build(BatchBuilder::new(), None).build());
        let batches = ValidatedBatches::internal(built.collect::<Vec<_>>());
        let answer = self.append(at, batches, Kind::Plain, None, Origin::Client);
        assert!(matches!(answer, Answer::Taken | Answer::TooLarge | Answer::Failed), "{answer:?}");
    }

    /// As a producer's next batch, or as one that comes again, too early, from an old or a new epoch.
    pub(super) fn append_idempotent(&mut self, at: usize) {
        let id = self.random.between(1, 3);
        let ledger = &self.ledgers[at];
        let known = ledger.sent_by(id);
        let count = |place: usize| ledger.written[place].count();
        let next = known
            .last()
            .map(|(place, sent)| Sent { sequence: sent.sequence + count(*place) as i32, ..*sent });
        let (sent, count) = match (self.random.below(10), next) {
            (0..2, Some(_)) => {
                let again = self.random.below(7.min(known.len() as u64)) as usize;
                let (place, sent) = known[known.len() - 1 - again];
                (sent, Some(count(place)))
            }
            (2, Some(next)) => (Sent { sequence: next.sequence + 1, ..next }, None),
            (3, Some(next)) => (Sent { epoch: next.epoch + 1, sequence: 0, ..next }, None),
            (4, Some(next)) if next.epoch > 0 => (Sent { epoch: next.epoch - 1, sequence: 0, ..next }, None),
            (_, Some(next)) => (next, None),
            (_, None) => (Sent { id, epoch: 0, sequence: 0 }, None),
        };
        let builder = BatchBuilder::new().producer(sent.id, sent.epoch, sent.sequence);
        let builder = self.build(builder, count);
        let allowed = answers(&self.ledgers[at], &known, sent, builder.records_count() as usize);
        let batches = ValidatedBatches::internal([builder.build()]);
        let answer = self.append(at, batches, Kind::Plain, Some(sent), Origin::Client);
        let is_allowed = allowed.is_empty()
            || matches!(answer, Answer::TooLarge | Answer::Failed)
            || allowed.contains(&answer);
        assert!(is_allowed, "{sent:?}: {answer:?}, not {allowed:?}");
    }

    pub(super) fn append_transactional(&mut self, at: usize) {
        let id = self.random.between(FIRST_TRANSACTIONAL, LAST_TRANSACTIONAL);
        let (log, ledger) = (self.log(at), &mut self.ledgers[at]);
        let Producer { epoch, next_sequence } = *ledger.producers.entry(id).or_default();
        let beginning = Beginning {
            producer_id: id,
            producer_epoch: epoch,
            base_sequence: next_sequence,
            supports_epoch_bump: self.random.is_one_in(2),
        };
        let guard = match log.begin_verification(&beginning, self.now_ms) {
            Ok(guard) => guard,
            Err(error) => return self.accept(&error),
        };
        let is_known = ledger.is_known(id);
        let last = ledger.written.iter().rfind(|batch| batch.sent.is_some_and(|sent| sent.id == id));
        let is_ongoing =
            last.is_some_and(|last| !last.is_marker() && last.sent.is_some_and(|sent| sent.epoch == epoch));
        assert!(guard.is_none() == is_ongoing || !is_known, "{beginning:?}: {guard:?}");
        let builder = BatchBuilder::new().transactional().producer(id, epoch, next_sequence);
        let builder = self.build(builder, None);
        let count = builder.records_count();
        let batches = ValidatedBatches::internal([builder.build()]);
        let sent = Some(Sent { id, epoch, sequence: next_sequence });
        let origin = guard.map_or(Origin::Client, Origin::VerifiedClient);
        if guard.is_some() {
            let refused = self.append(at, batches.clone(), Kind::Transactional, sent, Origin::Client);
            let is_refused = matches!(refused, Answer::InvalidTxnState | Answer::TooLarge | Answer::Failed);
            assert!(is_refused, "not verified: {refused:?}");
        }
        match self.append(at, batches, Kind::Transactional, sent, origin) {
            Answer::Taken => self.producer(at, id).next_sequence += count,
            Answer::TooLarge | Answer::Failed => return,
            answer => {
                assert!(!is_known, "{answer:?}");
                *self.producer(at, id) = Producer { epoch: epoch + 1, next_sequence: 0 };
                return;
            }
        }
        if self.random.is_one_in(4) {
            let sent = Sent { id, epoch, sequence: next_sequence + count };
            let plain = BatchBuilder::new().producer(id, epoch, sent.sequence);
            let batches = ValidatedBatches::internal([self.build(plain, None).build()]);
            let refused = self.append(at, batches, Kind::Plain, Some(sent), Origin::Client);
            let is_refused = matches!(refused, Answer::InvalidTxnState | Answer::TooLarge | Answer::Failed);
            assert!(is_refused, "outside of the open transaction: {refused:?}");
        }
    }

    /// Of version 1, with the epoch of the records, or of version 2, with the next one.
    pub(super) fn end_transaction(&mut self, at: usize) {
        let id = self.random.between(FIRST_TRANSACTIONAL, LAST_TRANSACTIONAL);
        let producer = *self.producer(at, id);
        let (kind, code) = self.random.pick(&[(Kind::Commit, 1), (Kind::Abort, 0)]);
        let transaction_version = self.random.between(1, 2) as i16;
        let epoch = if transaction_version == 2 { producer.epoch + 1 } else { producer.epoch };
        let mut marker = BatchBuilder::new().transactional().control().producer(id, epoch, -1);
        marker.append(self.now_ms, Some(&[0, 0, 0, code]), Some(&[0; 6]));
        let marker = ValidatedBatches::internal([marker.build()]);
        let origin = Origin::Marker { transaction_version };
        let sent = Some(Sent { id, epoch, sequence: -1 });
        let is_known = self.ledgers[at].is_known(id);
        match self.append(at, marker.clone(), kind, sent, origin) {
            Answer::Taken => {}
            Answer::TooLarge | Answer::Failed => return,
            answer => return assert!(!is_known, "{answer:?}"),
        }
        if transaction_version == 2 {
            *self.producer(at, id) = Producer { epoch, next_sequence: 0 };
            // Its answer was lost.
            let again = self.append(at, marker, kind, sent, origin);
            assert!(matches!(again, Answer::Taken | Answer::Failed), "{again:?}");
        }
    }

    fn producer(&mut self, at: usize, id: i64) -> &mut Producer {
        self.ledgers[at].producers.entry(id).or_default()
    }

    /// Fills a batch.
    fn build(&mut self, mut builder: BatchBuilder, count: Option<usize>) -> BatchBuilder {
        let random = &mut self.random;
        let count = count.unwrap_or(random.between(1, 5) as usize);
        let size = match random.below(20) {
            0 => 17_000,
            1..4 => 300,
            _ => random.below(20) as usize,
        };
        if random.is_one_in(10) {
            builder = builder.compression(Compression::Lz4, None);
        }
        let has_no_time = random.is_one_in(20);
        if random.is_one_in(6) {
            builder = builder.log_append_time(1);
        }
        let value: Vec<u8> = (0..size).map(|_| random.next() as u8).collect();
        for n in 0..count {
            let timestamp = if has_no_time { -1 } else { self.now_ms + random.between(-100, 100) };
            let key = [b'k', random.below(8) as u8];
            let is_tombstone = random.is_one_in(6) || (n > 0 && size > 1000);
            let key = (!random.is_one_in(40)).then_some(&key[..]);
            builder.append(timestamp, key, (!is_tombstone).then_some(&value));
        }
        builder
    }

    fn append(
        &mut self,
        at: usize,
        batches: ValidatedBatches,
        kind: Kind,
        sent: Option<Sent>,
        origin: Origin,
    ) -> Answer {
        let (log, size) = (self.log(at), batches.size());
        let ledger = &self.ledgers[at];
        let context = AppendContext { leader_epoch: ledger.leader_epoch, now_ms: self.now_ms, origin };
        let is_too_large = size > ledger.options.segment_bytes as usize;
        let placed = self.place(at, &batches, kind, sent);
        let was_dead = self.is_dead();
        let appended = match log.append(batches, context) {
            Ok(appended) if appended.duplicate => return Answer::Duplicate(appended.base_offset),
            Ok(appended) => appended,
            Err(AppendError::LargerThanSegment { .. }) => {
                assert!(is_too_large);
                return Answer::TooLarge;
            }
            Err(AppendError::OutOfOrderSequence { .. }) => return Answer::OutOfOrder,
            Err(AppendError::InvalidProducerEpoch { .. }) => return Answer::Fenced,
            Err(AppendError::InvalidTxnState { .. }) => return Answer::InvalidTxnState,
            Err(AppendError::Storage(error @ StorageError::NotDurable { .. })) => {
                self.accept_of_flush(at, &error);
                return Answer::Failed;
            }
            Err(AppendError::Storage(error)) => {
                self.accept(&error);
                if !was_dead {
                    self.ledgers[at].maybe = placed;
                }
                return Answer::Failed;
            }
            Err(error) => panic!("{error}"),
        };
        assert!(!is_too_large);
        let ledger = &mut self.ledgers[at];
        assert_eq!((appended.base_offset, appended.log_start_offset), (ledger.end, ledger.start));
        ledger.end = placed.last().map_or(ledger.end, |last| last.last_offset + 1);
        assert_eq!(appended.last_offset, ledger.end - 1);
        ledger.maybe.clear();
        ledger.written.extend(placed);
        let flush_messages = ledger.options.flush_messages;
        match outcome(appended.commit) {
            // So many may be lost that were acknowledged.
            Ok(()) => ledger.flushed = ledger.flushed.max(ledger.end.saturating_sub(flush_messages) + 1),
            Err(error) => self.accept_of_flush(at, &error),
        }
        Answer::Taken
    }

    /// The batches as the log will hold them.
    fn place(&self, at: usize, batches: &ValidatedBatches, kind: Kind, sent: Option<Sent>) -> Vec<Written> {
        let ledger = &self.ledgers[at];
        let mut end = ledger.end;
        let placed = batches.batches.iter().map(|batch| {
            let is_append_time = batch.timestamp_type() == TimestampType::LogAppendTime;
            let append_time = is_append_time.then_some(self.now_ms);
            let assigned = batch.clone().assign(end, ledger.leader_epoch, append_time);
            end = assigned.next_offset();
            Written::of(&assigned, kind, sent)
        });
        placed.collect()
    }
}

/// What the disk says, at once or when the worker has asked it.
fn outcome(mut commit: Commit) -> Result<(), StorageError> {
    loop {
        match Pin::new(&mut commit).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => return outcome,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

/// What the log may answer an idempotent producer; nothing: it may have forgotten it.
fn answers(ledger: &Ledger, known: &[(usize, Sent)], sent: Sent, count: usize) -> Vec<Answer> {
    let Some((last, current)) = known.last() else {
        // A snapshot may tell of what a power cut took out of the middle.
        return if ledger.had_power_cut { Vec::new() } else { vec![Answer::Taken] };
    };
    let mut recent = known.iter().rev().take(6);
    let may_be_gone = |place: usize| {
        let batch = &ledger.written[place];
        // A log that was put away has read no more than is readable.
        batch.base_offset < ledger.on_disk_from.max(ledger.start) || batch.is_gone()
    };
    if ledger.had_power_cut && recent.any(|(place, _)| may_be_gone(*place)) {
        return Vec::new(); // its batches were deleted, and the snapshot perhaps lost
    }
    if sent.epoch < current.epoch {
        return vec![Answer::Fenced];
    }
    let of_epoch = known.iter().rev().take_while(|(_, sent)| sent.epoch == current.epoch);
    // A snapshot tells of the last one; those before it are recalled from the log, up to the first that is gone.
    let mut may_be_forgotten = false;
    for (nth, (place, earlier)) in of_epoch.take(5).enumerate() {
        may_be_forgotten |= nth > 0 && may_be_gone(*place);
        if *earlier == sent && ledger.written[*place].count() == count {
            let mut answers = vec![Answer::Duplicate(ledger.written[*place].base_offset)];
            answers.extend(may_be_forgotten.then_some(Answer::OutOfOrder));
            return answers;
        }
    }
    let follows = match sent.epoch == current.epoch {
        true => sent.sequence == current.sequence + ledger.written[*last].count() as i32,
        false => sent.sequence == 0,
    };
    vec![if follows { Answer::Taken } else { Answer::OutOfOrder }]
}
