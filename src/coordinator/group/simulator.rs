//! A group under bad luck: members that come, go, crash and come back, requests that are lost or late, appends that
//! fail, shards that are read again. Time is virtual and chance is a seed, so every run can be repeated.

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::commands::*;
use super::harness::World;
use super::{Answer, GroupConfig, GroupError, GroupRecord, State};
use crate::coordinator::Ticket;
use crate::coordinator::chance::{Chance, for_each_seed};

const PARTITIONS: i32 = 6;
const SESSION_TIMEOUT_MS: i32 = 10_000;
const REBALANCE_TIMEOUT_MS: i32 = 15_000;

#[test]
fn groups_survive_bad_luck() {
    for_each_seed(2_000, |seed| Simulation::new(seed).run());
}

struct Simulation {
    world: World,
    chance: Chance,
    clients: Vec<Client>,
    /// Requests that are still under way although their client has given them up.
    late: Vec<Request>,
    /// Who was given a partition in a generation.
    owners: BTreeMap<(i32, i32), StrBytes>,
    /// The last commit of each partition that was acknowledged.
    acknowledged: BTreeMap<i32, i64>,
    last_commit: i64,
    uuids: u128,
    seen_reloads: u32,
}

struct Client {
    instance: Option<StrBytes>,
    member_id: StrBytes,
    generation: i32,
    assignment: Vec<i32>,
    phase: Phase,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Out,
    Joining(Ticket),
    /// With the members to assign to, if it leads.
    Joined(Vec<StrBytes>),
    Syncing(Ticket),
    Stable,
}

#[derive(Clone)]
enum Request {
    Join(Join),
    Sync(Sync),
    Heartbeat(Heartbeat),
    Commit(Commit),
    Leave(Leave),
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let delay = if chance.one_in(4) { 3_000 } else { 0 };
        let config = GroupConfig { initial_rebalance_delay_ms: delay, ..GroupConfig::default() };
        let instance = |n: usize| StrBytes::from_string(format!("i{n}"));
        let clients = (0..1 + chance.below(5) as usize)
            .map(|n| Client {
                instance: chance.one_in(3).then(|| instance(n)),
                member_id: StrBytes::new(),
                generation: -1,
                assignment: Vec::new(),
                phase: Phase::Out,
            })
            .collect();
        let world = World::new(config);
        Simulation {
            seen_reloads: world.reloads,
            world,
            chance,
            clients,
            late: Vec::new(),
            owners: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            last_commit: 0,
            uuids: 0,
        }
    }

    fn run(mut self) {
        for step in 0..100 {
            self.misfortune();
            let client = self.chance.below(self.clients.len() as u64) as usize;
            self.act(client);
            self.deliver_answers();
            if step % 10 == 0 {
                self.check_state();
            }
        }
        self.settle();
        self.check_state();
        self.check_generations_never_go_back();
    }

    fn misfortune(&mut self) {
        match self.chance.below(40) {
            0 => self.world.reload(),
            1 => self.world.failing_appends = 1,
            2 | 3 => {
                // A new process in its place: it knows its instance id at most.
                let client = self.chance.below(self.clients.len() as u64) as usize;
                self.clients[client].restart();
            }
            4 => {
                let client = self.chance.below(self.clients.len() as u64) as usize;
                self.leave(client);
            }
            5..8 => {
                let longest_ms = (2 * REBALANCE_TIMEOUT_MS) as u64;
                let by_ms = self.chance.below(longest_ms) as i64;
                self.world.advance(by_ms);
            }
            8..12 if !self.late.is_empty() => {
                let index = self.chance.below(self.late.len() as u64) as usize;
                let request = self.late.swap_remove(index);
                self.send(request, None);
            }
            12..14 => {
                // Gives up waiting, as after request.timeout.ms.
                let client = self.chance.below(self.clients.len() as u64) as usize;
                self.clients[client].phase = Phase::Out;
            }
            _ => self.world.advance(self.chance.below(500) as i64),
        }
        self.notice_reload();
    }

    /// What the client does next in a world without misfortune.
    fn act(&mut self, index: usize) {
        let client = &self.clients[index];
        let request = match &client.phase {
            Phase::Out => Request::Join(self.join(index)),
            Phase::Joined(members) => Request::Sync(self.sync(index, members.clone())),
            Phase::Stable if self.chance.one_in(2) && !client.assignment.is_empty() => {
                Request::Commit(self.commit(index))
            }
            Phase::Stable => Request::Heartbeat(Heartbeat {
                group_id: group_id(),
                member_id: client.member_id.clone(),
                group_instance_id: client.instance.clone(),
                generation_id: client.generation,
            }),
            Phase::Joining(_) | Phase::Syncing(_) => return,
        };
        if self.chance.one_in(20) {
            self.late.push(request);
        } else {
            self.send(request, Some(index));
        }
    }

    /// `sender` is there to hear the answer; it is not for a late request.
    fn send(&mut self, request: Request, sender: Option<usize>) {
        let now_ms = self.world.now_ms;
        match request {
            Request::Join(mut join) => {
                join.ticket = self.world.ticket();
                if let Some(client) = sender {
                    self.clients[client].phase = Phase::Joining(join.ticket);
                }
                let outcome = self.world.shard.join(&join, now_ms, &self.world.view);
                self.world.try_run(outcome);
            }
            Request::Sync(mut sync) => {
                sync.ticket = self.world.ticket();
                if let Some(client) = sender {
                    self.clients[client].phase = Phase::Syncing(sync.ticket);
                }
                let outcome = self.world.shard.sync(&sync, now_ms, &self.world.view);
                self.world.try_run(outcome);
            }
            Request::Heartbeat(heartbeat) => {
                let outcome = self.world.shard.heartbeat(&heartbeat, now_ms);
                let result = self.world.try_run(outcome);
                if let (Some(Err(error)), Some(client)) = (result, sender) {
                    self.clients[client].refused(error);
                }
            }
            Request::Commit(commit) => self.send_commit(&commit, sender),
            Request::Leave(leave) => {
                let outcome = self.world.shard.leave(&leave, now_ms, &self.world.view);
                self.world.try_run(outcome);
            }
        }
        self.notice_reload();
    }

    fn send_commit(&mut self, commit: &Commit, sender: Option<usize>) {
        let outcome = self.world.shard.commit(commit, self.world.now_ms);
        match self.world.try_run(outcome) {
            Some(Ok(_)) => {
                for partition in &commit.topics[0].partitions {
                    self.acknowledged.insert(partition.index, partition.offset);
                }
            }
            Some(Err(error)) => {
                if let Some(client) = sender {
                    self.clients[client].refused(error);
                }
            }
            None => {}
        }
    }

    fn leave(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let members = vec![Leaver { member_id: client.member_id.clone(), group_instance_id: None }];
        client.restart();
        self.send(Request::Leave(Leave { group_id: group_id(), members }), None);
    }

    fn deliver_answers(&mut self) {
        for (ticket, answer) in std::mem::take(&mut self.world.answers) {
            let waits = |client: &&mut Client| {
                client.phase == Phase::Joining(ticket) || client.phase == Phase::Syncing(ticket)
            };
            let client = self.clients.iter_mut().find(waits);
            match (answer, client) {
                (Answer::Join(Ok(joined)), Some(client)) => client.joined(joined),
                (Answer::Join(Err(refused)), Some(client)) => {
                    if refused.error == GroupError::MemberIdRequired {
                        client.member_id = refused.member_id.clone();
                    }
                    client.refused(refused.error);
                }
                (Answer::Sync(Ok(synced)), Some(client)) => {
                    client.phase = Phase::Stable;
                    client.assignment =
                        synced.assignment.iter().map(|partition| i32::from(*partition)).collect();
                    for partition in &client.assignment {
                        let name = client.instance.as_ref().unwrap_or(&client.member_id);
                        let owner =
                            self.owners.entry((client.generation, *partition)).or_insert(name.clone());
                        assert_eq!(owner, name, "partition {partition} of generation {}", client.generation);
                    }
                }
                (Answer::Sync(Err(error)), Some(client)) => client.refused(error),
                // Its client has given up or crashed.
                (_, None) => {}
            }
        }
    }

    /// Who waited for a shard that was dropped has to begin again.
    fn notice_reload(&mut self) {
        if self.world.reloads == self.seen_reloads {
            return;
        }
        self.seen_reloads = self.world.reloads;
        self.deliver_answers();
        // A generation is logged with its assignment, so one that was not may be formed anew under the same number: an
        // assignment for the first would pass for one of the second. The protocol cannot tell them apart, in Kafka
        // neither; only the end of the leader's connection keeps it away.
        self.late.retain(|request| !matches!(request, Request::Sync(_)));
        for client in &mut self.clients {
            if matches!(client.phase, Phase::Joining(_) | Phase::Syncing(_)) {
                client.phase = Phase::Out;
            }
        }
    }

    /// Without misfortune all clients come together: nobody is stuck, and every partition is somebody's.
    fn settle(&mut self) {
        self.world.failing_appends = 0;
        for _ in 0..100 {
            for index in 0..self.clients.len() {
                self.act(index);
                self.deliver_answers();
            }
            // Requests that were lost are sent again, not late.
            self.late.clear();
            for client in &mut self.clients {
                client.ask_again_if(self.chance.one_in(30));
            }
            self.world.advance(1_000);
            self.notice_reload();
            self.deliver_answers();
        }
        let group = self.world.shard.group(&group_id()).expect("a group");
        assert_eq!(group.state, State::Stable, "stuck: {group:?}");
        assert_eq!(group.members.len(), self.clients.len(), "{group:?}");
        let mut owned: Vec<i32> = Vec::new();
        for client in &self.clients {
            assert_eq!((&client.phase, client.generation), (&Phase::Stable, group.generation));
            owned.extend(&client.assignment);
        }
        owned.sort_unstable();
        assert_eq!(owned, (0..PARTITIONS).collect::<Vec<_>>());
    }

    fn check_state(&self) {
        assert_eq!(self.world.shard.hard_state(), self.world.replayed().hard_state());
        for (partition, offset) in &self.acknowledged {
            let committed = self.world.shard.hard_state().offset(&group_id(), &topic(), *partition);
            assert_eq!(committed.map(|committed| committed.offset), Some(*offset), "partition {partition}");
        }
    }

    fn check_generations_never_go_back(&self) {
        let mut last = 0;
        for record in &self.world.log {
            if let GroupRecord::Group { group: Some(group), .. } = record {
                assert!(group.generation >= last, "generation {} after {last}", group.generation);
                last = group.generation;
            }
        }
    }

    fn join(&mut self, index: usize) -> Join {
        self.uuids += 1;
        let client = &self.clients[index];
        Join {
            ticket: 0,
            group_id: group_id(),
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.clone(),
            client_id: StrBytes::from_string(format!("c{index}")),
            client_host: StrBytes::from_static_str("/127.0.0.1"),
            session_timeout_ms: SESSION_TIMEOUT_MS,
            rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
            protocol_type: StrBytes::from_static_str("consumer"),
            protocols: vec![Protocol { name: StrBytes::from_static_str("range"), metadata: Bytes::new() }],
            must_know_member_id: index.is_multiple_of(2),
            may_skip_assignment: true,
            unique: Uuid::from_u128(self.uuids),
        }
    }

    /// Deals the partitions out in turn.
    fn sync(&self, index: usize, members: Vec<StrBytes>) -> Sync {
        let client = &self.clients[index];
        let share = |position: usize| -> Bytes {
            (0..PARTITIONS as u8)
                .filter(|partition| usize::from(*partition) % members.len() == position)
                .collect()
        };
        Sync {
            ticket: 0,
            group_id: group_id(),
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.clone(),
            generation_id: client.generation,
            protocol_type: None,
            protocol_name: None,
            assignments: members.iter().enumerate().map(|(n, id)| (id.clone(), share(n))).collect(),
        }
    }

    fn commit(&mut self, index: usize) -> Commit {
        self.last_commit += 1;
        let client = &self.clients[index];
        let partition = |partition: &i32| CommitPartition {
            index: *partition,
            offset: self.last_commit,
            leader_epoch: -1,
            metadata: StrBytes::new(),
        };
        let partitions = client.assignment.iter().map(partition).collect();
        Commit {
            group_id: group_id(),
            member_id: client.member_id.clone(),
            group_instance_id: client.instance.clone(),
            generation_id: client.generation,
            retention_ms: None,
            api_version: 9,
            topics: vec![CommitTopic { name: topic(), topic_id: Uuid::nil(), partitions }],
        }
    }
}

impl Client {
    fn restart(&mut self) {
        self.member_id = StrBytes::new();
        self.phase = Phase::Out;
        self.assignment.clear();
    }

    /// Gives up waiting for an answer, as after request.timeout.ms.
    fn ask_again_if(&mut self, is_timed_out: bool) {
        if is_timed_out && matches!(self.phase, Phase::Joining(_) | Phase::Syncing(_)) {
            self.phase = Phase::Out;
        }
    }

    fn joined(&mut self, joined: Joined) {
        self.member_id = joined.member_id;
        self.generation = joined.generation_id;
        let is_leader = joined.leader == self.member_id && !joined.skip_assignment;
        let members = joined.members.into_iter().map(|member| member.member_id).collect();
        self.phase = Phase::Joined(if is_leader { members } else { Vec::new() });
    }

    fn refused(&mut self, error: GroupError) {
        match error {
            GroupError::UnknownMemberId | GroupError::FencedInstanceId => self.restart(),
            GroupError::MemberIdRequired
            | GroupError::IllegalGeneration
            | GroupError::RebalanceInProgress
            | GroupError::GroupIdNotFound => self.phase = Phase::Out,
            other => panic!("refused with {other:?}"),
        }
    }
}

fn group_id() -> StrBytes {
    StrBytes::from_static_str("g")
}

fn topic() -> StrBytes {
    StrBytes::from_static_str("t")
}
