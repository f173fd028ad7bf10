use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{CreateTopicsRequest, ListOffsetsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use ottla_protocol::batch::BatchBuilder;

use crate::data::{self, NONE, UNKNOWN_TOPIC_OR_PARTITION};
use crate::support::{Client, start};

const UNSUPPORTED_VERSION: i16 = 35;
const UNKNOWN_LEADER_EPOCH: i16 = 75;
const BASE_MS: i64 = 1_700_000_000_000;

/// Version, partition, leader epoch, timestamp; then the error, and timestamp and offset of what was found.
type Case = (i16, i32, i32, i64, (i16, i64, i64));

/// Offsets 0, 1, 2 are at 0, 2 and 1 ms after the base; offset 3 at 5.
const CASES: [Case; 20] = [
    (7, 0, -1, -1, (NONE, -1, 4)),
    (7, 0, -1, -2, (NONE, -1, 0)),
    (7, 0, -1, 0, (NONE, BASE_MS, 0)),
    (7, 0, -1, BASE_MS + 1, (NONE, BASE_MS + 2, 1)),
    (7, 0, -1, BASE_MS + 3, (NONE, BASE_MS + 5, 3)),
    (7, 0, -1, BASE_MS + 6, (NONE, -1, -1)),
    (7, 0, -1, -3, (NONE, BASE_MS + 5, 3)),
    (6, 0, -1, -3, (UNSUPPORTED_VERSION, -1, -1)),
    (8, 0, -1, -4, (NONE, -1, 0)),
    (7, 0, -1, -4, (UNSUPPORTED_VERSION, -1, -1)),
    (9, 0, -1, -5, (NONE, -1, -1)),
    (10, 0, -1, -6, (UNSUPPORTED_VERSION, -1, -1)),
    (10, 0, -1, -7, (UNSUPPORTED_VERSION, -1, -1)),
    // An empty partition.
    (7, 1, -1, -1, (NONE, -1, 0)),
    (7, 1, -1, 0, (NONE, -1, -1)),
    (7, 1, -1, -3, (NONE, -1, -1)),
    (7, 9, -1, -1, (UNKNOWN_TOPIC_OR_PARTITION, -1, -1)),
    (7, 0, 1, -1, (UNKNOWN_LEADER_EPOCH, -1, -1)),
    // What the version does not know comes first.
    (7, 9, -1, -4, (UNSUPPORTED_VERSION, -1, -1)),
    (7, 0, 1, -4, (UNSUPPORTED_VERSION, -1, -1)),
];

#[tokio::test]
async fn times_and_special_timestamps() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    data::create(&mut client, "t", 2, &[]).await;
    for times in [&[0, 2, 1][..], &[5]] {
        let mut batch = BatchBuilder::new();
        times.iter().for_each(|ms| batch.append(BASE_MS + ms, None, Some(b"v")));
        data::produce(&mut client, "t", 0, batch.build().into_bytes()).await;
    }
    for (version, partition, epoch, timestamp, expected) in CASES {
        let asked = ListOffsetsPartition::default()
            .with_partition_index(partition)
            .with_current_leader_epoch(epoch)
            .with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default().with_name(data::name("t")).with_partitions(vec![asked]);
        let answer = client.call(version, &ListOffsetsRequest::default().with_topics(vec![topic])).await;
        let found = &answer.topics[0].partitions[0];
        let told = (found.error_code, found.timestamp, found.offset);
        assert_eq!(told, expected, "v{version} partition {partition} epoch {epoch} timestamp {timestamp}");
    }
    broker.stop().await.unwrap();
}

/// kcat's librdkafka asks with version 1, whose answer has no leader epoch: its consumers hung.
#[tokio::test]
async fn every_version_is_answered() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    let name = TopicName(StrBytes::from_static_str("t"));
    let topic =
        CreatableTopic::default().with_name(name.clone()).with_num_partitions(1).with_replication_factor(1);
    client.call(7, &CreateTopicsRequest::default().with_topics(vec![topic])).await;
    for version in 1..=10 {
        let latest = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(-1);
        let topic = ListOffsetsTopic::default().with_name(name.clone()).with_partitions(vec![latest]);
        let answer = client.call(version, &ListOffsetsRequest::default().with_topics(vec![topic])).await;
        let found = &answer.topics[0].partitions[0];
        let epoch = if version >= 4 { 0 } else { -1 };
        assert_eq!((found.error_code, found.offset, found.leader_epoch), (0, 0, epoch), "v{version}");
    }
    broker.stop().await.unwrap();
}
