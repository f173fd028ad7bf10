//! ShareGroupHeartbeat, ShareGroupDescribe, and the three APIs of share groups' offsets (76, 77, 90 to 92).

use std::time::Duration;

use kafka_protocol::protocol::StrBytes;
use ottla::{Broker, Running};
use ottla_protocol::Uuid;
use ottla_protocol::messages::alter_share_group_offsets_request::{
    AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
};
use ottla_protocol::messages::delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic;
use ottla_protocol::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
};
use ottla_protocol::messages::*;

use crate::support::{Client, TempDir, create_topic};

const COORDINATOR_NOT_AVAILABLE: i16 = 15;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_GROUP_ID: i16 = 24;
const UNKNOWN_MEMBER_ID: i16 = 25;
const INVALID_REQUEST: i16 = 42;
const NON_EMPTY_GROUP: i16 = 68;
const GROUP_ID_NOT_FOUND: i16 = 69;
const FENCED_MEMBER_EPOCH: i16 = 110;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

async fn start(data: &TempDir) -> (Running, Client) {
    let builder = Broker::builder()
        .set("offsets.topic.num.partitions", 3)
        .set("share.coordinator.state.topic.num.partitions", 3)
        .set("group.share.assignment.interval.ms", 0);
    let broker = builder.data(data.path()).start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    client.call(3, &FindCoordinatorRequest::default().with_key(text("g"))).await;
    (broker, client)
}

fn heartbeat(member_id: &str, epoch: i32, topics: Option<&[&str]>) -> ShareGroupHeartbeatRequest {
    let topics = topics.map(|topics| topics.iter().map(|topic| TopicName(text(topic))).collect());
    ShareGroupHeartbeatRequest::default()
        .with_group_id(text("g").into())
        .with_member_id(text(member_id))
        .with_member_epoch(epoch)
        .with_subscribed_topic_names(topics)
}

/// Joins, and beats until everything that it wants is its: the state is initialized meanwhile. Returns the epoch.
async fn member(client: &mut Client, member_id: &str, partitions: &[i32]) -> i32 {
    let mut epoch = 0;
    loop {
        let answer = client.call(1, &heartbeat(member_id, epoch, Some(&["t"]))).await;
        assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
        epoch = answer.member_epoch;
        let topics = answer.assignment.expect("all was told, so all is answered").topic_partitions;
        if topics.first().is_some_and(|topic| topic.partitions == partitions) {
            return epoch;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn describe_offsets(client: &mut Client, group: &str, topics: Option<&[&str]>) -> Vec<(i64, i32, i64)> {
    let topic = |name: &&str| DescribeShareGroupOffsetsRequestTopic {
        topic_name: text(name).into(),
        partitions: vec![0],
    };
    let topics = topics.map(|topics| topics.iter().map(topic).collect());
    let group = DescribeShareGroupOffsetsRequestGroup { group_id: text(group).into(), topics };
    let answer = client.call(1, &DescribeShareGroupOffsetsRequest { groups: vec![group] }).await;
    assert_eq!(answer.groups[0].error_code, 0);
    let partitions = answer.groups[0].topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|each| (each.start_offset, each.leader_epoch, each.lag)).collect()
}

async fn alter(client: &mut Client, group: &str, topic: &str, index: i32) -> (i16, Vec<i16>) {
    let partition =
        AlterShareGroupOffsetsRequestPartition::default().with_partition_index(index).with_start_offset(5);
    let topic = AlterShareGroupOffsetsRequestTopic::default()
        .with_topic_name(text(topic).into())
        .with_partitions(vec![partition]);
    let request =
        AlterShareGroupOffsetsRequest::default().with_group_id(text(group).into()).with_topics(vec![topic]);
    let answer = client.call(0, &request).await;
    let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
    (answer.error_code, partitions.map(|each| each.error_code).collect())
}

async fn delete_offsets(client: &mut Client, group: &str, topic: &str) -> (i16, Vec<(Uuid, i16)>) {
    let topic = DeleteShareGroupOffsetsRequestTopic::default().with_topic_name(text(topic).into());
    let request =
        DeleteShareGroupOffsetsRequest::default().with_group_id(text(group).into()).with_topics(vec![topic]);
    let answer = client.call(0, &request).await;
    (answer.error_code, answer.responses.iter().map(|topic| (topic.topic_id, topic.error_code)).collect())
}

async fn delete_group(client: &mut Client, group: &str) -> i16 {
    let request = DeleteGroupsRequest::default().with_groups_names(vec![text(group).into()]);
    client.call(2, &request).await.results[0].error_code
}

#[tokio::test]
async fn members_come_and_go_and_are_remembered() {
    let data = TempDir::new();
    let (broker, mut client) = start(&data).await;
    let topic_id = create_topic(&mut client, "t", 2).await;
    let epoch = member(&mut client, "a", &[0, 1]).await;
    let answer = client.call(1, &heartbeat("a", epoch, None)).await;
    assert_eq!((answer.member_epoch, answer.heartbeat_interval_ms), (epoch, 1_000));
    assert!(answer.assignment.is_none(), "nothing has changed");

    broker.stop().await.unwrap();
    let (broker, mut client) = start(&data).await;
    let answer = client.call(1, &heartbeat("a", epoch, None)).await;
    assert_eq!((answer.error_code, answer.member_epoch), (0, epoch));
    let request = ShareGroupDescribeRequest::default()
        .with_group_ids(vec![text("g").into(), text("nowhere").into(), text("").into()])
        .with_include_authorized_operations(true);
    let described = client.call(1, &request).await.groups;
    assert_eq!(described[0].error_code, INVALID_GROUP_ID, "what has no name comes first");
    let group = &described[1];
    assert_eq!((&*group.group_state, &*group.assignor_name), ("Stable", "simple"));
    assert_eq!(
        (group.group_epoch, group.assignment_epoch, group.authorized_operations),
        (epoch, epoch, 3400)
    );
    let found = &group.members[0];
    assert_eq!((&*found.member_id, &*found.client_id, &*found.client_host), ("a", "test", "/127.0.0.1"));
    let assigned = &found.assignment.topic_partitions[0];
    assert_eq!(
        (assigned.topic_id, &*assigned.topic_name.0, &assigned.partitions),
        (topic_id, "t", &vec![0, 1])
    );
    assert_eq!(described[2].error_code, GROUP_ID_NOT_FOUND);
    assert_eq!(described[2].error_message, Some(text("Group nowhere not found.")));

    assert_eq!(client.call(1, &heartbeat("a", -1, None)).await.member_epoch, -1);
    let listed = client.call(5, &ListGroupsRequest::default()).await;
    let group = &listed.groups[0];
    assert_eq!((&*group.group_type, &*group.protocol_type, &*group.group_state), ("share", "share", "Empty"));
    assert_eq!(delete_group(&mut client, "g").await, 0);
    assert!(client.call(5, &ListGroupsRequest::default()).await.groups.is_empty());
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn refusals_of_heartbeats() {
    let data = TempDir::new();
    let (broker, mut client) = start(&data).await;
    create_topic(&mut client, "t", 1).await;
    let words = "SubscribedTopicNames must be set in first request.";
    for (request, code, message) in [
        (heartbeat("", 0, Some(&["t"])), INVALID_REQUEST, None),
        (heartbeat("x".repeat(37).as_str(), 0, Some(&["t"])), INVALID_REQUEST, None),
        (heartbeat("a", 0, None), INVALID_REQUEST, Some(text(words))),
        (heartbeat("a", -2, None), INVALID_REQUEST, Some(text("MemberEpoch is invalid."))),
        (heartbeat("a", 1, None), GROUP_ID_NOT_FOUND, Some(text("Share group g not found."))),
    ] {
        let answer = client.call(1, &request).await;
        assert_eq!((answer.error_code, answer.error_message), (code, message), "{request:?}");
    }
    member(&mut client, "a", &[0]).await;
    assert_eq!(client.call(1, &heartbeat("a", 99, None)).await.error_code, FENCED_MEMBER_EPOCH);
    assert_eq!(client.call(1, &heartbeat("b", 2, None)).await.error_code, UNKNOWN_MEMBER_ID);
    assert_eq!(delete_group(&mut client, "g").await, NON_EMPTY_GROUP);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn offsets_are_altered_described_and_deleted() {
    let data = TempDir::new();
    let (broker, mut client) = start(&data).await;
    let topic_id = create_topic(&mut client, "t", 1).await;
    assert_eq!(describe_offsets(&mut client, "g", None).await, []);
    assert_eq!(describe_offsets(&mut client, "g", Some(&["t", "nope"])).await, [(-1, 0, -1), (-1, 0, -1)]);
    assert_eq!(alter(&mut client, "", "t", 0).await, (INVALID_GROUP_ID, vec![]));
    for (topic, index) in [("nope", 0), ("t", 1), ("t", -1)] {
        assert_eq!(alter(&mut client, "g", topic, index).await, (0, vec![UNKNOWN_TOPIC_OR_PARTITION]));
    }
    assert_eq!(alter(&mut client, "g", "t", 0).await, (0, vec![0]));
    // The topic is empty, so the group is ahead of it.
    assert_eq!(describe_offsets(&mut client, "g", None).await, [(5, 0, -5)]);

    member(&mut client, "a", &[0]).await;
    assert_eq!(alter(&mut client, "g", "t", 0).await.0, NON_EMPTY_GROUP);
    assert_eq!(delete_offsets(&mut client, "g", "t").await.0, NON_EMPTY_GROUP);
    client.call(1, &heartbeat("a", -1, None)).await;

    assert_eq!(delete_offsets(&mut client, "", "t").await.0, INVALID_GROUP_ID);
    assert_eq!(delete_offsets(&mut client, "nowhere", "t").await.0, GROUP_ID_NOT_FOUND);
    let unknown = (0, vec![(Uuid::nil(), UNKNOWN_TOPIC_OR_PARTITION)]);
    assert_eq!(delete_offsets(&mut client, "g", "nope").await, unknown);
    assert_eq!(delete_offsets(&mut client, "g", "t").await, (0, vec![(topic_id, 0)]));
    assert_eq!(delete_offsets(&mut client, "g", "t").await, unknown);
    assert_eq!(describe_offsets(&mut client, "g", Some(&["t"])).await, [(-1, 0, -1)]);
    assert_eq!(delete_group(&mut client, "g").await, 0);
    broker.stop().await.unwrap();
}

/// A deleted topic takes its share state along, and a group whose state topic is gone begins anew.
#[tokio::test]
async fn what_is_deleted_is_forgotten() {
    let data = TempDir::new();
    let (broker, mut client) = start(&data).await;
    create_topic(&mut client, "t", 1).await;
    assert_eq!(alter(&mut client, "g", "t", 0).await, (0, vec![0]));
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![TopicName(text("t"))]);
    assert_eq!(client.call(5, &delete).await.responses[0].error_code, 0);
    create_topic(&mut client, "t", 1).await;
    assert_eq!(describe_offsets(&mut client, "g", Some(&["t"])).await, [(-1, 0, -1)]);
    member(&mut client, "a", &[0]).await;
    let answer = client.call(1, &heartbeat("a", -1, None)).await;
    assert_ne!(answer.error_code, COORDINATOR_NOT_AVAILABLE);
    assert_eq!(delete_group(&mut client, "g").await, 0);
    broker.stop().await.unwrap();
}
