use std::time::Duration;

use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::fetch_request::ForgottenTopic;
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteTopicsRequest, FetchRequest, FetchResponse, ResponseHeader,
};
use kafka_protocol::protocol::Decodable;
use ottla::Broker;
use tokio::time::timeout;

use crate::data::{
    FETCH, NONE, OFFSET_OUT_OF_RANGE, UNKNOWN_TOPIC_OR_PARTITION, Wanted, append, batch, batches, create,
    fetch_request, fetched, name, produce,
};
use crate::support::{Client, TempDir, start};

const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;
const INVALID_FETCH_SESSION_EPOCH: i16 = 71;
/// Far longer than anything here takes, and shorter than the fetches are willing to wait.
const SOON: Duration = Duration::from_secs(20);
const LONG_MS: i32 = 60_000;

/// A fetch that does not end by itself while a test runs.
fn patient(wanted: &[Wanted], min_bytes: i32) -> FetchRequest {
    fetch_request("t", wanted).with_max_wait_ms(LONG_MS).with_min_bytes(min_bytes)
}

async fn answer(client: &mut Client) -> FetchResponse {
    let answer = timeout(SOON, client.receive()).await.expect("the fetch is woken");
    let mut answer = answer.expect("an answer");
    ResponseHeader::decode(&mut answer, 1).unwrap();
    FetchResponse::decode(&mut answer, FETCH).unwrap()
}

/// Two partitions with batches at 0-2, 3-4, 5 and at 0: which of them a fetch within its limits brings.
async fn check_limits(broker: ottla::Running) {
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 2, &[]).await;
    let size = batch(&[b"v"]).len() as i32;
    produce(&mut client, "t", 0, batch(&[b"v", b"v", b"v"])).await;
    produce(&mut client, "t", 0, batch(&[b"v", b"v"])).await;
    append(&mut client, "t", 0, b"v").await;
    append(&mut client, "t", 1, b"v").await;
    let all = i32::MAX;
    type Batches<'a> = &'a [(i64, i64)];
    let cases: [(&[Wanted], i32, Batches, Batches); 8] = [
        (&[(0, 0, all), (1, 0, all)], all, &[(0, 2), (3, 4), (5, 5)], &[(0, 0)]),
        // The whole batch that holds the offset.
        (&[(0, 1, all), (1, 1, all)], all, &[(0, 2), (3, 4), (5, 5)], &[]),
        (&[(0, 4, all), (1, 0, all)], all, &[(3, 4), (5, 5)], &[(0, 0)]),
        (&[(0, 6, all), (1, 0, all)], all, &[], &[(0, 0)]),
        // The first batch of an answer comes whole, however small the limits are (KIP-74); the next one not.
        (&[(0, 0, 1), (1, 0, 1)], all, &[(0, 2)], &[]),
        (&[(0, 6, 1), (1, 0, 1)], all, &[], &[(0, 0)]),
        (&[(0, 0, all), (1, 0, all)], 1, &[(0, 2)], &[]),
        (&[(0, 5, all), (1, 0, all)], 2 * size - 1, &[(5, 5)], &[]),
    ];
    for (wanted, max_bytes, first, second) in cases {
        let found = fetched(client.call(FETCH, &fetch_request("t", wanted).with_max_bytes(max_bytes)).await);
        assert_eq!((found[0].error_code, found[0].high_watermark, found[1].high_watermark), (NONE, 6, 1));
        assert_eq!((batches(&found[0]), batches(&found[1])), (first.to_vec(), second.to_vec()), "{wanted:?}");
    }
    for (offset, code) in [(-1, OFFSET_OUT_OF_RANGE), (6, NONE), (7, OFFSET_OUT_OF_RANGE)] {
        let found = fetched(client.call(FETCH, &patient(&[(0, offset, all), (1, 0, all)], 1)).await);
        assert_eq!((found[0].error_code, batches(&found[1])), (code, vec![(0, 0)]), "{offset}");
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn limits_in_memory() {
    check_limits(start().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_on_disk() {
    let dir = TempDir::new();
    check_limits(Broker::builder().data(dir.path()).start().await.unwrap()).await;
}

#[tokio::test]
async fn nothing_is_answered_when_the_wait_is_over() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 1, &[]).await;
    let request = fetch_request("t", &[(0, 0, 1000)]).with_max_wait_ms(20);
    let found = fetched(client.call(FETCH, &request).await);
    assert_eq!((found[0].error_code, found[0].high_watermark, batches(&found[0])), (NONE, 0, vec![]));
    broker.stop().await.unwrap();
}

/// The append may come before the fetch waits, while it looks, or when it waits: it is answered in any case.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_wakes_a_fetch() {
    let broker = start().await;
    let (mut consumer, mut producer) = (Client::connect(&broker).await, Client::connect(&broker).await);
    create(&mut producer, "t", 3, &[]).await;
    for n in 0..200 {
        consumer.send(FETCH, &patient(&[(0, 0, 1000), (1, n, 1000), (2, 0, 1000)], 1)).await;
        append(&mut producer, "t", 1, b"v").await;
        let found = fetched(answer(&mut consumer).await);
        assert_eq!((batches(&found[0]), batches(&found[1])), (vec![], vec![(n, n)]));
    }
    broker.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_waits_for_its_min_bytes() {
    let dir = TempDir::new();
    let broker = Broker::builder().data(dir.path()).start().await.unwrap();
    let (mut consumer, mut producer) = (Client::connect(&broker).await, Client::connect(&broker).await);
    create(&mut producer, "t", 2, &[]).await;
    let size = batch(&[b"v"]).len() as i32;
    consumer.send(FETCH, &patient(&[(0, 0, i32::MAX), (1, 0, i32::MAX)], 6 * size)).await;
    for _ in 0..3 {
        append(&mut producer, "t", 0, b"v").await;
        append(&mut producer, "t", 1, b"v").await;
    }
    let found = fetched(answer(&mut consumer).await);
    let bytes: usize = found.iter().map(|found| found.records.as_ref().unwrap().len()).sum();
    assert_eq!(bytes as i32, 6 * size);
    broker.stop().await.unwrap();
}

/// Offset, then what happens to the topic, then what the waiting fetch is told.
#[tokio::test]
async fn a_topic_that_changes_wakes_a_fetch() {
    let broker = start().await;
    let (mut consumer, mut admin) = (Client::connect(&broker).await, Client::connect(&broker).await);
    create(&mut admin, "t", 1, &[]).await;
    append(&mut admin, "t", 0, b"v").await;
    append(&mut admin, "t", 0, b"v").await;
    let size = batch(&[b"v"]).len() as i32;

    consumer.send(FETCH, &patient(&[(0, 0, i32::MAX)], 100 * size)).await;
    delete_records(&mut admin, 1).await;
    assert_eq!(fetched(answer(&mut consumer).await)[0].error_code, OFFSET_OUT_OF_RANGE);

    consumer.send(FETCH, &patient(&[(0, 2, i32::MAX)], 1)).await;
    admin.call(5, &DeleteTopicsRequest::default().with_topic_names(vec![name("t")])).await;
    assert_eq!(fetched(answer(&mut consumer).await)[0].error_code, UNKNOWN_TOPIC_OR_PARTITION);

    create(&mut admin, "t", 1, &[]).await;
    consumer.send(FETCH, &patient(&[(0, 0, i32::MAX)], 1)).await;
    append(&mut admin, "t", 0, b"v").await;
    assert_eq!(batches(&fetched(answer(&mut consumer).await)[0]), [(0, 0)]);
    broker.stop().await.unwrap();
}

async fn delete_records(client: &mut Client, offset: i64) {
    let partition = DeleteRecordsPartition::default().with_partition_index(0).with_offset(offset);
    let topic = DeleteRecordsTopic::default().with_name(name("t")).with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(1000);
    let deleted = client.call(2, &request).await;
    assert_eq!(deleted.topics[0].partitions[0].error_code, NONE);
}

#[tokio::test]
async fn a_session_tells_only_what_is_new() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 2, &[]).await;
    let full = fetch_request("t", &[(0, 0, 1000), (1, 0, 1000)]).with_session_epoch(0);
    let begun = client.call(FETCH, &full).await;
    assert!(begun.session_id > 0);
    assert_eq!(fetched(begun.clone()).len(), 2, "a full fetch tells everything");

    let next = |epoch| {
        let request = full.clone().with_topics(vec![]);
        request.with_session_id(begun.session_id).with_session_epoch(epoch)
    };
    assert!(client.call(FETCH, &next(1)).await.responses.is_empty());
    append(&mut client, "t", 1, b"v").await;
    let told = fetched(client.call(FETCH, &next(2)).await);
    assert_eq!((told.len(), told[0].partition_index, batches(&told[0])), (1, 1, vec![(0, 0)]));
    let forgotten = ForgottenTopic::default().with_topic(name("t")).with_partitions(vec![1]);
    let without = next(3).with_forgotten_topics_data(vec![forgotten]);
    assert!(client.call(FETCH, &without).await.responses.is_empty());

    let unknown = next(4).with_session_id(begun.session_id ^ 1);
    for (request, code) in [(next(9), INVALID_FETCH_SESSION_EPOCH), (unknown, FETCH_SESSION_ID_NOT_FOUND)] {
        let refused = client.call(FETCH, &request).await;
        assert_eq!((refused.error_code, refused.responses.len()), (code, 0));
    }
    broker.stop().await.unwrap();
}

/// The broker is told to stop while an answer is larger than what the sockets hold: the client still gets all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_cut_an_answer_short() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 1, &[]).await;
    let value = vec![0; 1_000_000];
    for _ in 0..30 {
        append(&mut client, "t", 0, &value).await;
    }
    client.send(FETCH, &fetch_request("t", &[(0, 0, i32::MAX)])).await;
    client.answer_begins().await;
    let stopping = tokio::spawn(broker.stop());
    assert_eq!(batches(&fetched(answer(&mut client).await)[0]).len(), 30);
    assert!(client.receive().await.is_none());
    stopping.await.unwrap().unwrap();
}

/// Many partitions in one fetch: it is answered when all together have enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_of_many_partitions_waits_for_any_of_them() {
    const PARTITIONS: i32 = 500;
    let broker = start().await;
    let (mut consumer, mut producer) = (Client::connect(&broker).await, Client::connect(&broker).await);
    create(&mut producer, "t", PARTITIONS, &[]).await;
    let wanted: Vec<Wanted> = (0..PARTITIONS).map(|partition| (partition, 0, 1000)).collect();
    let size = batch(&[b"v"]).len() as i32;
    consumer.send(FETCH, &patient(&wanted, 100 * size)).await;
    for n in 0..100 {
        append(&mut producer, "t", (n * 7) % PARTITIONS, b"v").await;
    }
    let found = fetched(answer(&mut consumer).await);
    let grown: Vec<i32> =
        found.iter().filter(|found| !batches(found).is_empty()).map(|found| found.partition_index).collect();
    let expected: std::collections::BTreeSet<i32> = (0..100).map(|n| (n * 7) % PARTITIONS).collect();
    assert_eq!(grown, expected.into_iter().collect::<Vec<_>>());
    broker.stop().await.unwrap();
}
