use ottla_protocol::messages::DescribeGroupsRequest;

use crate::groups::*;

#[tokio::test]
async fn every_version() {
    let (broker, mut client) = start().await;
    let member_id = stable_member(&mut client).await;
    let request =
        DescribeGroupsRequest::default().with_groups(vec![text("g").into(), text("nowhere").into()]);
    for version in 0..=6 {
        let request = request.clone().with_include_authorized_operations(version >= 3);
        let described = client.call(version, &request).await;
        let group = &described.groups[0];
        assert_eq!((group.error_code, &*group.group_state, &*group.protocol_type), (0, "Stable", "consumer"));
        assert_eq!(&*group.protocol_data, "range");
        assert_eq!(group.authorized_operations, if version >= 3 { 3400 } else { i32::MIN }, "v{version}");
        let member = &group.members[0];
        assert_eq!(
            (&member.member_id, &*member.client_id, &*member.client_host),
            (&member_id, "test", "/127.0.0.1")
        );
        assert_eq!((member.member_metadata.len(), &*member.member_assignment), (13, &b"all"[..]));

        let missing = &described.groups[1];
        assert_eq!((&*missing.group_state, missing.authorized_operations), ("Dead", i32::MIN), "v{version}");
        let (code, words) = match version {
            6 => (GROUP_ID_NOT_FOUND, Some(text("Group nowhere not found."))),
            _ => (0, None),
        };
        assert_eq!((missing.error_code, &missing.error_message), (code, &words), "v{version}");
    }
    broker.stop().await.unwrap();
}

/// Only a stable group has something to show of its members.
#[tokio::test]
async fn a_rebalancing_group_shows_members_only() {
    let (broker, mut client) = start().await;
    client.call(3, &join(&text(""))).await;
    let request = DescribeGroupsRequest::default().with_groups(vec![text("g").into()]);
    let described = client.call(6, &request).await;
    let group = &described.groups[0];
    assert_eq!((&*group.group_state, &*group.protocol_data), ("CompletingRebalance", ""));
    assert!(group.members[0].member_metadata.is_empty());
    broker.stop().await.unwrap();
}
