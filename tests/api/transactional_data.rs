//! Produce and Fetch of transactions: what is taken, and what readers of either isolation level see of it.

use std::time::Duration;

use bytes::Bytes;
use ottla::Broker;
use ottla_protocol::ErrorCode;
use ottla_protocol::batch::{BatchBuilder, NO_TIMESTAMP};
use ottla_protocol::messages::Decodable;
use ottla_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::{FetchRequest, FetchResponse, ListOffsetsRequest, ResponseHeader};

use crate::data::{self, ACKS_ALL, FETCH, create, fetch_request, fetched, produce_request};
use crate::support::{Client, TempDir};
use crate::transactions::*;

const NOT_ENOUGH_REPLICAS: i16 = ErrorCode::NotEnoughReplicas.code();
const OUT_OF_ORDER: i16 = ErrorCode::OutOfOrderSequenceNumber.code();
const NOT_AUTHORIZED: i16 = ErrorCode::TransactionalIdAuthorizationFailed.code();
const READ_COMMITTED: i8 = 1;

/// One record of a transaction.
pub fn record((id, epoch): Producer, sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new().transactional().producer(id, epoch, sequence);
    // No time of its own: an old one would make the markers begin a new segment.
    builder.append(NO_TIMESTAMP, None, Some(b"v"));
    builder.build().into_bytes()
}

/// Produces to a partition of `t`: error and offset.
pub async fn produce(
    client: &mut Client,
    version: i16,
    id: Option<&str>,
    partition: i32,
    records: Bytes,
) -> (i16, i64) {
    let request = produce_request("t", partition, ACKS_ALL, records)
        .with_transactional_id(id.map(|id| text(id).into()));
    let answer = client.call(version, &request).await.responses.remove(0).partition_responses.remove(0);
    (answer.error_code, answer.base_offset)
}

fn committed(offset: i64) -> FetchRequest {
    fetch_request("t", &[(0, offset, i32::MAX)]).with_isolation_level(READ_COMMITTED)
}

/// What a read-committed fetch of partition 0 says: last stable offset, base offsets, aborted transactions.
async fn read_committed(client: &mut Client, offset: i64) -> (i64, Vec<i64>, Vec<(i64, i64)>) {
    let partition = fetched(client.call(FETCH, &committed(offset)).await).remove(0);
    assert_eq!(partition.error_code, NONE);
    let bases = data::batches(&partition).into_iter().map(|(base, _)| base).collect();
    let aborted = partition.aborted_transactions.unwrap_or_default();
    let aborted = aborted.iter().map(|one| (one.producer_id.0, one.first_offset)).collect();
    (partition.last_stable_offset, bases, aborted)
}

async fn latest(client: &mut Client, isolation_level: i8) -> i64 {
    let partition = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(-1);
    let topic = ListOffsetsTopic::default().with_name(text("t").into()).with_partitions(vec![partition]);
    let request =
        ListOffsetsRequest::default().with_isolation_level(isolation_level).with_topics(vec![topic]);
    client.call(7, &request).await.topics[0].partitions[0].offset
}

/// Ends a transaction of version 2; the producer with its next epoch.
async fn ended(client: &mut Client, id: &str, producer: Producer, is_commit: bool) -> Producer {
    let ended = client.call(5, &end(id, producer, is_commit)).await;
    assert_eq!(ended.error_code, NONE);
    until(client, id, if is_commit { "CompleteCommit" } else { "CompleteAbort" }).await;
    (ended.producer_id.0, ended.producer_epoch)
}

#[tokio::test]
async fn readers_of_what_is_committed_see_it_once_it_is() {
    let (broker, mut client) = start().await;
    let a = begin(&mut client, "a").await;
    let b = begin(&mut client, "b").await;
    assert_eq!(produce(&mut client, 12, Some("a"), 0, record(a, 0)).await, (NONE, 0));
    assert_eq!(produce(&mut client, 12, Some("b"), 0, record(b, 0)).await, (NONE, 1));
    assert_eq!(read_committed(&mut client, 0).await, (0, vec![], vec![]));
    assert_eq!((latest(&mut client, 0).await, latest(&mut client, READ_COMMITTED).await), (2, 0));
    let a_next = ended(&mut client, "a", a, false).await;
    assert_eq!(a_next, (a.0, a.1 + 1));
    assert_eq!(read_committed(&mut client, 0).await, (1, vec![0], vec![(a.0, 0)]));
    assert_eq!(produce(&mut client, 12, Some("a"), 0, record(a_next, 0)).await, (NONE, 3));
    ended(&mut client, "b", b, true).await;
    // Markers at 2 and 4; what was begun at 3 is open.
    assert_eq!(read_committed(&mut client, 0).await, (3, vec![0, 1, 2], vec![(a.0, 0)]));
    assert_eq!(read_committed(&mut client, 1).await, (3, vec![1, 2], vec![(a.0, 0)]));
    ended(&mut client, "a", a_next, false).await;
    assert_eq!(read_committed(&mut client, 2).await.2, [(a.0, 0), (a.0, 3)]);
    assert_eq!(read_committed(&mut client, 3).await, (6, vec![3, 4, 5], vec![(a.0, 3)]));
    assert_eq!((latest(&mut client, 0).await, latest(&mut client, READ_COMMITTED).await), (6, 6));
    let uncommitted = fetched(client.call(FETCH, &fetch_request("t", &[(0, 0, i32::MAX)])).await).remove(0);
    assert_eq!(uncommitted.aborted_transactions, None);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_fetch_is_woken_by_the_marker() {
    let (broker, mut client) = start().await;
    let producer = begin(&mut client, "a").await;
    assert_eq!(produce(&mut client, 12, Some("a"), 0, record(producer, 0)).await, (NONE, 0));
    let mut reader = Client::connect(&broker).await;
    reader.send(FETCH, &committed(0).with_max_wait_ms(60_000)).await;
    ended(&mut client, "a", producer, true).await;
    let answer = tokio::time::timeout(Duration::from_secs(20), reader.receive()).await;
    let mut answer = answer.expect("the fetch is woken").expect("an answer");
    ResponseHeader::decode(&mut answer, 1).unwrap();
    let answer = FetchResponse::decode(&mut answer, FETCH).unwrap();
    assert_eq!(data::batches(&fetched(answer)[0]), [(0, 0), (1, 1)]);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn records_that_no_transaction_knows_of_are_refused() {
    let (broker, mut client) = start().await;
    let producer @ (id, epoch) = begin(&mut client, "a").await;
    for (version, name, records, code) in [
        // Verified only: the partition was not added.
        (11, Some("a"), record(producer, 0), TRANSACTION_ABORTABLE),
        (10, Some("a"), record(producer, 0), INVALID_TXN_STATE),
        (9, None, record(producer, 0), NOT_AUTHORIZED),
        (12, Some("a"), record((id, epoch + 1), 0), INVALID_PRODUCER_EPOCH),
        (12, Some("a"), record((id + 1, 0), 0), INVALID_PRODUCER_ID_MAPPING),
        (12, Some("nobody"), record(producer, 0), INVALID_PRODUCER_ID_MAPPING),
        // Nothing is known of the producer here, so it begins at 0.
        (12, Some("a"), record(producer, 3), OUT_OF_ORDER),
    ] {
        let refused = produce(&mut client, version, name, 0, records).await;
        assert_eq!(refused, (code, -1), "v{version} {name:?}");
    }
    assert_eq!(latest(&mut client, 0).await, 0);
    // Version 12 adds the partition, after which the older ones find it.
    assert_eq!(produce(&mut client, 12, Some("a"), 0, record(producer, 0)).await, (NONE, 0));
    assert_eq!(produce(&mut client, 11, Some("a"), 0, record(producer, 1)).await, (NONE, 1));
    assert_eq!(produce(&mut client, 9, Some("a"), 0, record(producer, 1)).await, (NONE, 1), "a retry");
    let mut plain = BatchBuilder::new().producer(id, epoch, 2);
    plain.append(1, None, Some(b"v"));
    let plain = plain.build().into_bytes();
    assert_eq!(produce(&mut client, 12, None, 0, plain).await, (INVALID_TXN_STATE, -1));
    let (id, epoch) = ended(&mut client, "a", producer, true).await;
    assert_eq!(
        produce(&mut client, 9, Some("a"), 0, record(producer, 2)).await,
        (INVALID_PRODUCER_EPOCH, -1)
    );
    assert_eq!(produce(&mut client, 12, Some("a"), 0, record((id, epoch), 1)).await, (OUT_OF_ORDER, -1));
    assert_eq!(produce(&mut client, 12, Some("a"), 0, record((id, epoch), 0)).await, (NONE, 3));
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn without_verification_old_producers_are_believed() {
    let builder = Broker::builder().set("transaction.partition.verification.enable", false);
    let broker = builder.start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 1, &[]).await;
    assert_eq!(produce(&mut client, 11, Some("a"), 0, record((7, 0), 5)).await, (NONE, 0));
    // There is no coordinator, which a producer of version 2 has to wait for.
    assert_eq!(produce(&mut client, 12, Some("a"), 0, record((8, 0), 0)).await, (NOT_ENOUGH_REPLICAS, -1));
    broker.stop().await.unwrap();
}

/// Requests of one connection that are sent without waiting: the first waits for the coordinator, and all are in the log
/// in their order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_requests_keep_their_order_while_one_is_verified() {
    let (broker, mut client) = start().await;
    for round in 0..20 {
        let mut producer = Client::connect(&broker).await;
        let name = format!("p{round}");
        let id = begin(&mut client, &name).await;
        for sequence in 0..5 {
            let request = produce_request("t", 1, ACKS_ALL, record(id, sequence));
            let request = request.with_transactional_id(Some(text(&name).into()));
            producer.send(12, &request).await;
        }
        for sequence in 0..5 {
            let mut answer = producer.receive().await.expect("an answer");
            ResponseHeader::decode(&mut answer, 1).unwrap();
            let answer = ottla_protocol::messages::ProduceResponse::decode(&mut answer, 12).unwrap();
            assert_eq!(answer.responses[0].partition_responses[0].error_code, NONE, "{round} {sequence}");
        }
    }
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_are_the_same_after_a_crash() {
    let dir = TempDir::new();
    let start = |dir: &TempDir| {
        Broker::builder().data(dir.path()).set("transaction.state.log.num.partitions", 1).start()
    };
    let broker = start(&dir).await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 1, &[]).await;
    find(&mut client, "a").await;
    let a = begin(&mut client, "a").await;
    produce(&mut client, 12, Some("a"), 0, record(a, 0)).await;
    let b = begin(&mut client, "b").await;
    produce(&mut client, 12, Some("b"), 0, record(b, 0)).await;
    let a = ended(&mut client, "a", a, false).await;
    produce(&mut client, 12, Some("a"), 0, record(a, 0)).await;
    let before = read_committed(&mut client, 0).await;
    assert_eq!(before, (1, vec![0], vec![(a.0, 0)]));

    let crashed = dir.copy();
    let again = start(&crashed).await.unwrap();
    let mut client = Client::connect(&again).await;
    assert_eq!(read_committed(&mut client, 0).await, before);
    ended(&mut client, "b", b, true).await;
    assert_eq!(read_committed(&mut client, 0).await, (3, vec![0, 1, 2], vec![(a.0, 0)]));
    ended(&mut client, "a", a, true).await;
    assert_eq!(read_committed(&mut client, 0).await, (6, vec![0, 1, 2, 3, 4, 5], vec![(a.0, 0)]));
    again.stop().await.unwrap();
    broker.stop().await.unwrap();
}
