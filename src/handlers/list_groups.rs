//! ListGroups (16) v0-5. v4: by state (KIP-518); v5: by type (KIP-848). A filter's words may be in any case.

use ottla_protocol::StrBytes;
use ottla_protocol::messages::list_groups_response::ListedGroup;
use ottla_protocol::messages::{ListGroupsRequest, ListGroupsResponse};

use super::Context;
use super::errors::Code;

pub async fn handle(context: Context, request: ListGroupsRequest) -> ListGroupsResponse {
    let groups = match context.broker().groups().list().await {
        Ok(groups) => groups,
        Err(error) => return ListGroupsResponse::default().with_error_code(error.code().code()),
    };
    let passes = |filter: &[StrBytes], word: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(word))
    };
    let groups = groups
        .into_iter()
        .filter(|group| {
            passes(&request.states_filter, group.state) && passes(&request.types_filter, group.group_type)
        })
        .map(|group| {
            ListedGroup::default()
                .with_group_id(group.group_id.into())
                .with_protocol_type(group.protocol_type)
                .with_group_state(StrBytes::from_static_str(group.state))
                .with_group_type(StrBytes::from_static_str(group.group_type))
        });
    ListGroupsResponse::default().with_groups(groups.collect())
}
