//! DeleteShareGroupState (86) v0 (KIP-932), between brokers.

use ottla_protocol::messages::delete_share_group_state_response::{DeleteStateResult, PartitionResult};
use ottla_protocol::messages::{DeleteShareGroupStateRequest, DeleteShareGroupStateResponse};

use super::Context;
use super::share_state::error_of;
use crate::coordinator::share::SharePartitionKey;

pub async fn handle(
    context: Context,
    request: DeleteShareGroupStateRequest,
) -> DeleteShareGroupStateResponse {
    if request.group_id.is_empty() || request.topics.iter().any(|topic| topic.partitions.is_empty()) {
        return DeleteShareGroupStateResponse::default();
    }
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let key = SharePartitionKey {
                group_id: request.group_id.clone(),
                topic_id: topic.topic_id,
                partition: partition.partition,
            };
            let result = PartitionResult::default().with_partition(partition.partition);
            partitions.push(match context.broker().share_states().delete(key).await {
                Ok(()) => result.with_error_message(None),
                Err(error) => {
                    let (code, message) = error_of(error, "delete share group state");
                    result.with_error_code(code).with_error_message(message)
                }
            });
        }
        results.push(DeleteStateResult::default().with_topic_id(topic.topic_id).with_partitions(partitions));
    }
    DeleteShareGroupStateResponse::default().with_results(results)
}
