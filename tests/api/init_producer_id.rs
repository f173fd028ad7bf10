use bytes::Bytes;
use kafka_protocol::messages::{InitProducerIdRequest, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use ottla::Broker;
use ottla_protocol::batch::BatchBuilder;

use crate::data::{NONE, create, latest_offset, produce};
use crate::support::{Client, TempDir, start};
use crate::transactions::{
    self, CONCURRENT_TRANSACTIONS, INVALID_PRODUCER_EPOCH, INVALID_REQUEST, INVALID_TRANSACTION_TIMEOUT,
    NOT_COORDINATOR, PRODUCER_FENCED, init,
};

const OUT_OF_ORDER_SEQUENCE: i16 = 45;

async fn producer_id(client: &mut Client) -> i64 {
    let answer = client.call(4, &InitProducerIdRequest::default().with_transactional_id(None)).await;
    assert_eq!((answer.error_code, answer.producer_epoch), (NONE, 0));
    answer.producer_id.0
}

/// Two records of an idempotent producer.
fn batch(producer_id: i64, epoch: i16, sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new().producer(producer_id, epoch, sequence);
    builder.append(1_700_000_000_000, None, Some(b"v"));
    builder.append(1_700_000_000_000, None, Some(b"v"));
    builder.build().into_bytes()
}

/// Epoch, sequence, then the answer: the error and the offset.
type Step = (i16, i32, i16, i64);

async fn check(client: &mut Client, producer_id: i64, steps: &[Step]) {
    for &(epoch, sequence, error, offset) in steps {
        let produced = produce(client, "t", 0, batch(producer_id, epoch, sequence)).await;
        assert_eq!((produced.error_code, produced.base_offset), (error, offset), "{epoch} {sequence}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_is_written_once_also_after_a_restart() {
    let dir = TempDir::new();
    let broker = Broker::builder().data(dir.path()).start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 1, &[]).await;
    let id = producer_id(&mut client).await;
    check(
        &mut client,
        id,
        &[
            (0, 0, NONE, 0),
            (0, 2, NONE, 2),
            // The retry of the last but one is answered as the first time.
            (0, 0, NONE, 0),
            (0, 6, OUT_OF_ORDER_SEQUENCE, -1),
            (0, 4, NONE, 4),
        ],
    )
    .await;
    broker.stop().await.unwrap();

    let broker = Broker::builder().data(dir.path()).start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    check(
        &mut client,
        id,
        &[
            (0, 4, NONE, 4),
            (0, 8, OUT_OF_ORDER_SEQUENCE, -1),
            (0, 6, NONE, 6),
            // A new epoch begins at 0; the old one is fenced.
            (1, 2, OUT_OF_ORDER_SEQUENCE, -1),
            (1, 0, NONE, 8),
            (0, 8, INVALID_PRODUCER_EPOCH, -1),
        ],
    )
    .await;
    assert_eq!(latest_offset(&mut client, "t", 0).await, 10);
    assert_ne!(producer_id(&mut client).await, id);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn every_version_gives_ids_and_refuses_an_empty_transactional_id() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    let empty = TransactionalId(StrBytes::from_static_str(""));
    let mut last = -1;
    for version in 0..=5 {
        let answer =
            client.call(version, &InitProducerIdRequest::default().with_transactional_id(None)).await;
        assert_eq!((answer.error_code, answer.producer_epoch), (NONE, 0), "v{version}");
        assert!(answer.producer_id.0 > last, "v{version}");
        last = answer.producer_id.0;
        let request = InitProducerIdRequest::default().with_transactional_id(Some(empty.clone()));
        let refused = client.call(version, &request).await;
        let told = (refused.error_code, refused.producer_id.0, refused.producer_epoch);
        assert_eq!(told, (INVALID_REQUEST, -1, -1), "v{version}");
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_new_producer_fences_the_one_before() {
    let (broker, mut client) = transactions::start().await;
    for version in 0..=5 {
        let id = format!("v{version}");
        let first = client.call(version, &init(&id, (-1, -1))).await;
        let second = client.call(version, &init(&id, (-1, -1))).await;
        let told = (second.error_code, second.producer_id, second.producer_epoch);
        assert_eq!((first.error_code, first.producer_epoch), (NONE, 0), "v{version}");
        assert_eq!(told, (NONE, first.producer_id, 1), "v{version}");
    }
    broker.stop().await.unwrap();
}

/// KIP-360: a producer that meets an error goes on with the next epoch, unless another one has begun.
#[tokio::test]
async fn a_producer_goes_on_after_an_error() {
    let (broker, mut client) = transactions::start().await;
    let (id, _) = transactions::begin(&mut client, "a").await;
    for (expected, version, told) in [
        ((id, 0), 5, (NONE, id, 1)),
        // It did not hear the answer.
        ((id, 0), 3, (NONE, id, 1)),
        ((id, 1), 5, (NONE, id, 2)),
        ((id, 0), 5, (PRODUCER_FENCED, -1, -1)),
        ((id, 0), 3, (INVALID_PRODUCER_EPOCH, -1, -1)),
        ((id + 7, 2), 5, (PRODUCER_FENCED, -1, -1)),
        ((id, -1), 5, (INVALID_REQUEST, -1, -1)),
        ((-1, 2), 5, (INVALID_REQUEST, -1, -1)),
    ] {
        let answer = client.call(version, &init("a", expected)).await;
        let answer = (answer.error_code, answer.producer_id.0, answer.producer_epoch);
        assert_eq!(answer, told, "{expected:?} v{version}");
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_is_under_way_is_aborted_first() {
    let (broker, mut client) = transactions::start().await;
    let (id, epoch) = transactions::begin(&mut client, "a").await;
    transactions::begin_transaction(&mut client, "a", (id, epoch)).await;
    assert_eq!(client.call(5, &init("a", (-1, -1))).await.error_code, CONCURRENT_TRANSACTIONS);
    assert_eq!(transactions::begin(&mut client, "a").await, (id, epoch + 2));
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn timeouts_are_bounded() {
    let (broker, mut client) = transactions::start().await;
    for (timeout_ms, code) in [
        (0, INVALID_TRANSACTION_TIMEOUT),
        (-1, INVALID_TRANSACTION_TIMEOUT),
        (900_001, INVALID_TRANSACTION_TIMEOUT),
        (900_000, NONE),
    ] {
        let request = init("a", (-1, -1)).with_transaction_timeout_ms(timeout_ms);
        assert_eq!(client.call(5, &request).await.error_code, code, "{timeout_ms}");
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn without_its_topic_there_is_no_coordinator() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    assert_eq!(client.call(5, &init("a", (-1, -1))).await.error_code, NOT_COORDINATOR);
    broker.stop().await.unwrap();
}
