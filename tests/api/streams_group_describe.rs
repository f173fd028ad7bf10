use ottla_protocol::messages::{
    DeleteGroupsRequest, ListGroupsRequest, StreamsGroupDescribeRequest, StreamsGroupHeartbeatRequest,
};

use crate::groups::{GROUP_ID_NOT_FOUND, INVALID_GROUP_ID, NON_EMPTY_GROUP, text};
use crate::streams_group_heartbeat::{heartbeat, join_until_assigned, start};

#[tokio::test]
async fn a_group_with_its_topology_and_members() {
    let (broker, mut client) = start().await;
    let assigned = join_until_assigned(&mut client).await;
    let ids = vec![text("g").into(), text("nowhere").into(), text("").into()];
    let request =
        StreamsGroupDescribeRequest::default().with_group_ids(ids).with_include_authorized_operations(true);
    let groups = client.call(0, &request).await.groups;

    let group = &groups[0];
    assert_eq!((group.error_code, &*group.group_state, group.authorized_operations), (0, "Stable", 3400));
    assert_eq!((group.group_epoch, group.assignment_epoch), (assigned.member_epoch, assigned.member_epoch));
    let subtopologies = group.topology.as_ref().unwrap().subtopologies.as_ref().unwrap();
    let (rep, log) =
        (&subtopologies[1].repartition_source_topics[0], &subtopologies[1].state_changelog_topics[0]);
    assert_eq!((rep.name.as_str(), rep.partitions), ("g-rep", 2));
    assert_eq!((log.name.as_str(), log.partitions, &*log.topic_configs[0].value), ("g-log", 2, "compact"));
    let member = &group.members[0];
    assert_eq!((&*member.member_id, &*member.process_id, &*member.client_host), ("a", "p", "/127.0.0.1"));
    assert_eq!(member.assignment.active_tasks.len(), 2);
    assert_eq!(member.assignment, member.target_assignment);

    assert_eq!(groups[1].error_code, GROUP_ID_NOT_FOUND);
    assert_eq!(groups[1].error_message, Some(text("Group nowhere not found.")));
    assert_eq!(groups[2].error_code, INVALID_GROUP_ID);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_group_is_listed_and_deleted() {
    let (broker, mut client) = start().await;
    join_until_assigned(&mut client).await;
    let listed = client.call(5, &ListGroupsRequest::default()).await.groups;
    let group = &listed[0];
    assert_eq!(
        (&*group.protocol_type, &*group.group_state, &*group.group_type),
        ("streams", "Stable", "streams")
    );
    let delete = DeleteGroupsRequest::default().with_groups_names(vec![text("g").into()]);
    assert_eq!(client.call(2, &delete).await.results[0].error_code, NON_EMPTY_GROUP);
    let left: StreamsGroupHeartbeatRequest = heartbeat(-1);
    assert_eq!(client.call(0, &left).await.error_code, 0);
    assert_eq!(client.call(2, &delete).await.results[0].error_code, 0);
    assert!(client.call(5, &ListGroupsRequest::default()).await.groups.is_empty());
    broker.stop().await.unwrap();
}
