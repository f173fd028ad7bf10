use ottla::Broker;

use crate::data::create;
use crate::support::{Client, TempDir};
use crate::transactions::*;

#[tokio::test]
async fn from_version_5_on_each_transaction_has_its_epoch() {
    let (broker, mut client) = start().await;
    let (id, mut epoch) = begin(&mut client, "a").await;
    for (committed, state) in [(true, "CompleteCommit"), (false, "CompleteAbort")] {
        begin_transaction(&mut client, "a", (id, epoch)).await;
        let ended = client.call(5, &end("a", (id, epoch), committed)).await;
        assert_eq!((ended.error_code, ended.producer_id.0, ended.producer_epoch), (NONE, id, epoch + 1));
        let described = until(&mut client, "a", state).await;
        assert_eq!((described.producer_epoch, described.topics.len()), (epoch + 1, 0));
        // The retry is answered as the first time.
        let ended = client.call(5, &end("a", (id, epoch), committed)).await;
        assert_eq!((ended.error_code, ended.producer_id.0, ended.producer_epoch), (NONE, id, epoch + 1));
        epoch += 1;
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn before_version_5_the_epoch_stays() {
    let (broker, mut client) = start().await;
    let producer = begin(&mut client, "a").await;
    for version in 0..=4 {
        begin_transaction(&mut client, "a", producer).await;
        assert_eq!(client.call(version, &end("a", producer, true)).await.error_code, NONE, "v{version}");
        let described = until(&mut client, "a", "CompleteCommit").await;
        assert_eq!((described.producer_id.0, described.producer_epoch), producer, "v{version}");
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_ended_so_is_refused() {
    let (broker, mut client) = start().await;
    let (id, epoch) = begin(&mut client, "a").await;
    for (name, producer, version, committed, code) in [
        // There is nothing to commit; to abort nothing is allowed from version 5 on.
        ("a", (id, epoch), 5, true, INVALID_TXN_STATE),
        ("a", (id, epoch), 4, false, INVALID_TXN_STATE),
        ("a", (id, epoch + 1), 5, true, PRODUCER_FENCED),
        ("a", (id, epoch + 1), 1, true, INVALID_PRODUCER_EPOCH),
        ("a", (id + 1, epoch), 5, true, INVALID_PRODUCER_ID_MAPPING),
        ("b", (id, epoch), 5, true, INVALID_PRODUCER_ID_MAPPING),
        ("", (id, epoch), 5, true, INVALID_REQUEST),
    ] {
        let refused = client.call(version, &end(name, producer, committed)).await;
        let told = (refused.error_code, refused.producer_id.0, refused.producer_epoch);
        assert_eq!(told, (code, -1, -1), "{name} {producer:?} v{version}");
    }
    assert_eq!(client.call(5, &end("a", (id, epoch), false)).await.error_code, NONE);
    until(&mut client, "a", "CompleteAbort").await;
    broker.stop().await.unwrap();
}

/// The producer, its epoch and its open transaction are what they were.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_goes_on_after_a_restart() {
    let dir = TempDir::new();
    let builder = || Broker::builder().data(dir.path()).set("transaction.state.log.num.partitions", 3);
    let broker = builder().start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 3, &[]).await;
    find(&mut client, "a").await;
    let (id, epoch) = begin(&mut client, "a").await;
    begin_transaction(&mut client, "a", (id, epoch)).await;
    broker.stop().await.unwrap();

    let broker = builder().start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    let described = describe(&mut client, "a").await;
    assert_eq!((described.transaction_state.as_str(), described.producer_epoch), ("Ongoing", epoch));
    let ended = client.call(5, &end("a", (id, epoch), true)).await;
    assert_eq!((ended.error_code, ended.producer_epoch), (NONE, epoch + 1));
    until(&mut client, "a", "CompleteCommit").await;
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_takes_too_long_is_aborted() {
    let builder = Broker::builder().set("transaction.abort.timed.out.transaction.cleanup.interval.ms", 10);
    let broker = builder.start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 1, &[]).await;
    find(&mut client, "a").await;
    let answer = client.call(5, &init("a", (-1, -1)).with_transaction_timeout_ms(20)).await;
    let (id, epoch) = (answer.producer_id.0, answer.producer_epoch);
    begin_transaction(&mut client, "a", (id, epoch)).await;
    let described = until(&mut client, "a", "CompleteAbort").await;
    assert_eq!((described.producer_id.0, described.producer_epoch), (id, epoch + 1));
    let refused = client.call(3, &add("a", (id, epoch), &[("t", &[0])])).await;
    assert_eq!(codes(&refused.results_by_topic_v3_and_below), [format!("t-0:{PRODUCER_FENCED}")]);
    broker.stop().await.unwrap();
}
