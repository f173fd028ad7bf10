//! A group under bad luck: members that come, go, crash and come back, requests and answers that are lost, heartbeats
//! that are late, topics that come, grow and go, appends that fail, shards that are read again. Time is virtual and
//! chance is a seed, so every run can be repeated.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::super::commands::{Commit, CommitPartition, CommitTopic};
use super::super::harness::World;
use super::super::{GroupConfig, GroupError, GroupRecord};
use super::{
    ConsumerGroup, ConsumerHeartbeat, ConsumerRecord, ConsumerState, HeartbeatAnswer, JOIN_EPOCH,
    LEAVE_EPOCH, LEAVE_STATIC_EPOCH,
};
use crate::coordinator::chance::{Chance, for_each_seed};
use crate::coordinator::{ClusterView, TopicView};

const TOPICS: [&str; 3] = ["t1", "t2", "u"];
const MAX_PARTITIONS: u64 = 6;
const HEARTBEAT_INTERVAL_MS: i64 = 5_000;
const SESSION_TIMEOUT_MS: u64 = 45_000;
const REBALANCE_TIMEOUT_MS: i32 = 30_000;

#[test]
fn consumer_groups_survive_bad_luck() {
    for_each_seed(300, |seed| Simulation::new(seed).run());
}

type Partition = (Uuid, i32);

struct Simulation {
    world: World,
    chance: Chance,
    clients: Vec<Client>,
    /// Heartbeats that are still under way although their clients have given them up.
    late: Vec<ConsumerHeartbeat>,
    /// Who owned a partition in an epoch, as the clients see it.
    owners: BTreeMap<(Partition, i32), StrBytes>,
    /// How often the group has ended.
    seen_ends: usize,
    /// The last commit of each partition that was acknowledged.
    acknowledged: BTreeMap<Partition, i64>,
    last_commit: i64,
    uuids: u128,
}

/// A consumer as its process sees itself.
struct Client {
    name: String,
    instance: Option<StrBytes>,
    member_id: StrBytes,
    epoch: i32,
    /// What it was told to own.
    assignment: BTreeSet<Partition>,
    owned: BTreeSet<Partition>,
    names: Vec<StrBytes>,
    regex: StrBytes,
    /// The last answer was not heard, or something else is new: it tells all of itself.
    must_tell_all: bool,
    /// It has heard what was said to it. Of one whose answer was lost, by which it lost partitions that it had not
    /// taken yet, the group cannot know that it took them then; it gives them up when it hears the next answer.
    is_in_step: bool,
    /// What it said last that it owns.
    told: Option<BTreeSet<Partition>>,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let mut config = GroupConfig::default();
        config.consumer.assignment_interval_ms.value = if chance.one_in(2) { 1_000 } else { 0 };
        let count = 1 + chance.index(5);
        let clients = (0..count).map(|index| Client::new(index, &mut chance)).collect();
        let mut simulation = Simulation {
            world: World::new(config),
            chance,
            clients,
            late: Vec::new(),
            owners: BTreeMap::new(),
            seen_ends: 0,
            acknowledged: BTreeMap::new(),
            last_commit: 0,
            uuids: 0,
        };
        simulation.world.view.put(TOPICS[0], 3);
        for index in 0..count {
            simulation.new_process(index);
        }
        simulation
    }

    fn run(mut self) {
        for step in 0..150 {
            self.misfortune();
            let client = self.chance.index(self.clients.len());
            self.act(client);
            self.check_clients();
            if step % 10 == 0 {
                self.check_state();
            }
        }
        self.settle();
        self.check_state();
        self.check_epochs_never_go_back();
    }

    fn misfortune(&mut self) {
        let client = self.chance.index(self.clients.len());
        match self.chance.below(50) {
            0 => self.world.reload(),
            1 => self.world.failing_appends = 1,
            2 | 3 => self.new_process(client),
            4 | 5 => self.leave(client),
            6..9 => self.world.advance(self.chance.below(2 * SESSION_TIMEOUT_MS) as i64),
            9..14 if !self.late.is_empty() => {
                let index = self.chance.index(self.late.len());
                let late = self.late.swap_remove(index);
                self.send(&late);
            }
            14 | 15 => self.change_topics(),
            16 => self.clients[client].subscribe(&mut self.chance),
            _ => self.world.advance(self.chance.below(1_500) as i64),
        }
    }

    fn change_topics(&mut self) {
        let name = TOPICS[self.chance.index(TOPICS.len())];
        let partitions = self.world.view.topic(name).map_or(0, |topic| topic.partitions);
        if partitions > 0 && self.chance.one_in(4) {
            self.world.view.remove(name);
        } else {
            let more = 1 + self.chance.below(3);
            self.world.view.put(name, (partitions as u64 + more).min(MAX_PARTITIONS) as i32);
        }
    }

    /// A new process takes the place of the old one, which is dead and owns nothing any more.
    fn new_process(&mut self, index: usize) {
        self.uuids += 1;
        let client = &mut self.clients[index];
        client.member_id = StrBytes::from_string(format!("{}-{}", client.name, self.uuids));
        client.start_anew();
    }

    /// The process ends in order; its last heartbeat may be lost or late.
    fn leave(&mut self, index: usize) {
        let client = &self.clients[index];
        let is_coming_back = client.instance.is_some() && self.chance.one_in(2);
        let member_epoch = if is_coming_back { LEAVE_STATIC_EPOCH } else { LEAVE_EPOCH };
        let leave = client.heartbeat(member_epoch);
        self.new_process(index);
        match self.chance.below(4) {
            0 => {}
            1 => self.late.push(leave),
            _ => drop(self.send(&leave)),
        }
    }

    /// What the client does next.
    fn act(&mut self, index: usize) {
        if self.chance.one_in(3) {
            self.commit(index);
        }
        if self.chance.one_in(2) {
            self.clients[index].reconcile();
        }
        let request = self.clients[index].next_heartbeat(&mut self.chance);
        if request.topic_partitions.is_none() && self.chance.one_in(15) {
            self.late.push(request);
            return;
        }
        let is_lost = self.chance.one_in(20);
        let answer = if is_lost { None } else { self.send(&request) };
        let is_heard = !self.chance.one_in(20);
        let client = &mut self.clients[index];
        match answer.filter(|_| is_heard) {
            Some(Ok(answer)) => client.hear(answer),
            Some(Err(GroupError::FencedInstanceId)) => self.new_process(index),
            Some(Err(error)) => client.refused(error),
            None => {
                client.must_tell_all = true;
                client.is_in_step = false;
            }
        }
    }

    /// `None` if the coordinator lost its log meanwhile.
    fn send(&mut self, request: &ConsumerHeartbeat) -> Option<Result<HeartbeatAnswer, GroupError>> {
        let outcome = self.world.shard.consumer_heartbeat(request, self.world.now_ms, &self.world.view);
        let answer = self.world.try_run(outcome)?;
        // What is due at once is done before the next request comes.
        self.world.advance(0);
        Some(answer.map_err(|refusal| refusal.error))
    }

    fn commit(&mut self, index: usize) {
        let client = &self.clients[index];
        let owned: Vec<(Partition, TopicView)> = client
            .owned
            .iter()
            .filter_map(|partition| Some((*partition, self.world.view.topic_by_id(partition.0)?)))
            .collect();
        if client.epoch == JOIN_EPOCH || owned.is_empty() {
            return;
        }
        let (partition, topic) = owned[self.chance.index(owned.len())].clone();
        self.last_commit += 1;
        let committed = CommitPartition {
            index: partition.1,
            offset: self.last_commit,
            leader_epoch: -1,
            metadata: StrBytes::new(),
        };
        let commit = Commit {
            group_id: group_id(),
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.clone(),
            generation_id: client.epoch,
            retention_ms: None,
            api_version: 9,
            topics: vec![CommitTopic { name: topic.name, topic_id: topic.id, partitions: vec![committed] }],
        };
        let outcome = self.world.shard.commit(&commit, self.world.now_ms);
        if self.world.try_run(outcome).is_some_and(|result| result.is_ok()) {
            self.acknowledged.insert(partition, self.last_commit);
        }
    }

    /// Who owns what in an epoch is never contradicted by another client; a client that the group knows, and that has
    /// heard what was said to it, owns no more than the group says.
    fn check_clients(&mut self) {
        self.notice_end();
        let Some(group) = self.world.shard.hard_state().consumer_group(&group_id()) else {
            return;
        };
        for client in &self.clients {
            let who = client.instance.as_ref().unwrap_or(&client.member_id);
            // Who did not hear that it shall not have a partition which it had not told to own yet takes it, and gives it
            // up once it hears: Kafka's protocol cannot tell, and another may own it by then.
            let heard = |partition: &&Partition| client.is_in_step || client.assignment.contains(partition);
            for partition in client.owned.iter().filter(heard) {
                let owner = self.owners.entry((*partition, client.epoch)).or_insert_with(|| who.clone());
                assert_eq!(owner, who, "{partition:?} in epoch {}", client.epoch);
            }
            if let Some(member) = group.member(&client.member_id).filter(|_| client.is_in_step) {
                let held: BTreeSet<Partition> = member.current.held().collect();
                assert!(client.owned.is_subset(&held), "{}: {:?}, {held:?}", client.name, client.owned);
            }
        }
        let mut held = BTreeSet::new();
        for (member_id, member) in group.members() {
            for partition in member.current.held() {
                assert!(held.insert(partition), "{partition:?} of {member_id} is another's too");
            }
        }
    }

    /// A group that ended and began again counts its epochs anew.
    fn notice_end(&mut self) {
        let is_end = |record: &&GroupRecord| {
            matches!(record, GroupRecord::Consumer { record: ConsumerRecord::Epoch(None), .. })
        };
        let ends = self.world.log.iter().filter(is_end).count();
        if ends != self.seen_ends {
            self.seen_ends = ends;
            self.owners.clear();
        }
    }

    fn check_state(&self) {
        let hard = self.world.shard.hard_state();
        assert_eq!(hard, self.world.replayed().hard_state());
        for ((topic_id, index), offset) in &self.acknowledged {
            let Some(topic) = self.world.view.topic_by_id(*topic_id) else { continue };
            let committed = hard.offset(&group_id(), &topic.name, *index).map(|committed| committed.offset);
            assert_eq!(committed, Some(*offset), "{}-{index}", topic.name);
        }
    }

    fn check_epochs_never_go_back(&self) {
        let mut last = 0;
        for record in &self.world.log {
            match record {
                GroupRecord::Consumer { record: ConsumerRecord::Epoch(Some(epoch)), .. } => {
                    assert!(epoch.epoch > last, "epoch {} after {last}", epoch.epoch);
                    last = epoch.epoch;
                }
                GroupRecord::Consumer { record: ConsumerRecord::Epoch(None), .. } => last = 0,
                _ => {}
            }
        }
    }

    /// Without misfortune all clients come together: nobody is stuck, and every partition is somebody's.
    fn settle(&mut self) {
        self.world.failing_appends = 0;
        self.late.clear();
        for _ in 0..60 {
            for index in 0..self.clients.len() {
                self.clients[index].reconcile();
                let request = self.clients[index].next_heartbeat(&mut self.chance);
                match self.send(&request).expect("appends succeed") {
                    Ok(answer) => self.clients[index].hear(answer),
                    Err(GroupError::FencedInstanceId) => self.new_process(index),
                    Err(error) => self.clients[index].refused(error),
                }
                self.check_clients();
            }
            self.world.advance(HEARTBEAT_INTERVAL_MS);
        }
        let hard = self.world.shard.hard_state();
        let group: &ConsumerGroup = hard.consumer_group(&group_id()).expect("a group");
        assert_eq!(group.state(), ConsumerState::Stable, "stuck: {group:?}");
        assert_eq!(group.members().len(), self.clients.len(), "{group:?}");
        self.check_all_is_owned(group);
    }

    fn check_all_is_owned(&self, group: &ConsumerGroup) {
        let mut owned = BTreeSet::new();
        let mut wanted = BTreeSet::new();
        for client in &self.clients {
            assert_eq!(client.epoch, group.epoch, "{}", client.name);
            owned.extend(client.owned.iter().copied());
            let topics = client.wanted_topics().into_iter().filter_map(|name| self.world.view.topic(name));
            wanted.extend(topics.flat_map(|topic| (0..topic.partitions).map(move |index| (topic.id, index))));
        }
        assert_eq!(owned, wanted);
    }
}

impl Client {
    fn new(index: usize, chance: &mut Chance) -> Self {
        let name = format!("c{index}");
        let instance = chance.one_in(3).then(|| StrBytes::from_string(format!("i{index}")));
        let mut client = Client {
            name,
            instance,
            member_id: StrBytes::new(),
            epoch: JOIN_EPOCH,
            assignment: BTreeSet::new(),
            owned: BTreeSet::new(),
            names: Vec::new(),
            regex: StrBytes::new(),
            must_tell_all: true,
            is_in_step: true,
            told: None,
        };
        client.subscribe(chance);
        client
    }

    fn subscribe(&mut self, chance: &mut Chance) {
        self.names = TOPICS.into_iter().filter(|_| chance.one_in(2)).map(StrBytes::from_static_str).collect();
        self.regex = StrBytes::from_static_str(if chance.one_in(3) { "t." } else { "" });
        self.must_tell_all = true;
    }

    fn wanted_topics(&self) -> BTreeSet<&'static str> {
        let is_wanted = |name: &&str| {
            let is_matched = !self.regex.is_empty() && name.starts_with('t');
            is_matched || self.names.iter().any(|known| known.as_str() == *name)
        };
        TOPICS.into_iter().filter(is_wanted).collect()
    }

    /// Gives everything up and begins to join.
    fn start_anew(&mut self) {
        self.epoch = JOIN_EPOCH;
        self.assignment.clear();
        self.owned.clear();
        self.must_tell_all = true;
        self.is_in_step = true;
        self.told = None;
    }

    /// First gives up what it shall not have; when that is done, takes what it shall have.
    fn reconcile(&mut self) {
        if self.owned.is_subset(&self.assignment) {
            self.owned = self.assignment.clone();
        } else {
            self.owned.retain(|partition| self.assignment.contains(partition));
        }
    }

    fn next_heartbeat(&mut self, chance: &mut Chance) -> ConsumerHeartbeat {
        let mut request = self.heartbeat(self.epoch);
        if self.epoch == JOIN_EPOCH || self.must_tell_all || chance.one_in(10) {
            request.rebalance_timeout_ms = Some(REBALANCE_TIMEOUT_MS);
            request.subscribed_topic_names = Some(self.names.clone());
            request.subscribed_topic_regex = Some(self.regex.clone());
            self.told = None;
        }
        if self.told.as_ref() != Some(&self.owned) {
            request.topic_partitions = Some(self.owned_topics());
            self.told = Some(self.owned.clone());
        }
        self.must_tell_all = false;
        request
    }

    fn owned_topics(&self) -> Vec<(Uuid, Vec<i32>)> {
        let mut topics = BTreeMap::<Uuid, Vec<i32>>::new();
        for (topic_id, index) in &self.owned {
            topics.entry(*topic_id).or_default().push(*index);
        }
        topics.into_iter().collect()
    }

    fn heartbeat(&self, member_epoch: i32) -> ConsumerHeartbeat {
        ConsumerHeartbeat {
            group_id: group_id(),
            member_id: self.member_id.clone(),
            member_epoch,
            instance_id: self.instance.clone(),
            rack_id: None,
            rebalance_timeout_ms: None,
            subscribed_topic_names: None,
            subscribed_topic_regex: None,
            server_assignor: None,
            topic_partitions: None,
            client_id: StrBytes::from_string(self.name.clone()),
            client_host: StrBytes::from_static_str("/127.0.0.1"),
            must_name_itself: true,
            unique: Uuid::nil(),
        }
    }

    fn hear(&mut self, answer: HeartbeatAnswer) {
        assert!(answer.member_epoch >= self.epoch, "{} after {}", answer.member_epoch, self.epoch);
        self.epoch = answer.member_epoch;
        if let Some(assignment) = answer.assignment {
            let each = |(topic_id, indexes): (Uuid, Vec<i32>)| {
                indexes.into_iter().map(move |index| (topic_id, index)).collect::<Vec<_>>()
            };
            self.assignment = assignment.into_iter().flat_map(each).collect();
        }
        self.is_in_step |= self.owned.is_subset(&self.assignment);
    }

    fn refused(&mut self, error: GroupError) {
        match error {
            GroupError::FencedMemberEpoch | GroupError::UnknownMemberId | GroupError::GroupIdNotFound => {
                self.start_anew();
            }
            // The instance id is free when the session of who had it ends.
            GroupError::UnreleasedInstanceId => self.must_tell_all = true,
            other => panic!("{} was refused: {other:?}", self.name),
        }
    }
}

fn group_id() -> StrBytes {
    StrBytes::from_static_str("g")
}
