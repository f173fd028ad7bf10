//! DeleteTopics (20) v1-6. v5: messages; v6: topics by id (KIP-516).

use ottla_protocol::messages::delete_topics_response::DeletableTopicResult;
use ottla_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use ottla_protocol::{ErrorCode, StrBytes, Uuid};

use super::Context;
use super::errors::Code;
use super::topic_answers::refusal;
use crate::metadata::{DeletedTopic, TopicToDelete};

pub async fn handle(context: Context, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let topics = wanted(&request);
    if !context.broker().config().delete_topic_enable {
        // v3 has a code of its own for it (KIP-322).
        let error = if context.api_version < 3 {
            ErrorCode::InvalidRequest
        } else {
            ErrorCode::TopicDeletionDisabled
        };
        return all(topics, error);
    }
    let deleted = match context.broker().delete_topics(topics.clone()).await {
        Ok(deleted) => deleted,
        Err(error) => return all(topics, error.code()),
    };
    DeleteTopicsResponse::default().with_responses(deleted.iter().map(answer).collect())
}

fn wanted(request: &DeleteTopicsRequest) -> Vec<TopicToDelete> {
    let by_name =
        request.topic_names.iter().map(|name| TopicToDelete { name: Some(name.0.clone()), id: Uuid::nil() });
    let either = request.topics.iter().map(|topic| TopicToDelete {
        name: topic.name.as_ref().map(|name| name.0.clone()),
        id: topic.topic_id,
    });
    by_name.chain(either).collect()
}

fn answer(topic: &DeletedTopic) -> DeletableTopicResult {
    let (error, message) = match &topic.result {
        Ok(()) => (ErrorCode::None, None),
        Err(error) => refusal(error),
    };
    // Here, other than for CreatePartitions, the reference has words for an unknown topic.
    let message = message.or_else(|| error.is_error().then(|| StrBytes::from_static_str(error.message())));
    DeletableTopicResult::default()
        .with_name(topic.name.clone().map(TopicName))
        .with_topic_id(topic.id)
        .with_error_code(error.code())
        .with_error_message(message)
}

fn all(topics: Vec<TopicToDelete>, error: ErrorCode) -> DeleteTopicsResponse {
    let answer = |topic: TopicToDelete| {
        DeletableTopicResult::default()
            .with_name(topic.name.map(TopicName))
            .with_topic_id(topic.id)
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(error.message())))
    };
    DeleteTopicsResponse::default().with_responses(topics.into_iter().map(answer).collect())
}
