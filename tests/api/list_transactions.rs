use ottla_protocol::messages::ListTransactionsRequest;

use crate::support::Client;
use crate::transactions::*;

async fn listed(client: &mut Client, version: i16, request: &ListTransactionsRequest) -> Vec<String> {
    let answer = client.call(version, request).await;
    assert_eq!(answer.error_code, NONE);
    let row = |id: &str, state: &str| format!("{id} {state}");
    let states = answer.transaction_states.iter();
    let mut rows: Vec<String> =
        states.map(|each| row(&each.transactional_id, &each.transaction_state)).collect();
    rows.sort();
    rows
}

#[tokio::test]
async fn filters_let_through_what_they_name() {
    let (broker, mut client) = start().await;
    let (first, _) = begin(&mut client, "a").await;
    let producer = begin(&mut client, "b").await;
    begin_transaction(&mut client, "b", producer).await;
    let all = || ListTransactionsRequest::default().with_duration_filter(-1);
    for version in 0..=2 {
        assert_eq!(listed(&mut client, version, &all()).await, ["a Empty", "b Ongoing"], "v{version}");
        let ongoing = all().with_state_filters(vec![text("Ongoing"), text("Dead")]);
        assert_eq!(listed(&mut client, version, &ongoing).await, ["b Ongoing"], "v{version}");
        let of_first = all().with_producer_id_filters(vec![first.into()]);
        assert_eq!(listed(&mut client, version, &of_first).await, ["a Empty"], "v{version}");
    }
    // Where no transaction has begun, Kafka counts from the year 1970.
    let long = all().with_duration_filter(60_000);
    assert_eq!(listed(&mut client, 1, &long).await, ["a Empty"]);

    // The whole id has to match.
    for (pattern, ids) in
        [("[a-c]", &["a Empty", "b Ongoing"][..]), ("b.*", &["b Ongoing"]), ("", &["a Empty", "b Ongoing"])]
    {
        let named = all().with_transactional_id_pattern(Some(text(pattern)));
        assert_eq!(listed(&mut client, 2, &named).await, ids, "{pattern}");
    }
    let wrong = all().with_transactional_id_pattern(Some(text("(a")));
    let refused = client.call(2, &wrong).await;
    assert_eq!((refused.error_code, refused.transaction_states.len()), (INVALID_REGULAR_EXPRESSION, 0));

    let unknown = all().with_state_filters(vec![text("ongoing"), text("x"), text("x")]);
    let answer = client.call(2, &unknown).await;
    assert_eq!(answer.unknown_state_filters, [text("ongoing"), text("x")]);
    assert_eq!(answer.transaction_states.len(), 0);
    broker.stop().await.unwrap();
}
