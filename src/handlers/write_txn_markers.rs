//! WriteTxnMarkers (27) v1-2, from a transaction coordinator, or from an administrator who ends a hanging transaction
//! (KIP-664). v2: the transaction's version (KIP-1228).

use ottla_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use ottla_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use ottla_protocol::messages::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};

use super::Context;
use super::errors::code_of;
use crate::coordinator::marker::TxnMarker;

pub async fn handle(context: Context, request: WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
    let mut results: Vec<WritableTxnMarkerResult> = Vec::with_capacity(request.markers.len());
    for marker in request.markers {
        let result = write(&context, marker).await;
        match results.iter_mut().find(|known| known.producer_id == result.producer_id) {
            Some(known) => known.topics.extend(result.topics),
            None => results.push(result),
        }
    }
    WriteTxnMarkersResponse::default().with_markers(results)
}

async fn write(context: &Context, request: WritableTxnMarker) -> WritableTxnMarkerResult {
    let marker = TxnMarker {
        producer_id: request.producer_id.0,
        producer_epoch: request.producer_epoch,
        coordinator_epoch: request.coordinator_epoch,
        is_commit: request.transaction_result,
        transaction_version: i16::from(request.transaction_version),
    };
    let partitions: Vec<_> = request
        .topics
        .iter()
        .flat_map(|topic| topic.partition_indexes.iter().map(|index| (topic.name.0.clone(), *index)))
        .collect();
    let mut results = context.broker().write_txn_marker(marker, &partitions).await.into_iter();
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partition_indexes.into_iter().zip(results.by_ref());
        let partitions = partitions.map(|(index, result)| {
            WritableTxnMarkerPartitionResult::default()
                .with_partition_index(index)
                .with_error_code(code_of(result))
        });
        WritableTxnMarkerTopicResult::default().with_name(topic.name).with_partitions(partitions.collect())
    });
    let topics = topics.collect();
    WritableTxnMarkerResult::default().with_producer_id(request.producer_id).with_topics(topics)
}
