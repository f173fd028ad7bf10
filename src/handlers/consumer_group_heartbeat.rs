//! ConsumerGroupHeartbeat (68) v0-1 (KIP-848). v1: regular expressions, and members that bring their own ids (KIP-1082).

use ottla_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as Owned;
use ottla_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use ottla_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use ottla_protocol::{StrBytes, Uuid};

use super::Context;
use super::errors::Code;
use crate::clock::random_id;
use crate::coordinator::group::Refusal;
use crate::coordinator::group::consumer::{ConsumerHeartbeat, HeartbeatAnswer};

pub async fn handle(
    context: Context,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    let heartbeat = command(&context, request);
    match context.broker().groups().consumer_heartbeat(&heartbeat).await {
        Ok(answer) => accepted(answer),
        Err(refusal) => refused(refusal),
    }
}

fn command(context: &Context, request: ConsumerGroupHeartbeatRequest) -> ConsumerHeartbeat {
    let names =
        |names: Vec<ottla_protocol::messages::TopicName>| names.into_iter().map(|name| name.0).collect();
    let owned =
        |owned: Vec<Owned>| owned.into_iter().map(|topic| (topic.topic_id, topic.partitions)).collect();
    let unique = if request.member_id.is_empty() { random_id() } else { Uuid::nil() };
    ConsumerHeartbeat {
        group_id: request.group_id.0,
        member_id: request.member_id,
        member_epoch: request.member_epoch,
        instance_id: request.instance_id,
        rack_id: request.rack_id,
        rebalance_timeout_ms: Some(request.rebalance_timeout_ms).filter(|timeout_ms| *timeout_ms != -1),
        subscribed_topic_names: request.subscribed_topic_names.map(names),
        subscribed_topic_regex: request.subscribed_topic_regex,
        server_assignor: request.server_assignor,
        topic_partitions: request.topic_partitions.map(owned),
        client_id: context.client_id.clone().unwrap_or_default(),
        client_host: context.client_host(),
        must_name_itself: context.api_version >= 1,
        unique,
    }
}

fn accepted(answer: HeartbeatAnswer) -> ConsumerGroupHeartbeatResponse {
    let topic = |(topic_id, partitions): (Uuid, Vec<i32>)| {
        TopicPartitions::default().with_topic_id(topic_id).with_partitions(partitions)
    };
    let assignment = answer
        .assignment
        .map(|topics| Assignment::default().with_topic_partitions(topics.into_iter().map(topic).collect()));
    ConsumerGroupHeartbeatResponse::default()
        .with_member_id(Some(answer.member_id))
        .with_member_epoch(answer.member_epoch)
        .with_heartbeat_interval_ms(answer.heartbeat_interval_ms)
        .with_assignment(assignment)
}

fn refused(refusal: Refusal) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse::default()
        .with_error_code(refusal.error.code().code())
        .with_error_message(refusal.message.map(StrBytes::from_string))
}
