use kafka_protocol::protocol::StrBytes;

use crate::groups::*;

#[tokio::test]
async fn every_version_gets_its_assignment() {
    let (broker, mut client) = start().await;
    let member_id = stable_member(&mut client).await;
    for version in 0..=5 {
        let mut request = sync(&member_id, 1, &[]);
        if version >= 5 {
            request =
                request.with_protocol_type(Some(text("consumer"))).with_protocol_name(Some(text("range")));
        }
        let synced = client.call(version, &request).await;
        assert_eq!((synced.error_code, &*synced.assignment), (0, &b"all"[..]), "v{version}");
        assert_eq!(synced.protocol_name, (version >= 5).then(|| text("range")));
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn refusals() {
    let (broker, mut client) = start().await;
    let member_id = stable_member(&mut client).await;
    let named = |request: ottla_protocol::messages::SyncGroupRequest, name: &str| {
        request.with_protocol_type(Some(text("consumer"))).with_protocol_name(Some(text(name)))
    };
    let right = sync(&member_id, 1, &[]);
    let cases = [
        (4, sync(&StrBytes::new(), 1, &[]), UNKNOWN_MEMBER_ID),
        (4, sync(&member_id, 2, &[]), ILLEGAL_GENERATION),
        (4, right.clone().with_group_id(text("").into()), INVALID_GROUP_ID),
        (4, right.clone().with_group_id(text("h").into()), UNKNOWN_MEMBER_ID),
        // Version 5 has to name the protocol, and rightly.
        (5, right.clone(), INCONSISTENT_GROUP_PROTOCOL),
        (5, named(right.clone(), "sticky"), INCONSISTENT_GROUP_PROTOCOL),
        (5, named(right, "range"), 0),
    ];
    for (version, request, code) in cases {
        assert_eq!(client.call(version, &request).await.error_code, code, "{request:?}");
    }
    broker.stop().await.unwrap();
}
