use ottla_protocol::ErrorCode;
use ottla_protocol::messages::WriteTxnMarkersRequest;
use ottla_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};

use crate::support::Client;
use crate::transactional_data::{produce, record};
use crate::transactions::*;

const COORDINATOR_FENCED: i16 = ErrorCode::TransactionCoordinatorFenced.code();

struct Marker {
    producer: Producer,
    coordinator_epoch: i32,
    transaction_version: i8,
}

async fn write(
    client: &mut Client,
    version: i16,
    marker: &Marker,
    topic: &str,
    partitions: &[i32],
) -> Vec<i16> {
    let topic = WritableTxnMarkerTopic::default()
        .with_name(text(topic).into())
        .with_partition_indexes(partitions.to_vec());
    let marker = WritableTxnMarker::default()
        .with_producer_id(marker.producer.0.into())
        .with_producer_epoch(marker.producer.1)
        .with_coordinator_epoch(marker.coordinator_epoch)
        .with_transaction_version(marker.transaction_version)
        .with_topics(vec![topic]);
    let answer = client.call(version, &WriteTxnMarkersRequest::default().with_markers(vec![marker])).await;
    assert_eq!(answer.markers.len(), 1);
    answer.markers[0].topics[0].partitions.iter().map(|partition| partition.error_code).collect()
}

#[tokio::test]
async fn markers_are_checked_as_kafka_does() {
    let (broker, mut client) = start().await;
    let producer @ (id, epoch) = begin(&mut client, "a").await;
    for version in [1, 2] {
        let nobody = Marker { producer: (99, 0), coordinator_epoch: 0, transaction_version: 0 };
        let codes = write(&mut client, version, &nobody, "t", &[9]).await;
        assert_eq!(codes, [UNKNOWN_TOPIC_OR_PARTITION], "v{version}");
        let codes = write(&mut client, version, &nobody, "nothing", &[0]).await;
        assert_eq!(codes, [UNKNOWN_TOPIC_OR_PARTITION], "v{version}");
    }
    assert_eq!(produce(&mut client, 12, Some("a"), 0, record(producer, 0)).await, (NONE, 0));
    for (producer, coordinator_epoch, transaction_version, code) in [
        ((id, epoch - 1), 5, 0, INVALID_PRODUCER_EPOCH),
        // A marker of version 2 has the next epoch.
        ((id, epoch), 5, 2, INVALID_PRODUCER_EPOCH),
        ((id, epoch + 1), 5, 2, NONE),
        // Once more, as after a lost answer.
        ((id, epoch + 1), 5, 2, NONE),
        ((id, epoch + 1), 4, 2, COORDINATOR_FENCED),
        ((id, epoch), 6, 2, INVALID_PRODUCER_EPOCH),
        ((id, epoch + 1), 6, 0, NONE),
    ] {
        let marker = Marker { producer, coordinator_epoch, transaction_version };
        let codes = write(&mut client, 2, &marker, "t", &[0]).await;
        assert_eq!(codes, [code], "{producer:?} {coordinator_epoch} {transaction_version}");
    }
    let nobody = Marker { producer: (99, 3), coordinator_epoch: 0, transaction_version: 2 };
    assert_eq!(
        write(&mut client, 2, &nobody, "t", &[0, 1, 9]).await,
        [NONE, NONE, UNKNOWN_TOPIC_OR_PARTITION]
    );
    broker.stop().await.unwrap();
}
