//! An image as records again, in the order in which Kafka's snapshots have them: replaying them gives the same image.

use std::collections::BTreeMap;
use std::sync::Arc;

use kafka_protocol::protocol::StrBytes;
use ottla_protocol::record_formats::metadata::{
    ConfigRecord, FeatureLevelRecord, MetadataRecord, PartitionRecord, ProducerIdsRecord,
    RegisterBrokerRecord, TopicRecord,
    register_broker_record::{BrokerEndpoint, BrokerFeature},
};

use super::bootstrap::METADATA_VERSION;
use super::{Broker, Controller, Image, Partition, Topic};

impl Image {
    /// Features come first, because they say how to read the rest.
    pub fn records(&self) -> impl Iterator<Item = MetadataRecord> {
        let features = self
            .features()
            .map(|(name, level)| FeatureLevelRecord { name: name.clone(), feature_level: level }.into());
        let metadata_version = |record: &MetadataRecord| matches!(record, MetadataRecord::FeatureLevel(level) if &*level.name == METADATA_VERSION);
        let (mut first, rest): (Vec<MetadataRecord>, Vec<MetadataRecord>) =
            features.partition(metadata_version);
        first.extend(rest);
        let brokers = self.brokers().map(|broker| registration(broker).into());
        let topics = self.topics().flat_map(|topic| topic_records(topic));
        let producer_ids = (self.next_producer_id > 0).then(|| self.producer_ids().into());
        let others = self.others.values().map(|record| MetadataRecord::clone(record));
        first
            .into_iter()
            .chain(brokers)
            .chain(topics)
            .chain(self.config_records())
            .chain(producer_ids)
            .chain(others)
    }

    /// How many records of each kind are kept for Kafka, and not acted upon.
    pub fn kept_for_kafka(&self) -> BTreeMap<&'static str, usize> {
        let mut kept = BTreeMap::new();
        for record in self.others.values() {
            let kind = match **record {
                MetadataRecord::AccessControlEntry(_) => "ACLs",
                MetadataRecord::UserScramCredential(_) => "SCRAM credentials",
                MetadataRecord::ClientQuota(_) => "client quotas",
                MetadataRecord::DelegationToken(_) => "delegation tokens",
                _ => continue,
            };
            *kept.entry(kind).or_default() += 1;
        }
        kept
    }

    /// The nodes that have registered as controllers.
    pub fn controller_ids(&self) -> impl Iterator<Item = i32> {
        self.others.values().filter_map(|record| match &**record {
            MetadataRecord::RegisterController(controller) => Some(controller.controller_id),
            _ => None,
        })
    }

    fn config_records(&self) -> impl Iterator<Item = MetadataRecord> {
        let mut resources: Vec<_> = self.configs.iter().collect();
        resources.sort_by_key(|(resource, _)| *resource);
        resources.into_iter().flat_map(|((resource, name), configs)| {
            configs.iter().map(move |(key, value)| {
                let record = ConfigRecord {
                    resource_type: resource.id(),
                    resource_name: name.clone(),
                    name: StrBytes::from_string(key.clone()),
                    value: Some(StrBytes::from_string(value.clone())),
                };
                record.into()
            })
        })
    }

    fn producer_ids(&self) -> ProducerIdsRecord {
        // As in Kafka's snapshots: who took the last block is forgotten.
        ProducerIdsRecord { broker_id: -1, broker_epoch: -1, next_producer_id: self.next_producer_id }
    }
}

impl Controller {
    /// Keeps a record that nobody reads yet in place of the one that it replaces; a removal takes that one away.
    pub(super) fn replay_other(&mut self, record: &MetadataRecord) {
        let others = &mut self.image.others;
        match record {
            MetadataRecord::RegisterController(r) => {
                keep(others, format!("controller {}", r.controller_id), record)
            }
            MetadataRecord::AccessControlEntry(r) => keep(others, format!("acl {}", r.id), record),
            MetadataRecord::RemoveAccessControlEntry(r) => drop(others.remove(&format!("acl {}", r.id))),
            MetadataRecord::UserScramCredential(r) => {
                keep(others, format!("scram {} {}", r.mechanism, r.name.as_str()), record)
            }
            MetadataRecord::RemoveUserScramCredential(r) => {
                drop(others.remove(&format!("scram {} {}", r.mechanism, r.name.as_str())))
            }
            MetadataRecord::DelegationToken(r) => {
                keep(others, format!("token {}", r.token_id.as_str()), record)
            }
            MetadataRecord::RemoveDelegationToken(r) => {
                drop(others.remove(&format!("token {}", r.token_id.as_str())))
            }
            MetadataRecord::ClientQuota(r) => {
                let mut entity: Vec<String> =
                    r.entity.iter().map(|e| format!("{:?}={:?}", e.entity_type, e.entity_name)).collect();
                entity.sort();
                let key = format!("quota {} {}", r.key.as_str(), entity.join(","));
                if r.remove { drop(others.remove(&key)) } else { keep(others, key, record) }
            }
            _ => {}
        }
    }
}

fn keep(others: &mut imbl::OrdMap<String, Arc<MetadataRecord>>, key: String, record: &MetadataRecord) {
    others.insert(key, Arc::new(owned(record)));
}

/// In bytes of its own: what was decoded is made of slices that keep their whole batch in memory.
fn owned(record: &MetadataRecord) -> MetadataRecord {
    let copied =
        record.encode(record.versions().max).ok().and_then(|bytes| MetadataRecord::decode(bytes).ok());
    copied.map_or_else(|| record.clone(), |(copy, _)| copy)
}

fn topic_records(topic: &Topic) -> impl Iterator<Item = MetadataRecord> {
    let record = TopicRecord { name: topic.name.clone(), topic_id: topic.id };
    let partitions = (0..).zip(&topic.partitions).filter(|(_, partition)| partition.exists());
    let partitions = partitions.map(|(index, partition)| partition_record(topic, index, partition).into());
    std::iter::once(record.into()).chain(partitions)
}

fn partition_record(topic: &Topic, index: i32, partition: &Partition) -> PartitionRecord {
    let membership = &*partition.membership;
    let unless_empty = |ids: &Vec<i32>| (!ids.is_empty()).then(|| ids.clone());
    PartitionRecord {
        partition_id: index,
        topic_id: topic.id,
        replicas: membership.replicas.clone(),
        isr: membership.isr.clone(),
        removing_replicas: membership.removing_replicas.clone(),
        adding_replicas: membership.adding_replicas.clone(),
        leader: partition.leader,
        leader_recovery_state: i8::from(partition.recovering),
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        directories: membership.directories.clone(),
        eligible_leader_replicas: unless_empty(&membership.eligible_leader_replicas),
        last_known_elr: unless_empty(&membership.last_known_elr),
    }
}

fn registration(broker: &Broker) -> RegisterBrokerRecord {
    let endpoint = |endpoint: &super::Endpoint| BrokerEndpoint {
        name: endpoint.listener.clone(),
        host: endpoint.host.clone(),
        port: endpoint.port,
        security_protocol: endpoint.security_protocol,
    };
    let feature = |(name, min, max): &(_, i16, i16)| BrokerFeature {
        name: Clone::clone(name),
        min_supported_version: *min,
        max_supported_version: *max,
    };
    RegisterBrokerRecord {
        broker_id: broker.id,
        incarnation_id: broker.incarnation_id,
        broker_epoch: broker.epoch,
        end_points: broker.endpoints.iter().map(endpoint).collect(),
        features: broker.features.iter().map(feature).collect(),
        rack: broker.rack.clone(),
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
        log_dirs: broker.directories.clone(),
        cordoned_log_dirs: broker.cordoned_directories.clone(),
        ..Default::default()
    }
}
