use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla::Broker;

use crate::data::{
    FETCH, NONE, OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_OR_PARTITION, batch, batches, create, fetch_request,
    fetched, name, produce,
};
use crate::support::{Client, TempDir};

const POLICY_VIOLATION: i16 = 44;

/// Error code and low watermark.
async fn delete(client: &mut Client, topic: &str, partition: i32, offset: i64) -> (i16, i64) {
    let partition = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
    let topic = DeleteRecordsTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(1000);
    let answer = client.call(2, &request).await;
    let partition = &answer.topics[0].partitions[0];
    (partition.error_code, partition.low_watermark)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_start_moves_and_stays_moved() {
    let dir = TempDir::new();
    let broker = Broker::builder().data(dir.path()).start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 1, &[]).await;
    create(&mut client, "kept", 1, &[("cleanup.policy", "compact")]).await;
    produce(&mut client, "t", 0, batch(&[b"0", b"1", b"2"])).await;
    produce(&mut client, "t", 0, batch(&[b"3", b"4"])).await;
    let cases = [
        ("t", 0, 1, (NONE, 1)),
        // Back is no way to move.
        ("t", 0, 0, (NONE, 1)),
        ("t", 0, 6, (OFFSET_OUT_OF_RANGE, -1)),
        ("t", 0, -2, (OFFSET_OUT_OF_RANGE, -1)),
        ("t", 1, 0, (UNKNOWN_TOPIC_OR_PARTITION, -1)),
        ("nowhere", 0, 0, (UNKNOWN_TOPIC_OR_PARTITION, -1)),
        ("kept", 0, 0, (POLICY_VIOLATION, -1)),
    ];
    for (topic, partition, offset, answer) in cases {
        assert_eq!(
            delete(&mut client, topic, partition, offset).await,
            answer,
            "{topic}-{partition} {offset}"
        );
    }
    broker.stop().await.unwrap();

    let broker = Broker::builder().data(dir.path()).start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    let at = |offset| fetch_request("t", &[(0, offset, i32::MAX)]);
    let found = fetched(client.call(FETCH, &at(1)).await);
    assert_eq!((found[0].log_start_offset, batches(&found[0])), (1, vec![(0, 2), (3, 4)]));
    assert_eq!(fetched(client.call(FETCH, &at(0)).await)[0].error_code, OFFSET_OUT_OF_RANGE);
    // -1 is the high watermark: everything goes.
    assert_eq!(delete(&mut client, "t", 0, -1).await, (NONE, 5));
    assert_eq!(produce(&mut client, "t", 0, batch(&[b"5"])).await.base_offset, 5);
    broker.stop().await.unwrap();
}
