use ottla_protocol::messages::{ConsumerGroupDescribeRequest, TopicName};

use crate::consumer_group_heartbeat::joining;
use crate::groups::*;

#[tokio::test]
async fn every_version() {
    let (broker, mut client) = start().await;
    client.call(1, &joining("a").with_instance_id(Some(text("i"))).with_rack_id(Some(text("r")))).await;
    client.call(9, &commit("simple", 1)).await;
    let names = ["g", "nowhere", "", "simple"].map(|name| text(name).into());
    for version in 0..=1 {
        let request = ConsumerGroupDescribeRequest::default()
            .with_group_ids(names.to_vec())
            .with_include_authorized_operations(version == 1);
        let described = client.call(version, &request).await;
        let refused: Vec<_> =
            described.groups.iter().map(|group| (&*group.group_id.0, group.error_code)).collect();
        let expected = [
            ("", INVALID_GROUP_ID),
            ("g", 0),
            ("nowhere", GROUP_ID_NOT_FOUND),
            ("simple", GROUP_ID_NOT_FOUND),
        ];
        assert_eq!(refused, expected, "v{version}");
        let messages: Vec<_> = described.groups.iter().map(|group| group.error_message.as_deref()).collect();
        let not_there = (Some("Group nowhere not found."), Some("Group simple is not a consumer group."));
        assert_eq!((messages[2], messages[3]), not_there);

        let group = &described.groups[1];
        assert_eq!((&*group.group_state, &*group.assignor_name), ("Stable", "uniform"));
        assert_eq!((group.group_epoch, group.assignment_epoch), (2, 2));
        assert_eq!(group.authorized_operations, if version == 1 { 3400 } else { i32::MIN });
        let member = &group.members[0];
        assert_eq!((&*member.member_id, member.member_epoch), ("a", 2));
        assert_eq!((&member.instance_id, &member.rack_id), (&Some(text("i")), &Some(text("r"))));
        assert_eq!((&*member.client_id, &*member.client_host), ("test", "/127.0.0.1"));
        assert_eq!(member.subscribed_topic_names, [TopicName(text("t"))]);
        assert_eq!(member.member_type, if version == 1 { 1 } else { -1 });
        for assignment in [&member.assignment, &member.target_assignment] {
            let topic = &assignment.topic_partitions[0];
            assert_eq!((&*topic.topic_name.0, &topic.partitions), ("t", &vec![0, 1]));
        }
    }
    broker.stop().await.unwrap();
}
