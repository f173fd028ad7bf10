//! SyncGroup (14) v0-5. v3: static members (KIP-345); v5: the protocol is named and checked (KIP-559).

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::Context;
use super::errors::Code;
use crate::coordinator::group::commands::Sync;

pub async fn handle(context: Context, request: SyncGroupRequest) -> SyncGroupResponse {
    let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    if context.api_version >= 5 && !names_protocol {
        return SyncGroupResponse::default().with_error_code(ErrorCode::InconsistentGroupProtocol.code());
    }
    let groups = context.broker().groups();
    let sync = Sync {
        ticket: groups.ticket(),
        group_id: request.group_id.0,
        member_id: request.member_id,
        group_instance_id: request.group_instance_id,
        generation_id: request.generation_id,
        protocol_type: request.protocol_type,
        protocol_name: request.protocol_name,
        assignments: request.assignments.into_iter().map(|each| (each.member_id, each.assignment)).collect(),
    };
    match groups.sync(sync).await {
        Ok(synced) => SyncGroupResponse::default()
            .with_protocol_type(synced.protocol_type)
            .with_protocol_name(synced.protocol_name)
            .with_assignment(synced.assignment),
        Err(error) => SyncGroupResponse::default().with_error_code(error.code().code()),
    }
}
