//! OffsetFetch: how far has a group read?

use std::collections::BTreeMap;

use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::super::commands::{FetchOffsets, FetchedOffset, FetchedTopic, TopicPartitions};
use super::super::hard::GroupOffsets;
use super::super::{CommittedOffset, GroupError, GroupShard, HardGroup};

impl GroupShard {
    /// OffsetFetch of one group. A group that does not exist has no offsets, which is no error.
    pub fn fetch_offsets(&self, fetch: &FetchOffsets) -> Result<Vec<FetchedTopic>, GroupError> {
        let (member_id, member_epoch) = (fetch.member_id.as_ref(), fetch.member_epoch);
        match self.hard_state().group(&fetch.group_id) {
            Some(HardGroup::Consumer(group)) => group.check_fetch(member_id, member_epoch)?,
            Some(HardGroup::Streams(group)) => group.check_fetch(member_id, member_epoch)?,
            _ => {}
        }
        let offsets = self.hard_state().offsets(&fetch.group_id);
        let mut topics: Vec<FetchedTopic> = match &fetch.topics {
            Some(topics) => topics.iter().map(|topic| fetch_topic(topic, offsets)).collect(),
            None => offsets.into_iter().flatten().map(all_of_topic).collect(),
        };
        if fetch.require_stable && self.any_group(&fetch.group_id).is_some() {
            topics.iter_mut().for_each(|topic| self.hide_unstable(&fetch.group_id, topic));
        }
        Ok(topics)
    }

    fn hide_unstable(&self, group_id: &StrBytes, topic: &mut FetchedTopic) {
        let pending = self.hard_state().pending();
        let partitions = topic.partitions.iter_mut();
        for fetched in partitions.filter(|fetched| pending.has(group_id, &topic.name, fetched.index)) {
            *fetched = FetchedOffset { is_unstable: true, ..none(fetched.index) };
        }
    }
}

fn fetch_topic(topic: &TopicPartitions, offsets: Option<&GroupOffsets>) -> FetchedTopic {
    let committed = offsets.and_then(|offsets| offsets.get(&topic.name));
    let fetch = |index: &i32| {
        let offset = committed.and_then(|partitions| partitions.get(index));
        match offset.filter(|offset| !is_of_another_topic(offset, topic.topic_id)) {
            Some(offset) => fetched(*index, offset),
            None => none(*index),
        }
    };
    let partitions = topic.partitions.iter().map(fetch).collect();
    FetchedTopic { name: topic.name.clone(), topic_id: topic.topic_id, partitions }
}

/// A topic of the same name that was deleted since.
fn is_of_another_topic(offset: &CommittedOffset, topic_id: Uuid) -> bool {
    !offset.topic_id.is_nil() && !topic_id.is_nil() && offset.topic_id != topic_id
}

fn all_of_topic((name, partitions): (&StrBytes, &BTreeMap<i32, CommittedOffset>)) -> FetchedTopic {
    FetchedTopic {
        name: name.clone(),
        topic_id: Uuid::nil(),
        partitions: partitions.iter().map(|(index, offset)| fetched(*index, offset)).collect(),
    }
}

fn fetched(index: i32, offset: &CommittedOffset) -> FetchedOffset {
    FetchedOffset {
        index,
        offset: offset.offset,
        leader_epoch: offset.leader_epoch,
        metadata: offset.metadata.clone(),
        is_unstable: false,
    }
}

fn none(index: i32) -> FetchedOffset {
    FetchedOffset { index, offset: -1, leader_epoch: -1, metadata: StrBytes::new(), is_unstable: false }
}
