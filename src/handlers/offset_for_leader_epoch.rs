//! OffsetForLeaderEpoch (23) v2-4. KIP-101: where an epoch ends; KIP-320: consumers ask it too.

use ottla_protocol::messages::OffsetForLeaderEpochRequest;
use ottla_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use ottla_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};

use super::Context;
use super::errors::Code;
use crate::broker::{LookupError, TopicRef};

pub async fn handle(context: Context, request: OffsetForLeaderEpochRequest) -> OffsetForLeaderEpochResponse {
    let image = context.broker().image();
    let find = |topic: &TopicRef, asked: &OffsetForLeaderPartition| {
        let topic = context.broker().topic(&image, topic)?;
        let led = context.broker().led(&image, topic, asked.partition, asked.current_leader_epoch)?;
        led.partition.end_offset_for_epoch(asked.leader_epoch, led.leader_epoch).map_err(LookupError::Storage)
    };
    let topics = request
        .topics
        .into_iter()
        .map(|topic| {
            let topic_ref = TopicRef::Name(topic.topic.0.clone());
            let partitions =
                topic.partitions.iter().map(|asked| response(asked.partition, find(&topic_ref, asked)));
            OffsetForLeaderTopicResult::default()
                .with_topic(topic.topic.clone())
                .with_partitions(partitions.collect())
        })
        .collect();
    OffsetForLeaderEpochResponse::default().with_topics(topics)
}

fn response(partition: i32, found: Result<(i32, i64), LookupError>) -> EpochEndOffset {
    let response = EpochEndOffset::default().with_partition(partition);
    match found {
        Ok((epoch, end_offset)) => response.with_leader_epoch(epoch).with_end_offset(end_offset),
        Err(error) => response.with_error_code(error.code().code()).with_leader_epoch(-1).with_end_offset(-1),
    }
}
