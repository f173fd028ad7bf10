//! OffsetCommit (8) v2-10. v2-4: a retention of the commit's own; v7: static members (KIP-345); v9: GROUP_ID_NOT_FOUND;
//! v10: topics by id.

use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::Context;
use super::errors::{Code, code_of};
use crate::broker::TopicRef;
use crate::coordinator::group::GroupError;
use crate::coordinator::group::commands::{Commit, CommitPartition, CommitTopic, TopicResults};
use crate::metadata::Topic;

pub async fn handle(context: Context, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let by_id = context.api_version >= 10;
    let image = context.broker().image();
    let mut refused = Vec::new();
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        match context.broker().topic(&image, &TopicRef::new(by_id, &topic.name.0, topic.topic_id)) {
            Ok(known) => take_partitions(topic, known, by_id, &mut topics, &mut refused),
            Err(error) => refused.push(refuse_topic(topic, error.code())),
        }
    }
    if topics.is_empty() {
        return OffsetCommitResponse::default().with_topics(refused);
    }
    let commit = Commit {
        group_id: request.group_id.0,
        member_id: request.member_id,
        group_instance_id: request.group_instance_id,
        generation_id: request.generation_id_or_member_epoch,
        retention_ms: Some(request.retention_time_ms).filter(|retention_ms| *retention_ms >= 0),
        api_version: context.api_version,
        topics,
    };
    let results = match context.broker().groups().commit(&commit).await {
        Ok(results) => results,
        Err(error) => commit.topics.into_iter().map(|topic| refuse_all(topic, error)).collect(),
    };
    OffsetCommitResponse::default().with_topics(merge(refused, results, by_id))
}

/// Partitions that exist go to the group; the others are answered here.
fn take_partitions(
    topic: OffsetCommitRequestTopic,
    known: &Arc<Topic>,
    by_id: bool,
    topics: &mut Vec<CommitTopic>,
    refused: &mut Vec<OffsetCommitResponseTopic>,
) {
    let exists = |each: &OffsetCommitRequestPartition| known.partition(each.partition_index).is_some();
    let (found, missing): (Vec<_>, Vec<_>) = topic.partitions.into_iter().partition(exists);
    if !missing.is_empty() {
        let code = ErrorCode::UnknownTopicOrPartition;
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic.name.clone())
            .with_topic_id(topic.topic_id)
            .with_partitions(missing);
        refused.push(refuse_topic(topic, code));
    }
    if !found.is_empty() || by_id {
        let partition = |each: OffsetCommitRequestPartition| CommitPartition {
            index: each.partition_index,
            offset: each.committed_offset,
            leader_epoch: each.committed_leader_epoch,
            metadata: each.committed_metadata.unwrap_or_default(),
        };
        topics.push(CommitTopic {
            name: known.name.clone(),
            topic_id: known.id,
            partitions: found.into_iter().map(partition).collect(),
        });
    }
}

fn refuse_topic(topic: OffsetCommitRequestTopic, code: ErrorCode) -> OffsetCommitResponseTopic {
    let partition = |each: OffsetCommitRequestPartition| {
        OffsetCommitResponsePartition::default()
            .with_partition_index(each.partition_index)
            .with_error_code(code.code())
    };
    OffsetCommitResponseTopic::default()
        .with_name(topic.name)
        .with_topic_id(topic.topic_id)
        .with_partitions(topic.partitions.into_iter().map(partition).collect())
}

fn refuse_all(topic: CommitTopic, error: GroupError) -> TopicResults {
    TopicResults {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: topic.partitions.into_iter().map(|each| (each.index, Err(error))).collect(),
    }
}

/// A topic stands once in the answer: what was refused first, as in Kafka's.
fn merge(
    refused: Vec<OffsetCommitResponseTopic>,
    results: Vec<TopicResults>,
    by_id: bool,
) -> Vec<OffsetCommitResponseTopic> {
    let mut merged = refused;
    for topic in results {
        let partitions = topic.partitions.iter().map(|(index, result)| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(*index)
                .with_error_code(code_of(*result))
        });
        let is_same = |each: &&mut OffsetCommitResponseTopic| match by_id {
            true => each.topic_id == topic.topic_id,
            false => each.name.0 == topic.name,
        };
        match merged.iter_mut().find(is_same) {
            Some(present) => present.partitions.extend(partitions),
            None => {
                let partitions = partitions.collect();
                let answer = OffsetCommitResponseTopic::default().with_partitions(partitions);
                merged.push(match by_id {
                    true => answer.with_topic_id(topic.topic_id),
                    false => answer.with_name(topic.name.into()),
                });
            }
        }
    }
    merged
}
