use ottla_protocol::messages::DescribeTransactionsRequest;

use crate::transactions::*;

#[tokio::test]
async fn each_id_is_told_of() {
    let (broker, mut client) = start().await;
    let (id, epoch) = begin(&mut client, "a").await;
    client.call(3, &add("a", (id, epoch), &[("t", &[2, 0])])).await;
    let ids = ["a", "none", ""].map(|id| text(id).into()).to_vec();
    let described = client.call(0, &DescribeTransactionsRequest::default().with_transactional_ids(ids)).await;
    let told =
        described.transaction_states.iter().map(|each| (each.transactional_id.as_str(), each.error_code));
    let expected = [("a", NONE), ("none", TRANSACTIONAL_ID_NOT_FOUND), ("", INVALID_REQUEST)];
    assert_eq!(told.collect::<Vec<_>>(), expected);

    let state = &described.transaction_states[0];
    assert_eq!((state.producer_id.0, state.producer_epoch), (id, epoch));
    assert_eq!((state.transaction_state.as_str(), state.transaction_timeout_ms), ("Ongoing", 60_000));
    assert_eq!((state.topics[0].topic.as_str(), &state.topics[0].partitions[..]), ("t", &[0, 2][..]));
    assert!(state.transaction_start_time_ms > 0);
    broker.stop().await.unwrap();
}
