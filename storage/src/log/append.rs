//! Appending: offsets, sequence checks, the write, then what the write means for producers and epochs.

use ottla_protocol::batch::{TimestampType, ValidatedBatches};

use super::{Log, OpenLog};
use crate::batch_info::{BatchInfo, Marker};
use crate::commit::Commit;
use crate::error::{AppendError, StorageError};
use crate::options::{LogId, LogOptions};
use crate::producers::Place;
use crate::store::{Note, Placed};
use crate::verification::VerificationGuard;

/// Who appends, and so what is checked. Only a client's batches are held against its producer's sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A client; records of a transaction are taken only while it goes on here.
    Client,
    /// A client whose transaction the coordinator was asked about: its records may begin it here.
    VerifiedClient(VerificationGuard),
    /// A coordinator; records of a transaction are taken only while it goes on here.
    Coordinator,
    /// A coordinator that writes for a producer whose transaction was verified.
    VerifiedCoordinator(VerificationGuard),
    /// The coordinator of transactions, which ends one that is of this version.
    Marker { transaction_version: i16 },
}

impl Origin {
    fn is_client(self) -> bool {
        matches!(self, Self::Client | Self::VerifiedClient(_))
    }

    fn guard(self) -> Option<VerificationGuard> {
        match self {
            Self::VerifiedClient(guard) | Self::VerifiedCoordinator(guard) => Some(guard),
            Self::Client | Self::Coordinator | Self::Marker { .. } => None,
        }
    }
}

/// What an append is told beside the batches.
#[derive(Debug, Clone, Copy)]
pub struct AppendContext {
    /// Of the partition's leader: written into each batch.
    pub leader_epoch: i32,
    pub now_ms: i64,
    pub origin: Origin,
}

/// What became of an append.
#[derive(Debug, Clone)]
pub struct Appended {
    pub base_offset: i64,
    pub last_offset: i64,
    /// The broker's time under `message.timestamp.type=LogAppendTime`, and for a duplicate the first one's largest
    /// timestamp, as Kafka answers; else -1.
    pub log_append_time_ms: i64,
    pub log_start_offset: i64,
    /// The batch was written before (the producer retried): nothing new is in the log, the offsets are the old ones.
    pub duplicate: bool,
    /// Ready when the append may be acknowledged.
    pub commit: Commit,
}

impl Log {
    /// Appends whole batches, all or none.
    pub fn append(&self, batches: ValidatedBatches, context: AppendContext) -> Result<Appended, AppendError> {
        let mut inner = self.lock();
        let super::Inner { options, state } = &mut *inner;
        let log = self.open(options, state)?;
        log.last_used_ms = context.now_ms;
        if log.has_flush_failed {
            return Err(StorageError::NotDurable { log: self.id.to_string() }.into());
        }
        let (placed, log_append_time_ms) = log.place(batches, &context)?;
        let appended = log.appended(&placed, log_append_time_ms);
        let size: u64 = placed.iter().map(|batch| u64::from(batch.info.size)).sum();
        if size > u64::from(options.segment_bytes) {
            return Err(larger_than_segment(&self.id, size, options));
        }
        if let Some(duplicate) = log.check_producers(&placed, context.origin, &self.id, &appended)? {
            return Ok(duplicate);
        }

        let submitted = log.store.submit(&placed, options, context.now_ms)?;
        // What follows cannot undo the write, so it only warns: notes can be made again from the batches.
        if let Some(offset) = submitted.rolled_at {
            log.note_producers(offset, &self.id);
        }
        log.replay(&placed, &self.id);
        if let Some(tail) = &mut log.tail {
            placed.iter().for_each(|batch| tail.push(batch));
        }
        log.end_offset = appended.last_offset + 1;
        log.unflushed_since_ms.get_or_insert(context.now_ms);
        log.unflushed_bytes += size;

        let mut commit = submitted.commit;
        let flush_now = log.end_offset.saturating_sub(log.recovery_point) >= options.flush_messages;
        if flush_now && commit.is_ready() {
            let (pending, promise) = Commit::pending();
            log.waiting.push(promise);
            commit = pending;
        }
        if commit.is_ready() {
            log.producers.committed_up_to(log.end_offset);
        }
        let queue_flush = (flush_now || submitted.rolled_at.is_some()) && !log.is_flush_queued;
        log.is_flush_queued |= queue_flush;
        let joins = !std::mem::replace(&mut log.is_active, true);
        drop(inner);
        if joins {
            self.shared.join_active(&self.id);
        }
        if queue_flush {
            self.shared.flush_soon(&self.id);
        }
        Ok(Appended { commit, ..appended })
    }
}

impl OpenLog {
    /// Gives the batches their offsets. The time is the log's where the topic wants that.
    fn place(
        &self,
        batches: ValidatedBatches,
        context: &AppendContext,
    ) -> Result<(Vec<Placed>, i64), StorageError> {
        let mut next_offset = self.end_offset;
        let mut log_append_time_ms = -1;
        let mut placed = Vec::with_capacity(batches.batches.len());
        for batch in batches.batches {
            let append_time =
                (batch.timestamp_type() == TimestampType::LogAppendTime).then_some(context.now_ms);
            log_append_time_ms = append_time.unwrap_or(log_append_time_ms);
            let bytes = batch.assign(next_offset, context.leader_epoch, append_time).into_bytes();
            let info = BatchInfo::parse(&bytes)
                .ok_or_else(|| StorageError::corrupt("a batch was appended that is none"))?;
            next_offset = info.next_offset();
            placed.push(Placed { info, bytes });
        }
        Ok((placed, log_append_time_ms))
    }

    fn appended(&self, placed: &[Placed], log_append_time_ms: i64) -> Appended {
        Appended {
            base_offset: self.end_offset,
            last_offset: placed.last().map_or(self.end_offset - 1, |batch| batch.info.last_offset),
            log_append_time_ms,
            log_start_offset: self.start_offset,
            duplicate: false,
            commit: Commit::ready(),
        }
    }

    /// The answer for a batch that is in the log already; an error for one that may not follow its producer's last.
    fn check_producers(
        &self,
        placed: &[Placed],
        origin: Origin,
        id: &LogId,
        appended: &Appended,
    ) -> Result<Option<Appended>, AppendError> {
        for batch in placed.iter().filter(|batch| batch.info.has_producer()) {
            if origin.is_client()
                && let Some(known) = self.producers.find_duplicate(&batch.info)
            {
                return Ok(Some(Appended {
                    base_offset: known.first_offset(),
                    last_offset: known.last_offset,
                    log_append_time_ms: known.timestamp,
                    duplicate: true,
                    // The first one may still be on its way to the disk: the retry waits with it.
                    commit: self
                        .waiting
                        .last()
                        .or(self.flushing.as_ref())
                        .cloned()
                        .map_or_else(Commit::ready, Commit::waiting_for),
                    ..appended.clone()
                }));
            }
            self.check_producer(batch, origin, id)?;
        }
        Ok(None)
    }

    fn check_producer(&self, batch: &Placed, origin: Origin, id: &LogId) -> Result<(), AppendError> {
        let Placed { info, bytes } = batch;
        let at = Place { log: id, offset: info.base_offset };
        if info.is_control() {
            let transaction_version = match origin {
                Origin::Marker { transaction_version } => transaction_version,
                _ => 0,
            };
            let marker = Marker::parse(bytes);
            return marker
                .map_or(Ok(()), |marker| self.producers.check_marker(info, marker, transaction_version, at));
        }
        if info.is_transactional()
            && !self.producers.has_ongoing_transaction(info.producer_id, info.producer_epoch)
            && !origin.guard().is_some_and(|guard| self.verifications.confirms(info.producer_id, guard))
        {
            let message = "Record was not part of an ongoing transaction".to_owned();
            return Err(AppendError::InvalidTxnState { message });
        }
        self.producers.check_epoch(info.producer_id, info.producer_epoch, at)?;
        if origin.is_client() {
            self.producers.check_sequence(info, self.verifications.of(info.producer_id), at)?;
        }
        self.producers.check_transactional(info, at)
    }

    fn replay(&mut self, placed: &[Placed], id: &LogId) {
        let mut has_new_epoch = false;
        for Placed { info, bytes } in placed {
            has_new_epoch |= self.epochs.assign(info.leader_epoch, info.base_offset);
            let marker = if info.is_control() { Marker::parse(bytes) } else { None };
            if info.is_transactional() {
                self.verifications.end(info.producer_id);
            }
            if let Some(aborted) = self.producers.replay(info, marker) {
                warn(id, self.store.note(Note::Aborted(aborted)));
            }
        }
        if has_new_epoch {
            warn(id, self.store.note(Note::Epochs(&self.epochs.encode())));
        }
    }

    pub(super) fn note_producers(&mut self, offset: i64, id: &LogId) {
        if self.last_snapshot == offset {
            return;
        }
        let encoded = self.producers.encode();
        let noted = self.store.note(Note::Producers { offset, encoded: &encoded });
        if noted.is_ok() {
            self.last_snapshot = offset;
        }
        warn(id, noted);
    }
}

pub(super) fn warn(id: &LogId, outcome: Result<(), StorageError>) {
    if let Err(error) = outcome {
        tracing::warn!(log = %id, %error, "could not note the log's state; it will be rebuilt from the batches");
    }
}

fn larger_than_segment(id: &LogId, size: u64, options: &LogOptions) -> AppendError {
    let limit = options.segment_bytes;
    AppendError::LargerThanSegment {
        message: format!(
            "Message batch size is {size} bytes in append to partition {id}, which exceeds the maximum configured segment size of {limit}."
        ),
    }
}
