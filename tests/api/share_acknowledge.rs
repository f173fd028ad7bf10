use ottla::Running;

use crate::data::{batch, produce};
use crate::share_member::*;
use crate::support::{Client, create_topic, start};

const NONE: i16 = 0;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_REQUEST: i16 = 42;
const UNKNOWN_TOPIC_ID: i16 = 100;
const INVALID_RECORD_STATE: i16 = 121;
const SHARE_SESSION_NOT_FOUND: i16 = 122;
const INVALID_SHARE_SESSION_EPOCH: i16 = 123;

/// A member that has acquired records 0 to 9.
async fn holder(broker: &Running) -> Member {
    let mut client = Client::connect(broker).await;
    let topic_id = create_topic(&mut client, "t", 1).await;
    produce(&mut client, "t", 0, batch(&[b"v" as &[u8]; 10])).await;
    begin(&mut client, "g", topic_id, 1, 0).await;
    let mut member = Member::new(broker, "a", topic_id).await;
    let request = member.request().with_max_wait_ms(60_000);
    assert_eq!(acquired(&member.send(&request).await), [(0, 9, 1)]);
    member
}

#[tokio::test]
async fn all_that_a_member_may_say() {
    let broker = start().await;
    let mut a = holder(&broker).await;
    let cases: [(&[Said<'_>], i16); 12] = [
        (&[(5, 4, &[ACCEPT])], INVALID_REQUEST),
        (&[(0, 1, &[])], INVALID_REQUEST),
        (&[(0, 1, &[9])], INVALID_REQUEST),
        (&[(0, 2, &[ACCEPT, ACCEPT])], INVALID_REQUEST),
        (&[(4, 5, &[ACCEPT]), (0, 1, &[ACCEPT])], INVALID_REQUEST),
        (&[(8, 12, &[ACCEPT])], INVALID_REQUEST),
        (&[(0, 1, &[ACCEPT]), (20, 21, &[ACCEPT])], INVALID_REQUEST),
        (&[], NONE),
        (&[(0, 1, &[RENEW])], NONE),
        (&[(0, 1, &[ACCEPT]), (2, 4, &[RELEASE, REJECT, 0])], NONE),
        (&[(0, 1, &[ACCEPT])], NONE),
        (&[(2, 2, &[ACCEPT])], INVALID_RECORD_STATE),
    ];
    for (said, expected) in cases {
        let expected = if said.is_empty() { None } else { Some(expected) };
        assert_eq!(a.acknowledge(said).await, (NONE, expected), "{said:?}");
    }
    let mut b = Member::new(&broker, "b", a.topic_id).await;
    assert_eq!(b.fetch().await, [(2, 2, 2)]);
    assert_eq!(b.acknowledge(&[(5, 5, &[ACCEPT])]).await, (NONE, Some(INVALID_RECORD_STATE)), "a's");
}

#[tokio::test]
async fn sessions_and_partitions_are_checked() {
    let broker = start().await;
    let mut a = holder(&broker).await;
    let mut b = Member::new(&broker, "b", a.topic_id).await;
    b.epoch = 1;
    assert_eq!(b.acknowledge(&[(0, 1, &[ACCEPT])]).await, (SHARE_SESSION_NOT_FOUND, None));
    for epoch in [0, 2] {
        let request = a.acknowledgement(&[(0, 1, &[ACCEPT])]).with_share_session_epoch(epoch);
        assert_eq!(a.client.call(VERSION, &request).await.error_code, INVALID_SHARE_SESSION_EPOCH);
    }
    let nobody = a.acknowledgement(&[]).with_member_id(None);
    assert_eq!(a.client.call(VERSION, &nobody).await.error_code, INVALID_REQUEST);
    let mut elsewhere = a.acknowledgement(&[(0, 1, &[ACCEPT])]);
    elsewhere.topics[0].topic_id = ottla_protocol::Uuid::from_u128(7);
    let mut ninth = a.acknowledgement(&[(0, 1, &[ACCEPT])]).with_share_session_epoch(2);
    ninth.topics[0].partitions[0].partition_index = 9;
    for (request, expected) in [(elsewhere, UNKNOWN_TOPIC_ID), (ninth, UNKNOWN_TOPIC_OR_PARTITION)] {
        let answer = a.client.call(VERSION, &request).await;
        assert_eq!((answer.error_code, error(&answer)), (NONE, Some(expected)));
        assert_eq!(answer.acquisition_lock_timeout_ms, 30_000);
    }
}

#[tokio::test]
async fn the_last_word_of_a_session_releases_the_rest() {
    let broker = start().await;
    let mut a = holder(&broker).await;
    let mut b = Member::new(&broker, "b", a.topic_id).await;
    let waiting = b.request().with_max_wait_ms(60_000);
    b.client.send(VERSION, &waiting).await;
    let last = a.acknowledgement(&[(0, 7, &[ACCEPT])]).with_share_session_epoch(-1);
    assert_eq!(error(&a.client.call(VERSION, &last).await), Some(NONE));
    assert_eq!(acquired(&b.receive().await), [(8, 9, 2)]);
}

#[tokio::test]
async fn locks_end_in_time() {
    // The shortest that Kafka allows.
    let broker = ottla::Broker::builder().set("group.share.record.lock.duration.ms", 1000);
    let broker = broker.set("group.share.min.record.lock.duration.ms", 1000).start().await.unwrap();
    let mut a = holder(&broker).await;
    let mut b = Member::new(&broker, "b", a.topic_id).await;
    let waiting = b.request().with_max_wait_ms(60_000);
    b.client.send(VERSION, &waiting).await;
    assert_eq!(acquired(&b.receive().await), [(0, 9, 2)]);
    assert_eq!(a.acknowledge(&[(0, 9, &[ACCEPT])]).await, (NONE, Some(INVALID_RECORD_STATE)));
}
