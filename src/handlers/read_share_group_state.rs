//! ReadShareGroupState (84) v0 (KIP-932), between brokers: by the leader of a share partition.

use ottla_protocol::messages::read_share_group_state_response::{
    PartitionResult, ReadStateResult, StateBatch,
};
use ottla_protocol::messages::{ReadShareGroupStateRequest, ReadShareGroupStateResponse};

use super::Context;
use super::share_state::error_of;
use crate::coordinator::share::{self, ReadState, SharePartitionKey};

pub async fn handle(context: Context, request: ReadShareGroupStateRequest) -> ReadShareGroupStateResponse {
    if request.group_id.is_empty() || request.topics.iter().any(|topic| topic.partitions.is_empty()) {
        return ReadShareGroupStateResponse::default();
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
            let read = ReadState { key, leader_epoch: partition.leader_epoch };
            let result = PartitionResult::default().with_partition(partition.partition);
            partitions.push(match context.broker().share_states().read(read).await {
                Ok(read) => result
                    .with_error_message(None)
                    .with_state_epoch(read.state_epoch)
                    .with_start_offset(read.start_offset)
                    .with_state_batches(read.batches.iter().map(state_batch).collect()),
                Err(error) => {
                    let (code, message) = error_of(error, "read share group state");
                    result.with_error_code(code).with_error_message(message)
                }
            });
        }
        results.push(ReadStateResult::default().with_topic_id(topic.topic_id).with_partitions(partitions));
    }
    ReadShareGroupStateResponse::default().with_results(results)
}

fn state_batch(batch: &share::StateBatch) -> StateBatch {
    StateBatch::default()
        .with_first_offset(batch.first_offset)
        .with_last_offset(batch.last_offset)
        .with_delivery_state(batch.delivery_state)
        .with_delivery_count(batch.delivery_count)
}
