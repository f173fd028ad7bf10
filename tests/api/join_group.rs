use kafka_protocol::protocol::StrBytes;
use ottla::Broker;

use crate::groups::*;
use crate::support::Client;

#[tokio::test]
async fn every_version_forms_a_group() {
    for version in 0..=9 {
        let (broker, mut client) = start().await;
        let mut joined = client.call(version, &join(&StrBytes::new())).await;
        assert!(
            joined.member_id.starts_with("test-") && joined.member_id.len() == 5 + 36,
            "{}",
            joined.member_id
        );
        if version >= 4 {
            assert_eq!((joined.error_code, joined.generation_id), (MEMBER_ID_REQUIRED, -1), "v{version}");
            joined = client.call(version, &join(&joined.member_id)).await;
        }
        assert_eq!((joined.error_code, joined.generation_id), (0, 1), "v{version}");
        assert_eq!(joined.protocol_name, Some(text("range")));
        assert_eq!(joined.leader, joined.member_id);
        assert_eq!(joined.members.len(), 1);
        assert_eq!(joined.members[0].metadata.len(), 13);
        assert_eq!(joined.protocol_type, (version >= 7).then(|| text("consumer")));
        broker.stop().await.unwrap();
    }
}

#[tokio::test]
async fn refusals_are_as_the_reference_words_them() {
    let (broker, mut client) = start().await;
    let new = join(&StrBytes::new());
    let nobody = join(&text("nobody"));
    let cases = [
        (new.clone().with_group_id(text("").into()), INVALID_GROUP_ID, ""),
        (new.clone().with_session_timeout_ms(1), 26, ""),
        (nobody.clone(), UNKNOWN_MEMBER_ID, "nobody"),
        (new.clone().with_protocol_type(text("")), INCONSISTENT_GROUP_PROTOCOL, ""),
        (new.clone().with_protocols(Vec::new()), INCONSISTENT_GROUP_PROTOCOL, ""),
        (nobody.with_group_instance_id(Some(text("i"))), UNKNOWN_MEMBER_ID, "nobody"),
    ];
    for (request, code, member_id) in cases {
        // Before version 7 a protocol's name cannot be null.
        for (version, name) in [(6, Some(text(""))), (9, None)] {
            let refused = client.call(version, &request).await;
            assert_eq!((refused.error_code, &*refused.member_id), (code, member_id));
            assert_eq!((refused.generation_id, refused.protocol_name, &*refused.leader), (-1, name, ""));
        }
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn two_members_wait_for_each_other() {
    let (broker, mut first) = start().await;
    let first_id = stable_member(&mut first).await;
    let mut second = Client::connect(&broker).await;
    second.send(3, &join(&StrBytes::new())).await;
    while first.call(3, &heartbeat(&first_id, 1)).await.error_code != REBALANCE_IN_PROGRESS {}
    let led = first.call(3, &join(&first_id)).await;
    assert_eq!((led.generation_id, led.members.len(), led.leader), (2, 2, first_id));
    assert!(second.receive().await.is_some(), "the second member is answered as well");
    broker.stop().await.unwrap();
}

/// A JoinGroup that waits must not hold up a broker that stops.
#[tokio::test]
async fn a_stopping_broker_answers_who_waits() {
    let (broker, mut first) = start().await;
    let first_id = stable_member(&mut first).await;
    let mut second = Client::connect(&broker).await;
    second.send(3, &join(&StrBytes::new())).await;
    while first.call(3, &heartbeat(&first_id, 1)).await.error_code != REBALANCE_IN_PROGRESS {}
    let stopping = tokio::spawn(broker.stop());
    let answer = second.receive().await.expect("an answer");
    // Correlation id, throttle time, error code.
    assert_eq!(i16::from_be_bytes([answer[8], answer[9]]), NOT_COORDINATOR);
    drop((first, second));
    stopping.await.unwrap().unwrap();
}

#[tokio::test]
async fn without_its_topic_there_is_no_coordinator() {
    let broker = Broker::builder().start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    assert_eq!(client.call(3, &join(&StrBytes::new())).await.error_code, NOT_COORDINATOR);
    broker.stop().await.unwrap();
}

/// Recorded from Kafka 4.3.1 right after its first start.
#[tokio::test]
async fn before_the_groups_topic_is_made_what_is_wrong_in_itself_is_said_first() {
    let broker = crate::support::start().await;
    let mut client = Client::connect(&broker).await;
    let new = join(&StrBytes::new());
    let cases = [
        (new.clone().with_group_id(text("").into()), INVALID_GROUP_ID),
        (new.clone().with_session_timeout_ms(1), 26),
        (new, NOT_COORDINATOR),
    ];
    for (request, error_code) in cases {
        assert_eq!(client.call(9, &request).await.error_code, error_code, "{request:?}");
    }
    broker.stop().await.unwrap();
}
