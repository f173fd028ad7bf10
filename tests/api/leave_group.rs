use ottla_protocol::messages::LeaveGroupRequest;
use ottla_protocol::messages::leave_group_request::MemberIdentity;

use crate::groups::*;

#[tokio::test]
async fn old_versions_have_one_member_and_one_error() {
    for version in 0..=2 {
        let (broker, mut client) = start().await;
        let member_id = stable_member(&mut client).await;
        let request = LeaveGroupRequest::default().with_group_id(text("g").into()).with_member_id(member_id);
        assert_eq!(client.call(version, &request).await.error_code, 0, "v{version}");
        assert_eq!(client.call(version, &request).await.error_code, UNKNOWN_MEMBER_ID, "v{version}");
        let nowhere = request.with_group_id(text("").into());
        assert_eq!(client.call(version, &nowhere).await.error_code, INVALID_GROUP_ID, "v{version}");
        broker.stop().await.unwrap();
    }
}

#[tokio::test]
async fn new_versions_answer_for_each_member() {
    let (broker, mut client) = start().await;
    let member_id = stable_member(&mut client).await;
    let leaver = |id: &str| MemberIdentity::default().with_member_id(text(id));
    let removed = MemberIdentity::default().with_group_instance_id(Some(text("i")));
    let request = LeaveGroupRequest::default().with_group_id(text("g").into());
    let request = request.with_members(vec![leaver("x"), leaver(&member_id), removed]);
    let left = client.call(5, &request).await;
    let codes: Vec<i16> = left.members.iter().map(|member| member.error_code).collect();
    assert_eq!((left.error_code, codes), (0, vec![UNKNOWN_MEMBER_ID, 0, UNKNOWN_MEMBER_ID]));
    assert_eq!(left.members[2].group_instance_id, Some(text("i")));
    assert_eq!(client.call(3, &heartbeat(&member_id, 2)).await.error_code, UNKNOWN_MEMBER_ID);
    broker.stop().await.unwrap();
}
