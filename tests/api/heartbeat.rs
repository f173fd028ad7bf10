use crate::groups::*;

#[tokio::test]
async fn every_version_and_every_refusal() {
    let (broker, mut client) = start().await;
    let member_id = stable_member(&mut client).await;
    let cases = [
        (heartbeat(&member_id, 1), 0),
        (heartbeat(&member_id, 0), ILLEGAL_GENERATION),
        (heartbeat(&text("nobody"), 1), UNKNOWN_MEMBER_ID),
        (heartbeat(&member_id, 1).with_group_id(text("h").into()), UNKNOWN_MEMBER_ID),
        (heartbeat(&member_id, 1).with_group_id(text("").into()), INVALID_GROUP_ID),
    ];
    for version in 0..=4 {
        for (request, code) in &cases {
            assert_eq!(client.call(version, request).await.error_code, *code, "v{version} {request:?}");
        }
    }
    broker.stop().await.unwrap();
}
