//! Text tests: a command a line, after it what came of it.
//!
//! ```text
//! > topic in=3                              a topic, or how many partitions it has now
//! > a: join process=p topology=in,>rep/<rep,+log
//! a: epoch=2 0:0,1,2 1:0,1,2               tasks by subtopology; standby tasks as ~0:1
//! log: ...                                 a record
//! > a: beat owned=0:0,1                     `a` has these; without `owned` it leaves them unsaid
//! ```
//!
//! A topology lists its subtopologies' topics: `in` is read, `>rep` written, `<rep` (`<rep:4` with a number of its own)
//! read again, `+log` keeps state; `in=rep` have the same partitions. Epochs are those that the member was last told.

use std::collections::BTreeMap;

use ottla_protocol::StrBytes;

use super::super::harness::World;
use super::super::{AnyGroup, GroupConfig, GroupRecord, Ranged, Refusal};
use super::*;
use crate::coordinator::transcripts::{check_transcripts, replay_transcript};

#[test]
fn transcripts() {
    check_transcripts("src/coordinator/group/streams/transcripts", |transcript| {
        let mut player = Player::new(config(&BTreeMap::new()));
        replay_transcript(transcript, |command| player.play(command))
    });
}

struct Player {
    world: World,
    /// The epoch that each member was last told.
    epochs: BTreeMap<String, i32>,
}

impl Player {
    fn new(config: GroupConfig) -> Self {
        Player { world: World::new(config), epochs: BTreeMap::new() }
    }

    fn play(&mut self, line: &str) -> Vec<String> {
        let (member, command) = line.split_once(": ").unwrap_or(("", line));
        let (name, args) = command.split_once(' ').unwrap_or((command, ""));
        let args: BTreeMap<&str, &str> =
            args.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, ""))).collect();
        let logged = self.world.log.len();
        let mut lines = self.command(member, name, &args);
        let records = self.world.log.iter().skip(logged);
        lines.extend(records.map(|record| format!("log: {}", show_record(record))));
        assert_eq!(self.world.shard.hard_state(), self.world.replayed().hard_state(), "after {line}");
        lines
    }

    fn command(&mut self, member: &str, name: &str, args: &BTreeMap<&str, &str>) -> Vec<String> {
        match name {
            "config" => {
                *self = Player::new(config(args));
                Vec::new()
            }
            "topic" => {
                for (topic, partitions) in args {
                    self.world.view.put(topic, partitions.parse().expect("a number"));
                }
                Vec::new()
            }
            "delete-topic" => {
                args.keys().for_each(|topic| self.world.view.remove(topic));
                Vec::new()
            }
            "group-config" => {
                args.iter().for_each(|(key, value)| self.world.view.configure("g", key, value));
                Vec::new()
            }
            "join" | "beat" | "leave" => vec![self.heartbeat(member, name, args)],
            "describe" => vec![self.describe()],
            "delete" => {
                let outcome = self.world.shard.delete(&text("g"));
                vec![format!("{:?}", self.world.run(outcome))]
            }
            "advance" => {
                self.world.advance(args["ms"].parse().expect("milliseconds"));
                Vec::new()
            }
            "reload" => {
                self.world.reload();
                Vec::new()
            }
            other => panic!("no command {other}"),
        }
    }

    fn heartbeat(&mut self, member: &str, name: &str, args: &BTreeMap<&str, &str>) -> String {
        let is_joining = name == "join";
        let optional = |key: &str| args.get(key).map(|value| text(value));
        let epoch = match name {
            "join" => 0,
            "leave" => -1,
            _ => self.epochs.get(member).copied().unwrap_or(1),
        };
        let heartbeat = StreamsHeartbeat {
            group_id: text("g"),
            member_id: text(member),
            member_epoch: args.get("epoch").map_or(epoch, |epoch| epoch.parse().expect("an epoch")),
            endpoint_information_epoch: args.get("known").map_or(0, |it| it.parse().expect("an epoch")),
            rack_id: optional("rack"),
            rebalance_timeout_ms: is_joining.then_some(60_000),
            topology: is_joining.then(|| topology(args.get("topology").copied().unwrap_or("in"))),
            owned: if is_joining { Some(TaskSet::default()) } else { args.get("owned").map(|it| owned(it)) },
            process_id: is_joining.then(|| text(args.get("process").unwrap_or(&member))),
            user_endpoint: args.get("endpoint").map(|host| Endpoint { host: text(host), port: 1 }),
            client_tags: is_joining.then(BTreeMap::new),
            shutdown_application: args.contains_key("shutdown"),
            client_id: text("c"),
            client_host: text("/h"),
        };
        let world = &mut self.world;
        let outcome = world.shard.streams_heartbeat(&heartbeat, world.now_ms, &world.view);
        match world.run(outcome) {
            Ok(answer) => {
                self.epochs.insert(member.to_owned(), answer.member_epoch);
                format!("{member}: {}", show_answer(&answer))
            }
            Err(Refusal { error, message }) => {
                format!("{member}: {error:?} {}", message.unwrap_or_default())
            }
        }
    }

    fn describe(&self) -> String {
        match self.world.shard.describe_streams(&text("g")) {
            Err(refusal) => format!("{:?} {}", refusal.error, refusal.message.unwrap_or_default()),
            Ok(group) => {
                let partitions = |topics: &[InternalTopic]| -> Vec<String> {
                    topics.iter().map(|it| format!("{}({})", it.name, it.partitions)).collect()
                };
                let subtopologies = group.topology.subtopologies.iter();
                let internal: Vec<String> = subtopologies
                    .flat_map(|it| [&it.repartition_source_topics, &it.state_changelog_topics])
                    .flat_map(|it| partitions(it))
                    .collect();
                let members: Vec<String> = group
                    .members
                    .iter()
                    .map(|it| {
                        format!(
                            "{}={:?}@{}",
                            it.member_id, it.member.current.state, it.member.current.member_epoch
                        )
                    })
                    .collect();
                let listed = self.world.shard.any_group(&text("g")).map(AnyGroup::state_name);
                assert_eq!(listed, Some(group.state));
                let (epochs, internal) = ((group.group_epoch, group.assignment_epoch), internal.join(" "));
                format!(
                    "{} epoch={} target={} {internal} {}",
                    group.state,
                    epochs.0,
                    epochs.1,
                    members.join(" ")
                )
            }
        }
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn config(args: &BTreeMap<&str, &str>) -> GroupConfig {
    let number = |key: &str, default: i32| args.get(key).map_or(default, |it| it.parse().expect("a number"));
    let usual = StreamsConfig::default();
    let streams = StreamsConfig {
        initial_rebalance_delay_ms: Ranged { value: number("delay", 0), ..usual.initial_rebalance_delay_ms },
        assignment_interval_ms: Ranged { value: number("interval", 0), ..usual.assignment_interval_ms },
        num_standby_replicas: Ranged { value: number("standby", 0), ..usual.num_standby_replicas },
        max_size: usize::try_from(number("max_size", 100)).expect("a size"),
        ..usual
    };
    GroupConfig { streams, ..GroupConfig::default() }
}

/// A topology in the words that are explained above; `@1` at its end is its epoch.
pub fn topology(words: &str) -> Topology {
    let (words, epoch) = words.split_once('@').unwrap_or((words, "0"));
    let subtopologies = words.split('/').enumerate().map(|(id, topics)| {
        let mut subtopology = Subtopology { id: text(&id.to_string()), ..Subtopology::default() };
        for topic in topics.split(',') {
            add_topic(&mut subtopology, topic);
        }
        subtopology
    });
    Topology { epoch: epoch.parse().expect("an epoch"), subtopologies: subtopologies.collect() }
}

fn add_topic(subtopology: &mut Subtopology, topic: &str) {
    let internal = |name: &str| {
        let (name, partitions) = name.split_once(':').unwrap_or((name, "0"));
        let partitions = partitions.parse().expect("a number");
        InternalTopic { name: text(name), partitions, ..InternalTopic::default() }
    };
    if topic.contains('=') {
        let mut group = CopartitionGroup::default();
        for name in topic.split('=').map(text) {
            let place = |names: Vec<&StrBytes>| names.iter().position(|it| **it == name);
            let own = place(subtopology.source_topics.iter().collect());
            let repartition = subtopology.repartition_source_topics.iter();
            let repartition = place(repartition.map(|topic| &topic.name).collect());
            group.source_topics.extend(own.map(|place| place as i16));
            group.repartition_source_topics.extend(repartition.map(|place| place as i16));
        }
        subtopology.copartition_groups.push(group);
    } else if let Some(name) = topic.strip_prefix('>') {
        subtopology.repartition_sink_topics.push(text(name));
    } else if let Some(name) = topic.strip_prefix('<') {
        subtopology.repartition_source_topics.push(internal(name));
    } else if let Some(name) = topic.strip_prefix('+') {
        subtopology.state_changelog_topics.push(internal(name));
    } else {
        subtopology.source_topics.push(text(topic));
    }
}

/// `0:0,1;~1:2` is active 0_0 and 0_1, standby 1_2.
fn owned(words: &str) -> TaskSet {
    let mut tasks = TaskSet::default();
    for words in words.split(';').filter(|words| !words.is_empty()) {
        let (role, words) = match words.strip_prefix('~') {
            Some(words) => (&mut tasks.standby, words),
            None => (&mut tasks.active, words),
        };
        let (id, partitions) = words.split_once(':').expect("0:1,2");
        role.insert(text(id), partitions.split(',').map(|it| it.parse().expect("a partition")).collect());
    }
    tasks
}

fn show_answer(answer: &StreamsHeartbeatAnswer) -> String {
    let mut words = vec![format!("epoch={}", answer.member_epoch)];
    if let Some(tasks) = &answer.tasks {
        words.push(show_assigned(tasks));
    }
    words.extend(answer.status.iter().map(|it| format!("{:?}({})", it.kind, it.detail)));
    words.extend(answer.topics_to_create.values().map(|it| format!("create {}({})", it.name, it.partitions)));
    for it in answer.endpoints.iter().flatten() {
        let list = |topics: &[(StrBytes, std::collections::BTreeSet<i32>)]| -> String {
            topics.iter().map(|(topic, partitions)| format!(" {topic}{partitions:?}")).collect()
        };
        words.push(format!("{}:{} ~{}", it.endpoint.host, list(&it.active), list(&it.standby)));
    }
    if answer.endpoint_information_epoch != 0 {
        words.push(format!("endpoints={}", answer.endpoint_information_epoch));
    }
    words.join(" ")
}

fn show_assigned(tasks: &AssignedTasks) -> String {
    let active: Tasks =
        tasks.active.iter().map(|(id, epochs)| (id.clone(), epochs.keys().copied().collect())).collect();
    show_tasks(&TaskSet { active, standby: tasks.standby.clone(), warmup: tasks.warmup.clone() })
}

fn show_tasks(tasks: &TaskSet) -> String {
    let show = |role: &str, tasks: &Tasks| -> Vec<String> {
        let list = |partitions: &std::collections::BTreeSet<i32>| {
            partitions.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
        };
        tasks.iter().map(|(id, partitions)| format!("{role}{id}:{}", list(partitions))).collect()
    };
    let words = [show("", &tasks.active), show("~", &tasks.standby), show("^", &tasks.warmup)].concat();
    if words.is_empty() { "nothing".to_owned() } else { words.join(" ") }
}

fn show_record(record: &GroupRecord) -> String {
    let GroupRecord::Streams { record, .. } = record else {
        return format!("{record:?}");
    };
    match record {
        StreamsRecord::Metadata(None) => "group gone".to_owned(),
        StreamsRecord::Metadata(Some(it)) => {
            let standbys = it.assignment_configs.values().map(|it| it.as_str()).collect::<Vec<_>>().join(",");
            let topology = it.validated_topology_epoch;
            let has_topics = it.metadata_hash != 0;
            format!("group epoch={} topology={topology} standby={standbys} topics={has_topics}", it.epoch)
        }
        StreamsRecord::Member(id, None) => format!("{id} gone"),
        StreamsRecord::Member(id, Some(it)) => {
            let rack = it.rack_id.as_deref().unwrap_or("-");
            format!("{id} process={} topology={} rack={rack}", it.process_id, it.topology_epoch)
        }
        StreamsRecord::TargetMetadata(None) => "target gone".to_owned(),
        StreamsRecord::TargetMetadata(Some(it)) => format!("target epoch={}", it.epoch),
        StreamsRecord::Target(id, None) => format!("{id} target gone"),
        StreamsRecord::Target(id, Some(tasks)) => format!("{id} target {}", show_tasks(tasks)),
        StreamsRecord::Current(id, None) => format!("{id} current gone"),
        StreamsRecord::Current(id, Some(it)) => {
            let (epoch, before) = (it.member_epoch, it.previous_member_epoch);
            let mut line =
                format!("{id} {:?} epoch={before}->{epoch} {}", it.state, show_assigned(&it.tasks));
            if !it.pending_revocation.is_empty() {
                line.push_str(&format!(" revokes {}", show_assigned(&it.pending_revocation)));
            }
            line
        }
        StreamsRecord::Topology(None) => "topology gone".to_owned(),
        StreamsRecord::Topology(Some(it)) => {
            format!("topology epoch={} of {}", it.epoch, it.subtopologies.len())
        }
    }
}
