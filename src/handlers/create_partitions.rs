//! CreatePartitions (37) v0-3.

use ottla_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use ottla_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, TopicName};
use ottla_protocol::{ErrorCode, StrBytes};

use super::Context;
use super::errors::Code;
use super::topic_answers::refusal;

pub async fn handle(context: Context, request: CreatePartitionsRequest) -> CreatePartitionsResponse {
    let names: Vec<TopicName> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let cluster = &context.broker().cluster;
    let results = match cluster.create_partitions(request.topics, request.validate_only).await {
        Ok(results) => results
            .into_iter()
            .map(|(name, result)| {
                let (error, message) = match &result {
                    Ok(()) => (ErrorCode::None, None),
                    Err(error) => refusal(error),
                };
                answer(TopicName(name), error, message)
            })
            .collect(),
        Err(error) => {
            let message = StrBytes::from_static_str(error.code().message());
            names.into_iter().map(|name| answer(name, error.code(), Some(message.clone()))).collect()
        }
    };
    CreatePartitionsResponse::default().with_results(results)
}

fn answer(name: TopicName, error: ErrorCode, message: Option<StrBytes>) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult::default()
        .with_name(name)
        .with_error_code(error.code())
        .with_error_message(message)
}
