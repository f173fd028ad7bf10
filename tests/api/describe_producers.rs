use ottla_protocol::messages::DescribeProducersRequest;
use ottla_protocol::messages::describe_producers_request::TopicRequest;

use crate::support::Client;
use crate::transactional_data::{produce, record};
use crate::transactions::*;

/// Error, then of each producer: id, epoch, last sequence, coordinator's epoch, start of its transaction.
type Told = (i16, Vec<(i64, i32, i32, i32, i64)>);

async fn describe(client: &mut Client, topic: &str, partition: i32) -> Told {
    let topic = TopicRequest::default().with_name(text(topic).into()).with_partition_indexes(vec![partition]);
    let answer = client.call(0, &DescribeProducersRequest::default().with_topics(vec![topic])).await;
    let partition = &answer.topics[0].partitions[0];
    let producers = partition.active_producers.iter().map(|producer| {
        (
            producer.producer_id.0,
            producer.producer_epoch,
            producer.last_sequence,
            producer.coordinator_epoch,
            producer.current_txn_start_offset,
        )
    });
    (partition.error_code, producers.collect())
}

#[tokio::test]
async fn producers_and_their_transactions_are_told() {
    let (broker, mut client) = start().await;
    assert_eq!(describe(&mut client, "t", 0).await, (NONE, vec![]));
    assert_eq!(describe(&mut client, "t", 7).await, (UNKNOWN_TOPIC_OR_PARTITION, vec![]));
    assert_eq!(describe(&mut client, "nothing", 0).await, (UNKNOWN_TOPIC_OR_PARTITION, vec![]));
    let producer @ (id, epoch) = begin(&mut client, "a").await;
    let epoch = i32::from(epoch);
    for sequence in 0..2 {
        let appended = produce(&mut client, 12, Some("a"), 0, record(producer, sequence)).await;
        assert_eq!(appended, (NONE, i64::from(sequence)));
    }
    assert_eq!(describe(&mut client, "t", 0).await, (NONE, vec![(id, epoch, 1, -1, 0)]));
    assert_eq!(client.call(5, &end("a", producer, true)).await.error_code, NONE);
    until(&mut client, "a", "CompleteCommit").await;
    assert_eq!(describe(&mut client, "t", 0).await, (NONE, vec![(id, epoch + 1, -1, 0, -1)]));
    broker.stop().await.unwrap();
}
