use ottla_protocol::messages::ListGroupsRequest;

use crate::groups::*;

#[tokio::test]
async fn filters_take_words_in_any_case() {
    let (broker, mut client) = start().await;
    client.call(9, &commit("simple", 5)).await;
    stable_member(&mut client).await;
    let all: &[&str] = &["g", "simple"];
    let cases: &[(&[&str], &[&str], &[&str])] = &[
        (&[], &[], all),
        (&["empty"], &["Classic"], &["simple"]),
        (&["STABLE", "Dead"], &[], &["g"]),
        (&["nonsense"], &[], &[]),
        (&[], &["nonsense"], &[]),
        (&[], &["nonsense", "classic"], all),
    ];
    for (states, types, expected) in cases {
        let words = |words: &[&str]| words.iter().map(|word| text(word)).collect();
        let request =
            ListGroupsRequest::default().with_states_filter(words(states)).with_types_filter(words(types));
        let listed = client.call(5, &request).await;
        let mut names: Vec<String> = listed.groups.iter().map(|group| group.group_id.to_string()).collect();
        names.sort();
        assert_eq!((listed.error_code, names), (0, expected.iter().map(|name| name.to_string()).collect()));
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn every_version() {
    let (broker, mut client) = start().await;
    stable_member(&mut client).await;
    for version in 0..=5 {
        let listed = client.call(version, &ListGroupsRequest::default()).await;
        let group = &listed.groups[0];
        assert_eq!((&*group.group_id.0, &*group.protocol_type), ("g", "consumer"), "v{version}");
        assert_eq!(&*group.group_state, if version >= 4 { "Stable" } else { "" }, "v{version}");
        assert_eq!(&*group.group_type, if version >= 5 { "classic" } else { "" }, "v{version}");
    }
    broker.stop().await.unwrap();
}
