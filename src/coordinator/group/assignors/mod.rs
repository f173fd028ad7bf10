//! Server-side assignors: which member of a group shall read which partition. Pure.
//!
//! Enters: what every member subscribes to and was to have until now. Leaves: what each is to have from now on, with the
//! results of Kafka's assignors of the same names (`reference.txt` holds results of theirs).
//! May use: nothing but ids and names.
//!
//! Where Kafka's result hangs on the order of a hash map, members come here in the order of their ids, topics in the
//! order of theirs.

pub mod range;
pub mod simple;
pub mod uniform;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;
use uuid::Uuid;

/// Partitions by topic; no topic is without partitions.
pub type TopicPartitions = BTreeMap<Uuid, BTreeSet<i32>>;

/// Members by id, with what each of them wants and has.
pub type Members = BTreeMap<StrBytes, MemberSubscription>;

/// What each member is to read. Every member has an entry.
pub type GroupAssignment = BTreeMap<StrBytes, TopicPartitions>;

/// What an assignor knows of a member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemberSubscription {
    pub instance_id: Option<StrBytes>,
    /// `client.rack`. Neither of Kafka's assignors looks at it (since 4.0).
    pub rack: Option<StrBytes>,
    /// The ids of the topics that it subscribes to and that exist.
    pub topics: BTreeSet<Uuid>,
    /// Its target assignment until now.
    pub owned: TopicPartitions,
}

/// An assignor of consumer groups (`group.consumer.assignors`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    Uniform,
    Range,
}

impl Assignor {
    /// All of them; the first is the default one.
    pub const ALL: [Assignor; 2] = [Assignor::Uniform, Assignor::Range];

    /// The name in ConsumerGroupHeartbeat.
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    pub fn by_name(name: &str) -> Option<Assignor> {
        Assignor::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// The new target assignment. `partitions_of` tells the number of partitions of a topic; one that does not exist
    /// has none.
    pub fn assign(self, members: &Members, partitions_of: &dyn Fn(Uuid) -> i32) -> GroupAssignment {
        match self {
            Assignor::Uniform => uniform::assign(members, partitions_of),
            Assignor::Range => range::assign(members, partitions_of),
        }
    }
}

/// Whether all members subscribe to the same topics.
fn is_homogeneous(members: &Members) -> bool {
    let mut topics = members.values().map(|member| &member.topics);
    topics.next().is_none_or(|first| topics.all(|other| other == first))
}

/// The members that subscribe to each topic, as positions in the order of their ids.
fn subscribers(members: &Members) -> BTreeMap<Uuid, Vec<usize>> {
    let mut subscribers: BTreeMap<Uuid, Vec<usize>> = BTreeMap::new();
    for (index, member) in members.values().enumerate() {
        for topic in &member.topics {
            subscribers.entry(*topic).or_default().push(index);
        }
    }
    subscribers
}
