//! What a share group knows of its state at the share coordinator (ShareGroupStatePartitionMetadata).

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::{StrBytes, Uuid};

use crate::coordinator::ClusterView;
use crate::coordinator::group::assignors::TopicPartitions;

/// Which share partitions the share coordinator knows, is being told of, or is to forget.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShareStates {
    pub initializing: BTreeMap<Uuid, StateTopic>,
    pub initialized: BTreeMap<Uuid, StateTopic>,
    /// With the name that the topic had.
    pub deleting: BTreeMap<Uuid, StrBytes>,
    /// When `initializing` was written, so that it is tried again when no answer comes. Not in the record: after a
    /// reload it is 0, and everything unanswered is tried again.
    pub since_ms: i64,
}

/// Share partitions of a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateTopic {
    pub name: StrBytes,
    pub partitions: BTreeSet<i32>,
}

/// The name of a topic that is gone.
const UNKNOWN_NAME: &str = "<UNKNOWN>";

impl ShareStates {
    /// The share partitions of the topics that nobody initialized yet, or that were `retry_interval_ms` without an answer.
    pub fn missing<'a>(
        &self,
        names: impl IntoIterator<Item = &'a StrBytes>,
        now_ms: i64,
        retry_interval_ms: i64,
        view: &dyn ClusterView,
    ) -> BTreeMap<Uuid, StateTopic> {
        let is_retried = now_ms.saturating_sub(self.since_ms) >= retry_interval_ms;
        let mut missing = BTreeMap::new();
        for topic in names.into_iter().filter_map(|name| view.topic(name)) {
            let initialized = self.initialized.get(&topic.id);
            let initializing = self.initializing.get(&topic.id).filter(|_| !is_retried);
            let is_known = |index: &i32| {
                [initialized, initializing]
                    .into_iter()
                    .flatten()
                    .any(|known| known.partitions.contains(index))
            };
            let partitions: BTreeSet<i32> = (0..topic.partitions).filter(|index| !is_known(index)).collect();
            if !partitions.is_empty() {
                missing.insert(topic.id, StateTopic { name: topic.name, partitions });
            }
        }
        missing
    }

    /// The share coordinator is told of these.
    pub fn begin(
        &self,
        topics: &BTreeMap<Uuid, StateTopic>,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> ShareStates {
        let mut begun = self.named(view);
        merge(&mut begun.initializing, topics);
        begun.deleting.retain(|id, _| !begun.initializing.contains_key(id));
        begun.since_ms = now_ms;
        begun
    }

    /// The share coordinator knows these now.
    pub fn finish(&self, partitions: &TopicPartitions, view: &dyn ClusterView) -> ShareStates {
        let mut finished = self.named(view);
        let topics = partitions
            .iter()
            .map(|(id, partitions)| {
                (*id, StateTopic { name: name_of(*id, view), partitions: partitions.clone() })
            })
            .collect();
        merge(&mut finished.initialized, &topics);
        remove(&mut finished.initializing, partitions);
        finished
    }

    /// The share coordinator could not be told of these; the next heartbeat asks again.
    pub fn give_up(&self, partitions: &TopicPartitions, view: &dyn ClusterView) -> ShareStates {
        let mut given_up = self.named(view);
        remove(&mut given_up.initializing, partitions);
        given_up
    }

    /// Without what is known of topics that are gone; `None` if nothing is.
    pub fn without(&self, topic_ids: &[Uuid], view: &dyn ClusterView) -> Option<ShareStates> {
        let is_known = |id: &Uuid| {
            self.initializing.contains_key(id)
                || self.initialized.contains_key(id)
                || self.deleting.contains_key(id)
        };
        if !topic_ids.iter().any(is_known) {
            return None;
        }
        let mut left = self.named(view);
        left.initializing.retain(|id, _| !topic_ids.contains(id));
        left.initialized.retain(|id, _| !topic_ids.contains(id));
        left.deleting.retain(|id, _| !topic_ids.contains(id));
        Some(left)
    }

    /// Everything that the share coordinator may know, to be forgotten: of a topic whose deletion was not finished all
    /// partitions, where it still exists.
    pub fn to_forget(&self, view: &dyn ClusterView) -> BTreeMap<Uuid, StateTopic> {
        let mut topics = self.initialized.clone();
        merge(&mut topics, &self.initializing);
        let unfinished = self.deleting.keys().filter_map(|id| view.topic_by_id(*id)).map(|topic| {
            (topic.id, StateTopic { name: topic.name, partitions: (0..topic.partitions).collect() })
        });
        merge(&mut topics, &unfinished.collect());
        topics
    }

    /// With the deleted topics' names as they are now.
    pub fn named(&self, view: &dyn ClusterView) -> ShareStates {
        let deleting = self.deleting.keys().map(|id| (*id, name_of(*id, view))).collect();
        ShareStates { deleting, ..self.clone() }
    }
}

/// The name of a topic.
pub fn name_of(topic_id: Uuid, view: &dyn ClusterView) -> StrBytes {
    view.topic_by_id(topic_id).map_or(StrBytes::from_static_str(UNKNOWN_NAME), |topic| topic.name)
}

/// Adds partitions; the newer name counts.
fn merge(topics: &mut BTreeMap<Uuid, StateTopic>, more: &BTreeMap<Uuid, StateTopic>) {
    for (id, topic) in more {
        let slot = topics.entry(*id).or_default();
        slot.name = topic.name.clone();
        slot.partitions.extend(&topic.partitions);
    }
}

fn remove(topics: &mut BTreeMap<Uuid, StateTopic>, partitions: &TopicPartitions) {
    for (id, partitions) in partitions {
        if let Some(topic) = topics.get_mut(id) {
            topic.partitions.retain(|index| !partitions.contains(index));
            if topic.partitions.is_empty() {
                topics.remove(id);
            }
        }
    }
}
