//! AlterShareGroupOffsets (91) v0 (KIP-932): of a group without members, which is made if it is not there.

use ottla_protocol::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponsePartition, AlterShareGroupOffsetsResponseTopic,
};
use ottla_protocol::messages::{AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse};
use ottla_protocol::{ErrorCode, StrBytes, Uuid};

use super::Context;
use super::errors::Code;
use super::share_state::error_of;
use crate::coordinator::group::share::commands::{
    AlterShareOffsets, AlterShareTopic, AlteredShareTopic, Existing,
};
use crate::coordinator::share::ShareError;

pub async fn handle(
    context: Context,
    request: AlterShareGroupOffsetsRequest,
) -> AlterShareGroupOffsetsResponse {
    let image = context.broker().image();
    let topics = request.topics.into_iter().map(|topic| AlterShareTopic {
        name: topic.topic_name.0,
        partitions: topic.partitions.iter().map(|each| (each.partition_index, each.start_offset)).collect(),
    });
    // What is not there is answered first, as Kafka does.
    let (asked, unknown): (Vec<_>, Vec<_>) = topics.partition(|topic| image.topic(&topic.name).is_some());
    let alter = AlterShareOffsets { group_id: request.group_id.0, topics: asked };
    let (altered, results) = match context.broker().groups().alter_share_offsets(&alter).await {
        Ok(altered) => altered,
        Err(refusal) => {
            let code = refusal.error.code();
            let message = refusal.message.unwrap_or_else(|| code.message().to_owned());
            return AlterShareGroupOffsetsResponse::default()
                .with_error_code(code.code())
                .with_error_message(Some(StrBytes::from_string(message)));
        }
    };
    let error = |topic_id: Uuid, index: i32| {
        let of_partition = results.iter().find(|(key, _)| key.topic_id == topic_id && key.partition == index);
        of_partition.and_then(|(_, result)| result.err())
    };
    let unknown = unknown.into_iter().map(|topic| AlteredShareTopic {
        name: topic.name,
        topic_id: Uuid::nil(),
        partitions: topic.partitions.into_iter().map(|(index, _)| (index, Existing::No)).collect(),
    });
    let responses = unknown.chain(altered).map(|topic| {
        let partitions = topic.partitions.iter().map(|(index, existing)| match existing {
            Existing::Yes => partition(*index, error(topic.topic_id, *index)),
            Existing::No => missing(*index),
        });
        AlterShareGroupOffsetsResponseTopic::default()
            .with_topic_name(topic.name.clone().into())
            .with_topic_id(topic.topic_id)
            .with_partitions(partitions.collect())
    });
    AlterShareGroupOffsetsResponse::default().with_error_message(None).with_responses(responses.collect())
}

fn partition(index: i32, error: Option<ShareError>) -> AlterShareGroupOffsetsResponsePartition {
    let (code, message) = error.map_or((0, None), |error| error_of(error, "initialize share group state"));
    AlterShareGroupOffsetsResponsePartition::default()
        .with_partition_index(index)
        .with_error_code(code)
        .with_error_message(message)
}

fn missing(index: i32) -> AlterShareGroupOffsetsResponsePartition {
    let code = ErrorCode::UnknownTopicOrPartition;
    AlterShareGroupOffsetsResponsePartition::default()
        .with_partition_index(index)
        .with_error_code(code.code())
        .with_error_message(Some(StrBytes::from_static_str(code.message())))
}
