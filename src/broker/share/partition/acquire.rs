//! Giving records to a member.

use super::batch::{Batch, Delivery, Lock, MemberId, RecordState, Run};
use super::{Settings, SharePartition};

/// How far a fetch may go past the records that it asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireMode {
    /// Whole batches of the log, so that no batch is sent to two members.
    BatchOptimized,
    /// Never more than `max_records` (KIP-1206).
    RecordLimit,
}

/// A batch of the log, as far as acquiring must know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogBatch {
    pub base_offset: i64,
    pub last_offset: i64,
}

/// A member's fetch, and what the log gave for it.
#[derive(Clone, Debug)]
pub struct Acquire<'a> {
    pub member: &'a MemberId,
    pub mode: AcquireMode,
    /// New records are cut into batches of about so many, at the borders of the log's batches.
    pub batch_size: i64,
    pub max_records: i64,
    /// What [`SharePartition::next_fetch_offset`] said before the log was read.
    pub fetch_offset: i64,
    pub log_batches: &'a [LogBatch],
    pub now_ms: i64,
}

/// Records that a member now has, with the number of times that they were delivered by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquired {
    pub first_offset: i64,
    pub last_offset: i64,
    pub delivery_count: i16,
}

impl Acquired {
    pub fn count(&self) -> i64 {
        self.last_offset - self.first_offset + 1
    }
}

/// What an acquire has given so far.
struct Given {
    acquired: Vec<Acquired>,
    count: i64,
}

impl Given {
    fn add(&mut self, acquired: Vec<Acquired>) {
        self.count += acquired.iter().map(Acquired::count).sum::<i64>();
        self.acquired.extend(acquired);
    }
}

/// From half of its deliveries on, a record is given in ever smaller company; at the last one, alone: so that one bad
/// record does not take the others' deliveries with it.
fn throttle_from(delivery_count_limit: i16) -> i16 {
    (delivery_count_limit / 2 + delivery_count_limit % 2).max(2)
}

impl SharePartition {
    /// Gives the member what is available of the batches that were read.
    pub fn acquire(&mut self, acquire: &Acquire<'_>, settings: &Settings) -> Vec<Acquired> {
        let (Some(first), Some(last)) = (acquire.log_batches.first(), acquire.log_batches.last()) else {
            return Vec::new();
        };
        let (max_records, last_offset) = self.room(acquire, last.last_offset, settings);
        if last.last_offset < self.start_offset || max_records <= 0 {
            return Vec::new();
        }
        self.archive_compacted(acquire.fetch_offset, first.base_offset);
        let lock = Lock {
            member: acquire.member.clone(),
            deadline_ms: acquire.now_ms.saturating_add(settings.record_lock_duration_ms),
        };
        self.acquire_up_to(acquire, &lock, first.base_offset, last_offset, max_records, settings)
    }

    /// How many records may be given, and up to which offset: when no more may be in flight, only what is already.
    fn room(&self, acquire: &Acquire<'_>, last_offset: i64, settings: &Settings) -> (i64, i64) {
        let room = settings.max_record_locks - self.in_flight_records();
        if room > 0 {
            return (acquire.max_records.min(room), last_offset);
        }
        let known = self.next_offset - acquire.fetch_offset;
        (acquire.max_records.min(known), last_offset.min(self.next_offset - 1))
    }

    /// Between what was asked for and what the log gave there is nothing any more.
    fn archive_compacted(&mut self, fetch_offset: i64, base_offset: i64) {
        let _all = self.for_runs::<()>(fetch_offset, base_offset - 1, |run| {
            if run.delivery.state == RecordState::Available {
                run.delivery.state = RecordState::Archived;
                run.pending = None;
            }
            std::ops::ControlFlow::Continue(())
        });
    }

    fn acquire_up_to(
        &mut self,
        acquire: &Acquire<'_>,
        lock: &Lock,
        base_offset: i64,
        last_offset: i64,
        max_records: i64,
        settings: &Settings,
    ) -> Vec<Acquired> {
        let mut given = Given { acquired: Vec::new(), count: 0 };
        let from = self.floor(base_offset).unwrap_or(base_offset);
        let known: Vec<i64> = self.batches.range(from..=last_offset).map(|(first, _)| *first).collect();
        let mut after = base_offset.max(self.start_offset);
        for key in known {
            if given.count >= max_records {
                break;
            }
            let Some(mut batch) = self.batches.get_mut(&key) else { continue };
            after = after.max(batch.last_offset() + 1);
            let remaining = max_records - given.count;
            if batch.is_unseen {
                let first = batch.first_offset().max(base_offset);
                let last = batch.last_offset().min(last_offset);
                let range = (first, aligned_end(acquire.log_batches, first, last, remaining));
                let Some(taken) = self.take_from_gap(key, range) else { continue };
                batch = taken;
            }
            let is_throttled =
                is_throttled(batch, base_offset, last_offset, throttle_from(settings.delivery_count_limit));
            if is_throttled && given.count > 0 {
                return given.acquired;
            }
            let limit = if acquire.mode == AcquireMode::RecordLimit { remaining } else { i64::MAX };
            given.add(acquire_in(batch, (base_offset, last_offset), limit, lock, settings));
            if is_throttled && given.count > 0 {
                return given.acquired;
            }
        }
        if given.count < max_records {
            given.add(self.acquire_new(acquire, lock, (after, last_offset), max_records - given.count));
        }
        given.acquired
    }

    /// Records that nobody was given before, at the end of what is known.
    fn acquire_new(
        &mut self,
        acquire: &Acquire<'_>,
        lock: &Lock,
        (first, last): (i64, i64),
        max_records: i64,
    ) -> Vec<Acquired> {
        if first > last {
            return Vec::new();
        }
        if self.batches.is_empty() {
            self.start_offset = first;
        }
        let last = aligned_end(acquire.log_batches, first, last, max_records);
        let (batches, acquired) = new_batches(acquire, lock, (first, last), max_records);
        batches.into_iter().for_each(|batch| self.insert(batch));
        self.next_offset = self.next_offset.max(last + 1);
        acquired
    }

    /// Makes the records of a gap that were read now a batch of their own; what is left of the gap stays one.
    fn take_from_gap(&mut self, key: i64, (first, last): (i64, i64)) -> Option<&mut Batch> {
        let mut gap = self.batches.remove(&key)?;
        let before = gap.split_before(first);
        let mut taken = gap.runs.split_off(before);
        self.insert_gap(gap.runs);
        let mut batch = Batch::new(std::mem::take(&mut taken));
        let after = batch.split_before(last.saturating_add(1));
        self.insert_gap(batch.runs.split_off(after));
        if batch.runs.is_empty() {
            return None;
        }
        let first = batch.first_offset();
        Some(self.batches.entry(first).or_insert(Batch::new(batch.runs)))
    }

    fn insert_gap(&mut self, runs: Vec<Run>) {
        if !runs.is_empty() {
            self.insert(Batch { is_unseen: true, ..Batch::new(runs) });
        }
    }
}

/// Whether a record that may be given has been delivered so often that it is given in smaller company.
fn is_throttled(batch: &Batch, first: i64, last: i64, from_count: i16) -> bool {
    let in_range = |run: &&Run| run.last_offset >= first && run.first_offset <= last;
    let available = batch.runs.iter().filter(in_range).filter(|run| run.is_available());
    available.map(|run| run.delivery.count).max().unwrap_or(0) >= from_count
}

/// Gives what is available of a batch that was fetched before: at most `limit` records.
fn acquire_in(
    batch: &mut Batch,
    (first, last): (i64, i64),
    limit: i64,
    lock: &Lock,
    settings: &Settings,
) -> Vec<Acquired> {
    let throttle_from = throttle_from(settings.delivery_count_limit);
    let is_counted = settings.delivery_count_limit > 2;
    let (mut acquired, mut count, mut company) = (Vec::new(), 0, None);
    let mut offset = first.max(batch.first_offset());
    while offset <= last {
        let at = batch.split_before(offset);
        let Some(run) = batch.runs.get(at) else { break };
        let (run_last, deliveries) = (run.last_offset, run.delivery.count);
        if !run.is_available() {
            offset = run_last + 1;
            continue;
        }
        let is_last_delivery = is_counted && deliveries == settings.delivery_count_limit - 1;
        if is_last_delivery && count > 0 {
            break;
        }
        if deliveries >= throttle_from && company.is_none() {
            let halvings = u32::from((deliveries - throttle_from + 1).unsigned_abs());
            company = Some(batch.size.checked_shr(halvings).unwrap_or(0).max(1));
        }
        let mut most = (run_last.min(last) - offset + 1).min(limit - count);
        if let Some(company) = company.filter(|company| *company > count) {
            most = most.min(company - count);
        }
        if is_last_delivery {
            most = 1;
        }
        offset += most;
        batch.split_before(offset);
        let run = &mut batch.runs[at];
        run.delivery.state = RecordState::Acquired;
        run.delivery.count = run.delivery.count.saturating_add(1);
        run.delivery.lock = Some(lock.clone());
        push(&mut acquired, run);
        count += most;
        if is_last_delivery || count >= limit || company == Some(count) {
            break;
        }
    }
    batch.merge();
    acquired
}

/// Adds a run, joined with the one before where they meet.
fn push(acquired: &mut Vec<Acquired>, run: &Run) {
    match acquired.last_mut() {
        Some(before)
            if before.last_offset + 1 == run.first_offset && before.delivery_count == run.delivery.count =>
        {
            before.last_offset = run.last_offset;
        }
        _ => acquired.push(Acquired {
            first_offset: run.first_offset,
            last_offset: run.last_offset,
            delivery_count: run.delivery.count,
        }),
    }
}

/// Where new records end: `last`, or the end of the log's batch in which `max_records` are reached.
fn aligned_end(log_batches: &[LogBatch], first: i64, last: i64, max_records: i64) -> i64 {
    if max_records > last - first {
        return last;
    }
    let reached = first.saturating_add(max_records) - 1;
    let holder = log_batches.iter().take_while(|batch| batch.base_offset <= reached).last();
    holder.map_or(reached, |batch| batch.last_offset.max(reached)).min(last)
}

/// New batches of `first..=last`, and what the member has of them.
fn new_batches(
    acquire: &Acquire<'_>,
    lock: &Lock,
    (first, last): (i64, i64),
    max_records: i64,
) -> (Vec<Batch>, Vec<Acquired>) {
    let delivery = Delivery { state: RecordState::Acquired, count: 1, lock: Some(lock.clone()) };
    if acquire.mode == AcquireMode::RecordLimit {
        let given_last = last.min(first.saturating_add(max_records) - 1);
        let mut runs = vec![Run::new(first, given_last, delivery)];
        if given_last < last {
            runs.push(Run::new(given_last + 1, last, Delivery::available(0)));
        }
        let acquired = vec![Acquired { first_offset: first, last_offset: given_last, delivery_count: 1 }];
        return (vec![Batch::new(runs)], acquired);
    }
    let mut acquired = Vec::new();
    let mut from = first;
    if last - first >= acquire.batch_size {
        for batch in acquire.log_batches.iter().take_while(|batch| batch.base_offset <= last) {
            if batch.base_offset - from >= acquire.batch_size.max(1) {
                acquired.push(Acquired {
                    first_offset: from,
                    last_offset: batch.base_offset - 1,
                    delivery_count: 1,
                });
                from = batch.base_offset;
            }
        }
    }
    acquired.push(Acquired { first_offset: from, last_offset: last, delivery_count: 1 });
    let run = |cut: &Acquired| Run::new(cut.first_offset, cut.last_offset, delivery.clone());
    (acquired.iter().map(|cut| Batch::new(vec![run(cut)])).collect(), acquired)
}

/// What is left of acquired records without `hidden` ranges, which are in order.
pub fn without(acquired: Vec<Acquired>, hidden: &[(i64, i64)]) -> Vec<Acquired> {
    let mut left = Vec::with_capacity(acquired.len());
    for mut given in acquired {
        for (first, last) in hidden {
            if *last < given.first_offset || *first > given.last_offset {
                continue;
            }
            if *first > given.first_offset {
                left.push(Acquired { last_offset: first - 1, ..given });
            }
            given.first_offset = last + 1;
        }
        if given.first_offset <= given.last_offset {
            left.push(given);
        }
    }
    left
}
