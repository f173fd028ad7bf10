//! `simple`, the assignor of share groups (KIP-932): members share partitions, so each partition goes to as many of them
//! as it takes to give everyone work, and everyone has about the same number.
//!
//! Where all members subscribe to the same topics their partitions are dealt together, otherwise topic by topic. A topic
//! that nobody subscribes to any more is taken from its members (Kafka leaves it to them if their subscriptions differ).

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::{GroupAssignment, Members, is_homogeneous, subscribers};

type Partition = (Uuid, i32);

/// The new target assignment. `partitions_of` tells the partitions of a topic that may be assigned, in order: those whose
/// share state is initialized.
pub fn assign(members: &Members, partitions_of: &dyn Fn(Uuid) -> Vec<i32>) -> GroupAssignment {
    let ids: Vec<&StrBytes> = members.keys().collect();
    let subscribers = subscribers(members);
    let targets = |topic: &Uuid| {
        let topic = *topic;
        partitions_of(topic).into_iter().map(move |index| (topic, index))
    };
    let mut hands = vec![BTreeSet::new(); members.len()];
    if is_homogeneous(members) {
        let everyone: Vec<usize> = (0..members.len()).collect();
        deal(subscribers.keys().flat_map(targets).collect(), &everyone, members, &mut hands);
    } else {
        for (topic, subscribers) in &subscribers {
            deal(targets(topic).collect(), subscribers, members, &mut hands);
        }
    }
    let mut assignment = GroupAssignment::new();
    for (member_id, hand) in ids.into_iter().zip(hands) {
        let partitions = assignment.entry(member_id.clone()).or_default();
        for (topic, index) in hand {
            partitions.entry(topic).or_default().insert(index);
        }
    }
    assignment
}

/// Deals the `targets` to the `dealt` members (positions in the order of their ids) and puts them into their `hands`.
fn deal(targets: BTreeSet<Partition>, dealt: &[usize], members: &Members, hands: &mut [BTreeSet<Partition>]) {
    if targets.is_empty() || dealt.is_empty() {
        return;
    }
    let sharing = dealt.len().div_ceil(targets.len());
    let quota = |nth: usize| {
        let before = |nth: usize| (sharing * targets.len() * nth).div_ceil(dealt.len());
        before(nth + 1) - before(nth)
    };
    let members: Vec<_> = members.values().collect();
    let mut holders: BTreeMap<Partition, BTreeSet<usize>> =
        targets.iter().map(|target| (*target, BTreeSet::new())).collect();
    let mut own: Vec<BTreeSet<Partition>> = Vec::with_capacity(dealt.len());
    for (nth, member) in dealt.iter().enumerate() {
        let owned = members[*member].owned.iter();
        let owned = owned.flat_map(|(topic, indexes)| indexes.iter().map(|index| (*topic, *index)));
        let mut owned: BTreeSet<Partition> = owned.filter(|partition| targets.contains(partition)).collect();
        while owned.len() > quota(nth) {
            owned.pop_first();
        }
        for partition in &owned {
            holders.entry(*partition).or_default().insert(nth);
        }
        own.push(owned);
    }
    for (partition, holders) in &mut holders {
        while holders.len() > sharing {
            holders.pop_first().map(|nth| own[nth].remove(partition));
        }
    }
    let unfilled = (0..dealt.len()).filter(|nth| own[*nth].len() < quota(*nth)).collect();
    fill(unfilled, &holders, sharing, &quota, &mut own);
    for (nth, partitions) in own.into_iter().enumerate() {
        hands[dealt[nth]].extend(partitions);
    }
}

/// Gives partitions that have too few holders to the members that have too little, in turns. A partition that all of
/// those have already stays below `sharing`: another order might do better, but it is read all the same.
fn fill(
    mut unfilled: Vec<usize>,
    holders: &BTreeMap<Partition, BTreeSet<usize>>,
    sharing: usize,
    quota: &dyn Fn(usize) -> usize,
    own: &mut [BTreeSet<Partition>],
) {
    let mut turn = 0;
    for (partition, holders) in holders {
        let mut missing = sharing - holders.len();
        let mut passed = 0;
        while missing > 0 && passed < unfilled.len() {
            turn = if turn < unfilled.len() { turn } else { 0 };
            let nth = unfilled[turn];
            if !own[nth].insert(*partition) {
                passed += 1;
                turn += 1;
                continue;
            }
            passed = 0;
            missing -= 1;
            if own[nth].len() >= quota(nth) {
                unfilled.remove(turn);
            } else {
                turn += 1;
            }
        }
    }
}
