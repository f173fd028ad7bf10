use ottla_protocol::messages::{DeleteGroupsRequest, ListGroupsRequest};

use crate::groups::*;

#[tokio::test]
async fn each_group_has_a_result() {
    for version in 0..=2 {
        let (broker, mut client) = start().await;
        client.call(9, &commit("simple", 5)).await;
        stable_member(&mut client).await;
        let names = ["simple", "nowhere", "g", "", "simple"].map(|name| text(name).into()).to_vec();
        let deleted = client.call(version, &DeleteGroupsRequest::default().with_groups_names(names)).await;
        let results: Vec<(&str, i16)> =
            deleted.results.iter().map(|result| (result.group_id.as_str(), result.error_code)).collect();
        let expected = [
            ("simple", 0),
            ("nowhere", GROUP_ID_NOT_FOUND),
            ("g", NON_EMPTY_GROUP),
            ("", GROUP_ID_NOT_FOUND),
        ];
        assert_eq!(results, expected, "v{version}");
        let listed = client.call(5, &ListGroupsRequest::default()).await;
        assert_eq!(listed.groups.len(), 1);
        broker.stop().await.unwrap();
    }
}
