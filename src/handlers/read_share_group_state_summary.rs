//! ReadShareGroupStateSummary (87) v0-1 (KIP-932), between brokers. v1: how many records need no delivery any more (KIP-1226).

use ottla_protocol::messages::read_share_group_state_summary_response::{
    PartitionResult, ReadStateSummaryResult,
};
use ottla_protocol::messages::{ReadShareGroupStateSummaryRequest, ReadShareGroupStateSummaryResponse};

use super::Context;
use super::share_state::error_of;
use crate::coordinator::share::SharePartitionKey;

pub async fn handle(
    context: Context,
    request: ReadShareGroupStateSummaryRequest,
) -> ReadShareGroupStateSummaryResponse {
    if request.group_id.is_empty() || request.topics.iter().any(|topic| topic.partitions.is_empty()) {
        return ReadShareGroupStateSummaryResponse::default();
    }
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for data in topic.partitions {
            let (group_id, partition) = (request.group_id.clone(), data.partition);
            let key = SharePartitionKey { group_id, topic_id: topic.topic_id, partition };
            partitions.push(match context.broker().share_states().read_summary(key).await {
                Ok(summary) => PartitionResult {
                    partition,
                    error_code: 0,
                    error_message: None,
                    state_epoch: summary.state_epoch,
                    leader_epoch: summary.leader_epoch,
                    start_offset: summary.start_offset,
                    delivery_complete_count: summary.delivery_complete_count,
                },
                Err(error) => {
                    let (error_code, error_message) = error_of(error, "read share group state summary");
                    PartitionResult { partition, error_code, error_message, ..PartitionResult::default() }
                }
            });
        }
        results.push(ReadStateSummaryResult { topic_id: topic.topic_id, partitions });
    }
    ReadShareGroupStateSummaryResponse { results }
}
