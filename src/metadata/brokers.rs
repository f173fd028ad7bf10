//! Brokers: registration at a start, and the elections that it makes possible.

use kafka_protocol::protocol::StrBytes;
use ottla_protocol::record_formats::metadata::{
    BrokerRegistrationChangeRecord, MetadataRecord, PartitionChangeRecord, RegisterBrokerRecord,
    register_broker_record::{BrokerEndpoint, BrokerFeature},
};
use uuid::Uuid;

use super::{BrokerDirectories, Controller, Endpoint, FEATURES, Outcome, Partition};

/// What a broker says of itself when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterBroker {
    pub broker_id: i32,
    /// Of this start: made anew each time.
    pub incarnation_id: Uuid,
    pub endpoints: Vec<Endpoint>,
    pub rack: Option<StrBytes>,
    pub directories: BrokerDirectories,
}

impl Controller {
    /// Registers a broker and lets it lead what has no leader and that it may lead. Answers the broker's epoch.
    ///
    /// Kafka fences a broker until it has caught up with the metadata log; here the caller already has, so that the
    /// steps that Kafka's log shows one by one come together. Partitions that it led before it went away keep their
    /// leader and epoch: with one broker there is nobody who could have led them since.
    pub fn register_broker(&self, command: RegisterBroker) -> Outcome<i64> {
        let RegisterBroker { broker_id, incarnation_id, endpoints, rack, directories } = command;
        let broker_epoch = self.next_offset();
        let registration = RegisterBrokerRecord {
            broker_id,
            incarnation_id,
            broker_epoch,
            end_points: endpoints.into_iter().map(broker_endpoint).collect(),
            features: supported_features(),
            rack,
            fenced: true,
            log_dirs: directories.online.clone(),
            ..Default::default()
        };
        let unfenced =
            BrokerRegistrationChangeRecord { broker_id, broker_epoch, fenced: -1, ..Default::default() };
        let mut records: Vec<MetadataRecord> = vec![registration.into(), unfenced.into()];
        let is_lost = |topic_id: Uuid, index: i32, partition: &Partition| {
            directories.is_lost(broker_id, topic_id, index, partition)
        };
        records.extend(self.assign_directories(broker_id, &directories));
        records.extend(self.without_leader(broker_id, is_lost));
        records.extend(self.elections(broker_id, is_lost).map(MetadataRecord::from));
        Outcome { response: broker_epoch, records }
    }

    /// KRaft's own elections on the return of a broker: a clean shutdown leaves partitions without a leader.
    fn elections(
        &self,
        broker_id: i32,
        is_lost: impl Fn(Uuid, i32, &Partition) -> bool + Copy,
    ) -> impl Iterator<Item = PartitionChangeRecord> {
        self.image.topics().flat_map(move |topic| {
            let leaderless = (0..).zip(&topic.partitions).filter(move |(index, partition)| {
                may_lead(partition, broker_id) && !is_lost(topic.id, *index, partition)
            });
            leaderless.map(move |(index, partition)| PartitionChangeRecord {
                partition_id: index,
                topic_id: topic.id,
                isr: partition.membership.isr.is_empty().then(|| vec![broker_id]),
                leader: broker_id,
                eligible_leader_replicas: Some(Vec::new()),
                last_known_elr: Some(Vec::new()),
                ..Default::default()
            })
        })
    }
}

fn may_lead(partition: &Partition, broker_id: i32) -> bool {
    let membership = &partition.membership;
    partition.leader == -1
        && (membership.isr.contains(&broker_id)
            || membership.isr.is_empty() && membership.eligible_leader_replicas.contains(&broker_id))
}

fn broker_endpoint(endpoint: Endpoint) -> BrokerEndpoint {
    BrokerEndpoint {
        name: endpoint.listener,
        host: endpoint.host,
        port: endpoint.port,
        security_protocol: endpoint.security_protocol,
    }
}

fn supported_features() -> Vec<BrokerFeature> {
    let feature = |feature: &super::bootstrap::Feature| BrokerFeature {
        name: StrBytes::from_static_str(feature.name),
        min_supported_version: feature.min_level,
        max_supported_version: feature.max_level,
    };
    FEATURES.iter().map(feature).collect()
}
