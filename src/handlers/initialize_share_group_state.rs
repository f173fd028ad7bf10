//! InitializeShareGroupState (83) v0 (KIP-932), between brokers.

use ottla_protocol::messages::initialize_share_group_state_response::{
    InitializeStateResult, PartitionResult,
};
use ottla_protocol::messages::{InitializeShareGroupStateRequest, InitializeShareGroupStateResponse};

use super::Context;
use super::share_state::error_of;
use crate::coordinator::share::{InitializeState, SharePartitionKey};

pub async fn handle(
    context: Context,
    request: InitializeShareGroupStateRequest,
) -> InitializeShareGroupStateResponse {
    if request.group_id.is_empty() {
        return InitializeShareGroupStateResponse::default();
    }
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in request.topics.iter().filter(|topic| !topic.partitions.is_empty()) {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let key = SharePartitionKey {
                group_id: request.group_id.clone(),
                topic_id: topic.topic_id,
                partition: partition.partition,
            };
            let (state_epoch, start_offset) = (partition.state_epoch, partition.start_offset);
            let initialize = InitializeState { key, state_epoch, start_offset };
            let result = PartitionResult::default().with_partition(partition.partition);
            partitions.push(match context.broker().share_states().initialize(initialize).await {
                Ok(()) => result.with_error_message(None),
                Err(error) => {
                    let (code, message) = error_of(error, "initialize share group state");
                    result.with_error_code(code).with_error_message(message)
                }
            });
        }
        results
            .push(InitializeStateResult::default().with_topic_id(topic.topic_id).with_partitions(partitions));
    }
    InitializeShareGroupStateResponse::default().with_results(results)
}
