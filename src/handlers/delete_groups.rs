//! DeleteGroups (42) v0-2 (KIP-229).

use ottla_protocol::messages::delete_groups_response::DeletableGroupResult;
use ottla_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::Context;
use super::errors::code_of;

pub async fn handle(context: Context, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results: Vec<DeletableGroupResult> = Vec::with_capacity(request.groups_names.len());
    for group_id in request.groups_names {
        // A group that is named twice is deleted and answered once.
        if results.iter().any(|result| result.group_id == group_id) {
            continue;
        }
        let result = context.broker().groups().delete(&group_id.0).await;
        results
            .push(DeletableGroupResult::default().with_group_id(group_id).with_error_code(code_of(result)));
    }
    DeleteGroupsResponse::default().with_results(results)
}
