//! ListOffsets (2) v1-11. KIP-79: by time; KIP-734: -3 finds the maximum timestamp (v7); KIP-405 and its successors:
//! -4, -5 and -6 ask about tiered storage (v8, v9, v11), which answers here as Kafka does without it.

use std::collections::HashSet;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::ListOffsetsRequest;
use ottla_protocol::messages::list_offsets_request::ListOffsetsPartition;
use ottla_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use ottla_storage::{StorageError, TimestampOffset};

use super::Context;
use super::errors::Code;
use crate::broker::{Isolation, Led, TopicRef};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;
const UNKNOWN: i64 = -1;

pub async fn handle(context: Context, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let isolation =
        if request.isolation_level == 1 { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    let image = context.broker().image();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let named = context.broker().topic(&image, &TopicRef::Name(topic.name.0.clone()));
        let duplicates = duplicates(&topic.partitions);
        let mut answered = HashSet::new();
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            if !answered.insert(partition.partition_index) {
                continue;
            }
            let found = if duplicates.contains(&partition.partition_index) {
                Err(ErrorCode::InvalidRequest)
            } else if context.api_version < since(partition.timestamp) {
                Err(ErrorCode::UnsupportedVersion)
            } else {
                match &named {
                    Ok(named) => match context.broker().led(
                        &image,
                        named,
                        partition.partition_index,
                        partition.current_leader_epoch,
                    ) {
                        Ok(led) => {
                            find(led, partition.timestamp, isolation).await.map_err(|error| error.code())
                        }
                        Err(error) => Err(error.code()),
                    },
                    Err(error) => Err(error.code()),
                }
            };
            partitions.push(response(context.api_version, partition.partition_index, found));
        }
        topics.push(ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions));
    }
    ListOffsetsResponse::default().with_topics(topics)
}

/// Partitions that the request names twice: Kafka refuses them.
fn duplicates(partitions: &[ListOffsetsPartition]) -> HashSet<i32> {
    let mut seen = HashSet::new();
    partitions
        .iter()
        .map(|partition| partition.partition_index)
        .filter(|index| !seen.insert(*index))
        .collect()
}

fn response(
    api_version: i16,
    index: i32,
    found: Result<TimestampOffset, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(index);
    match found {
        Ok(found) => {
            let response = response.with_timestamp(found.timestamp).with_offset(found.offset);
            // librdkafka before 2.1 asks with version 1, which has no leader epoch.
            if api_version >= 4 { response.with_leader_epoch(found.leader_epoch) } else { response }
        }
        Err(code) => response.with_error_code(code.code()),
    }
}

/// The first version that may ask for a special timestamp; an unknown one never may.
fn since(timestamp: i64) -> i16 {
    match timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        EARLIEST_PENDING_UPLOAD => 11,
        LATEST | EARLIEST | 0.. => 1,
        _ => i16::MAX,
    }
}

async fn find(led: Led, timestamp: i64, isolation: Isolation) -> Result<TimestampOffset, StorageError> {
    let at = |offset| TimestampOffset { timestamp: UNKNOWN, offset, leader_epoch: led.leader_epoch };
    let nothing = TimestampOffset { timestamp: UNKNOWN, offset: UNKNOWN, leader_epoch: -1 };
    let partition = &led.partition;
    match timestamp {
        LATEST => Ok(at(partition.visible()?.end(isolation))),
        EARLIEST | EARLIEST_LOCAL => {
            let offset = partition.log().start_offset()?;
            // The epoch is that of the first record; an empty log's is the leader's own.
            let leader_epoch = partition.log().epoch_at(offset)?.unwrap_or(led.leader_epoch);
            Ok(TimestampOffset { leader_epoch, ..at(offset) })
        }
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(nothing),
        MAX_TIMESTAMP => {
            let found = partition.look_up(|log| log.max_timestamp()).await?;
            let end = partition.visible()?.end(isolation);
            Ok(found.filter(|found| found.offset < end).unwrap_or(nothing))
        }
        _ => {
            let found = partition.look_up(move |log| log.offset_for_timestamp(timestamp)).await?;
            // What readers of this isolation level cannot see yet is not found either.
            let end = partition.visible()?.end(isolation);
            Ok(found.filter(|found| found.offset < end).unwrap_or(nothing))
        }
    }
}
