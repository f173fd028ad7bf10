//! The five APIs of share partitions' state (83 to 87), which brokers call.

use kafka_protocol::protocol::StrBytes;
use ottla::{Broker, Running};
use ottla_protocol::Uuid;
use ottla_protocol::messages::delete_share_group_state_request::{
    DeleteStateData, PartitionData as DeletePartition,
};
use ottla_protocol::messages::initialize_share_group_state_request::{
    InitializeStateData, PartitionData as InitializePartition,
};
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::read_share_group_state_request::{
    PartitionData as ReadPartition, ReadStateData,
};
use ottla_protocol::messages::read_share_group_state_summary_request::{
    PartitionData as SummaryPartition, ReadStateSummaryData,
};
use ottla_protocol::messages::write_share_group_state_request::{
    PartitionData as WritePartition, StateBatch, WriteStateData,
};
use ottla_protocol::messages::*;

use crate::support::{Client, TempDir, create_topic};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const NOT_COORDINATOR: i16 = 16;
const INVALID_REQUEST: i16 = 42;
const FENCED_LEADER_EPOCH: i16 = 74;
const FENCED_STATE_EPOCH: i16 = 124;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

async fn start(data: &TempDir) -> (Running, Client) {
    let builder = Broker::builder().set("share.coordinator.state.topic.num.partitions", 3);
    let broker = builder.data(data.path()).start().await.unwrap();
    let client = Client::connect(&broker).await;
    (broker, client)
}

async fn find_coordinator(client: &mut Client, key: &str) -> i16 {
    let request = FindCoordinatorRequest::default().with_key_type(2).with_coordinator_keys(vec![text(key)]);
    client.call(6, &request).await.coordinators[0].error_code
}

async fn initialize(client: &mut Client, topic_id: Uuid, partition: i32, state_epoch: i32) -> i16 {
    let partition = InitializePartition::default()
        .with_partition(partition)
        .with_state_epoch(state_epoch)
        .with_start_offset(-1);
    let topic = InitializeStateData::default().with_topic_id(topic_id).with_partitions(vec![partition]);
    let request =
        InitializeShareGroupStateRequest::default().with_group_id(text("g")).with_topics(vec![topic]);
    client.call(0, &request).await.results[0].partitions[0].error_code
}

async fn write(client: &mut Client, topic_id: Uuid, state_epoch: i32, leader_epoch: i32) -> i16 {
    let batch = StateBatch { first_offset: 10, last_offset: 14, delivery_state: 2, delivery_count: 1 };
    let partition = WritePartition {
        partition: 0,
        state_epoch,
        leader_epoch,
        start_offset: 10,
        delivery_complete_count: 5,
        state_batches: vec![batch],
    };
    let topics = vec![WriteStateData { topic_id, partitions: vec![partition] }];
    let request = WriteShareGroupStateRequest { group_id: text("g"), topics };
    client.call(1, &request).await.results[0].partitions[0].error_code
}

/// Error, state epoch, start offset, batches.
async fn read(client: &mut Client, topic_id: Uuid, leader_epoch: i32) -> (i16, i32, i64, usize) {
    let partition = ReadPartition::default().with_leader_epoch(leader_epoch);
    let topic = ReadStateData::default().with_topic_id(topic_id).with_partitions(vec![partition]);
    let request = ReadShareGroupStateRequest::default().with_group_id(text("g")).with_topics(vec![topic]);
    let answer = client.call(0, &request).await;
    let found = &answer.results[0].partitions[0];
    (found.error_code, found.state_epoch, found.start_offset, found.state_batches.len())
}

/// Error, state epoch, leader epoch, start offset, delivery complete count.
async fn summary(client: &mut Client, topic_id: Uuid, partition: i32) -> (i16, i32, i32, i64, i32) {
    let partition = SummaryPartition { partition, leader_epoch: -1 };
    let topics = vec![ReadStateSummaryData { topic_id, partitions: vec![partition] }];
    let request = ReadShareGroupStateSummaryRequest { group_id: text("g"), topics };
    let answer = client.call(1, &request).await;
    let found = &answer.results[0].partitions[0];
    (
        found.error_code,
        found.state_epoch,
        found.leader_epoch,
        found.start_offset,
        found.delivery_complete_count,
    )
}

async fn delete(client: &mut Client, topic_id: Uuid) -> i16 {
    let partition = DeletePartition::default();
    let topic = DeleteStateData::default().with_topic_id(topic_id).with_partitions(vec![partition]);
    let request = DeleteShareGroupStateRequest::default().with_group_id(text("g")).with_topics(vec![topic]);
    client.call(0, &request).await.results[0].partitions[0].error_code
}

#[tokio::test]
async fn a_share_partition_lives_and_is_remembered() {
    let data = TempDir::new();
    let (broker, mut client) = start(&data).await;
    let topic_id = create_topic(&mut client, "t", 1).await;
    assert_eq!(initialize(&mut client, topic_id, 0, 3).await, NOT_COORDINATOR, "nobody has asked for it");
    let key = format!("g:{}:0", ottla_protocol::kafka_id(&topic_id));
    assert_eq!(find_coordinator(&mut client, &key).await, 0);

    assert_eq!(read(&mut client, topic_id, 1).await.0, INVALID_REQUEST);
    assert_eq!(write(&mut client, topic_id, 3, 1).await, INVALID_REQUEST);
    assert_eq!(summary(&mut client, topic_id, 0).await, (0, 0, 0, -1, -1));
    assert_eq!(initialize(&mut client, topic_id, -1, 3).await, INVALID_REQUEST);
    assert_eq!(initialize(&mut client, topic_id, 1, 3).await, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(initialize(&mut client, topic_id, 0, 3).await, 0);
    assert_eq!(initialize(&mut client, topic_id, 0, 2).await, FENCED_STATE_EPOCH);
    assert_eq!(read(&mut client, topic_id, 4).await, (0, 3, -1, 0));
    assert_eq!(write(&mut client, topic_id, 3, 3).await, FENCED_LEADER_EPOCH);
    assert_eq!(write(&mut client, topic_id, 2, 4).await, FENCED_STATE_EPOCH);
    assert_eq!(write(&mut client, topic_id, 3, 4).await, 0);

    broker.stop().await.unwrap();
    let (broker, mut client) = start(&data).await;
    assert_eq!(read(&mut client, topic_id, 3).await.0, FENCED_LEADER_EPOCH);
    assert_eq!(read(&mut client, topic_id, 4).await, (0, 3, 10, 1));
    assert_eq!(summary(&mut client, topic_id, 0).await, (0, 3, 4, 10, 5));
    assert_eq!(summary(&mut client, topic_id, 7).await.0, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(delete(&mut client, topic_id).await, 0);
    assert_eq!(delete(&mut client, topic_id).await, 0, "what is not there is deleted already");
    assert_eq!(read(&mut client, topic_id, 4).await.0, INVALID_REQUEST);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn requests_without_a_group_or_partitions_have_empty_answers() {
    let data = TempDir::new();
    let (broker, mut client) = start(&data).await;
    let topic = DeleteStateData::default().with_topic_id(Uuid::from_u128(7));
    let request = DeleteShareGroupStateRequest::default().with_group_id(text("g")).with_topics(vec![topic]);
    assert!(client.call(0, &request).await.results.is_empty());
    let request = request.with_group_id(text(""));
    assert!(client.call(0, &request).await.results.is_empty());
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_coordinator_is_found_for_well_formed_keys_only() {
    let data = TempDir::new();
    let (broker, mut client) = start(&data).await;
    let id = ottla_protocol::kafka_id(&Uuid::from_u128(7));
    for (key, code) in [
        (format!("g:{id}:0"), 0),
        (format!("a:g:{id}:-1"), 0),
        (format!("g:{id}:1:"), 0),
        (format!(":{id}:1"), INVALID_REQUEST),
        (format!("g:{id}"), INVALID_REQUEST),
        ("g:x:0".to_owned(), INVALID_REQUEST),
        (format!("g:{id}:x"), INVALID_REQUEST),
    ] {
        assert_eq!(find_coordinator(&mut client, &key).await, code, "{key}");
    }
    broker.stop().await.unwrap();
}

/// What no snapshot needs is deleted from the log, and nothing else.
#[tokio::test]
async fn the_log_is_pruned() {
    let data = TempDir::new();
    let builder = |data: &TempDir| {
        Broker::builder()
            .set("share.coordinator.state.topic.num.partitions", 1)
            .set("share.coordinator.state.topic.prune.interval.ms", 20)
            .set("share.coordinator.snapshot.update.records.per.snapshot", 2)
            .data(data.path())
    };
    let broker = builder(&data).start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    let topic_id = create_topic(&mut client, "t", 1).await;
    assert_eq!(
        find_coordinator(&mut client, &format!("g:{}:0", ottla_protocol::kafka_id(&topic_id))).await,
        0
    );
    assert_eq!(initialize(&mut client, topic_id, 0, 1).await, 0);
    assert_eq!(read(&mut client, topic_id, 1).await.0, 0);
    // Every third change is a snapshot.
    let mut started = 0;
    while started == 0 {
        assert_eq!(write(&mut client, topic_id, 1, 1).await, 0);
        let partition = ListOffsetsPartition::default().with_timestamp(-2);
        let name = TopicName(text("__share_group_state"));
        let topic = ListOffsetsTopic::default().with_name(name).with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic]);
        started = client.call(5, &request).await.topics[0].partitions[0].offset;
    }
    broker.stop().await.unwrap();
    let broker = builder(&data).start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    assert_eq!(read(&mut client, topic_id, 1).await, (0, 1, 10, 1));
    broker.stop().await.unwrap();
}
