use ottla::{Broker, Running};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use ottla_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::messages::*;

use crate::data::create;
use crate::support::{Client, TempDir};
use crate::transactions::*;

const UNSTABLE: i16 = ErrorCode::UnstableOffsetCommit.code();
const ILLEGAL_GENERATION: i16 = ErrorCode::IllegalGeneration.code();
const INVALID_GROUP_ID: i16 = ErrorCode::InvalidGroupId.code();
const METADATA_TOO_LARGE: i16 = ErrorCode::OffsetMetadataTooLarge.code();

fn commit(id: &str, group: &str, producer: Producer, partition: i32, offset: i64) -> TxnOffsetCommitRequest {
    let partition = TxnOffsetCommitRequestPartition::default()
        .with_partition_index(partition)
        .with_committed_offset(offset);
    let topic =
        TxnOffsetCommitRequestTopic::default().with_name(text("t").into()).with_partitions(vec![partition]);
    TxnOffsetCommitRequest::default()
        .with_transactional_id(text(id).into())
        .with_group_id(text(group).into())
        .with_producer_id(producer.0.into())
        .with_producer_epoch(producer.1)
        .with_generation_id(-1)
        .with_topics(vec![topic])
}

async fn code(client: &mut Client, version: i16, request: &TxnOffsetCommitRequest) -> i16 {
    client.call(version, request).await.topics[0].partitions[0].error_code
}

/// Error and offset of partition 0.
async fn fetch(client: &mut Client, require_stable: bool) -> (i16, i64) {
    let topic =
        OffsetFetchRequestTopics::default().with_name(text("t").into()).with_partition_indexes(vec![0]);
    let group =
        OffsetFetchRequestGroup::default().with_group_id(text("g").into()).with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default().with_require_stable(require_stable).with_groups(vec![group]);
    let mut answer = client.call(8, &request).await;
    let partition = answer.groups.remove(0).topics.remove(0).partitions.remove(0);
    (partition.error_code, partition.committed_offset)
}

async fn ended(client: &mut Client, producer: Producer, is_commit: bool) -> Producer {
    let ended = client.call(5, &end("a", producer, is_commit)).await;
    assert_eq!(ended.error_code, NONE);
    until(client, "a", if is_commit { "CompleteCommit" } else { "CompleteAbort" }).await;
    (ended.producer_id.0, ended.producer_epoch)
}

/// A broker whose group coordinator has been asked for.
async fn start_with_groups() -> (Running, Client) {
    let (broker, mut client) = start().await;
    find_group(&mut client).await;
    (broker, client)
}

async fn find_group(client: &mut Client) {
    let request = FindCoordinatorRequest::default().with_key(text("g")).with_key_type(0);
    assert_eq!(client.call(3, &request).await.error_code, NONE);
}

#[tokio::test]
async fn offsets_count_once_the_transaction_is_committed() {
    let (broker, mut client) = start_with_groups().await;
    let producer = begin(&mut client, "a").await;
    // Version 5 adds the group's partition to the transaction.
    assert_eq!(code(&mut client, 5, &commit("a", "g", producer, 0, 5)).await, NONE);
    assert_eq!(code(&mut client, 3, &commit("a", "g", producer, 0, 6)).await, NONE);
    assert_eq!(fetch(&mut client, false).await, (NONE, -1));
    assert_eq!(fetch(&mut client, true).await, (UNSTABLE, -1));
    let producer = ended(&mut client, producer, true).await;
    assert_eq!(fetch(&mut client, true).await, (NONE, 6));
    assert_eq!(code(&mut client, 5, &commit("a", "g", producer, 0, 7)).await, NONE);
    assert_eq!(fetch(&mut client, false).await, (NONE, 6));
    ended(&mut client, producer, false).await;
    assert_eq!(fetch(&mut client, true).await, (NONE, 6));
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn what_may_not_be_committed_is_refused() {
    let (broker, mut client) = start_with_groups().await;
    let producer @ (id, epoch) = begin(&mut client, "a").await;
    let request = |group: &str, producer, partition| commit("a", group, producer, partition, 1);
    for (version, request, expected) in [
        // The partition was not added.
        (4, request("g", producer, 0), TRANSACTION_ABORTABLE),
        (3, request("g", producer, 0), INVALID_TXN_STATE),
        (5, request("g", (id, epoch + 1), 0), INVALID_PRODUCER_EPOCH),
        (5, request("g", (id + 1, epoch), 0), INVALID_PRODUCER_ID_MAPPING),
        (5, request("", producer, 0), INVALID_GROUP_ID),
        (5, request("g", producer, 9), UNKNOWN_TOPIC_OR_PARTITION),
        (5, request("g", producer, 0).with_generation_id(3).with_member_id(text("m")), ILLEGAL_GENERATION),
    ] {
        assert_eq!(code(&mut client, version, &request).await, expected, "v{version} {request:?}");
    }
    let mut long = request("g", producer, 0);
    long.topics[0].partitions[0].committed_metadata = Some(text(&"m".repeat(5000)));
    assert_eq!(code(&mut client, 5, &long).await, METADATA_TOO_LARGE);
    ended(&mut client, producer, true).await;
    // Too late: its transaction has ended.
    assert_eq!(code(&mut client, 4, &request("g", producer, 0)).await, INVALID_PRODUCER_EPOCH);
    assert_eq!(fetch(&mut client, true).await, (NONE, -1));
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_the_same_after_a_crash() {
    let dir = TempDir::new();
    let start = |dir: &TempDir| {
        Broker::builder()
            .data(dir.path())
            .set("transaction.state.log.num.partitions", 1)
            .set("offsets.topic.num.partitions", 1)
            .start()
    };
    let broker = start(&dir).await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 1, &[]).await;
    find(&mut client, "a").await;
    find_group(&mut client).await;
    let producer = begin(&mut client, "a").await;
    assert_eq!(code(&mut client, 5, &commit("a", "g", producer, 0, 5)).await, NONE);
    let producer = ended(&mut client, producer, true).await;
    assert_eq!(code(&mut client, 5, &commit("a", "g", producer, 0, 6)).await, NONE);

    let crashed = dir.copy();
    let again = start(&crashed).await.unwrap();
    let mut client = Client::connect(&again).await;
    assert_eq!(fetch(&mut client, false).await, (NONE, 5));
    assert_eq!(fetch(&mut client, true).await, (UNSTABLE, -1));
    ended(&mut client, producer, true).await;
    assert_eq!(fetch(&mut client, true).await, (NONE, 6));
    again.stop().await.unwrap();
    broker.stop().await.unwrap();
}
