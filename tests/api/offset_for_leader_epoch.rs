use kafka_protocol::messages::OffsetForLeaderEpochRequest;
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};

use crate::data::{NONE, UNKNOWN_TOPIC_OR_PARTITION, batch, create, name, produce};
use crate::support::{Client, start};

const UNKNOWN_LEADER_EPOCH: i16 = 75;

/// Topic, partition, the epoch that the client knows of, the epoch that it asks for; error, epoch and end offset.
type Case = (&'static str, i32, i32, i32, (i16, i32, i64));

const CASES: [Case; 6] = [
    ("t", 0, -1, 0, (NONE, 0, 3)),
    // The epoch of an empty log ends where it begins.
    ("t", 1, 0, 0, (NONE, 0, 0)),
    ("t", 0, -1, 1, (NONE, -1, -1)),
    ("t", 0, 1, 0, (UNKNOWN_LEADER_EPOCH, -1, -1)),
    ("t", 9, -1, 0, (UNKNOWN_TOPIC_OR_PARTITION, -1, -1)),
    ("nowhere", 0, -1, 0, (UNKNOWN_TOPIC_OR_PARTITION, -1, -1)),
];

#[tokio::test]
async fn epochs_end_where_the_next_begins() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 2, &[]).await;
    produce(&mut client, "t", 0, batch(&[b"0", b"1", b"2"])).await;
    for version in 2..=4 {
        for (topic, partition, current, epoch, expected) in CASES {
            let partition = OffsetForLeaderPartition::default()
                .with_partition(partition)
                .with_current_leader_epoch(current)
                .with_leader_epoch(epoch);
            let topic =
                OffsetForLeaderTopic::default().with_topic(name(topic)).with_partitions(vec![partition]);
            let request = OffsetForLeaderEpochRequest::default().with_topics(vec![topic]);
            let answer = client.call(version, &request).await;
            let told = &answer.topics[0].partitions[0];
            assert_eq!(
                (told.error_code, told.leader_epoch, told.end_offset),
                expected,
                "v{version} {request:?}"
            );
        }
    }
    broker.stop().await.unwrap();
}
