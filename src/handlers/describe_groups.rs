//! DescribeGroups (15) v0-6. v3: authorized operations (KIP-430); v4: static members (KIP-345); v6: GROUP_ID_NOT_FOUND,
//! where older versions show a dead group (KIP-1043).

use ottla_protocol::StrBytes;
use ottla_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use ottla_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};

use super::Context;
use super::errors::Code;
use crate::coordinator::group::commands;
use crate::coordinator::group::{GroupError, Refusal};

/// The bits of READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS: all that can be done with a group.
pub const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

pub async fn handle(context: Context, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for group_id in request.groups {
        let described = match context.broker().groups().describe(&group_id.0).await {
            Ok(group) if request.include_authorized_operations => {
                described(group).with_authorized_operations(ALL_OPERATIONS)
            }
            Ok(group) => described(group),
            Err(refusal) => refused(&context, refusal),
        };
        groups.push(described.with_group_id(group_id));
    }
    DescribeGroupsResponse::default().with_groups(groups)
}

fn described(group: commands::DescribedGroup) -> DescribedGroup {
    let member = |member: commands::DescribedMember| {
        DescribedGroupMember::default()
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
            .with_client_id(member.client_id)
            .with_client_host(member.client_host)
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    };
    DescribedGroup::default()
        .with_group_state(StrBytes::from_static_str(group.state))
        .with_protocol_type(group.protocol_type)
        .with_protocol_data(group.protocol)
        .with_members(group.members.into_iter().map(member).collect())
}

fn refused(context: &Context, refusal: Refusal) -> DescribedGroup {
    let dead = DescribedGroup::default().with_group_state(StrBytes::from_static_str("Dead"));
    let code = refusal.error.code().code();
    match refusal.error {
        GroupError::GroupIdNotFound if context.api_version >= 6 => {
            dead.with_error_code(code).with_error_message(refusal.message.map(StrBytes::from_string))
        }
        GroupError::GroupIdNotFound => dead,
        _ => DescribedGroup::default().with_error_code(code),
    }
}
