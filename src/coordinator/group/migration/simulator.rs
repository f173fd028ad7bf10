//! A group whose members change their protocol under bad luck: upgraded, brought back, crashed, cut off from their
//! answers, while shards are read again and appends fail.
//!
//! What holds at every step: what a client believes to own, the coordinator believes too; no partition has two owners
//! among the members; epochs do not go back as long as somebody is in the group. In the end everybody has a share.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use ottla_protocol::StrBytes;
use ottla_protocol::record_formats::consumer_protocol::consumer_protocol_assignment::TopicPartition;
use ottla_protocol::record_formats::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription,
};
use uuid::Uuid;

use super::super::commands::*;
use super::super::consumer::{ConsumerHeartbeat, LEAVE_EPOCH, LEAVE_STATIC_EPOCH};
use super::super::harness::World;
use super::super::{Answer, GroupConfig, GroupError, HardGroup, Refusal};
use crate::coordinator::chance::{Chance, for_each_seed};
use crate::coordinator::{ClusterView, Ticket};

const PARTITIONS: i32 = 7;
const SESSION_TIMEOUT_MS: i32 = 45_000;
const REBALANCE_TIMEOUT_MS: i32 = 20_000;

#[test]
fn groups_change_their_protocol_under_bad_luck() {
    for_each_seed(300, |seed| Simulation::new(seed).run());
}

struct Simulation {
    world: World,
    chance: Chance,
    is_luck_bad: bool,
    clients: Vec<Client>,
    /// Heartbeats and leaves that are still under way although their client has given them up.
    late: Vec<Late>,
    names: u128,
    seen_reloads: u32,
    last_epoch: i32,
    /// The last commit of each partition that was acknowledged.
    acknowledged: BTreeMap<i32, i64>,
    /// How often the group changed its kind, so that it is known to.
    changes: u32,
    checks: u32,
    was_consumer_group: bool,
}

struct Client {
    speaks: Speaks,
    instance: Option<StrBytes>,
    member_id: StrBytes,
    epoch: i32,
    owned: BTreeSet<i32>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    /// Gives up everything before it joins again.
    Classic,
    Consumer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Out,
    Joining(Ticket),
    /// With the members to assign to, if it leads.
    Joined(Vec<StrBytes>),
    Syncing(Ticket),
    In,
}

#[derive(Clone)]
enum Late {
    Heartbeat(Heartbeat),
    Leave(Leave),
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let delay = if chance.one_in(4) { 3_000 } else { 0 };
        let config = GroupConfig { initial_rebalance_delay_ms: delay, ..GroupConfig::default() };
        let mut world = World::new(config);
        world.view.put("t", PARTITIONS);
        let new_client = |n: u64, chance: &mut Chance| Client {
            speaks: if chance.one_in(2) { Speaks::Classic } else { Speaks::Consumer },
            instance: chance.one_in(3).then(|| text(&format!("i{n}"))),
            member_id: StrBytes::new(),
            epoch: 0,
            owned: BTreeSet::new(),
            phase: Phase::Out,
        };
        let clients = (0..1 + chance.below(4)).map(|n| new_client(n, &mut chance)).collect();
        Simulation {
            seen_reloads: world.reloads,
            world,
            chance,
            is_luck_bad: true,
            clients,
            late: Vec::new(),
            names: 0,
            last_epoch: -1,
            acknowledged: BTreeMap::new(),
            changes: 0,
            checks: 0,
            was_consumer_group: false,
        }
    }

    fn run(mut self) {
        for _ in 0..150 {
            self.misfortune();
            self.check();
            let client = self.any_client();
            self.act(client);
            self.deliver();
            self.check();
        }
        // Each loss can cost a session timeout: a static member of the consumer protocol that never heard that it is in
        // has to wait for the end of its own session, as in Kafka. So all that is sent gets there from now on.
        self.is_luck_bad = false;
        self.world.failing_appends = 0;
        for _ in 0..120 {
            self.world.advance(1_000);
            // The last member's session may be over: then the next one begins with a new group.
            self.check();
            (0..self.clients.len()).for_each(|client| {
                self.act(client);
                self.deliver();
                self.check();
            });
        }
        self.check_settled();
    }

    /// Whether a request or an answer does not get there.
    fn is_lost(&mut self) -> bool {
        self.is_luck_bad && self.chance.one_in(20)
    }

    fn any_client(&mut self) -> usize {
        self.chance.below(self.clients.len() as u64) as usize
    }

    fn misfortune(&mut self) {
        match self.chance.below(40) {
            0 => self.world.reload(),
            1 => self.world.failing_appends = 1,
            2..6 => {
                // A new process in its place, perhaps of a newer or older version.
                let client = self.any_client();
                if self.chance.one_in(2) {
                    self.leave(client);
                }
                self.names += 1;
                let speaks = if self.chance.one_in(2) { Speaks::Classic } else { Speaks::Consumer };
                let client = &mut self.clients[client];
                client.speaks = speaks;
                client.forget();
            }
            6..9 => {
                let by_ms = self.chance.below(SESSION_TIMEOUT_MS as u64 + 5_000) as i64;
                self.world.advance(by_ms);
            }
            9..18 => self.world.advance(1_000),
            18..20 if !self.late.is_empty() => {
                let index = self.chance.below(self.late.len() as u64) as usize;
                match self.late.swap_remove(index) {
                    Late::Heartbeat(heartbeat) => {
                        let outcome = self.world.shard.heartbeat(&heartbeat, self.world.now_ms);
                        self.world.try_run(outcome);
                    }
                    Late::Leave(leave) => self.send_leave(&leave),
                }
            }
            20..22 => {
                // Gives up waiting, as after request.timeout.ms.
                let client = self.any_client();
                self.clients[client].give_up_waiting();
            }
            _ => {}
        }
    }

    fn act(&mut self, client: usize) {
        match (self.clients[client].speaks, self.clients[client].phase.clone()) {
            (Speaks::Consumer, _) => self.beat(client),
            (Speaks::Classic, Phase::Out) => self.join(client),
            (Speaks::Classic, Phase::Joined(members)) => self.sync(client, &members),
            (Speaks::Classic, Phase::In) => self.heartbeat(client),
            (Speaks::Classic, Phase::Joining(_) | Phase::Syncing(_)) => {}
        }
        self.commit(client);
    }

    fn beat(&mut self, index: usize) {
        if self.clients[index].member_id.is_empty() {
            self.names += 1;
            self.clients[index].member_id = text(&format!("c{}", self.names));
        }
        let request = self.consumer_heartbeat(index);
        let (now_ms, view) = (self.world.now_ms, &self.world.view);
        let outcome = self.world.shard.consumer_heartbeat(&request, now_ms, view);
        let Some(answer) = self.world.try_run(outcome).filter(|_| !self.is_lost()) else {
            return;
        };
        let topic_id = self.topic_id();
        let client = &mut self.clients[index];
        match answer {
            Ok(answer) => {
                client.epoch = answer.member_epoch;
                client.phase = Phase::In;
                if let Some(assignment) = answer.assignment {
                    let partitions = assignment.into_iter().filter(|(id, _)| *id == topic_id);
                    client.owned = partitions.flat_map(|(_, partitions)| partitions).collect();
                }
            }
            Err(Refusal { error: GroupError::UnreleasedInstanceId, .. }) => {}
            Err(_) => client.forget(),
        }
    }

    fn consumer_heartbeat(&self, index: usize) -> ConsumerHeartbeat {
        let client = &self.clients[index];
        let is_joining = client.phase != Phase::In;
        let owned = match client.owned.is_empty() {
            true => Vec::new(),
            false => vec![(self.topic_id(), client.owned.iter().copied().collect())],
        };
        ConsumerHeartbeat {
            group_id: text("g"),
            member_id: client.member_id.clone(),
            member_epoch: if is_joining { 0 } else { client.epoch },
            instance_id: client.instance.clone(),
            rack_id: None,
            rebalance_timeout_ms: Some(REBALANCE_TIMEOUT_MS),
            subscribed_topic_names: Some(vec![text("t")]),
            subscribed_topic_regex: None,
            server_assignor: None,
            topic_partitions: Some(if is_joining { Vec::new() } else { owned }),
            client_id: text("c"),
            client_host: text("/127.0.0.1"),
            must_name_itself: true,
            unique: Uuid::nil(),
        }
    }

    fn join(&mut self, index: usize) {
        self.names += 1;
        let ticket = self.world.ticket();
        let client = &mut self.clients[index];
        client.owned.clear();
        let subscription = ConsumerProtocolSubscription {
            topics: vec![text("t")],
            ..ConsumerProtocolSubscription::default()
        };
        let join = Join {
            ticket,
            group_id: text("g"),
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.clone(),
            client_id: text("k"),
            client_host: text("/127.0.0.1"),
            session_timeout_ms: SESSION_TIMEOUT_MS,
            rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
            protocol_type: text("consumer"),
            protocols: vec![Protocol {
                name: text("range"),
                metadata: subscription.encode(3).expect("bytes"),
            }],
            must_know_member_id: true,
            may_skip_assignment: true,
            unique: Uuid::from_u128(self.names),
        };
        client.phase = Phase::Joining(ticket);
        let outcome = self.world.shard.join(&join, self.world.now_ms, &self.world.view);
        self.world.try_run(outcome);
    }

    fn sync(&mut self, index: usize, members: &[StrBytes]) {
        let ticket = self.world.ticket();
        let client = &mut self.clients[index];
        let share = |nth: usize| {
            let partitions = (0..PARTITIONS).filter(|index| *index as usize % members.len() == nth).collect();
            let topic = TopicPartition { topic: text("t"), partitions };
            let assignment = ConsumerProtocolAssignment { assigned_partitions: vec![topic], user_data: None };
            assignment.encode(3).expect("bytes")
        };
        let sync = Sync {
            ticket,
            group_id: text("g"),
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.clone(),
            generation_id: client.epoch,
            protocol_type: Some(text("consumer")),
            protocol_name: Some(text("range")),
            assignments: members.iter().enumerate().map(|(nth, id)| (id.clone(), share(nth))).collect(),
        };
        client.phase = Phase::Syncing(ticket);
        let outcome = self.world.shard.sync(&sync, self.world.now_ms, &self.world.view);
        self.world.try_run(outcome);
    }

    fn heartbeat(&mut self, index: usize) {
        let client = &self.clients[index];
        let heartbeat = Heartbeat {
            group_id: text("g"),
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.clone(),
            generation_id: client.epoch,
        };
        if self.is_lost() {
            self.late.push(Late::Heartbeat(heartbeat));
            return;
        }
        let outcome = self.world.shard.heartbeat(&heartbeat, self.world.now_ms);
        if let Some(Err(error)) = self.world.try_run(outcome) {
            self.clients[index].refused(error);
        }
    }

    fn leave(&mut self, index: usize) {
        let client = &self.clients[index];
        if client.speaks == Speaks::Consumer {
            let epoch = if client.instance.is_some() { LEAVE_STATIC_EPOCH } else { LEAVE_EPOCH };
            let request = ConsumerHeartbeat { member_epoch: epoch, ..self.consumer_heartbeat(index) };
            let (now_ms, view) = (self.world.now_ms, &self.world.view);
            let outcome = self.world.shard.consumer_heartbeat(&request, now_ms, view);
            self.world.try_run(outcome);
        } else if client.instance.is_none() {
            // Static members of the classic protocol do not say that they go.
            let leaver = Leaver { member_id: client.member_id.clone(), group_instance_id: None };
            let leave = Leave { group_id: text("g"), members: vec![leaver] };
            match self.chance.one_in(5) {
                true => self.late.push(Late::Leave(leave)),
                false => self.send_leave(&leave),
            }
        }
    }

    fn send_leave(&mut self, leave: &Leave) {
        let outcome = self.world.shard.leave(leave, self.world.now_ms, &self.world.view);
        self.world.try_run(outcome);
    }

    fn commit(&mut self, index: usize) {
        let client = &self.clients[index];
        let Some(&partition) = client.owned.first().filter(|_| client.phase == Phase::In) else {
            return;
        };
        let offset = self.acknowledged.get(&partition).map_or(0, |offset| offset + 1);
        let committed =
            CommitPartition { index: partition, offset, leader_epoch: -1, metadata: StrBytes::new() };
        let commit = Commit {
            group_id: text("g"),
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.clone(),
            generation_id: client.epoch,
            retention_ms: None,
            api_version: 9,
            topics: vec![CommitTopic {
                name: text("t"),
                topic_id: self.topic_id(),
                partitions: vec![committed],
            }],
        };
        let outcome = self.world.shard.commit(&commit, self.world.now_ms);
        let results = self.world.try_run(outcome);
        if results.is_some_and(|results| results.is_ok_and(|topics| topics[0].partitions[0].1.is_ok())) {
            self.acknowledged.insert(partition, offset);
        }
    }

    /// Late answers reach their clients, if they still wait for them.
    fn deliver(&mut self) {
        for (ticket, answer) in std::mem::take(&mut self.world.answers) {
            let is_lost = self.is_lost();
            let mut clients = self.clients.iter_mut();
            let Some(client) = clients.find(|client| client.waits_for(ticket)) else { continue };
            match answer {
                _ if is_lost => client.give_up_waiting(),
                Answer::Join(Ok(joined)) => {
                    client.member_id = joined.member_id;
                    client.epoch = joined.generation_id;
                    let members = joined.members.into_iter().map(|member| member.member_id);
                    client.phase =
                        Phase::Joined(if joined.skip_assignment { Vec::new() } else { members.collect() });
                }
                Answer::Join(Err(JoinRefused { member_id, error: GroupError::MemberIdRequired })) => {
                    client.member_id = member_id;
                    client.phase = Phase::Out;
                }
                Answer::Join(Err(JoinRefused { error, .. })) | Answer::Sync(Err(error)) => {
                    client.refused(error)
                }
                Answer::Sync(Ok(synced)) => {
                    client.owned = partitions(&synced.assignment);
                    client.phase = Phase::In;
                }
            }
        }
        if self.world.reloads != self.seen_reloads {
            self.seen_reloads = self.world.reloads;
            self.clients.iter_mut().for_each(Client::give_up_waiting);
        }
    }

    fn check(&mut self) {
        self.checks += 1;
        if self.checks.is_multiple_of(50) {
            assert_eq!(self.world.shard.hard_state(), self.world.replayed().hard_state());
        }
        let group_id = text("g");
        let hard = self.world.shard.hard_state();
        for (partition, offset) in &self.acknowledged {
            assert_eq!(hard.offset(&group_id, &text("t"), *partition).map(|it| it.offset), Some(*offset));
        }
        let consumer_group = hard.consumer_group(&group_id).filter(|group| !group.is_empty());
        let classic_group = self.world.shard.group(&group_id).filter(|group| !group.members.is_empty());
        assert!(consumer_group.is_none() || classic_group.is_none(), "a group is of one kind");
        let epoch = match (consumer_group, classic_group) {
            (Some(group), _) => {
                let mut owners = BTreeMap::new();
                for (id, member) in group.members() {
                    for held in member.current.held() {
                        assert_eq!(owners.insert(held, id), None, "{held:?} has two owners");
                    }
                }
                for client in self.clients.iter().filter(|client| client.phase == Phase::In) {
                    let Some(member) = group.member(&client.member_id) else { continue };
                    // A static member of the classic protocol that missed its rebalance is still to be told.
                    if client.speaks == Speaks::Classic && client.epoch != member.current.member_epoch {
                        continue;
                    }
                    let held: BTreeSet<i32> = member.current.held().map(|(_, index)| index).collect();
                    assert!(client.owned.is_subset(&held), "{} reads what it must not", client.member_id);
                }
                group.epoch
            }
            (None, Some(group)) => {
                let mut owners = BTreeMap::new();
                let is_in = |client: &&Client| client.phase == Phase::In && client.epoch == group.generation;
                let members = self.clients.iter().filter(is_in);
                for client in members.filter(|client| group.members.contains_key(&client.member_id)) {
                    for index in &client.owned {
                        assert_eq!(owners.insert(index, &client.member_id), None, "{index} has two owners");
                    }
                }
                // A generation that was not logged is lost with its shard.
                match hard.group(&group_id) {
                    Some(HardGroup::Classic(logged)) => logged.generation,
                    _ => -1,
                }
            }
            (None, None) => -1,
        };
        assert!(epoch == -1 || epoch >= self.last_epoch, "epochs go back");
        self.last_epoch = epoch;
        if epoch != -1 && consumer_group.is_some() != self.was_consumer_group {
            self.was_consumer_group = consumer_group.is_some();
            self.changes += 1;
        }
    }

    fn check_settled(&self) {
        let mut owners = BTreeMap::new();
        for client in &self.clients {
            assert_eq!(client.phase, Phase::In, "{} is stuck", client.member_id);
            for index in &client.owned {
                assert_eq!(owners.insert(*index, &client.member_id), None, "{index} has two owners");
            }
        }
        assert_eq!(owners.len(), PARTITIONS as usize, "some partition has no owner");
    }

    fn topic_id(&self) -> Uuid {
        self.world.view.topic("t").expect("the topic").id
    }
}

impl Client {
    fn waits_for(&self, ticket: Ticket) -> bool {
        self.phase == Phase::Joining(ticket) || self.phase == Phase::Syncing(ticket)
    }

    fn give_up_waiting(&mut self) {
        if matches!(self.phase, Phase::Joining(_) | Phase::Syncing(_)) {
            self.phase = Phase::Out;
        }
    }

    fn refused(&mut self, error: GroupError) {
        match error {
            GroupError::RebalanceInProgress | GroupError::IllegalGeneration => {
                self.owned.clear();
                self.phase = Phase::Out;
            }
            _ => self.forget(),
        }
    }

    /// It knows its instance id at most.
    fn forget(&mut self) {
        self.member_id = StrBytes::new();
        self.owned.clear();
        self.phase = Phase::Out;
    }
}

fn partitions(assignment: &Bytes) -> BTreeSet<i32> {
    if assignment.is_empty() {
        return BTreeSet::new();
    }
    let assignment = ConsumerProtocolAssignment::decode(assignment.clone()).expect("an assignment");
    assignment.assigned_partitions.into_iter().flat_map(|topic| topic.partitions).collect()
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
