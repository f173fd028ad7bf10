//! What several handlers of topics say alike: permissions, errors, who is there.

use ottla_protocol::messages::BrokerId;
use ottla_protocol::{ErrorCode, StrBytes};

use super::Context;
use crate::metadata::{Broker, Image, Partition, TopicError};

/// What a handler says of permissions that nobody asked for.
pub const OPERATIONS_NOT_ASKED: i32 = i32::MIN;

/// All operations on a topic, as bits: without an authorizer everyone may do everything.
pub const ALL_TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;

/// All operations on the cluster.
pub const ALL_CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;

pub const UNKNOWN_LEADER: i32 = -1;

/// Kafka's code and message for a refused topic.
pub fn refusal(error: &TopicError) -> (ErrorCode, Option<StrBytes>) {
    let (code, message) = match error {
        TopicError::AlreadyExists(message) => (ErrorCode::TopicAlreadyExists, message),
        TopicError::InvalidName(message) => (ErrorCode::InvalidTopicException, message),
        TopicError::InvalidRequest(message) => (ErrorCode::InvalidRequest, message),
        TopicError::InvalidPartitions(message) => (ErrorCode::InvalidPartitions, message),
        TopicError::InvalidReplicationFactor(message) => (ErrorCode::InvalidReplicationFactor, message),
        TopicError::InvalidReplicaAssignment(message) => (ErrorCode::InvalidReplicaAssignment, message),
        TopicError::InvalidConfig(message) => (ErrorCode::InvalidConfig, message),
        TopicError::PolicyViolation(message) => (ErrorCode::PolicyViolation, message),
        TopicError::UnknownTopic => return (ErrorCode::UnknownTopicOrPartition, None),
        TopicError::UnknownTopicId => return (ErrorCode::UnknownTopicId, None),
        TopicError::TooManyRecords => return (ErrorCode::UnknownServerError, None),
    };
    (code, Some(StrBytes::from_string(message.clone())))
}

/// Where a client of this listener finds a broker: this one as the client reached it, another as it registered.
pub fn address(context: &Context, broker: &Broker) -> Option<(StrBytes, i32)> {
    if broker.id == context.broker().node_id() {
        let here = context.advertised();
        return Some((StrBytes::from_string(here.host.clone()), i32::from(here.port)));
    }
    let endpoint = broker.endpoint(&context.client.listener)?;
    Some((endpoint.host.clone(), i32::from(endpoint.port)))
}

/// How a partition looks to clients.
pub struct Seen {
    pub error: ErrorCode,
    pub leader: BrokerId,
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    pub offline: Vec<BrokerId>,
}

pub fn see(image: &Image, partition: &Partition) -> Seen {
    let ids = |ids: &[i32]| ids.iter().map(|id| BrokerId(*id)).collect();
    let is_alive = |id: i32| image.broker(id).is_some_and(|broker| !broker.fenced);
    let membership = &partition.membership;
    let is_offline = |id: i32| !is_alive(id) || image.is_directory_offline(partition, id);
    let has_leader = is_alive(partition.leader);
    Seen {
        error: if has_leader { ErrorCode::None } else { ErrorCode::LeaderNotAvailable },
        leader: BrokerId(if has_leader { partition.leader } else { UNKNOWN_LEADER }),
        replicas: ids(&membership.replicas),
        isr: ids(&membership.isr),
        offline: membership.replicas.iter().filter(|id| is_offline(**id)).map(|id| BrokerId(*id)).collect(),
    }
}
