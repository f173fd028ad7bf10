//! An application under bad luck: threads of several processes that come, go, crash and come back, heartbeats that are
//! lost or late, topics that grow, vanish and come again, appends that fail, shards that are read again. Time is
//! virtual and chance is a seed, so every run can be repeated.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;

use super::super::harness::World;
use super::super::{GroupConfig, GroupError, GroupRecord, Ranged, records};
use super::transcripts::topology;
use super::*;
use crate::coordinator::chance::{Chance, for_each_seed};

/// A repartition topic between two subtopologies, the second with state, and a third without.
const TOPOLOGY: &str = "in,>rep/<rep,+log/other";
const TOPICS: [&str; 4] = ["in", "rep", "log", "other"];
const SESSION_TIMEOUT_MS: u64 = 45_000;
const REBALANCE_TIMEOUT_MS: i32 = 20_000;

#[test]
fn applications_survive_bad_luck() {
    for_each_seed(300, |seed| Simulation::new(seed).run());
}

struct Simulation {
    world: World,
    chance: Chance,
    clients: Vec<Client>,
    /// Heartbeats of threads that are gone, still under way.
    late: Vec<StreamsHeartbeat>,
    partitions: i32,
    member_ids: u32,
    seen_reloads: u32,
}

/// A thread of a process.
struct Client {
    process_id: StrBytes,
    member_id: StrBytes,
    /// 0 to join.
    epoch: i32,
    owned: TaskSet,
    /// What it was told and has not taken up yet.
    told: Option<TaskSet>,
    /// The coordinator may not know what it owns.
    must_report: bool,
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let usual = StreamsConfig::default();
        let delay_ms = if chance.one_in(4) { 3_000 } else { 0 };
        let interval_ms = if chance.one_in(2) { 1_000 } else { 0 };
        let streams = StreamsConfig {
            initial_rebalance_delay_ms: Ranged { value: delay_ms, ..usual.initial_rebalance_delay_ms },
            assignment_interval_ms: Ranged { value: interval_ms, ..usual.assignment_interval_ms },
            num_standby_replicas: Ranged { value: chance.below(3) as i32, ..usual.num_standby_replicas },
            ..usual
        };
        let mut simulation = Simulation {
            world: World::new(GroupConfig { streams, ..GroupConfig::default() }),
            clients: Vec::new(),
            late: Vec::new(),
            partitions: 1 + chance.below(5) as i32,
            member_ids: 0,
            seen_reloads: 0,
            chance,
        };
        simulation.make_topics();
        for _ in 0..1 + simulation.chance.below(6) {
            let process = simulation.chance.below(3);
            let client = simulation.new_client(&format!("p{process}"));
            simulation.clients.push(client);
        }
        simulation
    }

    fn run(mut self) {
        for step in 0..120 {
            self.misfortune();
            let client = self.chance.index(self.clients.len());
            self.act(client);
            self.check();
            if step % 20 == 0 {
                self.check_replay();
            }
        }
        self.settle();
        self.check_replay();
        self.check_log();
    }

    fn new_client(&mut self, process_id: &str) -> Client {
        self.member_ids += 1;
        Client {
            process_id: text(process_id),
            member_id: text(&format!("m{}", self.member_ids)),
            epoch: 0,
            owned: TaskSet::default(),
            told: None,
            must_report: false,
        }
    }

    fn make_topics(&mut self) {
        for topic in TOPICS {
            self.world.view.put(topic, self.partitions);
        }
    }

    fn misfortune(&mut self) {
        let client = self.chance.index(self.clients.len());
        match self.chance.below(60) {
            0 => self.world.reload(),
            1 | 2 => self.world.failing_appends = 1,
            3 | 4 => self.restart(client),
            5 => self.leave(client),
            6..9 => {
                let by_ms = self.chance.below(2 * SESSION_TIMEOUT_MS) as i64;
                self.world.advance(by_ms);
            }
            9 => {
                // Internal topics first follow later, or are not there yet.
                self.partitions += 1;
                let topic = TOPICS[self.chance.index(TOPICS.len())];
                self.world.view.put(topic, self.partitions);
            }
            10 => self.world.view.remove(TOPICS[self.chance.index(TOPICS.len())]),
            11..14 => self.make_topics(),
            14 => {
                let replicas = self.chance.below(3).to_string();
                self.world.view.configure("g", "streams.num.standby.replicas", &replicas);
            }
            15..18 if !self.late.is_empty() => {
                let index = self.chance.index(self.late.len());
                let heartbeat = self.late.swap_remove(index);
                self.send(&heartbeat);
            }
            _ => self.world.advance(self.chance.below(1_000) as i64),
        }
        self.notice_reload();
    }

    /// A thread of a new process, or of the same one started again: it knows nothing of what its place had.
    fn restart(&mut self, index: usize) {
        let lost = self.heartbeat(index);
        self.late.push(lost);
        let process_id = self.clients[index].process_id.to_string();
        self.clients[index] = self.new_client(&process_id);
    }

    fn leave(&mut self, index: usize) {
        let heartbeat =
            StreamsHeartbeat { member_epoch: -1, owned: None, topology: None, ..self.heartbeat(index) };
        if self.chance.one_in(5) {
            self.late.push(heartbeat);
        } else {
            self.send(&heartbeat);
        }
        let process_id = self.clients[index].process_id.to_string();
        self.clients[index] = self.new_client(&process_id);
    }

    /// What the client does next in a world without misfortune.
    fn act(&mut self, index: usize) {
        let client = &mut self.clients[index];
        if let Some(told) = client.told.take() {
            client.must_report |= client.owned != told;
            client.owned = told;
        }
        let heartbeat = self.heartbeat(index);
        let answer = self.send(&heartbeat);
        let is_lost = self.chance.one_in(15);
        let client = &mut self.clients[index];
        match answer {
            // The client sends it again, with all that it has.
            _ if is_lost => client.must_report = true,
            None => client.must_report = true,
            Some(Ok(answer)) => client.hear(answer),
            Some(Err(refusal)) => match refusal.error {
                GroupError::FencedMemberEpoch | GroupError::UnknownMemberId | GroupError::GroupIdNotFound => {
                    client.epoch = 0;
                    client.owned = TaskSet::default();
                    client.told = None;
                }
                // Its tasks are not those of the topology any more; the client reports them all the same, until
                // it is told otherwise.
                GroupError::InvalidRequest => client.must_report = false,
                other => panic!("refused with {other:?}: {:?}", refusal.message),
            },
        }
    }

    fn heartbeat(&mut self, index: usize) -> StreamsHeartbeat {
        let client = &mut self.clients[index];
        let is_joining = client.epoch == 0;
        if is_joining {
            client.owned = TaskSet::default();
        }
        let reports = is_joining || client.must_report || self.chance.one_in(10);
        client.must_report = false;
        StreamsHeartbeat {
            group_id: text("g"),
            member_id: client.member_id.clone(),
            member_epoch: client.epoch,
            endpoint_information_epoch: 0,
            rack_id: None,
            rebalance_timeout_ms: is_joining.then_some(REBALANCE_TIMEOUT_MS),
            topology: is_joining.then(|| topology(TOPOLOGY)),
            owned: reports.then(|| client.owned.clone()),
            process_id: is_joining.then(|| client.process_id.clone()),
            user_endpoint: None,
            client_tags: None,
            shutdown_application: false,
            client_id: text("c"),
            client_host: text("/h"),
        }
    }

    fn send(
        &mut self,
        heartbeat: &StreamsHeartbeat,
    ) -> Option<Result<StreamsHeartbeatAnswer, super::super::Refusal>> {
        let outcome = self.world.shard.streams_heartbeat(heartbeat, self.world.now_ms, &self.world.view);
        let answer = self.world.try_run(outcome);
        self.notice_reload();
        answer
    }

    /// Who does not know whether the coordinator heard it says everything again.
    fn notice_reload(&mut self) {
        if self.world.reloads != self.seen_reloads {
            self.seen_reloads = self.world.reloads;
            self.clients.iter_mut().for_each(|client| client.must_report = true);
        }
    }

    /// Without misfortune all threads come together, and every task is somebody's.
    fn settle(&mut self) {
        self.world.failing_appends = 0;
        self.late.clear();
        for topic in TOPICS {
            self.world.view.remove(topic);
        }
        self.make_topics();
        for _ in 0..60 {
            for index in 0..self.clients.len() {
                self.act(index);
                self.check();
            }
            self.world.advance(1_000);
        }
        let group = self.world.shard.hard_state().streams_group(&text("g")).expect("a group");
        assert_eq!(group.state(), StreamsState::Stable, "stuck: {group:?}");
        assert_eq!(group.members.len(), self.clients.len(), "{group:?}");
        let standby_replicas = config::logged_standby_replicas(&group.metadata.assignment_configs);
        let processes: BTreeSet<&StrBytes> = self.clients.iter().map(|client| &client.process_id).collect();
        let copies = standby_replicas.unwrap_or(0).min(processes.len() - 1);
        let (mut active, mut standby) = (BTreeMap::new(), BTreeMap::new());
        for client in &self.clients {
            assert_eq!(client.epoch, group.members[&client.member_id].current.member_epoch);
            count(&client.owned.active, &mut active);
            count(&client.owned.standby, &mut standby);
        }
        for id in ["0", "1", "2"] {
            for partition in 0..self.partitions {
                let task = (text(id), partition);
                assert_eq!(active.remove(&task), Some(1), "{task:?}");
                let copies = if id == "1" { copies } else { 0 };
                assert_eq!(standby.remove(&task).unwrap_or(0), copies, "standbys of {task:?}");
            }
        }
        assert!(active.is_empty() && standby.is_empty(), "{active:?} {standby:?}");
    }

    fn check_replay(&self) {
        assert_eq!(self.world.shard.hard_state(), self.world.replayed().hard_state());
    }

    fn check(&self) {
        let hard = self.world.shard.hard_state();
        let Some(group) = hard.streams_group(&text("g")) else {
            return;
        };
        let mut owners: BTreeMap<(StrBytes, i32), &StrBytes> = BTreeMap::new();
        let mut places: BTreeSet<(StrBytes, i32, &StrBytes)> = BTreeSet::new();
        for (member_id, member) in &group.members {
            for tasks in [&member.current.tasks, &member.current.pending_revocation] {
                let active =
                    tasks.active.iter().flat_map(|(id, it)| it.keys().map(move |p| (id.clone(), *p)));
                for task in active.clone() {
                    let other = owners.insert(task.clone(), member_id);
                    assert_eq!(other, None, "{task:?} is {member_id}'s too");
                }
                let standby =
                    tasks.standby.iter().flat_map(|(id, it)| it.iter().map(move |p| (id.clone(), *p)));
                for (id, partition) in active.chain(standby) {
                    let is_new = places.insert((id.clone(), partition, &member.metadata.process_id));
                    assert!(is_new, "{id}_{partition} is twice on {}", member.metadata.process_id);
                }
            }
        }
        for client in &self.clients {
            if let Some(member) = group.members.get(&client.member_id).filter(|_| client.epoch > 0) {
                let known = member.current.tasks.clone().merge(member.current.pending_revocation.clone());
                assert!(client.owned.is_within(&known), "{} has what it was not given", client.member_id);
            }
        }
    }

    /// What the log holds can be read from its bytes; the group's epoch only grows, until the group is gone.
    fn check_log(&self) {
        let mut last = 0;
        for record in &self.world.log {
            if let GroupRecord::Streams { record: StreamsRecord::Metadata(metadata), .. } = record {
                let epoch = metadata.as_ref().map_or(0, |metadata| metadata.epoch);
                assert!(epoch > last || metadata.is_none(), "epoch {epoch} after {last}");
                last = epoch;
            }
            let (key, value) = records::encode(record).expect("short names");
            let read = records::decode(key, value).expect("a record");
            let is_same = read.as_ref() == Some(record);
            assert!(is_same || matches!(record, GroupRecord::Group { .. }), "{record:?} became {read:?}");
        }
    }
}

impl Client {
    fn hear(&mut self, answer: StreamsHeartbeatAnswer) {
        assert!(answer.member_epoch >= self.epoch, "a member's epoch went back");
        self.epoch = answer.member_epoch;
        if let Some(tasks) = answer.tasks {
            let active = tasks.active.into_iter().map(|(id, it)| (id, it.into_keys().collect())).collect();
            self.told = Some(TaskSet { active, standby: tasks.standby, warmup: tasks.warmup });
        }
    }
}

fn count(tasks: &Tasks, counts: &mut BTreeMap<(StrBytes, i32), usize>) {
    for (id, partitions) in tasks {
        for partition in partitions {
            *counts.entry((id.clone(), *partition)).or_default() += 1;
        }
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
