use ottla_protocol::messages::AddOffsetsToTxnRequest;

use crate::transactions::*;

fn add_offsets(id: &str, producer: Producer, group: &str) -> AddOffsetsToTxnRequest {
    AddOffsetsToTxnRequest::default()
        .with_transactional_id(text(id).into())
        .with_producer_id(producer.0.into())
        .with_producer_epoch(producer.1)
        .with_group_id(text(group).into())
}

/// Also before the offsets' topic is there: it will have as many partitions as the configuration says.
#[tokio::test]
async fn the_groups_partition_is_added() {
    let (broker, mut client) = start().await;
    let producer = begin(&mut client, "a").await;
    for version in 0..=4 {
        assert_eq!(
            client.call(version, &add_offsets("a", producer, "g")).await.error_code,
            NONE,
            "v{version}"
        );
    }
    let described = describe(&mut client, "a").await;
    // "g".hashCode() % 50
    assert_eq!(
        (described.topics[0].topic.as_str(), &described.topics[0].partitions[..]),
        ("__consumer_offsets", &[3][..])
    );
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_not_the_producers_is_refused() {
    let (broker, mut client) = start().await;
    let (id, epoch) = begin(&mut client, "a").await;
    for (name, producer, version, code) in [
        ("a", (id, epoch + 1), 4, PRODUCER_FENCED),
        ("a", (id, epoch + 1), 1, INVALID_PRODUCER_EPOCH),
        ("b", (id, epoch), 4, INVALID_PRODUCER_ID_MAPPING),
        ("", (id, epoch), 4, INVALID_REQUEST),
    ] {
        let refused = client.call(version, &add_offsets(name, producer, "g")).await;
        assert_eq!(refused.error_code, code, "{name} {producer:?}");
    }
    broker.stop().await.unwrap();
}
