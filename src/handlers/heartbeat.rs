//! Heartbeat (12) v0-4. v3: static members (KIP-345).

use ottla_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::Context;
use super::errors::code_of;
use crate::coordinator::group::commands::Heartbeat;

pub async fn handle(context: Context, request: HeartbeatRequest) -> HeartbeatResponse {
    let heartbeat = Heartbeat {
        group_id: request.group_id.0,
        member_id: request.member_id,
        group_instance_id: request.group_instance_id,
        generation_id: request.generation_id,
    };
    let result = context.broker().groups().heartbeat(heartbeat).await;
    HeartbeatResponse::default().with_error_code(code_of(result))
}
