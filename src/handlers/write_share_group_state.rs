//! WriteShareGroupState (85) v0-1 (KIP-932), between brokers: by the leader of a share partition. v1: how many records need
//! no delivery any more (KIP-1226).

use ottla_protocol::messages::write_share_group_state_request::{PartitionData, StateBatch};
use ottla_protocol::messages::write_share_group_state_response::{PartitionResult, WriteStateResult};
use ottla_protocol::messages::{WriteShareGroupStateRequest, WriteShareGroupStateResponse};

use super::Context;
use super::share_state::error_of;
use crate::coordinator::share::{self, SharePartitionKey, WriteState};

pub async fn handle(context: Context, request: WriteShareGroupStateRequest) -> WriteShareGroupStateResponse {
    if request.group_id.is_empty() || request.topics.iter().any(|topic| topic.partitions.is_empty()) {
        return WriteShareGroupStateResponse::default();
    }
    let mut results = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for data in topic.partitions {
            let partition = data.partition;
            let group_id = request.group_id.clone();
            let key = SharePartitionKey { group_id, topic_id: topic.topic_id, partition };
            let (error_code, error_message) =
                match context.broker().share_states().write(write(key, data)).await {
                    Ok(()) => (0, None),
                    Err(error) => error_of(error, "write share group state"),
                };
            partitions.push(PartitionResult { partition, error_code, error_message });
        }
        results.push(WriteStateResult { topic_id: topic.topic_id, partitions });
    }
    WriteShareGroupStateResponse { results }
}

fn write(key: SharePartitionKey, data: PartitionData) -> WriteState {
    let batch = |batch: &StateBatch| share::StateBatch {
        first_offset: batch.first_offset,
        last_offset: batch.last_offset,
        delivery_state: batch.delivery_state,
        delivery_count: batch.delivery_count,
    };
    WriteState {
        key,
        state_epoch: data.state_epoch,
        leader_epoch: data.leader_epoch,
        start_offset: data.start_offset,
        delivery_complete_count: data.delivery_complete_count,
        batches: data.state_batches.iter().map(batch).collect(),
    }
}
