//! The controller: decisions are in the files beside this one, by subject; here is what records do to its state.

use std::sync::Arc;

use kafka_protocol::protocol::StrBytes;
use ottla_protocol::record_formats::metadata::{
    BrokerRegistrationChangeRecord, ConfigRecord, FeatureLevelRecord, MetadataRecord, PartitionChangeRecord,
    PartitionRecord, RegisterBrokerRecord, RemoveTopicRecord, TopicRecord,
};
use uuid::Uuid;

use super::image::{
    Broker, Endpoint, Image, MAX_PARTITIONS_PER_TOPIC, Membership, Partition, ReplayError, Topic,
};
use super::topic_names::{collision_key, may_collide};
use super::{ResourceType, configs};

/// What a command answers, and the records that must be in the log before anyone hears it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome<T> {
    pub response: T,
    pub records: Vec<MetadataRecord>,
}

impl<T> Outcome<T> {
    /// An answer that changes nothing.
    pub fn unchanged(response: T) -> Self {
        Outcome { response, records: Vec::new() }
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Controller {
    pub(super) image: Image,
}

/// A hundred thousand small topics have no room for more partitions; large ones grow as vectors do.
const GROWN_EXACTLY: usize = 64;

impl Controller {
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The offset that the next record will have.
    pub fn next_offset(&self) -> i64 {
        self.image.offset + 1
    }

    /// A record of the log that is not metadata (a control record, or one from before a snapshot): only its place counts.
    pub fn replay_position(&mut self, offset: i64, epoch: i32) {
        assert!(offset >= self.image.offset, "the log went back from {} to {offset}", self.image.offset);
        self.image.offset = offset;
        self.image.epoch = epoch;
    }

    /// The node that leads the metadata log.
    pub fn replay_leader(&mut self, controller_id: i32) {
        self.image.controller_id = controller_id;
    }

    /// How the log's quorum keeps its voters: 1 in the log (KIP-853).
    pub fn replay_kraft_version(&mut self, kraft_version: i16) {
        self.image.kraft_version = kraft_version;
    }

    pub fn replay(&mut self, record: &MetadataRecord) -> Result<(), ReplayError> {
        match record {
            MetadataRecord::Topic(record) => self.replay_topic(record),
            MetadataRecord::RemoveTopic(record) => return self.replay_remove_topic(record),
            MetadataRecord::Partition(record) => return self.replay_partition(record),
            MetadataRecord::PartitionChange(record) => return self.replay_partition_change(record),
            MetadataRecord::Config(record) => return self.replay_config(record),
            MetadataRecord::RegisterBroker(record) => self.replay_register_broker(record),
            MetadataRecord::UnregisterBroker(record) => {
                self.image.brokers.remove(&record.broker_id);
            }
            MetadataRecord::BrokerRegistrationChange(record) => return self.replay_broker_change(record),
            MetadataRecord::FenceBroker(record) => return self.change_broker(record.id, |b| b.fenced = true),
            MetadataRecord::UnfenceBroker(record) => {
                return self.change_broker(record.id, |b| b.fenced = false);
            }
            MetadataRecord::FeatureLevel(record) => self.replay_feature_level(record),
            MetadataRecord::ProducerIds(record) => self.image.next_producer_id = record.next_producer_id,
            MetadataRecord::ClearElr(record) => self.replay_clear_elr(&record.topic_name),
            MetadataRecord::NoOp(_)
            | MetadataRecord::BeginTransaction(_)
            | MetadataRecord::EndTransaction(_)
            | MetadataRecord::AbortTransaction(_)
            | MetadataRecord::ZkMigrationState(_) => {}
            other => self.replay_other(other),
        }
        Ok(())
    }

    fn replay_topic(&mut self, record: &TopicRecord) {
        let name = own(&record.name);
        if may_collide(&name) {
            let key = collision_key(&name).into_owned();
            self.image.collisions.entry(key).or_default().insert(name.clone());
        }
        self.image.ids.insert(name.clone(), record.topic_id);
        let topic = Topic { name, id: record.topic_id, partitions: Vec::new() };
        self.image.topics.insert(record.topic_id, Arc::new(topic));
    }

    fn replay_remove_topic(&mut self, record: &RemoveTopicRecord) -> Result<(), ReplayError> {
        let topic =
            self.image.topics.remove(&record.topic_id).ok_or(ReplayError::UnknownTopic(record.topic_id))?;
        for partition in &topic.partitions {
            self.image.replica_counts.remove(&partition.membership);
        }
        self.image.ids.remove(topic.name.as_bytes());
        self.image.configs.remove(&(ResourceType::Topic, topic.name.clone()));
        let key = collision_key(&topic.name);
        if let Some(names) = self.image.collisions.get_mut(key.as_ref()) {
            names.remove(topic.name.as_bytes());
            if names.is_empty() {
                self.image.collisions.remove(key.as_ref());
            }
        }
        Ok(())
    }

    fn replay_partition(&mut self, record: &PartitionRecord) -> Result<(), ReplayError> {
        let index = record.partition_id;
        if !(0..MAX_PARTITIONS_PER_TOPIC).contains(&index) {
            return Err(ReplayError::InvalidPartition(record.topic_id, index));
        }
        let membership = self.image.shared(Membership {
            replicas: record.replicas.clone(),
            isr: record.isr.clone(),
            eligible_leader_replicas: record.eligible_leader_replicas.clone().unwrap_or_default(),
            last_known_elr: record.last_known_elr.clone().unwrap_or_default(),
            adding_replicas: record.adding_replicas.clone(),
            removing_replicas: record.removing_replicas.clone(),
            directories: record.directories.clone(),
        });
        self.image.replica_counts.add(&membership);
        let topic = self.topic_mut(record.topic_id)?;
        let index = index as usize;
        if topic.partitions.len() <= index {
            if index < GROWN_EXACTLY {
                topic.partitions.reserve_exact(index + 1 - topic.partitions.len());
            }
            topic.partitions.resize(index + 1, Partition::absent());
        }
        topic.partitions[index] = Partition {
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            // -1 would say that there is no partition here.
            partition_epoch: record.partition_epoch.max(0),
            recovering: record.leader_recovery_state == 1,
            membership,
        };
        Ok(())
    }

    /// What changed is in the record; the epochs follow from it. The leader's epoch goes up when the leader changes,
    /// or, as in Kafka, when the ISR or the replicas shrink in ways that clients must notice.
    fn replay_partition_change(&mut self, record: &PartitionChangeRecord) -> Result<(), ReplayError> {
        let unknown = ReplayError::UnknownPartition(record.topic_id, record.partition_id);
        let old = self.image.partition(&record.topic_id, record.partition_id).ok_or(unknown)?.clone();
        let membership = self.image.shared(changed_membership(&old.membership, record));
        self.image.replica_counts.remove(&old.membership);
        self.image.replica_counts.add(&membership);
        let topic = self.topic_mut(record.topic_id)?;
        let partition = &mut topic.partitions[record.partition_id as usize];
        partition.membership = membership;
        partition.partition_epoch += 1;
        // -2: unchanged; a record with the same leader still says that it was elected anew.
        if record.leader != -2 {
            partition.leader = record.leader;
            partition.leader_epoch += 1;
        }
        if record.leader_recovery_state != -1 {
            partition.recovering = record.leader_recovery_state == 1;
        }
        Ok(())
    }

    fn replay_config(&mut self, record: &ConfigRecord) -> Result<(), ReplayError> {
        let resource = ResourceType::from_id(record.resource_type)
            .ok_or(ReplayError::InvalidResourceType(record.resource_type))?;
        let key = (resource, own(&record.resource_name));
        let mut altered = self.image.configs.get(&key).cloned().unwrap_or_default();
        let value = record.value.as_ref().map(|value| value.as_str().to_owned());
        configs::apply(Arc::make_mut(&mut altered), record.name.as_str(), value);
        if altered.is_empty() {
            self.image.configs.remove(&key);
        } else {
            self.image.configs.insert(key, altered);
        }
        Ok(())
    }

    fn replay_register_broker(&mut self, record: &RegisterBrokerRecord) {
        let endpoints = record.end_points.iter().map(|endpoint| Endpoint {
            listener: own(&endpoint.name),
            host: own(&endpoint.host),
            port: endpoint.port,
            security_protocol: endpoint.security_protocol,
        });
        let features = record.features.iter().map(|feature| {
            (own(&feature.name), feature.min_supported_version, feature.max_supported_version)
        });
        let broker = Broker {
            id: record.broker_id,
            epoch: record.broker_epoch,
            incarnation_id: record.incarnation_id,
            endpoints: endpoints.collect(),
            features: features.collect(),
            rack: record.rack.as_ref().map(own),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            directories: record.log_dirs.clone(),
            cordoned_directories: record.cordoned_log_dirs.clone(),
        };
        self.image.brokers.insert(broker.id, Arc::new(broker));
    }

    fn replay_broker_change(&mut self, record: &BrokerRegistrationChangeRecord) -> Result<(), ReplayError> {
        self.change_broker(record.broker_id, |broker| {
            match record.fenced {
                1 => broker.fenced = true,
                -1 => broker.fenced = false,
                _ => {}
            }
            match record.in_controlled_shutdown {
                1 => broker.in_controlled_shutdown = true,
                -1 => broker.in_controlled_shutdown = false,
                _ => {}
            }
            if !record.log_dirs.is_empty() {
                broker.directories = record.log_dirs.clone();
            }
            if record.cordoned_log_dirs.is_some() {
                broker.cordoned_directories = record.cordoned_log_dirs.clone();
            }
        })
    }

    fn replay_feature_level(&mut self, record: &FeatureLevelRecord) {
        if record.feature_level == 0 {
            self.image.features.remove(record.name.as_bytes());
        } else {
            self.image.features.insert(own(&record.name), record.feature_level);
        }
    }

    /// KIP-966: a new min.insync.replicas makes the old eligible leaders moot. An empty name means all topics.
    fn replay_clear_elr(&mut self, name: &str) {
        let ids: Vec<Uuid> = if name.is_empty() {
            self.image.topics.keys().copied().collect()
        } else {
            self.image.topic_id(name).into_iter().collect()
        };
        for id in ids {
            let Some(topic) = self.image.topics.get(&id) else { continue };
            let none = |membership: &Membership| {
                membership.eligible_leader_replicas.is_empty() && membership.last_known_elr.is_empty()
            };
            if topic.partitions.iter().all(|partition| none(&partition.membership)) {
                continue;
            }
            let mut topic = Topic::clone(topic);
            for partition in &mut topic.partitions {
                let mut membership = Membership::clone(&partition.membership);
                membership.eligible_leader_replicas.clear();
                membership.last_known_elr.clear();
                partition.membership = self.image.shared(membership);
            }
            self.image.topics.insert(id, Arc::new(topic));
        }
    }

    fn change_broker(&mut self, id: i32, change: impl FnOnce(&mut Broker)) -> Result<(), ReplayError> {
        let broker = self.image.brokers.get_mut(&id).ok_or(ReplayError::UnknownBroker(id))?;
        change(Arc::make_mut(broker));
        Ok(())
    }

    fn topic_mut(&mut self, id: Uuid) -> Result<&mut Topic, ReplayError> {
        self.image.topics.get_mut(&id).map(Arc::make_mut).ok_or(ReplayError::UnknownTopic(id))
    }
}

fn changed_membership(old: &Membership, record: &PartitionChangeRecord) -> Membership {
    let or = |new: &Option<Vec<i32>>, old: &Vec<i32>| new.as_ref().unwrap_or(old).clone();
    Membership {
        replicas: or(&record.replicas, &old.replicas),
        isr: or(&record.isr, &old.isr),
        eligible_leader_replicas: or(&record.eligible_leader_replicas, &old.eligible_leader_replicas),
        last_known_elr: or(&record.last_known_elr, &old.last_known_elr),
        adding_replicas: or(&record.adding_replicas, &old.adding_replicas),
        removing_replicas: or(&record.removing_replicas, &old.removing_replicas),
        directories: record.directories.as_ref().unwrap_or(&old.directories).clone(),
    }
}

/// A string of its own: a decoded one is a slice that keeps its whole batch in memory.
pub(super) fn own(string: &StrBytes) -> StrBytes {
    StrBytes::from_string(string.as_str().to_owned())
}
