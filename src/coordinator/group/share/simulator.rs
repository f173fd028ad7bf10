//! A share group under bad luck: members that come, go, crash and lose answers, appends that fail, shards that are read
//! again, topics that come, grow and go, a share coordinator that fails or never answers.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;

use super::commands::*;
use super::{ShareErrand, ShareGroup, ShareStates};
use crate::coordinator::ClusterView;
use crate::coordinator::chance::{Chance, for_each_seed};
use crate::coordinator::group::assignors::TopicPartitions;
use crate::coordinator::group::harness::World;
use crate::coordinator::group::{Errand, GroupConfig, GroupError};

const TOPICS: [&str; 3] = ["t", "u", "v"];

#[test]
fn share_groups_survive_bad_luck() {
    for_each_seed(500, |seed| Simulation::new(seed).run());
}

struct Simulation {
    world: World,
    chance: Chance,
    clients: Vec<Client>,
    errands: Vec<ShareErrand>,
    /// What the share coordinator has been told of.
    known: TopicPartitions,
    /// Requests that are still under way although their client has given them up.
    late: Vec<ShareHeartbeat>,
    last_epoch: i32,
    next_member: u32,
}

struct Client {
    member_id: StrBytes,
    epoch: i32,
    topics: Vec<StrBytes>,
    assignment: TopicPartitions,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        let mut chance = Chance::new(seed);
        let mut config = GroupConfig::default();
        config.share.assignment_interval_ms.value = if chance.one_in(2) { 1_000 } else { 0 };
        let mut simulation = Simulation {
            world: World::new(config),
            chance,
            clients: Vec::new(),
            errands: Vec::new(),
            known: TopicPartitions::new(),
            late: Vec::new(),
            last_epoch: 0,
            next_member: 0,
        };
        for topic in TOPICS {
            simulation.world.view.put(topic, 1 + simulation.chance.below(4) as i32);
        }
        for _ in 0..1 + simulation.chance.below(4) {
            let client = simulation.new_client();
            simulation.clients.push(client);
        }
        simulation
    }

    fn run(mut self) {
        for step in 0..120 {
            self.misfortune();
            let client = self.chance.below(self.clients.len() as u64) as usize;
            self.beat(client);
            self.answer_errands();
            if step % 10 == 0 {
                self.check();
            }
        }
        self.settle();
        self.check();
    }

    fn new_client(&mut self) -> Client {
        self.next_member += 1;
        let topics: Vec<StrBytes> = TOPICS
            .iter()
            .filter(|_| self.chance.one_in(2))
            .map(|topic| StrBytes::from_static_str(topic))
            .collect();
        Client {
            member_id: StrBytes::from_string(format!("m{}", self.next_member)),
            epoch: 0,
            topics: if topics.is_empty() { vec![StrBytes::from_static_str("t")] } else { topics },
            assignment: TopicPartitions::new(),
        }
    }

    fn misfortune(&mut self) {
        let client = self.chance.below(self.clients.len() as u64) as usize;
        match self.chance.below(40) {
            0 => self.world.reload(),
            1 => self.world.failing_appends = 1,
            // A new process in its place, without a word of the old one.
            2 => self.clients[client] = self.new_client(),
            3 => {
                let leave = ShareHeartbeat { member_epoch: LEAVE_EPOCH, ..self.heartbeat(client) };
                self.send(&leave, None);
                self.clients[client] = self.new_client();
            }
            4 => {
                // A topic that is gone stays gone: its id is made from its name here.
                let topic = TOPICS[self.chance.below(3) as usize];
                if let Some(partitions) = self.world.view.topic(topic).map(|topic| topic.partitions) {
                    self.world.view.put(topic, partitions + 1);
                }
            }
            5 => self.delete_topic(),
            6 => {
                let topics = self.new_client().topics;
                self.clients[client].topics = topics;
            }
            // The member says all of itself once more, as after a time-out.
            7 => self.clients[client].epoch = 0,
            8..10 => {
                let by_ms = self.chance.below(50_000) as i64;
                self.world.advance(by_ms);
            }
            10..13 if !self.late.is_empty() => {
                let index = self.chance.below(self.late.len() as u64) as usize;
                let late = self.late.swap_remove(index);
                self.send(&late, None);
            }
            _ => {
                let by_ms = self.chance.below(2_000) as i64;
                self.world.advance(by_ms);
            }
        }
    }

    fn delete_topic(&mut self) {
        let topic = TOPICS[self.chance.below(3) as usize];
        let Some(id) = self.world.view.topic(topic).map(|topic| topic.id) else {
            return;
        };
        self.world.view.remove(topic);
        let outcome = self.world.shard.share_topics_deleted(&[id], &self.world.view);
        // If this fails, the group knows the topic until it ends.
        self.world.try_run(outcome);
    }

    fn heartbeat(&self, index: usize) -> ShareHeartbeat {
        let client = &self.clients[index];
        ShareHeartbeat {
            group_id: group_id(),
            member_id: client.member_id.clone(),
            member_epoch: client.epoch,
            rack_id: None,
            client_id: StrBytes::from_static_str("c"),
            client_host: StrBytes::from_static_str("/h"),
            subscribed_topic_names: Some(client.topics.clone()),
        }
    }

    fn beat(&mut self, index: usize) {
        let mut heartbeat = self.heartbeat(index);
        if heartbeat.member_epoch != 0 && self.chance.one_in(2) {
            heartbeat.subscribed_topic_names = None;
        }
        match self.chance.below(20) {
            0 => self.late.push(heartbeat),
            // The answer is lost.
            1 => self.send(&heartbeat, None),
            _ => self.send(&heartbeat, Some(index)),
        }
    }

    fn send(&mut self, heartbeat: &ShareHeartbeat, sender: Option<usize>) {
        let outcome = self.world.shard.share_heartbeat(heartbeat, self.world.now_ms, &self.world.view);
        let answer = self.world.try_run(outcome);
        let (Some(answer), Some(sender)) = (answer, sender) else {
            return;
        };
        let client = &mut self.clients[sender];
        match answer {
            Ok(answer) => {
                client.epoch = answer.member_epoch;
                client.assignment = answer.assignment.unwrap_or(std::mem::take(&mut client.assignment));
            }
            Err(refusal) => {
                let expected =
                    [GroupError::UnknownMemberId, GroupError::FencedMemberEpoch, GroupError::GroupIdNotFound];
                assert!(expected.contains(&refusal.error), "{refusal:?}");
                client.epoch = 0;
                client.assignment.clear();
            }
        }
    }

    fn answer_errands(&mut self) {
        for Errand::Share(errand) in std::mem::take(&mut self.world.errands) {
            self.errands.push(errand);
        }
        while !self.errands.is_empty() && self.chance.one_in(2) {
            let index = self.chance.below(self.errands.len() as u64) as usize;
            let errand = self.errands.swap_remove(index);
            let chance = self.chance.below(10);
            self.answer_errand(&errand, chance);
        }
    }

    fn answer_errand(&mut self, errand: &ShareErrand, chance: u64) {
        let mut partitions = TopicPartitions::new();
        for each in &errand.initialize {
            partitions.entry(each.key.topic_id).or_default().insert(each.key.partition);
        }
        let (shard, view) = (&self.world.shard, &self.world.view);
        let outcome = match chance {
            // Nobody hears of it.
            0 => return,
            1 => shard.share_not_initialized(&errand.group_id, &partitions, view),
            _ => {
                for (id, partitions) in &partitions {
                    self.known.entry(*id).or_default().extend(partitions);
                }
                shard.share_initialized(&errand.group_id, &partitions, view)
            }
        };
        self.world.try_run(outcome);
    }

    fn check(&mut self) {
        let timeless = |group: &ShareGroup| {
            let mut group = group.clone();
            group.states = group.states.map(|states| ShareStates { since_ms: 0, ..states });
            group
        };
        let replayed = self.world.replayed();
        let live = self.world.shard.hard_state().share_group(&group_id());
        let from_log = replayed.hard_state().share_group(&group_id());
        assert_eq!(live.map(timeless), from_log.map(timeless));
        let Some(group) = live else {
            return;
        };
        assert!(group.epoch >= self.last_epoch, "epoch {} after {}", group.epoch, self.last_epoch);
        self.last_epoch = group.epoch;
        assert!(group.assignment_epoch <= group.epoch);
        for member in group.members.values() {
            assert!(member.current.member_epoch <= group.assignment_epoch, "{group:?}");
            for (id, partitions) in &member.current.partitions {
                assert!(partitions.is_subset(&self.known[id]), "not initialized: {group:?}");
            }
        }
    }

    /// Without misfortune everybody is in, and every partition of every wanted topic is somebody's.
    fn settle(&mut self) {
        self.world.failing_appends = 0;
        self.late.clear();
        for _ in 0..40 {
            for index in 0..self.clients.len() {
                let heartbeat = self.heartbeat(index);
                self.send(&heartbeat, Some(index));
                for Errand::Share(errand) in std::mem::take(&mut self.world.errands) {
                    self.answer_errand(&errand, 9);
                }
            }
            self.world.advance(5_000);
        }
        let group = self.world.shard.hard_state().share_group(&group_id()).expect("a group");
        assert_eq!(group.members.len(), self.clients.len(), "{group:?}");
        let mut read: BTreeMap<StrBytes, BTreeSet<i32>> = BTreeMap::new();
        for client in &self.clients {
            assert_eq!(client.epoch, group.epoch, "stuck: {group:?}");
            for (id, partitions) in &client.assignment {
                let name = self.world.view.topic_by_id(*id).expect("a topic that exists").name;
                assert!(client.topics.contains(&name), "not wanted: {group:?}");
                assert!(partitions.is_subset(&self.known[id]), "not initialized: {group:?}");
                read.entry(name).or_default().extend(partitions);
            }
        }
        for name in self.clients.iter().flat_map(|client| &client.topics) {
            let count = self.world.view.topic(name).map_or(0, |topic| topic.partitions);
            let expected: BTreeSet<i32> = (0..count).collect();
            assert_eq!(read.get(name).cloned().unwrap_or_default(), expected, "{name}: {group:?}");
        }
    }
}

fn group_id() -> StrBytes {
    StrBytes::from_static_str("g")
}
