//! Text tests of share groups (`transcripts/*.txt`), as those of the classic protocol: a command a line, after it what
//! came of it. `OTTLA_REWRITE_TRANSCRIPTS=1 cargo test transcripts` writes down what comes now. Every command also checks
//! that the bytes of the log alone lead to the same groups.
//!
//! The share coordinator answers an errand when the transcript says `initialized` or `failed`.

use std::collections::BTreeMap;

use ottla_protocol::StrBytes;

use super::commands::*;
use super::{ShareErrand, ShareRecord, ShareStates, StateTopic};
use crate::coordinator::Machine;
use crate::coordinator::group::assignors::TopicPartitions;
use crate::coordinator::group::harness::World;
use crate::coordinator::group::{Errand, GroupConfig, GroupRecord, GroupShard, Refusal};
use crate::coordinator::transcripts::{check_transcripts, replay_transcript};

#[test]
fn transcripts() {
    check_transcripts("src/coordinator/group/share/transcripts", |transcript| {
        let mut player = Player::new();
        replay_transcript(transcript, |command| player.play(command))
    });
}

struct Player {
    world: World,
    /// Errands that the share coordinator has not answered.
    errands: Vec<ShareErrand>,
}

impl Player {
    fn new() -> Player {
        let mut config = GroupConfig::default();
        // Most transcripts are about something else; `interval.txt` sets its own.
        config.share.assignment_interval_ms.value = 0;
        Player { world: World::new(config), errands: Vec::new() }
    }

    fn play(&mut self, line: &str) -> Vec<String> {
        let mut words = line.split_whitespace();
        let name = words.next().expect("a command");
        let args: BTreeMap<&str, &str> =
            words.map(|word| word.split_once('=').unwrap_or((word, ""))).collect();
        let logged = self.world.log.len();
        let mut lines = self.command(name, &args);
        for record in self.world.log.iter().skip(logged) {
            if let GroupRecord::Share { group_id, record } = record {
                lines.push(format!("log: {group_id} {}", show_record(record)));
            }
        }
        for Errand::Share(errand) in std::mem::take(&mut self.world.errands) {
            lines.push(format!("errand: {}", show_errand(&errand)));
            self.errands.push(errand);
        }
        self.check_log();
        lines
    }

    /// The bytes of the log say the same as the live shard, but for the time of an errand.
    fn check_log(&self) {
        let batch = GroupShard::to_batch(&self.world.log, 0).expect("short names");
        let mut replayed = GroupShard::new(self.world.config.clone());
        for record in GroupShard::from_batch(&batch).expect("records") {
            replayed.replay(&record);
        }
        let timeless = |shard: &GroupShard| {
            let groups = shard.hard_state().share_groups();
            let groups = groups.map(|(group_id, group)| {
                let mut group = group.clone();
                group.states = group.states.map(|states| ShareStates { since_ms: 0, ..states });
                (group_id.clone(), group)
            });
            groups.collect::<BTreeMap<_, _>>()
        };
        assert_eq!(timeless(&self.world.shard), timeless(&replayed));
    }

    fn command(&mut self, name: &str, args: &BTreeMap<&str, &str>) -> Vec<String> {
        let text = |name: &str, default: &str| {
            StrBytes::from_string((*args.get(name).unwrap_or(&default)).to_owned())
        };
        let number = |name: &str, default: i64| args.get(name).map_or(default, |text| text.parse().unwrap());
        let (group_id, now_ms) = (text("group", "g"), self.world.now_ms);
        match name {
            "config" => {
                let share = &mut self.world.config.share;
                share.assignment_interval_ms.value = number("interval", 0) as i32;
                share.max_size = number("max_size", 200) as usize;
                self.world = World::new(self.world.config.clone());
                self.errands.clear();
                Vec::new()
            }
            "group-config" => {
                let (key, value) = (text("key", ""), text("value", ""));
                self.world.view.configure(&group_id, &key, &value);
                Vec::new()
            }
            "topic" => {
                self.world.view.put(&text("name", "t"), number("partitions", 1) as i32);
                Vec::new()
            }
            "delete-topic" => {
                let id = self.world.view.topics[&text("name", "t")].id;
                self.world.view.remove(&text("name", "t"));
                let outcome = self.world.shard.share_topics_deleted(&[id], &self.world.view);
                self.world.run(outcome);
                Vec::new()
            }
            "beat" => {
                let names = args.get("topics").map(|names| names.split(',').filter(|name| !name.is_empty()));
                let heartbeat = ShareHeartbeat {
                    group_id,
                    member_id: text("id", "a"),
                    member_epoch: number("epoch", 0) as i32,
                    rack_id: args.contains_key("rack").then(|| text("rack", "")),
                    client_id: StrBytes::from_static_str("c"),
                    client_host: StrBytes::from_static_str("/h"),
                    subscribed_topic_names: names
                        .map(|names| names.map(|name| StrBytes::from_string(name.to_owned())).collect()),
                };
                if let Err(refusal) = heartbeat.check() {
                    return vec![show_refusal(&refusal)];
                }
                let outcome = self.world.shard.share_heartbeat(&heartbeat, now_ms, &self.world.view);
                vec![match self.world.run(outcome) {
                    Ok(answer) => self.show_answer(&answer),
                    Err(refusal) => show_refusal(&refusal),
                }]
            }
            "initialized" | "failed" => {
                if self.errands.is_empty() {
                    return vec!["no errand".to_owned()];
                }
                let errand = self.errands.remove(0);
                let mut partitions = TopicPartitions::new();
                for each in &errand.initialize {
                    partitions.entry(each.key.topic_id).or_default().insert(each.key.partition);
                }
                let (shard, view) = (&self.world.shard, &self.world.view);
                let outcome = match name {
                    "initialized" => shard.share_initialized(&errand.group_id, &partitions, view),
                    _ => shard.share_not_initialized(&errand.group_id, &partitions, view),
                };
                self.world.run(outcome);
                Vec::new()
            }
            "lost" => {
                self.errands.clear();
                Vec::new()
            }
            "alter" => {
                let partitions = text("offsets", "0@0");
                let partitions = partitions.split(',').map(|each| {
                    let (index, offset) = each.split_once('@').expect("partition@offset");
                    (index.parse().unwrap(), offset.parse().unwrap())
                });
                let topics =
                    vec![AlterShareTopic { name: text("topic", "t"), partitions: partitions.collect() }];
                let request = AlterShareOffsets { group_id, topics };
                let outcome = self.world.shard.alter_share_offsets(&request, now_ms, &self.world.view);
                match self.world.run(outcome) {
                    Ok(altered) => {
                        let group_id = request.group_id;
                        let topics = altered
                            .topics
                            .iter()
                            .map(|topic| format!("{} {:?}", topic.name, topic.partitions));
                        let topics = topics.collect();
                        let initialize = altered.initialize;
                        if !initialize.is_empty() {
                            self.errands.push(ShareErrand { group_id, initialize });
                        }
                        topics
                    }
                    Err(refusal) => vec![show_refusal(&refusal)],
                }
            }
            "delete-offsets" => {
                let names = [text("topic", "t")];
                let outcome = self.world.shard.delete_share_offsets(&group_id, &names, &self.world.view);
                match self.world.run(outcome) {
                    Ok(deletion) => vec![format!(
                        "delete={:?} refused={:?}",
                        deletion
                            .delete
                            .iter()
                            .map(|topic| (&*topic.name, &topic.partitions))
                            .collect::<Vec<_>>(),
                        deletion.refused
                    )],
                    Err(refusal) => vec![show_refusal(&refusal)],
                }
            }
            "deleted-offsets" => {
                let ids = [self.world.view.topics[&text("topic", "t")].id];
                let outcome = self.world.shard.share_offsets_deleted(&group_id, &ids, &self.world.view);
                self.world.run(outcome);
                Vec::new()
            }
            "begin-deletion" => {
                let outcome = self.world.shard.begin_share_deletion(&group_id, &self.world.view);
                let keys = self.world.run(outcome);
                vec![format!(
                    "{:?}",
                    keys.map(|keys| keys.iter().map(|key| key.partition).collect::<Vec<_>>())
                )]
            }
            "delete" => {
                let outcome = self.world.shard.delete(&group_id);
                vec![format!("{:?}", self.world.run(outcome))]
            }
            "list" => self.world.shard.list().iter().map(|group| format!("{group:?}")).collect(),
            "describe" => match self.world.shard.describe_share_group(&group_id, &self.world.view) {
                Ok(group) => show_described(&group),
                Err(refusal) => vec![show_refusal(&refusal)],
            },
            "wait" => {
                self.world.advance(number("ms", 0));
                Vec::new()
            }
            "reload" => {
                self.world.reload();
                Vec::new()
            }
            _ => panic!("no command {name}"),
        }
    }

    fn show_answer(&self, answer: &ShareHeartbeatAnswer) -> String {
        let assignment = answer.assignment.as_ref().map_or("unchanged".to_owned(), show_partitions);
        format!(
            "{} epoch={} every={} {assignment}",
            answer.member_id, answer.member_epoch, answer.heartbeat_interval_ms
        )
    }
}

fn show_refusal(refusal: &Refusal) -> String {
    format!("{:?} {}", refusal.error, refusal.message.as_deref().unwrap_or(""))
}

/// Topics by the last letter of their id, which [`TestView`] makes of their name.
fn show_partitions(partitions: &TopicPartitions) -> String {
    let topic = |(id, partitions): (&uuid::Uuid, &std::collections::BTreeSet<i32>)| {
        let letter = char::from(id.as_u128() as u8);
        format!("{letter}{:?}", partitions.iter().collect::<Vec<_>>())
    };
    format!("[{}]", partitions.iter().map(topic).collect::<Vec<_>>().join(" "))
}

fn show_record(record: &ShareRecord) -> String {
    match record {
        ShareRecord::Member { member_id, member: Some(member) } => format!(
            "member {member_id} rack={:?} topics={:?}",
            member.rack_id.as_deref(),
            member.subscribed_topic_names.iter().map(|name| &**name).collect::<Vec<_>>()
        ),
        ShareRecord::Member { member_id, member: None } => format!("member {member_id} tombstone"),
        ShareRecord::Epoch(Some((epoch, hash))) => format!("epoch={epoch} hash={hash}"),
        ShareRecord::Epoch(None) => "epoch tombstone".to_owned(),
        ShareRecord::Target { member_id, partitions: Some(partitions) } => {
            format!("target {member_id} {}", show_partitions(partitions))
        }
        ShareRecord::Target { member_id, partitions: None } => format!("target {member_id} tombstone"),
        ShareRecord::TargetEpoch(Some((epoch, at_ms))) => format!("target epoch={epoch} at={at_ms}"),
        ShareRecord::TargetEpoch(None) => "target epoch tombstone".to_owned(),
        ShareRecord::Current { member_id, current: Some(current) } => format!(
            "current {member_id} epoch={} previous={} {}",
            current.member_epoch,
            current.previous_member_epoch,
            show_partitions(&current.partitions)
        ),
        ShareRecord::Current { member_id, current: None } => format!("current {member_id} tombstone"),
        ShareRecord::States(Some(states)) => {
            let topics = |topics: &BTreeMap<uuid::Uuid, StateTopic>| {
                let topics = topics.values().map(|topic| format!("{}{:?}", topic.name, topic.partitions));
                topics.collect::<Vec<_>>().join(" ")
            };
            let deleting: Vec<&str> = states.deleting.values().map(|name| &**name).collect();
            format!(
                "states initializing=[{}] initialized=[{}] deleting={deleting:?}",
                topics(&states.initializing),
                topics(&states.initialized)
            )
        }
        ShareRecord::States(None) => "states tombstone".to_owned(),
    }
}

fn show_errand(errand: &ShareErrand) -> String {
    let each = errand.initialize.iter().map(|each| format!("{}@{}", each.key.partition, each.start_offset));
    let state_epoch = errand.initialize.first().map_or(0, |each| each.state_epoch);
    format!("initialize state={state_epoch} {}", each.collect::<Vec<_>>().join(","))
}

fn show_described(group: &DescribedShareGroup) -> Vec<String> {
    let mut lines = vec![format!(
        "{} epoch={} assignment={} {}",
        group.state, group.epoch, group.assignment_epoch, group.assignor
    )];
    for member in &group.members {
        let assignment =
            member.assignment.iter().map(|topic| format!("{}{:?}", topic.name, topic.partitions));
        lines.push(format!(
            "  {} rack={:?} epoch={} {}@{} topics={:?} {:?}",
            member.member_id,
            member.rack_id.as_deref(),
            member.member_epoch,
            member.client_id,
            member.client_host,
            member.subscribed_topic_names.iter().map(|name| &**name).collect::<Vec<_>>(),
            assignment.collect::<Vec<_>>()
        ));
    }
    lines
}
