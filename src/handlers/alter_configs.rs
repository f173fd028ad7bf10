//! AlterConfigs (33) v0-2. Replaces all that is altered of a resource; newer clients ask IncrementalAlterConfigs.

use ottla_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use ottla_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

use super::Context;
use super::config_changes::{Asked, Op, alter};

pub async fn handle(context: Context, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let asked: Vec<Asked> = request
        .resources
        .into_iter()
        .map(|resource| Asked {
            resource_type: resource.resource_type,
            name: resource.resource_name,
            ops: resource
                .configs
                .into_iter()
                .map(|config| (config.name, Some(Op::Set), config.value))
                .collect(),
            replace: true,
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
    AlterConfigsResponse::default().with_responses(responses)
}
