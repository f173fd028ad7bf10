//! Metadata (3) v0-13. v1: null topics mean all; v4: the client may forbid auto-creation; v8: authorized operations
//! (KIP-430); v12: topics by id (KIP-516); v13: an error of the whole answer.
//!
//! An auto-created topic is in the very answer that asked for it, where Kafka answers UNKNOWN_TOPIC_OR_PARTITION once.

use std::collections::BTreeSet;

use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use ottla_protocol::{ErrorCode, StrBytes, Uuid};
use tracing::warn;

use super::Context;
use super::topic_answers::{
    ALL_CLUSTER_OPERATIONS, ALL_TOPIC_OPERATIONS, OPERATIONS_NOT_ASKED, address, see,
};
use crate::metadata::{Image, Topic, is_internal, validate_topic_name};

pub async fn handle(context: Context, request: MetadataRequest) -> MetadataResponse {
    let wanted = match Wanted::from_request(context.api_version, &request) {
        Ok(wanted) => wanted,
        Err(error) => return refused(&request, error),
    };
    if let Wanted::Names(names) = &wanted {
        let may_create =
            request.allow_auto_topic_creation && context.broker().config().auto_create_topics_enable;
        if may_create {
            create_missing(&context, names).await;
        }
    }
    let image = context.broker().image();
    let operations = match request.include_topic_authorized_operations {
        true => ALL_TOPIC_OPERATIONS,
        false => OPERATIONS_NOT_ASKED,
    };
    let known = |topic: &Topic| known_topic(&image, topic, operations);
    let topics = match &wanted {
        Wanted::All => image.topics().map(|topic| known(topic)).collect(),
        Wanted::Names(names) => names
            .iter()
            .map(|name| match image.topic(name) {
                Some(topic) => known(topic),
                None => unknown_name(name, operations),
            })
            .collect(),
        Wanted::Ids(ids) => ids
            .iter()
            .map(|id| match image.topic_by_id(id) {
                Some(topic) => known(topic),
                None => unknown_id(*id),
            })
            .collect(),
    };
    let brokers = image.brokers().filter(|broker| !broker.fenced).filter_map(|broker| {
        let (host, port) = address(&context, broker)?;
        let seen = MetadataResponseBroker::default().with_node_id(BrokerId(broker.id));
        Some(seen.with_host(host).with_port(port).with_rack(broker.rack.clone()))
    });
    let mut response = MetadataResponse::default()
        .with_brokers(brokers.collect())
        .with_cluster_id(Some(context.broker().cluster.cluster_id().clone()))
        // Any broker forwards what only a controller may do; this is the nearest.
        .with_controller_id(BrokerId(context.broker().node_id()))
        .with_topics(topics);
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = ALL_CLUSTER_OPERATIONS;
    }
    response
}

enum Wanted {
    All,
    /// Each once.
    Names(Vec<StrBytes>),
    Ids(Vec<Uuid>),
}

impl Wanted {
    fn from_request(version: i16, request: &MetadataRequest) -> Result<Wanted, ErrorCode> {
        let Some(topics) = &request.topics else { return Ok(Wanted::All) };
        if version == 0 && topics.is_empty() {
            return Ok(Wanted::All);
        }
        // v10 and v11 have the fields but not yet the meaning.
        if version < 12 && topics.iter().any(|topic| topic.name.is_none() || !topic.topic_id.is_nil()) {
            return Err(ErrorCode::InvalidRequest);
        }
        let ids: BTreeSet<Uuid> =
            topics.iter().map(|topic| topic.topic_id).filter(|id| !id.is_nil()).collect();
        if !ids.is_empty() {
            return Ok(Wanted::Ids(ids.into_iter().collect()));
        }
        let mut seen = BTreeSet::new();
        let mut names = Vec::with_capacity(topics.len());
        for topic in topics {
            // Neither a name nor an id: the reference fails on it too.
            let name = &topic.name.as_ref().ok_or(ErrorCode::UnknownServerError)?.0;
            if seen.insert(name.as_str()) {
                names.push(name.clone());
            }
        }
        Ok(Wanted::Names(names))
    }
}

/// A request that cannot be answered at all: each of its topics gets the error.
fn refused(request: &MetadataRequest, error: ErrorCode) -> MetadataResponse {
    let topic = |topic: &MetadataRequestTopic| {
        MetadataResponseTopic::default()
            .with_error_code(error.code())
            .with_name(Some(topic.name.clone().unwrap_or_default()))
            .with_topic_id(topic.topic_id)
    };
    let topics = request.topics.iter().flatten().map(topic).collect();
    MetadataResponse::default()
        .with_controller_id(BrokerId(-1))
        .with_topics(topics)
        .with_error_code(error.code())
}

async fn create_missing(context: &Context, names: &[StrBytes]) {
    let image = context.broker().image();
    let missing: Vec<StrBytes> = names
        .iter()
        .filter(|name| image.topic_id(name).is_none() && validate_topic_name(name).is_ok())
        .cloned()
        .collect();
    if missing.is_empty() {
        return;
    }
    // Whoever is refused (a colliding name) or fails stays unknown, and may ask again.
    if let Err(error) = context.broker().auto_create_topics(missing).await {
        warn!(%error, "topics could not be created automatically");
    }
}

fn known_topic(image: &Image, topic: &Topic, operations: i32) -> MetadataResponseTopic {
    let partitions = (0..).zip(&topic.partitions).map(|(index, partition)| {
        let seen = see(image, partition);
        MetadataResponsePartition::default()
            .with_error_code(seen.error.code())
            .with_partition_index(index)
            .with_leader_id(seen.leader)
            .with_leader_epoch(partition.leader_epoch)
            .with_replica_nodes(seen.replicas)
            .with_isr_nodes(seen.isr)
            .with_offline_replicas(seen.offline)
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(topic.name.clone())))
        .with_topic_id(topic.id)
        .with_is_internal(is_internal(&topic.name))
        .with_partitions(partitions.collect())
        .with_topic_authorized_operations(operations)
}

fn unknown_name(name: &StrBytes, operations: i32) -> MetadataResponseTopic {
    let error = match validate_topic_name(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(TopicName(name.clone())))
        .with_is_internal(is_internal(name))
        .with_topic_authorized_operations(operations)
}

fn unknown_id(id: Uuid) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_error_code(ErrorCode::UnknownTopicId.code())
        .with_name(None)
        .with_topic_id(id)
}
