//! Transactions that commit offsets under bad luck: several at once, beside commits of their own and deletions, with
//! markers that come late or twice, appends that fail, shards that are read again. A transaction's offsets are to be
//! seen all at once, or never.

use std::collections::BTreeMap;

use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::super::commands::*;
use super::super::harness::World;
use super::super::{GroupConfig, GroupOutcome, Producer, records};
use crate::coordinator::chance::{Chance, for_each_seed};
use crate::coordinator::marker::TxnMarker;

const GROUPS: u64 = 2;
const PARTITIONS: u64 = 4;
const PRODUCERS: u64 = 3;

#[test]
fn transactions_are_seen_whole_or_not_at_all() {
    for_each_seed(200, |seed| Simulation::new(seed).run());
}

/// Group and partition.
type Place = (u64, i32);

/// An offset, and when it was written, counted in commits.
type Written = (u64, i64);

struct Simulation {
    world: World,
    chance: Chance,
    /// What is committed.
    committed: BTreeMap<Place, Written>,
    /// By producer, what its open transaction will commit.
    open: BTreeMap<u64, BTreeMap<Place, Written>>,
    commits: u64,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        Simulation {
            world: World::new(GroupConfig::default()),
            chance: Chance::new(seed),
            committed: BTreeMap::new(),
            open: BTreeMap::new(),
            commits: 0,
        }
    }

    fn run(mut self) {
        for _ in 0..80 {
            match self.chance.below(20) {
                0..7 => self.commit_transactional(),
                7..11 => self.end(),
                11..14 => self.commit(),
                14 => self.delete(),
                15 => self.delete_group(),
                16 => self.world.failing_appends = 1,
                17 => self.world.reload(),
                _ => self.world.advance(self.chance.below(60_000) as i64),
            }
            self.check();
        }
        // What is still open can be ended, whatever happened.
        for producer in 0..PRODUCERS {
            self.world.failing_appends = 0;
            self.end_of(producer, true);
        }
        assert!(self.world.shard.hard_state().pending().groups().next().is_none());
        self.check();
    }

    /// Some partitions of one group, with a new offset for each.
    fn offsets(&mut self) -> (u64, Vec<(i32, Written)>) {
        let group = self.chance.below(GROUPS);
        let mut offsets = BTreeMap::new();
        for _ in 0..1 + self.chance.below(3) {
            self.commits += 1;
            let partition = self.chance.below(PARTITIONS) as i32;
            offsets.insert(partition, (self.commits, self.commits as i64));
        }
        (group, offsets.into_iter().collect())
    }

    fn commit_transactional(&mut self) {
        let producer = self.chance.below(PRODUCERS);
        let (group, offsets) = self.offsets();
        let commit = TransactionalCommit {
            group_id: group_id(group),
            producer: Producer { id: producer as i64, epoch: 0 },
            claim: MemberClaim { generation_id: -1, ..MemberClaim::default() },
            topics: topics(&offsets),
        };
        let outcome = self.world.shard.commit_transactional(&commit, self.world.now_ms);
        if self.try_run(outcome).is_some_and(|result| result.is_ok()) {
            let open = self.open.entry(producer).or_default();
            open.extend(offsets.into_iter().map(|(partition, written)| ((group, partition), written)));
        }
    }

    fn end(&mut self) {
        let producer = self.chance.below(PRODUCERS);
        let is_commit = self.chance.one_in(2);
        let again = if self.chance.one_in(5) { 2 } else { 1 };
        (0..again).for_each(|_| self.end_of(producer, is_commit));
    }

    fn end_of(&mut self, producer: u64, is_commit: bool) {
        let marker = TxnMarker {
            producer_id: producer as i64,
            producer_epoch: 0,
            coordinator_epoch: 0,
            is_commit,
            transaction_version: 0,
        };
        let outcome = self.world.shard.end_transaction(marker);
        if self.try_run(outcome).is_none() {
            return;
        }
        for (place, written) in self.open.remove(&producer).into_iter().flatten().filter(|_| is_commit) {
            let committed = self.committed.entry(place).or_insert(written);
            *committed = (*committed).max(written);
        }
    }

    fn commit(&mut self) {
        let (group, offsets) = self.offsets();
        let commit = Commit {
            group_id: group_id(group),
            member_id: StrBytes::new(),
            group_instance_id: None,
            generation_id: -1,
            retention_ms: None,
            api_version: 9,
            topics: topics(&offsets),
        };
        let outcome = self.world.shard.commit(&commit, self.world.now_ms);
        if self.try_run(outcome).is_some_and(|result| result.is_ok()) {
            self.committed
                .extend(offsets.into_iter().map(|(partition, written)| ((group, partition), written)));
        }
    }

    fn delete(&mut self) {
        let place = (self.chance.below(GROUPS), self.chance.below(PARTITIONS) as i32);
        let topics =
            vec![TopicPartitions { name: topic(), topic_id: Uuid::nil(), partitions: vec![place.1] }];
        let outcome = self.world.shard.delete_offsets(&DeleteOffsets { group_id: group_id(place.0), topics });
        if self.try_run(outcome).is_some_and(|result| result.is_ok()) {
            self.forget(|known| *known == place);
        }
    }

    fn delete_group(&mut self) {
        let group = self.chance.below(GROUPS);
        let outcome = self.world.shard.delete(&group_id(group));
        if self.try_run(outcome).is_some_and(|result| result.is_ok()) {
            self.forget(|(known, _)| *known == group);
        }
    }

    fn forget(&mut self, is_gone: impl Fn(&Place) -> bool) {
        self.committed.retain(|place, _| !is_gone(place));
        self.open.values_mut().for_each(|open| open.retain(|place, _| !is_gone(place)));
    }

    /// Does what the outcome says; its records are what their bytes say.
    fn try_run<R>(&mut self, outcome: GroupOutcome<R>) -> Option<R> {
        if !outcome.records.is_empty() {
            let batch = records::to_batch(&outcome.records, self.world.now_ms).expect("a batch");
            assert_eq!(records::from_batch(&batch), Ok(outcome.records.clone()));
        }
        self.world.try_run(outcome)
    }

    fn check(&self) {
        assert_eq!(self.world.shard.hard_state(), self.world.replayed().hard_state());
        for group in 0..GROUPS {
            for require_stable in [false, true] {
                let fetch = FetchOffsets {
                    group_id: group_id(group),
                    member_id: None,
                    member_epoch: -1,
                    require_stable,
                    topics: Some(vec![TopicPartitions {
                        name: topic(),
                        topic_id: Uuid::nil(),
                        partitions: (0..PARTITIONS as i32).collect(),
                    }]),
                };
                let fetched = self.world.shard.fetch_offsets(&fetch).expect("offsets");
                for told in &fetched[0].partitions {
                    self.check_told(group, require_stable, told);
                }
            }
        }
    }

    fn check_told(&self, group: u64, require_stable: bool, told: &FetchedOffset) {
        let place = (group, told.index);
        let is_unstable = require_stable && self.open.values().any(|open| open.contains_key(&place));
        let committed = self.committed.get(&place).map_or(-1, |(_, offset)| *offset);
        let expected = if is_unstable { (true, -1) } else { (false, committed) };
        assert_eq!((told.is_unstable, told.offset), expected, "{place:?}, stable: {require_stable}");
    }
}

fn group_id(group: u64) -> StrBytes {
    StrBytes::from_string(format!("g{group}"))
}

fn topic() -> StrBytes {
    StrBytes::from_static_str("t")
}

fn topics(offsets: &[(i32, Written)]) -> Vec<CommitTopic> {
    let partition = |(index, (_, offset)): &(i32, Written)| CommitPartition {
        index: *index,
        offset: *offset,
        leader_epoch: -1,
        metadata: StrBytes::new(),
    };
    let partitions = offsets.iter().map(partition).collect();
    vec![CommitTopic { name: topic(), topic_id: Uuid::nil(), partitions }]
}
