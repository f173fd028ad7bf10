//! DescribeShareGroupOffsets (90) v0-1 (KIP-932). v1: lag (KIP-1226).
//! A topic or partition without offsets has the start offset -1, whether the group is there or not, as in OffsetFetch.

use ottla_protocol::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;
use ottla_protocol::messages::describe_share_group_offsets_response::{
    DescribeShareGroupOffsetsResponseGroup, DescribeShareGroupOffsetsResponsePartition,
    DescribeShareGroupOffsetsResponseTopic,
};
use ottla_protocol::messages::{DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse};
use ottla_protocol::{ErrorCode, StrBytes, Uuid};

use super::Context;
use super::errors::Code;
use crate::broker::Isolation;
use crate::coordinator::group::GroupError;
use crate::coordinator::share::{SharePartitionKey, SummaryAnswer};
use crate::metadata::Topic;

pub async fn handle(
    context: Context,
    request: DescribeShareGroupOffsetsRequest,
) -> DescribeShareGroupOffsetsResponse {
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        groups.push(describe(&context, group).await);
    }
    DescribeShareGroupOffsetsResponse { groups, ..DescribeShareGroupOffsetsResponse::default() }
}

async fn describe(
    context: &Context,
    request: DescribeShareGroupOffsetsRequestGroup,
) -> DescribeShareGroupOffsetsResponseGroup {
    let group_id = request.group_id;
    let asked = match request.topics {
        Some(topics) => topics.into_iter().map(|topic| (topic.topic_name.0, topic.partitions)).collect(),
        None => match initialized(context, &group_id.0).await {
            Ok(topics) => topics,
            Err(error) => {
                let code = error.code();
                return DescribeShareGroupOffsetsResponseGroup {
                    group_id,
                    error_code: code.code(),
                    error_message: Some(StrBytes::from_static_str(code.message())),
                    ..DescribeShareGroupOffsetsResponseGroup::default()
                };
            }
        },
    };
    let mut topics = Vec::with_capacity(asked.len());
    let mut missing = Vec::new();
    for (name, indexes) in asked {
        let known = context.broker().image().topic(&name).cloned();
        let topic_id = known.as_ref().map_or(Uuid::nil(), |known| known.id);
        let mut partitions = Vec::with_capacity(indexes.len());
        for index in indexes {
            partitions.push(match &known {
                Some(topic) => partition(context, &group_id.0, topic, index).await,
                None => without_offset(index),
            });
        }
        let topic = DescribeShareGroupOffsetsResponseTopic { topic_name: name.into(), topic_id, partitions };
        if known.is_some() { topics.push(topic) } else { missing.push(topic) }
    }
    // Topics that are not there come last, as Kafka tells of them.
    topics.extend(missing);
    DescribeShareGroupOffsetsResponseGroup {
        group_id,
        topics,
        ..DescribeShareGroupOffsetsResponseGroup::default()
    }
}

/// The partitions that the group has offsets of, by name.
async fn initialized(
    context: &Context,
    group_id: &StrBytes,
) -> Result<Vec<(StrBytes, Vec<i32>)>, GroupError> {
    let image = context.broker().image();
    let initialized = context.broker().groups().initialized_share_partitions(group_id).await?;
    let named = initialized.into_iter().filter_map(|(topic_id, partitions)| {
        Some((image.topic_by_id(&topic_id)?.name.clone(), partitions.into_iter().collect()))
    });
    Ok(named.collect())
}

async fn partition(
    context: &Context,
    group_id: &StrBytes,
    topic: &Topic,
    index: i32,
) -> DescribeShareGroupOffsetsResponsePartition {
    let states = context.broker().share_states();
    let key = SharePartitionKey { group_id: group_id.clone(), topic_id: topic.id, partition: index };
    if states.ensure_topic().await.is_err() {
        return without_offset(index);
    }
    let Ok(summary) = states.read_summary(key).await else {
        return without_offset(index);
    };
    let found = DescribeShareGroupOffsetsResponsePartition {
        start_offset: summary.start_offset,
        leader_epoch: summary.leader_epoch,
        ..without_offset(index)
    };
    match lag(context, topic, index, &summary) {
        Ok(lag) => DescribeShareGroupOffsetsResponsePartition { lag, ..found },
        Err(code) => DescribeShareGroupOffsetsResponsePartition {
            partition_index: index,
            error_code: code.code(),
            error_message: Some(StrBytes::from_static_str(code.message())),
            ..DescribeShareGroupOffsetsResponsePartition::default()
        },
    }
}

/// How many records still need delivery: -1 where it is not known what was delivered.
fn lag(context: &Context, topic: &Topic, index: i32, summary: &SummaryAnswer) -> Result<i64, ErrorCode> {
    if summary.start_offset == -1 || summary.delivery_complete_count == -1 {
        return Ok(-1);
    }
    let broker = context.broker();
    let led = broker.led(&broker.image(), topic, index, -1).map_err(|error| error.code())?;
    let end = led.partition.visible().map_err(|error| error.code())?.end(Isolation::ReadUncommitted);
    Ok(end - summary.start_offset - i64::from(summary.delivery_complete_count))
}

fn without_offset(index: i32) -> DescribeShareGroupOffsetsResponsePartition {
    DescribeShareGroupOffsetsResponsePartition {
        partition_index: index,
        start_offset: -1,
        leader_epoch: 0,
        lag: -1,
        ..DescribeShareGroupOffsetsResponsePartition::default()
    }
}
