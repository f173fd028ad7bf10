use kafka_protocol::protocol::StrBytes;
use ottla_protocol::Uuid;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::{
    MetadataRequest, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
};

use crate::groups::*;
use crate::support::Client;

fn codes(response: &OffsetCommitResponse) -> Vec<(String, i32, i16)> {
    let of_topic = |topic: &ottla_protocol::messages::offset_commit_response::OffsetCommitResponseTopic| {
        let name = topic.name.to_string();
        topic
            .partitions
            .iter()
            .map(move |each| (name.clone(), each.partition_index, each.error_code))
            .collect::<Vec<_>>()
    };
    response.topics.iter().flat_map(of_topic).collect()
}

async fn committed(client: &mut Client, group: &str) -> i64 {
    let request = OffsetFetchRequest::default().with_group_id(text(group).into()).with_topics(None);
    let fetched = client.call(2, &request).await;
    fetched.topics.first().map_or(-1, |topic| topic.partitions[0].committed_offset)
}

#[tokio::test]
async fn every_version_by_name() {
    let (broker, mut client) = start().await;
    for version in 2..=9 {
        let answer = client.call(version, &commit("g", i64::from(version))).await;
        assert_eq!(codes(&answer), [("t".to_owned(), 0, 0)], "v{version}");
        assert_eq!(committed(&mut client, "g").await, i64::from(version));
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn version_10_by_id() {
    let (broker, mut client) = start().await;
    let metadata = client.call(12, &MetadataRequest::default().with_topics(None)).await;
    let named_t = |topic: &&ottla_protocol::messages::metadata_response::MetadataResponseTopic| {
        topic.name.as_ref().is_some_and(|name| name.as_str() == "t")
    };
    let topic_id = metadata.topics.iter().find(named_t).expect("the topic").topic_id;
    let partition =
        |index| OffsetCommitRequestPartition::default().with_partition_index(index).with_committed_offset(5);
    let topic = |id| {
        OffsetCommitRequestTopic::default()
            .with_topic_id(id)
            .with_partitions(vec![partition(0), partition(8)])
    };
    let unknown = Uuid::from_u128(1 << 64 | 5);
    let request = commit("g", 5).with_topics(vec![topic(topic_id), topic(unknown)]);
    let answer = client.call(10, &request).await;
    let of = |id: Uuid| {
        let topic = answer.topics.iter().find(|topic| topic.topic_id == id).expect("an answer");
        topic.partitions.iter().map(|each| (each.partition_index, each.error_code)).collect::<Vec<_>>()
    };
    assert_eq!(of(topic_id), [(8, UNKNOWN_TOPIC_OR_PARTITION), (0, 0)]);
    assert_eq!(of(unknown), [(0, UNKNOWN_TOPIC_ID), (8, UNKNOWN_TOPIC_ID)]);
    assert_eq!(committed(&mut client, "g").await, 5);
    broker.stop().await.unwrap();
}

/// What does not exist is answered first, and does not keep the rest from being committed.
#[tokio::test]
async fn unknown_partitions_come_first() {
    let (broker, mut client) = start().await;
    let partition =
        |index| OffsetCommitRequestPartition::default().with_partition_index(index).with_committed_offset(5);
    let topic = |name, partitions| {
        OffsetCommitRequestTopic::default().with_name(text(name).into()).with_partitions(partitions)
    };
    let topics = vec![topic("t", vec![partition(0), partition(7)]), topic("nope", vec![partition(0)])];
    let answer = client.call(8, &commit("g", 5).with_topics(topics)).await;
    let unknown = UNKNOWN_TOPIC_OR_PARTITION;
    let expected = [("t".to_owned(), 7, unknown), ("t".to_owned(), 0, 0), ("nope".to_owned(), 0, unknown)];
    assert_eq!(codes(&answer), expected);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn refusals() {
    let (broker, mut client) = start().await;
    let member_id = stable_member(&mut client).await;
    let by = |id: &StrBytes, generation: i32| {
        commit("g", 5).with_member_id(id.clone()).with_generation_id_or_member_epoch(generation)
    };
    let long = |bytes: usize| {
        let mut request = commit("simple", 5);
        request.topics[0].partitions[0].committed_metadata = Some(text(&"x".repeat(bytes)));
        request
    };
    let elsewhere = |request: OffsetCommitRequest| request.with_group_id(text("nowhere").into());
    let cases = [
        (9, by(&member_id, 1), 0),
        (9, by(&member_id, 2), ILLEGAL_GENERATION),
        (9, by(&text("nobody"), 1), UNKNOWN_MEMBER_ID),
        (9, commit("g", 5), UNKNOWN_MEMBER_ID),
        (8, elsewhere(by(&member_id, 1)), ILLEGAL_GENERATION),
        (9, elsewhere(by(&member_id, 1)), GROUP_ID_NOT_FOUND),
        // For old clients the empty group id is as good as any.
        (9, commit("", 5), 0),
        (9, long(4096), 0),
        (9, long(4097), 12),
    ];
    for (version, request, code) in cases {
        let answer = client.call(version, &request).await;
        assert_eq!(codes(&answer), [("t".to_owned(), 0, code)], "{request:?}");
    }
    let nothing = client.call(9, &commit("g", 5).with_topics(Vec::new())).await;
    assert!(nothing.topics.is_empty());
    broker.stop().await.unwrap();
}
