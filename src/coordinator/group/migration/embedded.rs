//! What consumers of the classic protocol tell each other, ConsumerProtocolSubscription and ConsumerProtocolAssignment,
//! from names to ids and back.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf, Bytes};
use ottla_protocol::StrBytes;
use ottla_protocol::record_formats::consumer_protocol::consumer_protocol_assignment::TopicPartition;
use ottla_protocol::record_formats::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription,
};
use uuid::Uuid;

use super::super::assignors::TopicPartitions;
use super::super::consumer::{PartitionEpochs, TopicPartitionList};
use crate::coordinator::ClusterView;

/// A member's subscription.
pub struct Subscription {
    pub topics: Vec<StrBytes>,
    /// What the member still reads. Topics that are gone are left out.
    pub owned: TopicPartitionList,
    pub rack: Option<StrBytes>,
}

/// What a member said when it joined; `None` if it is no subscription.
pub fn subscription(metadata: &Bytes, view: &dyn ClusterView) -> Option<Subscription> {
    let subscription = ConsumerProtocolSubscription::decode(metadata.clone()).ok()?;
    let with_id = |owned: &(StrBytes, Vec<i32>)| Some((view.topic(&owned.0)?.id, owned.1.clone()));
    let owned: Vec<(StrBytes, Vec<i32>)> =
        subscription.owned_partitions.into_iter().map(|topic| (topic.topic, topic.partitions)).collect();
    Some(Subscription {
        topics: subscription.topics,
        owned: owned.iter().filter_map(with_id).collect(),
        rack: subscription.rack_id,
    })
}

/// Why an assignment cannot be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// It is no ConsumerProtocolAssignment.
    Malformed,
    /// The assignor of the members' own left data of its own in it, which would be lost.
    HasUserData,
}

/// What a leader assigned to a member; nothing for one that has not synced.
pub fn assigned(assignment: &Bytes, view: &dyn ClusterView) -> Result<TopicPartitions, NotTaken> {
    if assignment.is_empty() {
        return Ok(TopicPartitions::new());
    }
    let assignment =
        ConsumerProtocolAssignment::decode(assignment.clone()).map_err(|_| NotTaken::Malformed)?;
    if assignment.user_data.is_some_and(|user_data| !user_data.is_empty()) {
        return Err(NotTaken::HasUserData);
    }
    let mut partitions = TopicPartitions::new();
    for topic in assignment.assigned_partitions {
        if let Some(known) = view.topic(&topic.topic).filter(|_| !topic.partitions.is_empty()) {
            partitions.entry(known.id).or_default().extend(topic.partitions);
        }
    }
    Ok(partitions)
}

/// An assignment for a member, in the version of its subscription. Topics that are gone are left out.
pub fn assignment<'a>(
    partitions: impl Iterator<Item = (&'a Uuid, Vec<i32>)>,
    metadata: &Bytes,
    view: &dyn ClusterView,
) -> Bytes {
    let with_name = |(id, partitions): (&Uuid, Vec<i32>)| {
        Some(TopicPartition { topic: view.topic_by_id(*id)?.name, partitions })
    };
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: partitions.filter_map(with_name).collect(),
        user_data: None,
    };
    let version = metadata.clone().try_get_i16().unwrap_or(0).clamp(0, NEWEST_VERSION);
    // Only a topic's name of more than 32 kB has no bytes.
    assignment.encode(version).unwrap_or_default()
}

/// Of ConsumerProtocolAssignment.
const NEWEST_VERSION: i16 = 3;

/// The partitions of a target, for [`assignment`].
pub fn of_target(target: &TopicPartitions) -> impl Iterator<Item = (&Uuid, Vec<i32>)> {
    target.iter().map(|(id, partitions): (&Uuid, &BTreeSet<i32>)| (id, partitions.iter().copied().collect()))
}

/// The partitions that a member may own, for [`assignment`].
pub fn of_current(assigned: &PartitionEpochs) -> impl Iterator<Item = (&Uuid, Vec<i32>)> {
    assigned
        .iter()
        .map(|(id, partitions): (&Uuid, &BTreeMap<i32, i32>)| (id, partitions.keys().copied().collect()))
}
