//! What the tests of the data path share: topics with settings, batches, and requests for one partition.

use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    CreateTopicsRequest, FetchRequest, FetchResponse, ListOffsetsRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use ottla_protocol::batch::{BatchBuilder, Batches};

use crate::support::Client;

/// The newest versions that name topics; the later ones have ids.
pub const PRODUCE: i16 = 12;
pub const FETCH: i16 = 12;
pub const ACKS_ALL: i16 = -1;

pub const NONE: i16 = 0;
pub const OFFSET_OUT_OF_RANGE: i16 = 1;
pub const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;

pub fn name(topic: &str) -> TopicName {
    TopicName(StrBytes::from_string(topic.to_owned()))
}

pub async fn create(client: &mut Client, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
    let config = |(name, value): &(&str, &str)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string((*name).to_owned()))
            .with_value(Some(StrBytes::from_string((*value).to_owned())))
    };
    let topic = CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
        .with_configs(configs.iter().map(config).collect());
    let created = client.call(7, &CreateTopicsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(created.topics[0].error_code, NONE, "{:?}", created.topics[0].error_message);
}

/// One batch without compression, a record for each value.
pub fn batch(values: &[&[u8]]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder.append(1_700_000_000_000, None, Some(value));
    }
    builder.build().into_bytes()
}

pub fn produce_request(topic: &str, partition: i32, acks: i16, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

/// Appends one batch with acks=all.
pub async fn produce(
    client: &mut Client,
    topic: &str,
    partition: i32,
    records: Bytes,
) -> PartitionProduceResponse {
    let request = produce_request(topic, partition, ACKS_ALL, records);
    client.call(PRODUCE, &request).await.responses.remove(0).partition_responses.remove(0)
}

/// Appends one record with acks=all; its offset.
pub async fn append(client: &mut Client, topic: &str, partition: i32, value: &[u8]) -> i64 {
    let produced = produce(client, topic, partition, batch(&[value])).await;
    assert_eq!(produced.error_code, NONE);
    produced.base_offset
}

/// What a fetch wants of one partition: its index, the offset, the most bytes.
pub type Wanted = (i32, i64, i32);

/// A fetch that waits for one byte, but not for long; without a session.
pub fn fetch_request(topic: &str, wanted: &[Wanted]) -> FetchRequest {
    let partitions = wanted
        .iter()
        .map(|&(partition, offset, max_bytes)| {
            FetchPartition::default()
                .with_partition(partition)
                .with_fetch_offset(offset)
                .with_partition_max_bytes(max_bytes)
        })
        .collect();
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(i32::MAX)
        .with_session_epoch(-1)
        .with_topics(vec![FetchTopic::default().with_topic(name(topic)).with_partitions(partitions)])
}

/// The partitions of an answer about one topic.
pub fn fetched(answer: FetchResponse) -> Vec<PartitionData> {
    assert_eq!(answer.error_code, NONE);
    answer.responses.into_iter().flat_map(|topic| topic.partitions).collect()
}

/// First and last offset of each batch.
pub fn batches(partition: &PartitionData) -> Vec<(i64, i64)> {
    Batches::new(partition.records.clone().unwrap_or_default())
        .map(|batch| batch.map(|batch| (batch.base_offset, batch.last_offset())).expect("a whole batch"))
        .collect()
}

pub async fn latest_offset(client: &mut Client, topic: &str, partition: i32) -> i64 {
    let latest = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(-1);
    let topic = ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![latest]);
    let answer = client.call(7, &ListOffsetsRequest::default().with_topics(vec![topic])).await;
    answer.topics[0].partitions[0].offset
}
