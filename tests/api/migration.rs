//! A group whose members change from the classic to the consumer protocol and back (KIP-848).

use bytes::Bytes;
use ottla_protocol::messages::leave_group_request::MemberIdentity;
use ottla_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, LeaveGroupRequest, ListGroupsRequest,
};

use crate::consumer_group_heartbeat::{beating, joining};
use crate::groups::*;
use crate::support::Client;

/// ConsumerProtocolAssignment, version 0, of both partitions of `t`, and of the first of them.
const BOTH: &str = "\0\0\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\0\0\0\0\x01\0\0\0\0";
const FIRST: &[u8] = b"\0\0\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\xff\xff\xff\xff";

async fn listed(client: &mut Client) -> Vec<(String, String)> {
    let groups = client.call(5, &ListGroupsRequest::default()).await.groups;
    groups.iter().map(|group| (group.group_type.to_string(), group.group_state.to_string())).collect()
}

fn is(group_type: &str, state: &str) -> Vec<(String, String)> {
    vec![(group_type.to_owned(), state.to_owned())]
}

#[tokio::test]
async fn a_classic_group_is_upgraded_and_brought_back() {
    let (broker, mut client) = start().await;
    let joined = client.call(3, &join(&text(""))).await;
    let a = joined.member_id;
    client.call(3, &sync(&a, 1, &[(&a, BOTH)])).await;
    assert_eq!(client.call(3, &heartbeat(&a, 1)).await.error_code, 0);

    // A member of the consumer protocol comes. The other gives everything up, as it does, and is given its half.
    let beaten = client.call(1, &joining("x")).await;
    assert_eq!((beaten.error_code, beaten.member_epoch), (0, 2));
    assert_eq!(client.call(3, &heartbeat(&a, 1)).await.error_code, REBALANCE_IN_PROGRESS);
    let described =
        client.call(6, &DescribeGroupsRequest::default().with_groups(vec![text("g").into()])).await;
    assert_eq!(described.groups[0].error_message, Some(text("Group g is not a classic group.")));
    let joined = client.call(9, &join(&a)).await;
    assert_eq!((joined.error_code, joined.generation_id, &*joined.leader), (0, 2, ""));
    let synced = client.call(3, &sync(&a, 2, &[])).await;
    assert_eq!((synced.error_code, &*synced.assignment), (0, FIRST));
    assert_eq!(client.call(3, &heartbeat(&a, 2)).await.error_code, 0);
    assert_eq!(client.call(1, &beating("x", 2)).await.error_code, 0);
    assert_eq!(listed(&mut client).await, is("consumer", "Stable"));
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![text("g").into()]);
    assert_eq!(client.call(2, &delete).await.results[0].error_code, NON_EMPTY_GROUP);

    // It goes: the group is a classic one again.
    assert_eq!(client.call(1, &beating("x", -1)).await.error_code, 0);
    assert_eq!(client.call(3, &heartbeat(&a, 2)).await.error_code, REBALANCE_IN_PROGRESS);
    let joined = client.call(9, &join(&a)).await;
    assert_eq!((joined.error_code, joined.generation_id, &joined.leader), (0, 3, &a));
    let synced = client.call(3, &sync(&a, 3, &[(&a, BOTH)])).await;
    assert_eq!(synced.assignment, Bytes::from_static(BOTH.as_bytes()));
    assert_eq!(listed(&mut client).await, is("classic", "Stable"));
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn classic_members_leave_a_consumer_group() {
    let (broker, mut client) = start().await;
    client.call(1, &joining("x")).await;
    let joined = client.call(3, &join(&text(""))).await;
    assert_eq!((joined.error_code, joined.generation_id), (0, 2), "the next assignment is not due yet");
    let leaver = |id: &str| MemberIdentity::default().with_member_id(text(id));
    let leave = LeaveGroupRequest::default()
        .with_group_id(text("g").into())
        .with_members(vec![leaver(&joined.member_id), leaver("nobody")]);
    let left = client.call(5, &leave).await;
    let codes: Vec<i16> = left.members.iter().map(|member| member.error_code).collect();
    assert_eq!((left.error_code, codes), (0, vec![0, UNKNOWN_MEMBER_ID]));
    assert_eq!(client.call(3, &heartbeat(&joined.member_id, 2)).await.error_code, UNKNOWN_MEMBER_ID);

    // Without members the group gives way to a classic one.
    client.call(1, &beating("x", -1)).await;
    assert_eq!(listed(&mut client).await, is("consumer", "Empty"));
    stable_member(&mut client).await;
    assert_eq!(listed(&mut client).await, is("classic", "Stable"));
    broker.stop().await.unwrap();
}
