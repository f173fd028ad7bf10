//! JoinGroup (11) v0-9. v4: MEMBER_ID_REQUIRED (KIP-394); v5: static members (KIP-345); v7: the protocol's type in the
//! answer (KIP-559); v9: skip_assignment for a returning static leader (KIP-814).

use ottla_protocol::messages::join_group_response::JoinGroupResponseMember;
use ottla_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use ottla_protocol::{ErrorCode, StrBytes};

use super::Context;
use super::errors::Code;
use crate::clock::random_id;
use crate::coordinator::group::commands::{Join, JoinRefused, Joined, Protocol};

pub async fn handle(context: Context, request: JoinGroupRequest) -> JoinGroupResponse {
    let groups = context.broker().groups();
    match groups.join(command(&context, request)).await {
        Ok(joined) => accepted(&context, joined),
        Err(refused) => refusal(&context, refused),
    }
}

fn command(context: &Context, request: JoinGroupRequest) -> Join {
    let protocol = |protocol: ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol| {
        Protocol { name: protocol.name, metadata: protocol.metadata }
    };
    Join {
        ticket: context.broker().groups().ticket(),
        group_id: request.group_id.0,
        member_id: request.member_id,
        group_instance_id: request.group_instance_id,
        client_id: context.client_id.clone().unwrap_or_default(),
        client_host: context.client_host(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: match context.api_version {
            0 => request.session_timeout_ms,
            _ => request.rebalance_timeout_ms,
        },
        protocol_type: request.protocol_type,
        protocols: request.protocols.into_iter().map(protocol).collect(),
        must_know_member_id: context.api_version >= 4,
        may_skip_assignment: context.api_version >= 9,
        unique: random_id(),
    }
}

fn accepted(context: &Context, joined: Joined) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| {
        JoinGroupResponseMember::default()
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
            .with_metadata(member.metadata)
    });
    JoinGroupResponse::default()
        .with_error_code(ErrorCode::None.code())
        .with_generation_id(joined.generation_id)
        .with_protocol_type(joined.protocol_type)
        .with_protocol_name(protocol_name(context, joined.protocol_name))
        .with_leader(joined.leader)
        .with_skip_assignment(joined.skip_assignment)
        .with_member_id(joined.member_id)
        .with_members(members.collect())
}

fn refusal(context: &Context, refused: JoinRefused) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(refused.error.code().code())
        .with_generation_id(-1)
        .with_protocol_name(protocol_name(context, None))
        .with_member_id(refused.member_id)
}

/// Before version 7 no protocol is an empty name.
fn protocol_name(context: &Context, name: Option<StrBytes>) -> Option<StrBytes> {
    match context.api_version {
        ..7 => Some(name.unwrap_or_default()),
        7.. => name,
    }
}
