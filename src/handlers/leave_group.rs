//! LeaveGroup (13) v0-5. v3: several members, each with a result (KIP-345); v5: a reason, which is only for people.

use ottla_protocol::messages::leave_group_response::MemberResponse;
use ottla_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::Context;
use super::errors::{Code, code_of};
use crate::coordinator::group::commands::{Leave, Leaver};

pub async fn handle(context: Context, request: LeaveGroupRequest) -> LeaveGroupResponse {
    let is_single = context.api_version < 3;
    let members = if is_single {
        vec![Leaver { member_id: request.member_id, group_instance_id: None }]
    } else {
        let leaver = |member: ottla_protocol::messages::leave_group_request::MemberIdentity| Leaver {
            member_id: member.member_id,
            group_instance_id: member.group_instance_id,
        };
        request.members.into_iter().map(leaver).collect()
    };
    let leave = Leave { group_id: request.group_id.0, members };
    let results = match context.broker().groups().leave(leave).await {
        Ok(results) => results,
        Err(error) => return LeaveGroupResponse::default().with_error_code(error.code().code()),
    };
    if is_single {
        let code = results.first().map_or(0, |(_, result)| code_of(*result));
        return LeaveGroupResponse::default().with_error_code(code);
    }
    let members = results.into_iter().map(|(leaver, result)| {
        MemberResponse::default()
            .with_member_id(leaver.member_id)
            .with_group_instance_id(leaver.group_instance_id)
            .with_error_code(code_of(result))
    });
    LeaveGroupResponse::default().with_members(members.collect())
}
