use bytes::Bytes;
use kafka_protocol::messages::{ApiVersionsRequest, FetchResponse, ProduceResponse, ResponseHeader};
use kafka_protocol::protocol::Decodable;
use ottla::{Broker, Running};

use crate::data::{
    ACKS_ALL, FETCH, NONE, PRODUCE, UNKNOWN_TOPIC_OR_PARTITION, append, batch, batches, create,
    fetch_request, fetched, latest_offset, produce, produce_request,
};
use crate::support::{Client, TempDir, start};

const CORRUPT_MESSAGE: i16 = 2;
const MESSAGE_TOO_LARGE: i16 = 10;
const INVALID_TOPIC: i16 = 17;
const INVALID_REQUIRED_ACKS: i16 = 21;
const INVALID_RECORD: i16 = 87;

/// More than one connection may have waiting, so that the broker has to stop reading in between.
const IN_FLIGHT: i64 = 200;

/// Sends many requests before reading an answer: they come in order, and so do the offsets.
async fn check_pipelined(broker: Running, configs: &[(&str, &str)]) {
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 2, configs).await;
    for n in 0..IN_FLIGHT {
        let partition = i32::from(n % 2 == 1);
        client.send(PRODUCE, &produce_request("t", partition, ACKS_ALL, batch(&[b"v"]))).await;
    }
    // A fetch behind them sees them all: it is handled when they are answered.
    client.send(FETCH, &fetch_request("t", &[(0, 0, 1 << 20)])).await;
    for n in 0..IN_FLIGHT {
        let mut answer = client.receive().await.expect("an answer");
        let header = ResponseHeader::decode(&mut answer, 1).unwrap();
        let produced = ProduceResponse::decode(&mut answer, PRODUCE).unwrap();
        let partition = &produced.responses[0].partition_responses[0];
        assert_eq!(
            (i64::from(header.correlation_id), partition.error_code, partition.base_offset),
            // CreateTopics was the first request.
            (n + 2, NONE, n / 2)
        );
    }
    let mut answer = client.receive().await.expect("the fetch is answered");
    ResponseHeader::decode(&mut answer, 1).unwrap();
    let seen = fetched(FetchResponse::decode(&mut answer, FETCH).unwrap());
    assert_eq!(batches(&seen[0]).len() as i64, IN_FLIGHT / 2);
    assert_eq!(latest_offset(&mut client, "t", 0).await, IN_FLIGHT / 2);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn requests_in_flight_are_answered_in_order() {
    check_pipelined(start().await, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_wait_for_the_disk_are_answered_in_order() {
    let dir = TempDir::new();
    let broker = Broker::builder().data(dir.path()).start().await.unwrap();
    check_pipelined(broker, &[("flush.messages", "1")]).await;
}

/// The high watermark followed the answer once, not the other way round.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_is_visible() {
    let dir = TempDir::new();
    let broker = Broker::builder().data(dir.path()).start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 1, &[("flush.messages", "1")]).await;
    for n in 0..100 {
        assert_eq!(append(&mut client, "t", 0, b"v").await, n);
        assert_eq!(latest_offset(&mut client, "t", 0).await, n + 1);
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn acks_0_is_not_answered_and_a_failure_closes_the_connection() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 1, &[]).await;
    client.send(PRODUCE, &produce_request("t", 0, 0, batch(&[b"v"]))).await;
    // `call` wants the answer to this very request next.
    client.call(0, &ApiVersionsRequest::default()).await;
    assert_eq!(latest_offset(&mut client, "t", 0).await, 1);
    client.send(PRODUCE, &produce_request("nowhere", 0, 0, batch(&[b"v"]))).await;
    assert!(client.receive().await.is_none(), "the connection is closed");
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_refused_leaves_the_log_as_it_was() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 1, &[("max.message.bytes", "1000")]).await;
    create(&mut client, "two", 1, &[("min.insync.replicas", "2")]).await;
    create(&mut client, "compacted", 1, &[("cleanup.policy", "compact")]).await;
    create(&mut client, "__consumer_offsets", 1, &[]).await;
    let mut torn = batch(&[b"v"]).to_vec();
    *torn.last_mut().unwrap() ^= 1;
    let good = || batch(&[b"v"]);
    let twice = [good(), good()].concat().into();
    // The error, and where the answer says that the log starts.
    let cases: [(&str, i32, i16, Bytes, i16, i64); 10] = [
        ("nowhere", 0, ACKS_ALL, good(), UNKNOWN_TOPIC_OR_PARTITION, -1),
        ("t", 7, ACKS_ALL, good(), UNKNOWN_TOPIC_OR_PARTITION, -1),
        ("t", -1, ACKS_ALL, good(), UNKNOWN_TOPIC_OR_PARTITION, -1),
        ("t", 0, 2, good(), INVALID_REQUIRED_ACKS, -1),
        ("t", 0, ACKS_ALL, torn.into(), CORRUPT_MESSAGE, -1),
        ("t", 0, ACKS_ALL, batch(&[&[0; 1000]]), MESSAGE_TOO_LARGE, -1),
        ("__consumer_offsets", 0, ACKS_ALL, good(), INVALID_TOPIC, -1),
        ("t", 0, ACKS_ALL, twice, INVALID_RECORD, -1),
        ("compacted", 0, ACKS_ALL, good(), INVALID_RECORD, 0),
        // No more replicas can be asked for than there are.
        ("two", 0, ACKS_ALL, good(), NONE, 0),
    ];
    for (topic, partition, acks, records, code, start) in cases {
        let request = produce_request(topic, partition, acks, records);
        let answer = client.call(PRODUCE, &request).await;
        let refused = &answer.responses[0].partition_responses[0];
        let offset = if code == NONE { 0 } else { -1 };
        let told = (refused.error_code, refused.base_offset, refused.log_start_offset);
        assert_eq!(told, (code, offset, start), "{topic} {partition} {acks}");
    }
    assert_eq!(latest_offset(&mut client, "t", 0).await, 0);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn log_append_time_is_answered() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 1, &[("message.timestamp.type", "LogAppendTime")]).await;
    let before_ms = broker.broker().clock.now_ms();
    let produced = produce(&mut client, "t", 0, batch(&[b"v"])).await;
    let after_ms = broker.broker().clock.now_ms();
    assert!((before_ms..=after_ms).contains(&produced.log_append_time_ms), "{produced:?}");
    broker.stop().await.unwrap();
}

/// Who does not take answers is not read any more: its requests wait in its own socket, not in our memory.
#[tokio::test]
async fn a_slow_reader_is_not_read() {
    const ANSWER_BYTES: usize = 900_000;
    const OFFERED_BYTES: usize = 64 << 20;
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 1, &[]).await;
    append(&mut client, "t", 0, &vec![0; ANSWER_BYTES]).await;
    // More answers than the sockets hold between them.
    for _ in 0..20 {
        client.send(FETCH, &fetch_request("t", &[(0, 0, 1 << 20)])).await;
    }
    let request = produce_request("t", 0, ACKS_ALL, batch(&[&[0; 500_000]]));
    let mut sent_bytes = 0;
    while sent_bytes < OFFERED_BYTES {
        let sending = client.send(PRODUCE, &request);
        if tokio::time::timeout(std::time::Duration::from_secs(1), sending).await.is_err() {
            break;
        }
        sent_bytes += 500_000;
    }
    assert!(sent_bytes < OFFERED_BYTES, "the broker read on");
    assert_eq!(broker_latest(&broker).await, 1, "nothing behind the unread answers was handled");
    drop(client);
    broker.stop().await.unwrap();
}

async fn broker_latest(broker: &Running) -> i64 {
    let mut other = Client::connect(broker).await;
    latest_offset(&mut other, "t", 0).await
}
