//! From what a request names to the partition that this broker leads.

use std::sync::Arc;

use ottla_protocol::{StrBytes, Uuid};
use ottla_storage::{LogId, StorageError};

use super::Broker;
use super::blocking::in_place;
use super::partition::Partition;
use crate::metadata::{Image, Topic};

/// A topic as requests name it: by name, or in newer versions by id (KIP-516).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TopicRef {
    Name(StrBytes),
    Id(Uuid),
}

impl TopicRef {
    /// The way in which a version of an API names its topics; the other of the two fields is not set.
    pub fn new(by_id: bool, name: &StrBytes, id: Uuid) -> TopicRef {
        if by_id { TopicRef::Id(id) } else { TopicRef::Name(name.clone()) }
    }
}

/// Why a partition cannot be used here.
#[derive(Debug)]
pub enum LookupError {
    /// UNKNOWN_TOPIC_OR_PARTITION
    UnknownTopicOrPartition,
    /// UNKNOWN_TOPIC_ID
    UnknownTopicId,
    /// NOT_LEADER_OR_FOLLOWER
    NotLeader {
        leader_id: i32,
        leader_epoch: i32,
    },
    /// FENCED_LEADER_EPOCH: the client's metadata is older than ours.
    FencedLeaderEpoch,
    /// UNKNOWN_LEADER_EPOCH: the client's metadata is newer than ours.
    UnknownLeaderEpoch,
    Storage(StorageError),
}

/// A partition that this broker leads, with the epoch of its leadership.
#[derive(Clone)]
pub struct Led {
    pub partition: Arc<Partition>,
    pub leader_epoch: i32,
    /// Replicas in sync; and all, more than which `min.insync.replicas` never asks for (KIP-966).
    pub isr: usize,
    pub replicas: usize,
}

impl Broker {
    /// The topic that a request names.
    pub fn topic<'a>(&self, image: &'a Image, topic: &TopicRef) -> Result<&'a Arc<Topic>, LookupError> {
        match topic {
            TopicRef::Name(name) => image.topic(name).ok_or(LookupError::UnknownTopicOrPartition),
            TopicRef::Id(id) => image.topic_by_id(id).ok_or(LookupError::UnknownTopicId),
        }
    }

    /// The partition, opened if need be, if this broker leads it in the epoch that the client knows (-1: any).
    pub fn led(
        &self,
        image: &Image,
        topic: &Topic,
        index: i32,
        current_leader_epoch: i32,
    ) -> Result<Led, LookupError> {
        let placed = topic.partition(index).ok_or(LookupError::UnknownTopicOrPartition)?;
        if placed.leader != self.node_id() && image.is_directory_offline(placed, self.node_id()) {
            let dir = format!("of {}-{index}", topic.name.as_str());
            return Err(LookupError::Storage(StorageError::Offline { dir }));
        }
        let leader_epoch = placed.leader_epoch;
        if current_leader_epoch >= 0 && current_leader_epoch < leader_epoch {
            return Err(LookupError::FencedLeaderEpoch);
        }
        if current_leader_epoch > leader_epoch {
            return Err(LookupError::UnknownLeaderEpoch);
        }
        if placed.leader != self.node_id() {
            return Err(LookupError::NotLeader { leader_id: placed.leader, leader_epoch });
        }
        let (isr, replicas) = (placed.membership.isr.len(), placed.membership.replicas.len());
        let partition = match self.partitions.get(topic.id, index) {
            Some(partition) => partition,
            None => in_place(|| self.open(image, topic, index))?,
        };
        Ok(Led { partition, leader_epoch, isr, replicas })
    }

    /// Opens a log, which may have to recover it from the disk.
    fn open(&self, image: &Image, topic: &Topic, index: i32) -> Result<Arc<Partition>, LookupError> {
        let id = LogId { topic: Arc::from(&*topic.name), topic_id: topic.id, partition: index };
        let opened = self.partitions.open(id.clone(), || self.topic_config(image, &topic.name));
        // Whoever deletes or alters the topic from now on finds the partition; what they did until now is made good here.
        let now = self.image();
        if now.topic_by_id(&topic.id).is_none() {
            self.partitions_deleted(&id.topic, id.topic_id, index..index + 1);
            return Err(LookupError::UnknownTopicOrPartition);
        }
        let partition = opened.map_err(LookupError::Storage)?;
        if !std::ptr::eq(image, &raw const *now) {
            let (config, options) = self.topic_config(&now, &topic.name);
            partition.set_config(config, options);
        }
        Ok(partition)
    }
}
