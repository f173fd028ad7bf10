//! OffsetFetch (9) v1-10. v2: all topics of a group, and an error of the group's own; v7: require_stable (KIP-447);
//! v8: several groups (KIP-709); v9: members of the consumer protocol and their epochs (KIP-848); v10: topics by id.

use ottla_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use ottla_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use ottla_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use ottla_protocol::{ErrorCode, StrBytes, Uuid};

use super::Context;
use super::errors::Code;
use crate::coordinator::group::GroupError;
use crate::coordinator::group::commands::{FetchOffsets, FetchedOffset, FetchedTopic, TopicPartitions};
use crate::metadata::Image;

pub async fn handle(context: Context, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if context.api_version < 8 {
        return handle_single(context, request).await;
    }
    let mut groups = Vec::with_capacity(request.groups.len());
    for group in request.groups {
        groups.push(fetch_group(&context, group, request.require_stable).await);
    }
    OffsetFetchResponse::default().with_groups(groups)
}

async fn handle_single(context: Context, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let asked: Option<Vec<TopicPartitions>> = request.topics.map(|topics| {
        let by_name = |topic: ottla_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic| {
            TopicPartitions { name: topic.name.0, topic_id: Uuid::nil(), partitions: topic.partition_indexes }
        };
        topics.into_iter().map(by_name).collect()
    });
    match fetch(&context, request.group_id.0, None, asked.clone(), request.require_stable).await {
        Ok(topics) => {
            let topics = topics.into_iter().map(|topic| single_topic(topic, ErrorCode::None));
            OffsetFetchResponse::default().with_topics(topics.collect())
        }
        Err(error) if context.api_version < 2 => {
            // There is no other place for the group's error.
            let topics =
                asked.into_iter().flatten().map(|topic| single_topic(nothing_of(topic), error.code()));
            OffsetFetchResponse::default().with_topics(topics.collect())
        }
        Err(error) => OffsetFetchResponse::default().with_error_code(error.code().code()),
    }
}

async fn fetch_group(
    context: &Context,
    group: OffsetFetchRequestGroup,
    require_stable: bool,
) -> OffsetFetchResponseGroup {
    let by_id = context.api_version >= 10;
    let image = context.broker().image();
    let (asked, unknown) = match group.topics {
        Some(topics) if by_id => {
            let (known, unknown) = resolve(topics, &image);
            (Some(known), unknown)
        }
        Some(topics) => (Some(topics.into_iter().map(by_name).collect()), Vec::new()),
        None => (None, Vec::new()),
    };
    let answer = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
    let member = (group.member_id, group.member_epoch);
    let fetched = match fetch(context, group.group_id.0, Some(member), asked, require_stable).await {
        Ok(fetched) => fetched,
        Err(error) => return answer.with_error_code(error.code().code()),
    };
    let mut topics: Vec<OffsetFetchResponseTopics> =
        fetched.into_iter().filter_map(|topic| group_topic(topic, by_id, &image)).collect();
    topics.extend(unknown);
    answer.with_topics(topics)
}

async fn fetch(
    context: &Context,
    group_id: StrBytes,
    member: Option<(Option<StrBytes>, i32)>,
    topics: Option<Vec<TopicPartitions>>,
    require_stable: bool,
) -> Result<Vec<FetchedTopic>, GroupError> {
    let (member_id, member_epoch) = member.unwrap_or((None, -1));
    let fetch = FetchOffsets { group_id, member_id, member_epoch, require_stable, topics };
    context.broker().groups().fetch_offsets(fetch).await
}

fn by_name(topic: OffsetFetchRequestTopics) -> TopicPartitions {
    TopicPartitions { name: topic.name.0, topic_id: Uuid::nil(), partitions: topic.partition_indexes }
}

/// The topics whose ids are known, and the answers for the others.
fn resolve(
    topics: Vec<OffsetFetchRequestTopics>,
    image: &Image,
) -> (Vec<TopicPartitions>, Vec<OffsetFetchResponseTopics>) {
    let mut known = Vec::with_capacity(topics.len());
    let mut unknown = Vec::new();
    for topic in topics {
        let name = image.topic_by_id(&topic.topic_id).map(|found| found.name.clone());
        let partitions = topic.partition_indexes;
        let asked =
            TopicPartitions { name: name.clone().unwrap_or_default(), topic_id: topic.topic_id, partitions };
        match name {
            Some(_) => known.push(asked),
            None => {
                let FetchedTopic { topic_id, partitions, .. } = nothing_of(asked);
                let code = ErrorCode::UnknownTopicId;
                let partitions = partitions.into_iter().map(|offset| group_partition(offset, code)).collect();
                let answer = OffsetFetchResponseTopics::default().with_topic_id(topic_id);
                unknown.push(answer.with_partitions(partitions));
            }
        }
    }
    (known, unknown)
}

/// A topic that is gone has no id to answer with.
fn group_topic(topic: FetchedTopic, by_id: bool, image: &Image) -> Option<OffsetFetchResponseTopics> {
    let partitions =
        topic.partitions.into_iter().map(|offset| group_partition(offset, ErrorCode::None)).collect();
    let answer = OffsetFetchResponseTopics::default().with_partitions(partitions);
    if !by_id {
        return Some(answer.with_name(topic.name.into()));
    }
    let topic_id = if topic.topic_id.is_nil() { image.topic_id(&topic.name)? } else { topic.topic_id };
    Some(answer.with_topic_id(topic_id))
}

fn group_partition(offset: FetchedOffset, code: ErrorCode) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions::default()
        .with_partition_index(offset.index)
        .with_committed_offset(offset.offset)
        .with_committed_leader_epoch(offset.leader_epoch)
        .with_metadata(Some(offset.metadata))
        .with_error_code(code_of(code, offset.is_unstable))
}

fn code_of(code: ErrorCode, is_unstable: bool) -> i16 {
    if is_unstable { ErrorCode::UnstableOffsetCommit.code() } else { code.code() }
}

fn single_topic(topic: FetchedTopic, code: ErrorCode) -> OffsetFetchResponseTopic {
    let partition = |offset: FetchedOffset| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(offset.index)
            .with_committed_offset(offset.offset)
            .with_committed_leader_epoch(offset.leader_epoch)
            .with_metadata(Some(offset.metadata))
            .with_error_code(code_of(code, offset.is_unstable))
    };
    OffsetFetchResponseTopic::default()
        .with_name(topic.name.into())
        .with_partitions(topic.partitions.into_iter().map(partition).collect())
}

fn nothing_of(topic: TopicPartitions) -> FetchedTopic {
    let nothing = |index| FetchedOffset {
        index,
        offset: -1,
        leader_epoch: -1,
        metadata: StrBytes::new(),
        is_unstable: false,
    };
    FetchedTopic {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: topic.partitions.into_iter().map(nothing).collect(),
    }
}
