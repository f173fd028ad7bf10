//! A share partition under bad luck: members that stall, writes that fail, leaders that crash and read again what the
//! persister has, a log that loses its beginning. After each step every record is looked at.
//!
//! `OTTLA_SIMULATOR_SEEDS=100000` runs more seeds, `OTTLA_SIMULATOR_FIRST_SEED=4711` starts at one that failed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::*;
use crate::coordinator::chance::{Chance, for_each_seed};

const SETTINGS: Settings = Settings {
    record_lock_duration_ms: 1_000,
    delivery_count_limit: 4,
    max_record_locks: 40,
    renew_acknowledge_enabled: true,
};
const STEPS: u64 = 120;
const MEMBERS: [&str; 3] = ["a", "b", "c"];

#[test]
fn share_partitions_survive_bad_luck() {
    for_each_seed(2_000, |seed| Simulation::new(seed).run());
}

struct Simulation {
    chance: Chance,
    now_ms: i64,
    partition: SharePartition,
    log: Vec<LogBatch>,
    log_start_offset: i64,
    records: BTreeMap<i64, Record>,
    /// Changes that the persister has not answered yet, oldest first.
    writes: VecDeque<Change>,
    persister: Persister,
    start_offset: i64,
}

/// What the outside world has seen of a record.
#[derive(Clone, Default)]
struct Record {
    owner: Option<(&'static str, i64)>,
    deliveries: i16,
    /// The member was told that its accept or reject stands.
    is_done: bool,
    /// The log has lost it.
    is_lost: bool,
    /// Its last lock has ended. Whether the persister knows does not matter to the leader, as long as there is the same.
    is_used_up: bool,
}

#[derive(Default)]
struct Persister {
    start_offset: i64,
    states: BTreeMap<i64, (RecordState, i16)>,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        Simulation {
            chance: Chance::new(seed),
            now_ms: 0,
            partition: SharePartition::restore(0, &[]).expect("an empty state"),
            log: Vec::new(),
            log_start_offset: 0,
            records: BTreeMap::new(),
            writes: VecDeque::new(),
            persister: Persister::default(),
            start_offset: 0,
        }
    }

    fn run(mut self) {
        for _ in 0..STEPS {
            self.step();
            self.check();
        }
        self.finish();
    }

    fn step(&mut self) {
        match self.chance.below(20) {
            0..=3 => self.append(),
            4..=8 => self.acquire(),
            9..=12 => self.acknowledge(),
            13 => self.release(),
            14..=16 => self.answer(),
            17 => self.pass_time(),
            18 if self.chance.one_in(4) => self.crash(),
            19 if self.chance.one_in(4) => self.lose_beginning(),
            _ => {}
        }
    }

    fn append(&mut self) {
        let hole = if self.chance.one_in(8) { self.chance.below(4) as i64 } else { 0 };
        let base_offset = self.log.last().map_or(0, |batch| batch.last_offset + 1) + hole;
        let last_offset = base_offset + self.chance.below(12) as i64;
        self.log.push(LogBatch { base_offset, last_offset });
        (base_offset..=last_offset).for_each(|offset| {
            self.records.insert(offset, Record::default());
        });
    }

    fn acquire(&mut self) {
        let member = MEMBERS[self.chance.below(3) as usize];
        if !self.partition.can_acquire(&SETTINGS) {
            return;
        }
        let fetch_offset = self.partition.next_fetch_offset();
        if fetch_offset < self.log_start_offset {
            // The read is refused, which tells a leader that was restored.
            return self.partition.log_start_moved(self.log_start_offset);
        }
        let batches = 1 + self.chance.below(3) as usize;
        let holds = |batch: &&LogBatch| batch.last_offset >= fetch_offset;
        let read: Vec<LogBatch> = self.log.iter().filter(holds).take(batches).copied().collect();
        let is_limit = self.chance.one_in(2);
        let acquire = Acquire {
            member: &Arc::from(member),
            mode: if is_limit { AcquireMode::RecordLimit } else { AcquireMode::BatchOptimized },
            batch_size: 1 + self.chance.below(10) as i64,
            max_records: self.chance.below(20) as i64,
            fetch_offset,
            log_batches: &read,
            now_ms: self.now_ms,
        };
        let acquired = self.partition.acquire(&acquire, &SETTINGS);
        let count: i64 = acquired.iter().map(Acquired::count).sum();
        assert!(!is_limit || count <= acquire.max_records, "{count} records where fewer were asked for");
        for given in acquired {
            for offset in given.first_offset..=given.last_offset {
                self.deliver(member, offset, given.delivery_count);
            }
        }
    }

    fn deliver(&mut self, member: &'static str, offset: i64, delivery_count: i16) {
        // An offset that compaction has removed is given too: the member says that there is a gap.
        let record = self.records.entry(offset).or_default();
        assert!(!record.is_done, "{offset} is delivered again after it was done with");
        assert!(!record.is_lost, "{offset} is not in the log");
        assert_eq!(record.owner, None, "{offset} is owned by two");
        assert!(delivery_count <= SETTINGS.delivery_count_limit, "{offset} is delivered too often");
        assert_eq!(delivery_count, record.deliveries + 1, "the deliveries of {offset}");
        record.deliveries = delivery_count;
        record.owner = Some((member, self.now_ms + SETTINGS.record_lock_duration_ms));
    }

    fn acknowledge(&mut self) {
        let member = MEMBERS[self.chance.below(3) as usize];
        let Some((first_offset, last_offset)) = self.some_range(member) else { return };
        let kind = |chance: &mut Chance| AcknowledgeType::from_id(chance.below(5) as i8).expect("a type");
        let count = if self.chance.one_in(2) { 1 } else { last_offset - first_offset + 1 };
        let types: Vec<AcknowledgeType> = (0..count).map(|_| kind(&mut self.chance)).collect();
        let acknowledgement = Acknowledgement { first_offset, last_offset, types };
        // What compaction has removed may be nobody's; but no range ends there.
        let owner_is = |offset| self.records.get(&offset).is_some_and(|record| record.owner_is(member));
        let is_skipped = |offset| self.is_compacted(offset) && self.run_of(offset).is_none();
        let is_owner = owner_is(last_offset)
            && (first_offset..last_offset).all(|offset| owner_is(offset) || is_skipped(offset));
        let done = self.partition.acknowledge(
            member,
            std::slice::from_ref(&acknowledgement),
            self.now_ms,
            &SETTINGS,
        );
        match done {
            Ok(change) => {
                assert!(
                    is_owner || last_offset < self.start_offset,
                    "{member} does not own {acknowledgement:?}"
                );
                self.renewed(&acknowledgement);
                self.writes.extend(change);
            }
            Err(_) => {
                assert!(!is_owner, "{member} owns {acknowledgement:?} of {:?}", self.partition);
                // What was renewed before the error stays renewed.
                self.look_at_locks(first_offset, last_offset);
            }
        }
    }

    /// Mostly what the member has; now and then more.
    fn some_range(&mut self, member: &str) -> Option<(i64, i64)> {
        let owned: Vec<i64> = self
            .records
            .iter()
            .filter(|(_, record)| record.owner_is(member))
            .map(|(offset, _)| *offset)
            .collect();
        let at = self.chance.below(owned.len().max(1) as u64) as usize;
        let first = *owned.get(at)?;
        let run =
            owned[at..].iter().zip(first..).take_while(|(offset, next)| **offset == *next).count() as u64;
        let mut last = first + self.chance.below(run) as i64;
        if self.chance.one_in(10) {
            last += 1 + self.chance.below(3) as i64;
        }
        Some((first, last))
    }

    fn renewed(&mut self, acknowledgement: &Acknowledgement) {
        for offset in acknowledgement.first_offset..=acknowledgement.last_offset {
            let at = if acknowledgement.types.len() == 1 { 0 } else { offset - acknowledgement.first_offset };
            let Some(record) = self.records.get_mut(&offset) else { continue };
            if acknowledgement.types[at as usize] != AcknowledgeType::Renew {
                record.owner = None;
            } else if let Some((_, deadline_ms)) = &mut record.owner {
                *deadline_ms = self.now_ms + SETTINGS.record_lock_duration_ms;
            }
        }
    }

    fn release(&mut self) {
        let member = MEMBERS[self.chance.below(3) as usize];
        self.writes.extend(self.partition.release(member, &SETTINGS));
        for record in self.records.values_mut().filter(|record| record.owner_is(member)) {
            record.owner = None;
        }
    }

    /// The persister answers the oldest write, or has lost it.
    fn answer(&mut self) {
        let Some(change) = self.writes.pop_front() else { return };
        let written = if self.chance.one_in(6) { Written::No } else { Written::Yes };
        self.answered(&change, written);
    }

    fn answered(&mut self, change: &Change, written: Written) {
        if written == Written::Yes {
            self.persist(change);
            for state in &change.states {
                for offset in state.first_offset..=state.last_offset {
                    let is_done = state.state.is_terminal();
                    self.records.entry(offset).or_default().is_done |= is_done;
                }
            }
        }
        self.partition.complete(change.transition, written);
        if written == Written::No {
            // What was not written is its member's again.
            change.states.iter().for_each(|state| self.look_at_locks(state.first_offset, state.last_offset));
        }
    }

    fn persist(&mut self, change: &Change) {
        self.persister.start_offset = self.persister.start_offset.max(self.partition.start_offset());
        for state in &change.states {
            for offset in state.first_offset..=state.last_offset {
                self.persister.states.insert(offset, (state.state, state.delivery_count));
            }
        }
        let start = self.persister.start_offset;
        self.persister.states.retain(|offset, _| *offset >= start);
    }

    fn run_of(&self, offset: i64) -> Option<&Run> {
        let batch = self.partition.floor(offset).and_then(|first| self.partition.batches.get(&first));
        batch?.runs.iter().find(|run| run.first_offset <= offset && offset <= run.last_offset)
    }

    fn look_at_locks(&mut self, first_offset: i64, last_offset: i64) {
        for offset in first_offset.max(self.start_offset)..=last_offset {
            let run =
                self.partition.runs().find(|run| run.first_offset <= offset && offset <= run.last_offset);
            let Some(lock) = run.and_then(|run| run.delivery.lock.clone()) else { continue };
            let member = MEMBERS.into_iter().find(|member| **member == *lock.member).expect("a member");
            self.records.entry(offset).or_default().owner = Some((member, lock.deadline_ms));
        }
    }

    fn pass_time(&mut self) {
        self.now_ms += self.chance.below(800) as i64;
        self.expire();
    }

    fn expire(&mut self) {
        let change = self.partition.expire(self.now_ms, &SETTINGS);
        for state in change.iter().flat_map(|change| &change.states).filter(|state| state.state.is_terminal())
        {
            for offset in state.first_offset..=state.last_offset {
                self.records.entry(offset).or_default().is_used_up = true;
            }
        }
        self.writes.extend(change);
        let now_ms = self.now_ms;
        for record in self.records.values_mut() {
            record.owner = record.owner.filter(|(_, deadline_ms)| *deadline_ms > now_ms);
        }
    }

    /// The leader is gone; what was on its way to the persister arrives, or does not.
    fn crash(&mut self) {
        while let Some(change) = self.writes.pop_front() {
            if self.chance.one_in(2) {
                break;
            }
            self.answered(&change, Written::Yes);
        }
        self.writes.clear();
        self.reload();
    }

    fn reload(&mut self) {
        let states: Vec<StateBatch> = self
            .persister
            .states
            .iter()
            .map(|(offset, (state, delivery_count))| StateBatch {
                first_offset: *offset,
                last_offset: *offset,
                state: *state,
                delivery_count: *delivery_count,
            })
            .collect();
        self.partition =
            SharePartition::restore(self.persister.start_offset, &states).expect("a valid state");
        // Deliveries that were not persisted are forgotten, as in Kafka.
        for (offset, record) in &mut self.records {
            record.owner = None;
            // The start that the persister was told of may have passed it.
            record.is_used_up &= *offset < self.persister.start_offset;
            record.deliveries = self.persister.states.get(offset).map_or(0, |(_, count)| *count);
        }
        self.start_offset = self.partition.start_offset();
    }

    fn lose_beginning(&mut self) {
        let end = self.log.last().map_or(0, |batch| batch.last_offset + 1);
        let to = self.log_start_offset + self.chance.below(8) as i64;
        self.log_start_offset = to.min(end);
        self.partition.log_start_moved(self.log_start_offset);
        for record in self.records.range_mut(..self.log_start_offset).map(|(_, record)| record) {
            *record = Record { is_lost: true, is_done: record.is_done, ..Record::default() };
        }
    }

    fn check(&mut self) {
        assert!(self.partition.start_offset() >= self.start_offset, "the start offset goes back");
        for (offset, record) in self.records.range(self.start_offset..self.partition.start_offset()) {
            let is_done = record.is_done || record.is_used_up;
            let is_explained = is_done || record.is_lost || self.is_compacted(*offset);
            assert!(is_explained, "{offset} was skipped");
        }
        self.start_offset = self.partition.start_offset();
        let mut next = None;
        for (first, batch) in &self.partition.batches {
            assert_eq!(*first, batch.first_offset());
            assert!(next.is_none_or(|next| next <= *first), "batches overlap");
            for run in &batch.runs {
                assert!(run.first_offset <= run.last_offset && run.first_offset >= self.start_offset);
                assert_eq!(run.delivery.lock.is_some(), run.is_acquired());
                for offset in run.first_offset..=run.last_offset {
                    let record = self.records.get(&offset).cloned().unwrap_or_default();
                    let owner = run.owner().map(|owner| &**owner);
                    assert_eq!(owner, record.owner.map(|(member, _)| member), "the owner of {offset}");
                    assert!(!record.is_done || run.delivery.state.is_terminal(), "{offset} is done with");
                }
            }
            next = Some(batch.last_offset() + 1);
        }
        assert!(next.is_none_or(|next| next == self.partition.next_offset));
    }

    /// What compaction has removed is archived without a word.
    fn is_compacted(&self, offset: i64) -> bool {
        !self.log.iter().any(|batch| batch.base_offset <= offset && offset <= batch.last_offset)
    }

    /// All calms down, and each record finds its end.
    fn finish(&mut self) {
        while let Some(change) = self.writes.pop_front() {
            self.answered(&change, Written::Yes);
        }
        let end = self.log.last().map_or(0, |batch| batch.last_offset + 1);
        for _ in 0..1_000 {
            if self.partition.start_offset() >= end {
                return;
            }
            self.acquire();
            self.now_ms += SETTINGS.record_lock_duration_ms / 2;
            self.expire();
            while let Some(change) = self.writes.pop_front() {
                self.answered(&change, Written::Yes);
            }
            self.check();
        }
        panic!("stuck at {} of {end}: {:?}", self.partition.start_offset(), self.partition);
    }
}

impl Record {
    fn owner_is(&self, member: &str) -> bool {
        self.owner.is_some_and(|(owner, _)| owner == member)
    }
}
