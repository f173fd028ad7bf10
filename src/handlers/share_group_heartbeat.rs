//! ShareGroupHeartbeat (76) v1 (KIP-932).

use ottla_protocol::messages::share_group_heartbeat_response::{Assignment, TopicPartitions};
use ottla_protocol::messages::{ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};
use ottla_protocol::{ErrorCode, StrBytes};

use super::Context;
use super::errors::Code;
use crate::coordinator::group::assignors;
use crate::coordinator::group::share::commands::ShareHeartbeat;

/// A member's id is a UUID of its own making.
const MAX_MEMBER_ID_CHARACTERS: usize = 36;

pub async fn handle(context: Context, request: ShareGroupHeartbeatRequest) -> ShareGroupHeartbeatResponse {
    let id_characters = request.member_id.encode_utf16().count();
    if id_characters == 0 || id_characters > MAX_MEMBER_ID_CHARACTERS {
        return refused(ErrorCode::InvalidRequest, None);
    }
    let names = request.subscribed_topic_names;
    let heartbeat = ShareHeartbeat {
        group_id: request.group_id.0,
        member_id: request.member_id,
        member_epoch: request.member_epoch,
        rack_id: request.rack_id,
        client_id: context.client_id.clone().unwrap_or_default(),
        // As Java writes an address that was never looked up.
        client_host: context.client_host(),
        subscribed_topic_names: names.map(|names| names.into_iter().map(|name| name.0).collect()),
    };
    match context.broker().groups().share_heartbeat(heartbeat).await {
        Ok(answer) => ShareGroupHeartbeatResponse::default()
            .with_member_id(Some(answer.member_id))
            .with_member_epoch(answer.member_epoch)
            .with_heartbeat_interval_ms(answer.heartbeat_interval_ms)
            .with_assignment(answer.assignment.as_ref().map(assignment)),
        Err(refusal) => refused(refusal.error.code(), refusal.message),
    }
}

fn assignment(partitions: &assignors::TopicPartitions) -> Assignment {
    let topics = partitions.iter().map(|(topic_id, partitions)| {
        TopicPartitions::default()
            .with_topic_id(*topic_id)
            .with_partitions(partitions.iter().copied().collect())
    });
    Assignment::default().with_topic_partitions(topics.collect())
}

fn refused(code: ErrorCode, message: Option<String>) -> ShareGroupHeartbeatResponse {
    ShareGroupHeartbeatResponse::default()
        .with_error_code(code.code())
        .with_error_message(message.map(StrBytes::from_string))
}
