use std::time::Duration;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ListOffsetsRequest, ProduceRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use ottla::Broker;
use ottla_protocol::batch::BatchBuilder;

use crate::support::{Client, TempDir, create_topic};

fn name() -> TopicName {
    TopicName(StrBytes::from_static_str("t"))
}

async fn earliest(client: &mut Client) -> i64 {
    let earliest = ListOffsetsPartition::default().with_timestamp(-2);
    let topic = ListOffsetsTopic::default().with_name(name()).with_partitions(vec![earliest]);
    client.call(7, &ListOffsetsRequest::default().with_topics(vec![topic])).await.topics[0].partitions[0]
        .offset
}

fn broker(dir: &TempDir) -> ottla::Builder {
    Broker::builder().data(dir.path())
}

/// Also in a log that nobody has touched since the start.
#[tokio::test]
async fn old_records_go() {
    let dir = TempDir::new();
    let running = broker(&dir).start().await.unwrap();
    let mut client = Client::connect(&running).await;
    create_topic(&mut client, "t", 1).await;
    let mut batch = BatchBuilder::new();
    batch.append(1_000_000_000_000, None, Some(b"of 2001"));
    let data = PartitionProduceData::default().with_records(Some(batch.build().into_bytes()));
    let topic = TopicProduceData::default().with_name(name()).with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_acks(1).with_timeout_ms(1000).with_topic_data(vec![topic]);
    assert_eq!(client.call(9, &request).await.responses[0].partition_responses[0].error_code, 0);
    assert_eq!(earliest(&mut client).await, 0);
    running.stop().await.unwrap();

    let running = broker(&dir).set("log.retention.check.interval.ms", 100).start().await.unwrap();
    let segment = dir.path().join("t-0/00000000000000000000.log");
    let gone = async {
        while segment.exists() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("the segment of 2001 is removed");
    let mut client = Client::connect(&running).await;
    assert_eq!(earliest(&mut client).await, 1);
    running.stop().await.unwrap();
}
