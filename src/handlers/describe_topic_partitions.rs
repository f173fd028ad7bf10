//! DescribeTopicPartitions (75) v0 (KIP-966): topics by name, a page of partitions at a time.

use ottla_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use ottla_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};
use ottla_protocol::{ErrorCode, StrBytes};

use super::Context;
use super::topic_answers::{ALL_TOPIC_OPERATIONS, OPERATIONS_NOT_ASKED, see};
use crate::metadata::{Image, Topic, is_internal, validate_topic_name};

pub async fn handle(
    context: Context,
    request: DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let image = context.broker().image();
    let most = context.broker().config().max_request_partition_size_limit;
    let page = Page {
        image: &image,
        left: most.min(request.response_partition_limit).max(1) as usize,
        topics: Vec::new(),
        next: None,
    };
    let from = request.cursor.as_ref().map(|cursor| (cursor.topic_name.as_str(), cursor.partition_index));
    let mut names: Vec<&StrBytes> = request.topics.iter().map(|topic| &topic.name.0).collect();
    if let Some((topic, partition)) = from
        && (partition < 0 || !names.is_empty() && !names.iter().any(|name| name.as_str() == topic))
    {
        return refused(&names, ErrorCode::InvalidRequest);
    }
    if names.is_empty() {
        return page.all_topics(from);
    }
    if names.iter().any(|name| name.is_empty()) {
        // The reference fails on it.
        return refused(&names, ErrorCode::UnknownServerError);
    }
    names.sort();
    names.dedup();
    page.named_topics(&names, from)
}

/// An answer as it grows, until it is full.
struct Page<'a> {
    image: &'a Image,
    /// Partitions that still fit.
    left: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<Cursor>,
}

impl Page<'_> {
    fn all_topics(mut self, from: Option<(&str, i32)>) -> DescribeTopicPartitionsResponse {
        let image = self.image;
        for topic in image.topics_from(from.map_or("", |(name, _)| name)) {
            if !self.has_room(&topic.name) {
                break;
            }
            self.add(topic, first_partition(&topic.name, from));
        }
        self.finish()
    }

    fn named_topics(
        mut self,
        names: &[&StrBytes],
        from: Option<(&str, i32)>,
    ) -> DescribeTopicPartitionsResponse {
        for name in names.iter().filter(|name| from.is_none_or(|(first, _)| name.as_str() >= first)) {
            if !self.has_room(name) {
                break;
            }
            match self.image.topic(name) {
                Some(topic) => self.add(topic, first_partition(name, from)),
                None => self.topics.push(unknown(name)),
            }
        }
        self.finish()
    }

    /// Points to a topic that does not fit any more.
    fn has_room(&mut self, topic: &StrBytes) -> bool {
        if self.left == 0 && self.next.is_none() {
            self.next = Some(cursor(topic, 0));
        }
        self.next.is_none()
    }

    fn add(&mut self, topic: &Topic, first: usize) {
        let rest = topic.partitions.iter().enumerate().skip(first);
        let partitions: Vec<_> = rest
            .take(self.left)
            .map(|(index, partition)| {
                let seen = see(self.image, partition);
                let ids = |ids: &[i32]| Some(ids.iter().map(|id| BrokerId(*id)).collect());
                // Without a leader it is no error here, as it is in Metadata.
                DescribeTopicPartitionsResponsePartition::default()
                    .with_partition_index(index as i32)
                    .with_leader_id(seen.leader)
                    .with_leader_epoch(partition.leader_epoch)
                    .with_replica_nodes(seen.replicas)
                    .with_isr_nodes(seen.isr)
                    .with_eligible_leader_replicas(ids(&partition.membership.eligible_leader_replicas))
                    .with_last_known_elr(ids(&partition.membership.last_known_elr))
                    .with_offline_replicas(seen.offline)
            })
            .collect();
        self.left -= partitions.len();
        let next = first + partitions.len();
        if next < topic.partitions.len() {
            self.next = Some(cursor(&topic.name, next as i32));
        }
        self.topics.push(
            DescribeTopicPartitionsResponseTopic::default()
                .with_name(Some(TopicName(topic.name.clone())))
                .with_topic_id(topic.id)
                .with_is_internal(is_internal(&topic.name))
                .with_partitions(partitions)
                .with_topic_authorized_operations(ALL_TOPIC_OPERATIONS),
        );
    }

    fn finish(self) -> DescribeTopicPartitionsResponse {
        DescribeTopicPartitionsResponse::default().with_topics(self.topics).with_next_cursor(self.next)
    }
}

/// Where the cursor's own topic goes on; the others begin at their beginning.
fn first_partition(topic: &str, from: Option<(&str, i32)>) -> usize {
    match from {
        Some((name, partition)) if name == topic => usize::try_from(partition).unwrap_or(0),
        _ => 0,
    }
}

fn cursor(topic: &StrBytes, partition: i32) -> Cursor {
    Cursor::default().with_topic_name(TopicName(topic.clone())).with_partition_index(partition)
}

fn unknown(name: &StrBytes) -> DescribeTopicPartitionsResponseTopic {
    let error = match validate_topic_name(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(TopicName(name.clone())))
        .with_is_internal(is_internal(name))
        .with_topic_authorized_operations(ALL_TOPIC_OPERATIONS)
}

fn refused(names: &[&StrBytes], error: ErrorCode) -> DescribeTopicPartitionsResponse {
    let topic = |name: &&StrBytes| {
        DescribeTopicPartitionsResponseTopic::default()
            .with_error_code(error.code())
            .with_name(Some(TopicName((*name).clone())))
            .with_topic_authorized_operations(OPERATIONS_NOT_ASKED)
    };
    DescribeTopicPartitionsResponse::default().with_topics(names.iter().map(topic).collect())
}
