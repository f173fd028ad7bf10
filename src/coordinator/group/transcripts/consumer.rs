//! The commands of groups of the consumer protocol.
//!
//! ```text
//! > topic name=t partitions=3
//! > beat id=a epoch=0 names=t
//! a epoch=2 t:0+1+2      what it shall own, "-" if that was not said again
//! > beat id=a epoch=2 owned=t:0
//! ```

use std::collections::BTreeMap;

use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::super::Refusal;
use super::super::consumer::{
    ConsumerHeartbeat, ConsumerRecord, CurrentAssignment, DescribedConsumerMember, DescribedTopic,
    HeartbeatAnswer, MemberState, PartitionEpochs, TopicPartitionList, check_heartbeat,
};
use super::{Args, Player, text};
use crate::coordinator::ClusterView;
use crate::coordinator::view::TestView;

impl Player {
    pub fn consumer_command(&mut self, name: &str, args: &Args) -> Vec<String> {
        match name {
            "topic" => {
                self.world.view.put(args.get("name").unwrap_or("t"), args.number("partitions", 1));
                Vec::new()
            }
            "drop-topic" => {
                self.world.view.remove(args.get("name").unwrap_or("t"));
                Vec::new()
            }
            "group-config" => {
                let (key, value) = (args.get("key").expect("key"), args.get("value").expect("value"));
                self.world.view.configure(args.get("group").unwrap_or("g"), key, value);
                Vec::new()
            }
            "beat" => self.beat(args),
            "describe-consumer" => self.describe_consumer(args),
            other => panic!("no command {other}"),
        }
    }

    fn beat(&mut self, args: &Args) -> Vec<String> {
        self.uuids += 1;
        let member_epoch = args.number("epoch", 0);
        let is_joining = member_epoch == 0;
        let request = ConsumerHeartbeat {
            group_id: args.text("group", "g"),
            member_id: args.text("id", ""),
            member_epoch,
            instance_id: args.optional("instance"),
            rack_id: args.optional("rack"),
            rebalance_timeout_ms: match args.get("rebalance") {
                Some("-") => None,
                Some(_) => Some(args.number("rebalance", 0)),
                None => is_joining.then_some(60_000),
            },
            subscribed_topic_names: args
                .get("names")
                .map(|_| args.list("names").into_iter().map(text).collect()),
            subscribed_topic_regex: args.optional("regex"),
            server_assignor: args.optional("assignor"),
            topic_partitions: match args.get("owned") {
                Some("-") => None,
                Some(topics) => Some(self.topic_partitions(topics)),
                None => is_joining.then(Vec::new),
            },
            client_id: args.text("client", "c"),
            client_host: text("/127.0.0.1"),
            must_name_itself: args.number("v", 1) >= 1,
            unique: Uuid::from_u128(self.uuids),
        };
        if let Err(refusal) = check_heartbeat(&request, &self.world.config.consumer) {
            return vec![show_refusal(&refusal)];
        }
        let world = &mut self.world;
        let outcome = world.shard.consumer_heartbeat(&request, world.now_ms, &world.view);
        match self.world.run(outcome) {
            Ok(answer) => vec![self.show_beaten(&answer)],
            Err(refusal) => vec![show_refusal(&refusal)],
        }
    }

    /// `t:0+1,u:2`
    fn topic_partitions(&self, topics: &str) -> TopicPartitionList {
        let topic = |part: &str| {
            let (name, indexes) = part.split_once(':').expect("owned=t:0+1");
            let id = self.world.view.topic(name).expect("a topic").id;
            (id, indexes.split('+').map(|index| index.parse().expect("a partition")).collect())
        };
        topics.split(',').filter(|part| !part.is_empty()).map(topic).collect()
    }

    fn show_beaten(&self, answer: &HeartbeatAnswer) -> String {
        let assignment = match &answer.assignment {
            None => "-".to_string(),
            Some(topics) => show_topics(
                &self.world.view,
                topics.iter().map(|(id, partitions)| (*id, partitions.iter().map(i32::to_string).collect())),
            ),
        };
        let interval = match answer.heartbeat_interval_ms {
            5_000 => String::new(),
            other => format!(" every {other} ms"),
        };
        format!("{} epoch={}{interval} {assignment}", answer.member_id, answer.member_epoch)
    }

    fn describe_consumer(&mut self, args: &Args) -> Vec<String> {
        let group = match self.world.shard.consumer_describe(&args.text("group", "g"), &self.world.view) {
            Ok(group) => group,
            Err(refusal) => return vec![show_refusal(&refusal)],
        };
        let head = format!(
            "{} {} epoch={} target={} assignor={}",
            group.group_id, group.state, group.group_epoch, group.assignment_epoch, group.assignor
        );
        std::iter::once(head).chain(group.members.iter().map(show_described)).collect()
    }

    pub fn show_consumer_record(&self, group_id: &StrBytes, record: &ConsumerRecord) -> String {
        let view = &self.world.view;
        let shown = match record {
            ConsumerRecord::Epoch(None) => "gone".to_string(),
            ConsumerRecord::Epoch(Some(epoch)) => {
                format!("epoch={} hash={:04x}", epoch.epoch, epoch.metadata_hash & 0xffff)
            }
            ConsumerRecord::PartitionMetadata { is_kept } => format!("partition metadata kept={is_kept}"),
            ConsumerRecord::Member(id, None) => format!("member {id} gone"),
            ConsumerRecord::Member(id, Some(it)) => {
                let names: Vec<&str> = it.subscribed_topic_names.iter().map(|name| name.as_str()).collect();
                format!(
                    "member {id} names={}{}{}{}{}",
                    names.join(","),
                    show_optional(" regex", Some(&it.subscribed_topic_regex)),
                    show_optional(" instance", it.instance_id.as_ref()),
                    show_optional(" assignor", it.server_assignor.as_ref()),
                    if it.classic.is_some() { " classic" } else { "" },
                )
            }
            ConsumerRecord::TargetEpoch(None) => "target gone".to_string(),
            ConsumerRecord::TargetEpoch(Some(target)) => {
                format!("target epoch={} at {}", target.epoch, target.timestamp_ms)
            }
            ConsumerRecord::Target(id, None) => format!("target {id} gone"),
            ConsumerRecord::Target(id, Some(target)) => {
                let topics =
                    target.iter().map(|(id, indexes)| (*id, indexes.iter().map(i32::to_string).collect()));
                format!("target {id} {}", show_topics(view, topics))
            }
            ConsumerRecord::Current(id, None) => format!("current {id} gone"),
            ConsumerRecord::Current(id, Some(current)) => {
                format!("current {id} {}", show_current(view, current))
            }
            ConsumerRecord::Pattern(regex, None) => format!("regex {regex} gone"),
            ConsumerRecord::Pattern(regex, Some(resolved)) => {
                let topics: Vec<&str> = resolved.topics.iter().map(|name| name.as_str()).collect();
                format!("regex {regex} is {}", topics.join(","))
            }
        };
        format!("{group_id} {shown}")
    }
}

fn show_refusal(refusal: &Refusal) -> String {
    format!("{:?} {}", refusal.error, refusal.message.as_deref().unwrap_or("-"))
}

fn show_optional(label: &str, value: Option<&StrBytes>) -> String {
    value.filter(|value| !value.is_empty()).map(|value| format!("{label}={value}")).unwrap_or_default()
}

fn show_described(member: &DescribedConsumerMember) -> String {
    let topics = |topics: &[DescribedTopic]| {
        let topic = |topic: &DescribedTopic| {
            let indexes: Vec<String> = topic.partitions.iter().map(i32::to_string).collect();
            format!("{}:{}", topic.topic_name, indexes.join("+"))
        };
        topics.iter().map(topic).collect::<Vec<_>>().join(",")
    };
    format!(
        "  {} epoch={} has={} target={}",
        member.member_id,
        member.member_epoch,
        topics(&member.assignment),
        topics(&member.target_assignment)
    )
}

/// Partitions are shown with the epochs in which the member got them.
fn show_current(view: &TestView, current: &CurrentAssignment) -> String {
    let show = |partitions: &PartitionEpochs| {
        let topic = |(id, indexes): (&Uuid, &BTreeMap<i32, i32>)| {
            (*id, indexes.iter().map(|(index, epoch)| format!("{index}@{epoch}")).collect())
        };
        show_topics(view, partitions.iter().map(topic))
    };
    let state = match current.state {
        MemberState::Stable => "stable",
        MemberState::UnrevokedPartitions => "unrevoked",
        MemberState::UnreleasedPartitions => "unreleased",
        MemberState::Unknown => "unknown",
    };
    let revoked = match current.pending_revocation.is_empty() {
        true => String::new(),
        false => format!(" revoking {}", show(&current.pending_revocation)),
    };
    format!(
        "epoch={}<-{} {state} {}{revoked}",
        current.member_epoch,
        current.previous_member_epoch,
        show(&current.assigned)
    )
}

fn show_topics(view: &TestView, topics: impl Iterator<Item = (Uuid, Vec<String>)>) -> String {
    let topic = |(id, indexes): (Uuid, Vec<String>)| {
        let name = view.topic_by_id(id).map_or_else(|| "?".to_string(), |topic| topic.name.to_string());
        format!("{name}:{}", indexes.join("+"))
    };
    let topics: Vec<String> = topics.map(topic).collect();
    if topics.is_empty() { "nothing".to_string() } else { topics.join(",") }
}
