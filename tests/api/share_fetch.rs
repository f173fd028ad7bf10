use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla::{Broker, Running};
use ottla_protocol::messages::share_fetch_request::ForgottenTopic;

use crate::data::{append, batch, name, produce};
use crate::share_member::*;
use crate::support::{Client, TempDir, create_topic, start};

const NONE: i16 = 0;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_REQUEST: i16 = 42;
const UNKNOWN_TOPIC_ID: i16 = 100;
const INVALID_RECORD_STATE: i16 = 121;
const SHARE_SESSION_NOT_FOUND: i16 = 122;
const INVALID_SHARE_SESSION_EPOCH: i16 = 123;
const SHARE_SESSION_LIMIT_REACHED: i16 = 133;
const RECORD_LIMIT: i8 = 1;

/// A topic with batches at 0-2, 3-4 and 5, which the group reads from its beginning.
async fn topic(broker: &Running) -> (Client, Member) {
    let mut client = Client::connect(broker).await;
    let topic_id = create_topic(&mut client, "t", 1).await;
    produce(&mut client, "t", 0, batch(&[b"v", b"v", b"v"])).await;
    produce(&mut client, "t", 0, batch(&[b"v", b"v"])).await;
    append(&mut client, "t", 0, b"v").await;
    begin(&mut client, "g", topic_id, 1, 0).await;
    let member = Member::new(broker, "a", topic_id).await;
    (client, member)
}

/// The first fetch of a group has to wait until its state is read.
async fn first_fetch(member: &mut Member) -> Vec<(i64, i64, i16)> {
    let request = member.request().with_max_wait_ms(60_000);
    acquired(&member.send(&request).await)
}

#[tokio::test]
async fn records_are_acquired_accepted_and_given_to_nobody_again() {
    let broker = start().await;
    let (mut client, mut a) = topic(&broker).await;
    let request = a.request().with_max_wait_ms(60_000);
    let answer = a.send(&request).await;
    assert_eq!(acquired(&answer), [(0, 5, 1)]);
    assert_eq!(sent(&answer), [(0, 2), (3, 4), (5, 5)]);
    assert_eq!(answer.acquisition_lock_timeout_ms, 30_000);
    // The next fetch accepts what came before and brings what is new.
    append(&mut client, "t", 0, b"v").await;
    let request = a.request().with_topics(a.topics(&[(0, 5, &[ACCEPT])]));
    let answer = a.send(&request).await;
    assert_eq!(acquired(&answer), [(6, 6, 1)]);
    assert_eq!(sent(&answer), [(6, 6)]);
    assert_eq!(partitions(&answer)[0].acknowledge_error_code, NONE);
    let mut b = Member::new(&broker, "b", a.topic_id).await;
    assert_eq!(b.fetch().await, []);
}

#[tokio::test]
async fn what_one_releases_the_other_gets() {
    let broker = start().await;
    let (_, mut a) = topic(&broker).await;
    assert_eq!(first_fetch(&mut a).await, [(0, 5, 1)]);
    let mut b = Member::new(&broker, "b", a.topic_id).await;
    let waiting = b.request().with_max_wait_ms(60_000);
    b.client.send(VERSION, &waiting).await;
    assert_eq!(a.acknowledge(&[(0, 0, &[ACCEPT]), (1, 3, &[RELEASE])]).await, (NONE, Some(NONE)));
    let answer = b.receive().await;
    assert_eq!(acquired(&answer), [(1, 3, 2)]);
    assert_eq!(sent(&answer), [(0, 2), (3, 4)], "whole batches, and no more than needed");
    // Not a's any more.
    assert_eq!(a.acknowledge(&[(1, 1, &[ACCEPT])]).await, (NONE, Some(INVALID_RECORD_STATE)));
}

#[tokio::test]
async fn a_fetch_waits_for_records() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    let topic_id = create_topic(&mut client, "t", 1).await;
    begin(&mut client, "g", topic_id, 1, -1).await;
    let mut a = Member::new(&broker, "a", topic_id).await;
    assert_eq!(a.fetch().await, []);
    let waiting = a.request().with_max_wait_ms(60_000);
    a.client.send(VERSION, &waiting).await;
    append(&mut client, "t", 0, b"v").await;
    assert_eq!(acquired(&a.receive().await), [(0, 0, 1)]);
}

#[tokio::test]
async fn a_group_that_was_never_here_begins_at_the_end() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    let topic_id = create_topic(&mut client, "t", 1).await;
    append(&mut client, "t", 0, b"v").await;
    begin(&mut client, "g", topic_id, 1, -1).await;
    let mut a = Member::new(&broker, "a", topic_id).await;
    let waiting = a.request().with_max_wait_ms(500);
    assert_eq!(acquired(&a.send(&waiting).await), []);
    append(&mut client, "t", 0, b"v").await;
    assert_eq!(a.fetch().await, [(1, 1, 1)]);
}

#[tokio::test]
async fn limits_are_kept() {
    let broker = start().await;
    let (_, mut a) = topic(&broker).await;
    let few = a.request().with_max_wait_ms(60_000).with_max_records(2);
    assert_eq!(acquired(&a.send(&few).await), [(0, 2, 1)], "a whole batch");
    let strict = a.request().with_max_records(1).with_share_acquire_mode(RECORD_LIMIT);
    assert_eq!(acquired(&a.send(&strict).await), [(3, 3, 1)], "a part of a batch");
    let nothing = a.request().with_max_records(0);
    assert_eq!(a.send(&nothing).await.responses, []);
    let cut = a.request().with_batch_size(1);
    assert_eq!(acquired(&a.send(&cut).await), [(4, 4, 1), (5, 5, 1)]);
}

#[tokio::test]
async fn sessions_have_epochs() {
    let broker = Broker::builder().set("group.share.max.share.sessions", 1).start().await.unwrap();
    let (_, mut a) = topic(&broker).await;
    let error = |mut member: Member, epoch| async move {
        member.epoch = epoch;
        let request = member.request();
        let answer = member.send(&request).await;
        assert_eq!((answer.responses.len(), answer.acquisition_lock_timeout_ms), (0, 0));
        answer.error_code
    };
    for epoch in [1, -1] {
        let b = Member::new(&broker, "b", a.topic_id).await;
        assert_eq!(error(b, epoch).await, SHARE_SESSION_NOT_FOUND, "epoch {epoch}");
    }
    let early = a.request().with_topics(a.topics(&[(0, 0, &[ACCEPT])]));
    assert_eq!(a.send(&early).await.error_code, INVALID_REQUEST);
    assert_eq!(first_fetch(&mut a).await, [(0, 5, 1)]);
    let b = Member::new(&broker, "b", a.topic_id).await;
    assert_eq!(error(b, 0).await, SHARE_SESSION_LIMIT_REACHED);
    let late = a.request().with_share_session_epoch(7);
    assert_eq!(a.send(&late).await.error_code, INVALID_SHARE_SESSION_EPOCH);
    for (group, member) in [
        (None, Some("a")),
        (Some("g"), None),
        (Some("g"), Some("")),
        (Some("g"), Some("0123456789012345678901234567890123456")),
    ] {
        let request =
            a.request().with_group_id(group.map(|group| text(group).into())).with_member_id(member.map(text));
        assert_eq!(a.send(&request).await.error_code, INVALID_REQUEST, "{group:?} {member:?}");
    }
}

#[tokio::test]
async fn a_session_that_ends_releases_its_records() {
    let broker = start().await;
    let (_, mut a) = topic(&broker).await;
    assert_eq!(first_fetch(&mut a).await, [(0, 5, 1)]);
    let mut b = Member::new(&broker, "b", a.topic_id).await;
    let waiting = b.request().with_max_wait_ms(60_000);
    b.client.send(VERSION, &waiting).await;
    let last = a.request().with_share_session_epoch(-1).with_topics(a.topics(&[(0, 1, &[ACCEPT])]));
    let answer = a.send(&last).await;
    assert_eq!(partitions(&answer)[0].acknowledge_error_code, NONE);
    assert_eq!(acquired(&answer), []);
    assert_eq!(acquired(&b.receive().await), [(2, 5, 2)]);
    // And so does a connection.
    let mut c = Member::new(&broker, "c", b.topic_id).await;
    let waiting = c.request().with_max_wait_ms(60_000);
    c.client.send(VERSION, &waiting).await;
    drop(b);
    assert_eq!(acquired(&c.receive().await), [(2, 5, 3)]);
}

#[tokio::test]
async fn partitions_are_added_and_forgotten() {
    let broker = start().await;
    let (mut client, mut a) = topic(&broker).await;
    assert_eq!(first_fetch(&mut a).await, [(0, 5, 1)]);
    append(&mut client, "t", 0, b"v").await;
    let forgotten = ForgottenTopic::default().with_topic_id(a.topic_id).with_partitions(vec![0]);
    let request = a.request().with_topics(vec![]).with_forgotten_topics_data(vec![forgotten]);
    assert_eq!(a.send(&request).await.responses, []);
    let request = a.request().with_topics(vec![]);
    assert_eq!(a.send(&request).await.responses, []);
    assert_eq!(a.fetch().await, [(6, 6, 1)]);
}

#[tokio::test]
async fn what_is_not_here_is_said() {
    let broker = start().await;
    let (_, mut a) = topic(&broker).await;
    let mut unknown_topic = a.topics(&[]);
    unknown_topic[0].topic_id = ottla_protocol::Uuid::from_u128(7);
    let mut unknown_partition = a.topics(&[]);
    unknown_partition[0].partitions[0].partition_index = 9;
    for (topics, expected) in
        [(unknown_topic, UNKNOWN_TOPIC_ID), (unknown_partition, UNKNOWN_TOPIC_OR_PARTITION)]
    {
        let request = a.request().with_share_session_epoch(0).with_topics(topics);
        let answer = a.send(&request).await;
        assert_eq!((answer.error_code, partitions(&answer)[0].error_code), (NONE, expected));
    }
}

#[tokio::test]
async fn the_groups_progress_outlives_the_broker() {
    let data = TempDir::new();
    let broker = Broker::builder().data(data.path()).start().await.unwrap();
    let (client, mut a) = topic(&broker).await;
    assert_eq!(first_fetch(&mut a).await, [(0, 5, 1)]);
    let said: &[Said<'_>] = &[(0, 1, &[ACCEPT]), (2, 3, &[RELEASE]), (4, 5, &[REJECT, RELEASE])];
    assert_eq!(a.acknowledge(said).await, (NONE, Some(NONE)));
    drop((client, broker));
    let broker = Broker::builder().data(data.path()).start().await.unwrap();
    let mut b = Member::new(&broker, "b", a.topic_id).await;
    assert_eq!(first_fetch(&mut b).await, [(2, 3, 2), (5, 5, 2)]);
}

#[tokio::test]
async fn a_log_that_begins_later_is_followed() {
    let broker = start().await;
    let (mut client, mut a) = topic(&broker).await;
    let partition = DeleteRecordsPartition::default().with_offset(4);
    let topic = DeleteRecordsTopic::default().with_name(name("t")).with_partitions(vec![partition]);
    client.call(2, &DeleteRecordsRequest::default().with_topics(vec![topic])).await;
    assert_eq!(first_fetch(&mut a).await, [(4, 5, 1)]);
}

#[tokio::test]
async fn who_renews_locks_fetches_nothing() {
    let broker = start().await;
    let (_, mut a) = topic(&broker).await;
    assert_eq!(first_fetch(&mut a).await, [(0, 5, 1)]);
    let renewing =
        |a: &Member| a.request().with_is_renew_ack(true).with_topics(a.topics(&[(0, 5, &[RENEW])]));
    let request = renewing(&a);
    assert_eq!(a.send(&request).await.error_code, INVALID_REQUEST, "it asks for records");
    let request = renewing(&a).with_max_bytes(0).with_min_bytes(0).with_max_records(0);
    let answer = a.send(&request).await;
    assert_eq!((answer.error_code, partitions(&answer)[0].acknowledge_error_code), (NONE, NONE));
    let request = a.request().with_topics(a.topics(&[(0, 5, &[RENEW])]));
    let answer = a.send(&request).await;
    assert_eq!(
        partitions(&answer)[0].acknowledge_error_code,
        INVALID_REQUEST,
        "it was not said that locks are renewed"
    );
}
