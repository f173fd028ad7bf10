//! Text tests: a command a line, after it what came of it. `OTTLA_REWRITE_TRANSCRIPTS=1 cargo test transcripts`
//! writes down what comes now; the difference is then read in the diff.
//!
//! ```text
//! > a: join id=          `a` labels the request, so that its late answer is recognized
//! a: MemberIdRequired a#1
//! log: g Empty gen=0     a record
//! ```
//!
//! Member ids are `<client>#<n>` for `<client>-<the n-th UUID>`. Every command also checks that the log alone leads
//! to the same hard state.

mod consumer;
mod embedded;

use std::collections::BTreeMap;
use std::fmt::Write;

use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::commands::*;
use super::consumer::ConsumerConfig;
use super::harness::World;
use super::{Answer, GroupConfig, GroupError, GroupRecord, MigrationPolicy, Producer};
use crate::coordinator::Ticket;
use crate::coordinator::marker::TxnMarker;
use crate::coordinator::transcripts::{check_transcripts, replay_transcript};

#[test]
fn transcripts() {
    check_transcripts("src/coordinator/group/transcripts", |transcript| {
        let mut player = Player::new(GroupConfig::default());
        replay_transcript(transcript, |command| player.play(command))
    });
}

struct Player {
    world: World,
    labels: BTreeMap<Ticket, String>,
    uuids: u128,
}

impl Player {
    fn new(config: GroupConfig) -> Self {
        Player { world: World::new(config), labels: BTreeMap::new(), uuids: 0 }
    }

    fn play(&mut self, line: &str) -> Vec<String> {
        let (label, command) = line.split_once(": ").unwrap_or(("", line));
        let mut words = command.split_whitespace();
        let name = words.next().expect("a command");
        let args = Args(words.map(|word| word.split_once('=').unwrap_or((word, ""))).collect());
        let logged = self.world.log.len();
        let mut lines = self.command(label, name, &args);
        for (ticket, answer) in std::mem::take(&mut self.world.answers) {
            let label = self.labels.remove(&ticket).expect("a label");
            lines.push(format!("{label}: {}", show_answer(&answer)));
        }
        let records = self.world.log.iter().skip(logged);
        lines.extend(records.map(|record| format!("log: {}", self.show_record(record))));
        assert_eq!(self.world.shard.hard_state(), self.world.replayed().hard_state(), "after {line}");
        lines.into_iter().map(|line| shorten(&line)).collect()
    }

    fn command(&mut self, label: &str, name: &str, args: &Args) -> Vec<String> {
        let now_ms = self.world.now_ms;
        let group_id = args.text("group", "g");
        match name {
            "config" => {
                let config = GroupConfig {
                    initial_rebalance_delay_ms: args.number("delay", 0),
                    max_size: args.number("max_size", 1_000),
                    offset_metadata_max_bytes: args.number("metadata", 4_096),
                    migration_policy: MigrationPolicy::by_name(
                        args.get("migration").unwrap_or("bidirectional"),
                    )
                    .expect("a policy"),
                    consumer: ConsumerConfig {
                        max_size: args.number("consumer_max_size", 1_000),
                        ..ConsumerConfig::default()
                    },
                    ..GroupConfig::default()
                };
                *self = Player::new(config);
                Vec::new()
            }
            "join" => self.join(label, args),
            "sync" => self.sync(label, args),
            "heartbeat" => {
                let outcome = self.world.shard.heartbeat(
                    &Heartbeat {
                        group_id,
                        member_id: args.id(),
                        group_instance_id: args.optional("instance"),
                        generation_id: args.number("gen", 1),
                    },
                    now_ms,
                );
                vec![show_result(self.world.run(outcome))]
            }
            "leave" => self.leave(args),
            "commit" => self.commit(args),
            "txn-commit" => self.commit_transactional(args),
            "marker" => {
                let marker = TxnMarker {
                    producer_id: args.number("producer", 7),
                    producer_epoch: 0,
                    coordinator_epoch: 0,
                    is_commit: args.text("result", "commit").as_str() == "commit",
                    transaction_version: 0,
                };
                let outcome = self.world.shard.end_transaction(marker);
                self.world.run(outcome);
                Vec::new()
            }
            "fetch" => self.fetch(args),
            "delete-offsets" => {
                let topics = args.topics();
                let outcome = self.world.shard.delete_offsets(&DeleteOffsets { group_id, topics });
                show_topics(self.world.run(outcome))
            }
            "delete-topic" => {
                let topic = args.text("topic", "t");
                let outcome = self.world.shard.topic_deleted(&topic, Uuid::nil());
                self.world.run(outcome);
                Vec::new()
            }
            "list" => {
                let mut lines: Vec<String> =
                    self.world.shard.list().iter().map(|g| format!("{g:?}")).collect();
                lines.sort();
                lines
            }
            "describe" => match self.world.shard.describe(&group_id) {
                Ok(group) => show_described(&group),
                Err(error) => vec![format!("{error:?}")],
            },
            "delete" => {
                let outcome = self.world.shard.delete(&group_id);
                vec![show_result(self.world.run(outcome))]
            }
            "advance" => {
                self.world.advance(args.number("ms", 0));
                Vec::new()
            }
            "reload" => {
                // Who waits hears that the coordinator is gone; the runtime tells them.
                self.labels.clear();
                self.world.reload();
                Vec::new()
            }
            other => self.consumer_command(other, args),
        }
    }

    fn join(&mut self, label: &str, args: &Args) -> Vec<String> {
        self.uuids += 1;
        let ticket = self.world.ticket();
        self.labels.insert(ticket, label.to_string());
        let version: i16 = args.number("v", 9);
        let topics = args.get("topics").unwrap_or("t");
        let metadata = embedded::subscription(topics, args.get("owned"));
        let protocol = |name: &str| Protocol { name: text(name), metadata: metadata.clone() };
        let join = Join {
            ticket,
            group_id: args.text("group", "g"),
            member_id: args.id(),
            group_instance_id: args.optional("instance"),
            client_id: args.text("client", label),
            client_host: text("/127.0.0.1"),
            session_timeout_ms: args.number("session", 10_000),
            rebalance_timeout_ms: args.number("rebalance", 60_000),
            protocol_type: args.text("type", "consumer"),
            protocols: args.get("protocols").unwrap_or("range").split(',').map(protocol).collect(),
            must_know_member_id: version >= 4,
            may_skip_assignment: version >= 9,
            unique: Uuid::from_u128(self.uuids),
        };
        let outcome = self.world.shard.join(&join, self.world.now_ms, &self.world.view);
        self.world.run(outcome);
        Vec::new()
    }

    fn sync(&mut self, label: &str, args: &Args) -> Vec<String> {
        let ticket = self.world.ticket();
        self.labels.insert(ticket, label.to_string());
        let assignment = |part: &str| {
            let (id, bytes) = part.split_once(':').expect("assign=id:bytes");
            (expand(id), embedded::assignment(bytes))
        };
        let sync = Sync {
            ticket,
            group_id: args.text("group", "g"),
            member_id: args.id(),
            group_instance_id: args.optional("instance"),
            generation_id: args.number("gen", 1),
            protocol_type: args.optional("type"),
            protocol_name: args.optional("protocol"),
            assignments: args.list("assign").into_iter().map(assignment).collect(),
        };
        let outcome = self.world.shard.sync(&sync, self.world.now_ms, &self.world.view);
        self.world.run(outcome);
        Vec::new()
    }

    fn leave(&mut self, args: &Args) -> Vec<String> {
        let leaver = |part: &str| {
            let (id, instance) =
                part.split_once('/').map_or((part, None), |(id, instance)| (id, Some(instance)));
            Leaver { member_id: expand(id), group_instance_id: instance.map(text) }
        };
        let members = args.list("ids").into_iter().map(leaver).collect();
        let leave = Leave { group_id: args.text("group", "g"), members };
        let outcome = self.world.shard.leave(&leave, self.world.now_ms, &self.world.view);
        match self.world.run(outcome) {
            Err(error) => vec![format!("{error:?}")],
            Ok(answer) => {
                answer.iter().map(|(who, r)| format!("{}: {}", who.member_id, show_result(*r))).collect()
            }
        }
    }

    fn commit(&mut self, args: &Args) -> Vec<String> {
        let commit = Commit {
            group_id: args.text("group", "g"),
            member_id: args.id(),
            group_instance_id: args.optional("instance"),
            generation_id: args.number("gen", -1),
            retention_ms: args.get("retention").map(|_| args.number("retention", 0)),
            api_version: args.number("v", 9),
            topics: args.commit_topics(),
        };
        let outcome = self.world.shard.commit(&commit, self.world.now_ms);
        show_topics(self.world.run(outcome))
    }

    fn commit_transactional(&mut self, args: &Args) -> Vec<String> {
        let commit = TransactionalCommit {
            group_id: args.text("group", "g"),
            producer: Producer { id: args.number("producer", 7), epoch: 0 },
            claim: MemberClaim {
                member_id: args.id(),
                group_instance_id: args.optional("instance"),
                generation_id: args.number("gen", -1),
            },
            topics: args.commit_topics(),
        };
        let outcome = self.world.shard.commit_transactional(&commit, self.world.now_ms);
        show_topics(self.world.run(outcome))
    }

    fn fetch(&mut self, args: &Args) -> Vec<String> {
        let topics = args.get("topics").map(|_| args.topics());
        let fetch = FetchOffsets {
            require_stable: args.get("stable").is_some(),
            group_id: args.text("group", "g"),
            member_id: args.optional("id"),
            member_epoch: args.number("epoch", -1),
            topics,
        };
        let fetched = match self.world.shard.fetch_offsets(&fetch) {
            Ok(fetched) => fetched,
            Err(error) => return vec![format!("{error:?}")],
        };
        let show = |topic: &FetchedTopic| {
            let offset = |p: &FetchedOffset| match p.is_unstable {
                true => format!("{}:unstable", p.index),
                false => format!("{}:{} {:?}", p.index, p.offset, p.metadata),
            };
            let offsets = topic.partitions.iter().map(offset);
            format!("{} {}", topic.name, offsets.collect::<Vec<_>>().join(", "))
        };
        fetched.iter().map(show).collect()
    }
}

struct Args<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Args<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    fn commit_topics(&self) -> Vec<CommitTopic> {
        let partition = |(index, offset): (i32, i64)| CommitPartition {
            index,
            offset,
            leader_epoch: -1,
            metadata: self.text("metadata", ""),
        };
        let topic = |(name, partitions): (&str, Vec<(i32, i64)>)| CommitTopic {
            name: text(name),
            topic_id: Uuid::nil(),
            partitions: partitions.into_iter().map(partition).collect(),
        };
        self.offsets().into_iter().map(topic).collect()
    }

    fn text(&self, key: &str, default: &str) -> StrBytes {
        text(self.get(key).unwrap_or(default))
    }

    fn optional(&self, key: &str) -> Option<StrBytes> {
        self.get(key).map(text)
    }

    fn id(&self) -> StrBytes {
        expand(self.get("id").unwrap_or(""))
    }

    fn number<T: std::str::FromStr>(&self, key: &str, default: T) -> T {
        self.get(key)
            .map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{key}={value} is no number")))
    }

    fn list(&self, key: &str) -> Vec<&'a str> {
        self.get(key).map(|value| value.split(',').collect()).unwrap_or_default()
    }

    /// `topics=t:0+1,u:0`
    fn topics(&self) -> Vec<TopicPartitions> {
        let topic = |part: &str| {
            let (name, indexes) = part.split_once(':').expect("topics=t:0+1");
            let partitions = indexes.split('+').map(|index| index.parse().expect("a partition")).collect();
            TopicPartitions { name: text(name), topic_id: Uuid::nil(), partitions }
        };
        self.list("topics").into_iter().map(topic).collect()
    }

    /// `offsets=t:0@5+1@7`
    fn offsets(&self) -> Vec<(&'a str, Vec<(i32, i64)>)> {
        let offset = |part: &str| {
            let (index, offset) = part.split_once('@').expect("partition@offset");
            (index.parse().expect("a partition"), offset.parse().expect("an offset"))
        };
        let topic = |part: &'a str| {
            let (name, offsets) = part.split_once(':').expect("offsets=t:0@5");
            (name, offsets.split('+').map(offset).collect())
        };
        self.list("offsets").into_iter().map(topic).collect()
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_string())
}

/// `a#1` to `a-00000000-0000-0000-0000-000000000001`.
fn expand(id: &str) -> StrBytes {
    match id.split_once('#') {
        Some((name, number)) => {
            text(&format!("{name}-{}", Uuid::from_u128(number.parse().expect("a number"))))
        }
        None => text(id),
    }
}

/// The other way round, everywhere in a line.
fn shorten(line: &str) -> String {
    let parts: Vec<&str> = line.split("-00000000-0000-0000-0000-").collect();
    let mut short = parts[0].to_string();
    for part in &parts[1..] {
        let (number, rest) = part.split_at(12);
        let number = u64::from_str_radix(number, 16).expect("the end of a UUID");
        let _ = write!(short, "#{number}{rest}");
    }
    short
}

fn show_result(result: Result<(), GroupError>) -> String {
    result.map_or_else(|error| format!("{error:?}"), |()| "ok".to_string())
}

fn show_answer(answer: &Answer) -> String {
    match answer {
        Answer::Join(Err(refused)) => format!("{:?} {}", refused.error, refused.member_id),
        Answer::Sync(Err(error)) => format!("{error:?}"),
        Answer::Sync(Ok(synced)) => format!("synced {}", embedded::show(&synced.assignment)),
        Answer::Join(Ok(joined)) => {
            let members: Vec<&str> = joined.members.iter().map(|member| member.member_id.as_str()).collect();
            format!(
                "joined as {} gen={} protocol={} leader={} members={members:?}{}",
                joined.member_id,
                joined.generation_id,
                joined.protocol_name.as_deref().unwrap_or("-"),
                joined.leader,
                if joined.skip_assignment { " skip_assignment" } else { "" },
            )
        }
    }
}

fn show_topics(result: Result<Vec<TopicResults>, GroupError>) -> Vec<String> {
    let show = |topic: &TopicResults| {
        let results =
            topic.partitions.iter().map(|(index, result)| format!("{index}:{}", show_result(*result)));
        format!("{} {}", topic.name, results.collect::<Vec<_>>().join(", "))
    };
    result.map_or_else(|error| vec![format!("{error:?}")], |topics| topics.iter().map(show).collect())
}

fn show_described(group: &DescribedGroup) -> Vec<String> {
    let head = format!(
        "{} {} type={} protocol={}",
        group.group_id, group.state, group.protocol_type, group.protocol
    );
    let show = |member: &DescribedMember| {
        let instance = member.group_instance_id.as_deref().unwrap_or("-");
        let (client_id, client_host) = (&member.client_id, &member.client_host);
        let has_metadata = !member.metadata.is_empty();
        format!(
            "  {} instance={instance} {client_id}@{client_host} metadata={has_metadata} assignment={:?}",
            member.member_id, member.assignment
        )
    };
    std::iter::once(head).chain(group.members.iter().map(show)).collect()
}

impl Player {
    fn show_record(&self, record: &GroupRecord) -> String {
        match record {
            GroupRecord::Consumer { group_id, record } => self.show_consumer_record(group_id, record),
            GroupRecord::Share { group_id, record } => format!("{group_id} {record:?}"),
            GroupRecord::Streams { group_id, record } => format!("{group_id} {record:?}"),
            GroupRecord::PendingOffset { producer, group_id, topic, partition, offset } => {
                format!("{group_id} {topic}-{partition} = {} once {} commits", offset.offset, producer.id)
            }
            GroupRecord::Marker(marker) => {
                let how = if marker.is_commit { "commits" } else { "aborts" };
                format!("{} {how}", marker.producer_id)
            }
            GroupRecord::Group { group_id, group: None } => format!("{group_id} gone"),
            GroupRecord::Group { group_id, group: Some(group) } => {
                let members = group.members.iter();
                let members = members.map(|m| format!("{}={}", m.member_id, embedded::show(&m.assignment)));
                format!(
                    "{group_id} gen={} type={} protocol={} leader={} since={} members={}",
                    group.generation,
                    group.protocol_type,
                    group.protocol.as_deref().unwrap_or("-"),
                    group.leader.as_deref().unwrap_or("-"),
                    group.current_state_timestamp_ms.unwrap_or(-1),
                    members.collect::<Vec<_>>().join(","),
                )
            }
            GroupRecord::Offset { group_id, topic, partition, offset } => {
                let offset =
                    offset.as_ref().map_or("gone".to_string(), |o| format!("{} {:?}", o.offset, o.metadata));
                format!("{group_id} {topic}-{partition} {offset}")
            }
        }
    }
}
