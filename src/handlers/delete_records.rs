//! DeleteRecords (21) v0-2. KIP-107: moves the log's start; -1 means up to the high watermark.

use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::DeleteRecordsRequest;
use ottla_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult,
};

use super::Context;
use super::errors::Code;
use crate::broker::{Partition, TopicRef};
use crate::metadata::is_internal;

const HIGH_WATERMARK: i64 = -1;

pub async fn handle(context: Context, request: DeleteRecordsRequest) -> DeleteRecordsResponse {
    let broker = context.broker();
    let image = broker.image();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let named = context.broker().topic(&image, &TopicRef::Name(topic.name.0.clone()));
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let deleted = match &named {
                Ok(_) if is_internal(&topic.name) => Err(ErrorCode::InvalidTopicException),
                Ok(named) => match context.broker().led(&image, named, partition.partition_index, -1) {
                    Ok(led) => delete(led.partition, partition.offset, context.broker().clock.now_ms()).await,
                    Err(error) => Err(error.code()),
                },
                Err(error) => Err(error.code()),
            };
            partitions.push(response(partition.partition_index, deleted));
        }
        topics.push(DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions));
    }
    let (logs, now_ms) = (Arc::clone(broker.logs()), broker.clock.now_ms());
    // What is answered is so after a crash as well. An error is told where checkpoints are kept, and tried again.
    let _ = tokio::task::spawn_blocking(move || logs.note_starts(now_ms)).await;
    DeleteRecordsResponse::default().with_topics(topics)
}

/// The new start of the log.
async fn delete(partition: Arc<Partition>, offset: i64, now_ms: i64) -> Result<i64, ErrorCode> {
    if !partition.config().cleanup_delete {
        return Err(ErrorCode::PolicyViolation);
    }
    let high_watermark = partition.high_watermark();
    let offset = if offset == HIGH_WATERMARK { high_watermark } else { offset };
    if !(0..=high_watermark).contains(&offset) {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let start = partition
        .look_up(move |log| log.set_start_offset(offset, now_ms))
        .await
        .map_err(|error| error.code())?;
    partition.wake();
    Ok(start)
}

fn response(index: i32, deleted: Result<i64, ErrorCode>) -> DeleteRecordsPartitionResult {
    let response = DeleteRecordsPartitionResult::default().with_partition_index(index);
    match deleted {
        Ok(low_watermark) => response.with_low_watermark(low_watermark),
        Err(code) => response.with_error_code(code.code()).with_low_watermark(-1),
    }
}
