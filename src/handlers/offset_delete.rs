//! OffsetDelete (47) v0 (KIP-496).

use ottla_protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use ottla_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use ottla_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use ottla_protocol::{ErrorCode, Uuid};

use super::Context;
use super::errors::{Code, code_of};
use crate::coordinator::group::commands::{DeleteOffsets, TopicPartitions};
use crate::metadata::Image;

pub async fn handle(context: Context, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let image = context.broker().image();
    let mut answers = Vec::with_capacity(request.topics.len());
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let (found, missing) = split(&topic, &image);
        let refused =
            missing.into_iter().map(|index| partition(index, ErrorCode::UnknownTopicOrPartition.code()));
        answers.push(
            OffsetDeleteResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(refused.collect()),
        );
        topics.push(TopicPartitions { name: topic.name.0, topic_id: Uuid::nil(), partitions: found });
    }
    if topics.iter().all(|topic| topic.partitions.is_empty()) {
        return OffsetDeleteResponse::default().with_topics(answers);
    }
    let delete = DeleteOffsets { group_id: request.group_id.0, topics };
    match context.broker().groups().delete_offsets(delete).await {
        Ok(results) => {
            // One result for each topic of the request, in its order.
            for (answer, topic) in answers.iter_mut().zip(results) {
                answer
                    .partitions
                    .extend(topic.partitions.iter().map(|(index, r)| partition(*index, code_of(*r))));
            }
            OffsetDeleteResponse::default().with_topics(answers)
        }
        Err(error) => OffsetDeleteResponse::default().with_error_code(error.code().code()),
    }
}

/// The partitions that exist, and those that do not.
fn split(topic: &OffsetDeleteRequestTopic, image: &Image) -> (Vec<i32>, Vec<i32>) {
    let known = image.topic(&topic.name);
    let exists = |index: &i32| known.is_some_and(|known| known.partition(*index).is_some());
    topic.partitions.iter().map(|each| each.partition_index).partition(exists)
}

fn partition(index: i32, code: i16) -> OffsetDeleteResponsePartition {
    OffsetDeleteResponsePartition::default().with_partition_index(index).with_error_code(code)
}
