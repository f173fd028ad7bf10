use bytes::Bytes;
use kafka_protocol::messages::{InitProducerIdRequest, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use ottla::Broker;
use ottla_protocol::batch::BatchBuilder;

use crate::data::{NONE, create, latest_offset, produce};
use crate::support::{Client, TempDir, start};

const INVALID_REQUEST: i16 = 42;
const OUT_OF_ORDER_SEQUENCE: i16 = 45;
const INVALID_PRODUCER_EPOCH: i16 = 47;

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
