//! Offsets that were committed in transactions which are still open: they count from the COMMIT marker on, unless a later
//! commit was quicker.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ottla_protocol::StrBytes;

use super::super::CommittedOffset;
use super::super::hard::kept;

/// A group's, by topic, partition and producer.
type GroupPending = BTreeMap<StrBytes, BTreeMap<i32, BTreeMap<i64, Pending>>>;

/// By group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PendingOffsets {
    groups: HashMap<StrBytes, GroupPending>,
    /// Where a producer has something pending.
    groups_of: HashMap<i64, BTreeSet<StrBytes>>,
    last_number: u64,
}

/// One producer's offset in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pending {
    /// Counts the pending offsets in the order of the log.
    number: u64,
    /// None once a later commit was quicker: the partition stays unstable until the transaction ends.
    offset: Option<CommittedOffset>,
}

/// What a transaction that ended leaves.
pub struct PendingOffset {
    pub group_id: StrBytes,
    pub topic: StrBytes,
    pub partition: i32,
    pub number: u64,
    pub offset: Option<CommittedOffset>,
}

impl PendingOffsets {
    /// Whether an open transaction has an offset there.
    pub fn has(&self, group_id: &StrBytes, topic: &StrBytes, partition: i32) -> bool {
        self.groups
            .get(group_id)
            .and_then(|topics| topics.get(topic))
            .is_some_and(|partitions| partitions.contains_key(&partition))
    }

    pub fn has_group(&self, group_id: &StrBytes) -> bool {
        self.groups.contains_key(group_id)
    }

    /// All groups that have pending offsets.
    pub fn groups(&self) -> impl Iterator<Item = &StrBytes> {
        self.groups.keys()
    }

    /// Topics and partitions of a group that have pending offsets.
    pub fn of_group(&self, group_id: &StrBytes) -> impl Iterator<Item = (&StrBytes, i32)> {
        let topics = self.groups.get(group_id).into_iter().flatten();
        topics.flat_map(|(topic, partitions)| partitions.keys().map(move |partition| (topic, *partition)))
    }

    pub fn put(
        &mut self,
        producer_id: i64,
        group_id: &StrBytes,
        topic: &StrBytes,
        partition: i32,
        offset: &CommittedOffset,
    ) {
        self.last_number += 1;
        let offset = CommittedOffset { metadata: kept(&offset.metadata), ..offset.clone() };
        let pending = Pending { number: self.last_number, offset: Some(offset) };
        let topics = self.groups.entry(kept(group_id)).or_default();
        let partitions = topics.entry(kept(topic)).or_default();
        partitions.entry(partition).or_default().insert(producer_id, pending);
        self.groups_of.entry(producer_id).or_default().insert(kept(group_id));
    }

    /// A commit came after all that are pending there.
    pub fn overtake(&mut self, group_id: &StrBytes, topic: &StrBytes, partition: i32) {
        self.overtake_before(u64::MAX, group_id, topic, partition);
    }

    /// What was pending before this one no longer counts.
    pub fn overtake_before(&mut self, number: u64, group_id: &StrBytes, topic: &StrBytes, partition: i32) {
        let topics = self.groups.get_mut(group_id);
        let partitions = topics.and_then(|topics| topics.get_mut(topic));
        let producers = partitions.and_then(|partitions| partitions.get_mut(&partition));
        for pending in producers.into_iter().flat_map(BTreeMap::values_mut) {
            if pending.number < number {
                pending.offset = None;
            }
        }
    }

    /// The offset was deleted, and what is pending with it.
    pub fn remove(&mut self, group_id: &StrBytes, topic: &StrBytes, partition: i32) {
        let Some(topics) = self.groups.get_mut(group_id) else { return };
        if let Some(partitions) = topics.get_mut(topic) {
            partitions.remove(&partition);
        }
        self.tidy(group_id);
    }

    /// The transaction of a producer has ended: all that was pending of it, in order.
    pub fn end(&mut self, producer_id: i64) -> Vec<PendingOffset> {
        let mut ended = Vec::new();
        for group_id in self.groups_of.remove(&producer_id).unwrap_or_default() {
            for (topic, partitions) in self.groups.get_mut(&group_id).into_iter().flatten() {
                for (partition, producers) in partitions {
                    let Some(Pending { number, offset }) = producers.remove(&producer_id) else { continue };
                    let (group_id, topic, partition) = (group_id.clone(), topic.clone(), *partition);
                    ended.push(PendingOffset { group_id, topic, partition, number, offset });
                }
            }
            self.tidy(&group_id);
        }
        ended
    }

    fn tidy(&mut self, group_id: &StrBytes) {
        let Some(topics) = self.groups.get_mut(group_id) else { return };
        for partitions in topics.values_mut() {
            partitions.retain(|_, producers| !producers.is_empty());
        }
        topics.retain(|_, partitions| !partitions.is_empty());
        if topics.is_empty() {
            self.groups.remove(group_id);
        }
    }
}
