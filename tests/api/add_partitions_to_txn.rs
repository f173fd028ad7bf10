use ottla_protocol::messages::AddPartitionsToTxnRequest;

use crate::transactions::*;

#[tokio::test]
async fn every_client_version_adds_partitions() {
    let (broker, mut client) = start().await;
    let producer = begin(&mut client, "a").await;
    for version in 0..=3 {
        let added = client.call(version, &add("a", producer, &[("t", &[0, 1])])).await;
        assert_eq!(codes(&added.results_by_topic_v3_and_below), ["t-0:0", "t-1:0"], "v{version}");
    }
    let described = describe(&mut client, "a").await;
    assert_eq!(described.transaction_state, text("Ongoing"));
    assert_eq!(described.topics[0].partitions, [0, 1]);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_not_the_producers_is_refused_and_nothing_added() {
    let (broker, mut client) = start().await;
    begin(&mut client, "a").await;
    let (id, epoch) = begin(&mut client, "a").await;
    let all = |code: i16| vec![format!("t-0:{code}"), format!("t-1:{code}")];
    for (name, producer, version, code) in [
        ("a", (id, epoch - 1), 3, PRODUCER_FENCED),
        // Clients of that time do not know the new code.
        ("a", (id, epoch - 1), 1, INVALID_PRODUCER_EPOCH),
        ("a", (id, epoch + 1), 3, PRODUCER_FENCED),
        ("a", (id + 1, epoch), 3, INVALID_PRODUCER_ID_MAPPING),
        ("b", (id, epoch), 3, INVALID_PRODUCER_ID_MAPPING),
        ("", (id, epoch), 3, INVALID_REQUEST),
    ] {
        let refused = client.call(version, &add(name, producer, &[("t", &[0, 1])])).await;
        assert_eq!(codes(&refused.results_by_topic_v3_and_below), all(code), "{name} {producer:?}");
    }
    // One that does not exist keeps out the others.
    let refused = client.call(3, &add("a", (id, epoch), &[("t", &[0, 3]), ("none", &[0])])).await;
    assert_eq!(
        codes(&refused.results_by_topic_v3_and_below),
        [
            format!("t-0:{OPERATION_NOT_ATTEMPTED}"),
            format!("t-3:{UNKNOWN_TOPIC_OR_PARTITION}"),
            format!("none-0:{UNKNOWN_TOPIC_OR_PARTITION}")
        ]
    );
    assert_eq!(describe(&mut client, "a").await.transaction_state, text("Empty"));
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn brokers_ask_for_many_transactions_at_once() {
    let (broker, mut client) = start().await;
    let (first, second) = (begin(&mut client, "a").await, begin(&mut client, "b").await);
    for version in [4, 5] {
        let request = AddPartitionsToTxnRequest::default().with_transactions(vec![
            transaction("a", first, &[("t", &[0])]),
            transaction("b", second, &[("t", &[2])]).with_verify_only(true),
            transaction("c", second, &[("t", &[2])]).with_verify_only(true),
        ]);
        let answer = client.call(version, &request).await;
        let results = &answer.results_by_transaction;
        let told: Vec<_> =
            results.iter().map(|each| (each.transactional_id.as_str(), codes(&each.topic_results))).collect();
        let expected = [
            ("a", vec![format!("t-0:{NONE}")]),
            ("b", vec![format!("t-2:{TRANSACTION_ABORTABLE}")]),
            ("c", vec![format!("t-2:{INVALID_PRODUCER_ID_MAPPING}")]),
        ];
        assert_eq!(told, expected, "v{version}");
    }
    // To verify begins no transaction.
    assert_eq!(describe(&mut client, "b").await.transaction_state, text("Empty"));
    let request = AddPartitionsToTxnRequest::default()
        .with_transactions(vec![transaction("a", first, &[("t", &[0, 1])]).with_verify_only(true)]);
    let answer = client.call(5, &request).await;
    assert_eq!(
        codes(&answer.results_by_transaction[0].topic_results),
        [format!("t-0:{NONE}"), format!("t-1:{TRANSACTION_ABORTABLE}")]
    );
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_question_about_nothing_is_answered() {
    let (broker, mut client) = start().await;
    let answer = client.call(5, &AddPartitionsToTxnRequest::default()).await;
    assert_eq!((answer.error_code, answer.results_by_transaction.len()), (NONE, 0));
    broker.stop().await.unwrap();
}
