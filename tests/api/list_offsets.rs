use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{CreateTopicsRequest, ListOffsetsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::support::{Client, start};

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
