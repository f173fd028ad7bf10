//! IncrementalAlterConfigs (44) v0-1. KIP-339: single keys are set, deleted, appended to or subtracted from.

use ottla_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use ottla_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::Context;
use super::config_changes::{Asked, Op, alter};

pub async fn handle(
    context: Context,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let op = |id: i8| match id {
        0 => Some(Op::Set),
        1 => Some(Op::Delete),
        2 => Some(Op::Append),
        3 => Some(Op::Subtract),
        _ => None,
    };
    let asked: Vec<Asked> = request
        .resources
        .into_iter()
        .map(|resource| Asked {
            resource_type: resource.resource_type,
            name: resource.resource_name,
            ops: resource.configs.into_iter().map(|c| (c.name, op(c.config_operation), c.value)).collect(),
            replace: false,
        })
        .collect();
    let answers = alter(&context, &asked, request.validate_only).await;
    let response = |(resource, (code, message)): (Asked, _)| {
        let code: ottla_protocol::ErrorCode = code;
        AlterConfigsResourceResponse::default()
            .with_error_code(code.code())
            .with_error_message(message)
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.name)
    };
    let responses = asked.into_iter().zip(answers).map(response).collect();
    IncrementalAlterConfigsResponse::default().with_responses(responses)
}
