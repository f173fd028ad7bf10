//! All members subscribe to the same topics: a quota for each, what is above it goes to those that are below.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::super::{GroupAssignment, Members, TopicPartitions};

pub fn assign(members: &Members, partitions_of: &dyn Fn(Uuid) -> i32) -> GroupAssignment {
    let Some(topics) = members.values().next().map(|member| &member.topics) else {
        return GroupAssignment::new();
    };
    let all = || topics.iter().flat_map(|topic| (0..partitions_of(*topic)).map(|index| (*topic, index)));
    let owned: BTreeSet<(Uuid, i32)> = members.values().flat_map(|member| flat(&member.owned)).collect();
    let mut free: Vec<(Uuid, i32)> = all().filter(|partition| !owned.contains(partition)).collect();
    let (quota, mut extra) = (all().count() / members.len(), all().count() % members.len());

    let mut assignment = GroupAssignment::new();
    let mut wanted = Vec::with_capacity(members.len());
    for (index, (member_id, member)) in members.iter().enumerate() {
        let exists = |(topic, index): &(Uuid, i32)| topics.contains(topic) && *index < partitions_of(*topic);
        let most = quota + usize::from(extra > 0);
        let kept = keep(flat(&member.owned).filter(exists), most, &mut free);
        let count = kept.values().map(BTreeSet::len).sum::<usize>();
        // One more than the others for those that have it already; for the last ones if it has found nobody so far.
        let has_extra = extra > 0 && (count > quota || members.len() - index == extra);
        extra -= usize::from(has_extra);
        wanted.push((quota + usize::from(has_extra)).saturating_sub(count));
        assignment.insert(member_id.clone(), kept);
    }
    let mut free = free.into_iter();
    for (partitions, wanted) in assignment.values_mut().zip(wanted) {
        for (topic, index) in free.by_ref().take(wanted) {
            partitions.entry(topic).or_default().insert(index);
        }
    }
    assignment
}

/// The first partitions of a member up to its quota; the others become free.
fn keep(
    owned: impl Iterator<Item = (Uuid, i32)>,
    quota: usize,
    free: &mut Vec<(Uuid, i32)>,
) -> TopicPartitions {
    let mut kept = TopicPartitions::new();
    for (count, (topic, index)) in owned.enumerate() {
        if count < quota {
            kept.entry(topic).or_default().insert(index);
        } else {
            free.push((topic, index));
        }
    }
    kept
}

fn flat(partitions: &TopicPartitions) -> impl Iterator<Item = (Uuid, i32)> + '_ {
    partitions.iter().flat_map(|(topic, indexes)| indexes.iter().map(|index| (*topic, *index)))
}
