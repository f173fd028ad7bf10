use ottla::Broker;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{
    DeleteTopicsRequest, FindCoordinatorRequest, ListGroupsRequest, MetadataRequest, TopicName,
};

use crate::groups::*;
use crate::support::Client;

/// The first question makes the topic, so that a group can be joined at once.
#[tokio::test]
async fn the_first_question_makes_the_topic() {
    let broker = Broker::builder().start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    let found = client.call(3, &FindCoordinatorRequest::default().with_key(text("g"))).await;
    let port: i32 = broker.bootstrap_servers().rsplit(':').next().unwrap().parse().unwrap();
    assert_eq!((found.error_code, found.error_message, found.port), (0, Some(text("NONE")), port));

    let metadata = client.call(12, &MetadataRequest::default().with_topics(None)).await;
    let topic = &metadata.topics[0];
    let name = topic.name.as_ref().map(|name| name.0.as_str());
    assert_eq!((name, topic.is_internal, topic.partitions.len()), (Some("__consumer_offsets"), true, 50));
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn each_version_has_its_words() {
    let broker = Broker::builder().start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    for version in 0..=3 {
        let found = client.call(version, &FindCoordinatorRequest::default().with_key(text("g"))).await;
        assert_eq!((found.error_code, found.node_id.0), (0, 1), "v{version}");
    }
    for version in 4..=6 {
        let keys = vec![text("g"), text(""), text("g")];
        let found =
            client.call(version, &FindCoordinatorRequest::default().with_coordinator_keys(keys)).await;
        let answers =
            found.coordinators.iter().map(|each| (each.key.as_str(), each.error_code, each.node_id.0));
        assert_eq!(answers.collect::<Vec<_>>(), [("g", 0, 1), ("", 0, 1), ("g", 0, 1)], "v{version}");
        assert_eq!(found.coordinators[0].error_message, Some(text("")));
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn unknown_kinds_of_keys_are_refused() {
    let broker = Broker::builder().start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    let words = Some(text(ErrorCode::InvalidRequest.message()));
    for key_type in [2, 5] {
        let request = FindCoordinatorRequest::default().with_key(text("g")).with_key_type(key_type);
        let found = client.call(3, &request).await;
        assert_eq!((found.error_code, found.error_message, found.port), (42, words.clone(), -1));
    }
    let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text("g")]);
    let found = client.call(6, &request.clone().with_key_type(5)).await;
    assert_eq!((found.coordinators[0].error_code, &found.coordinators[0].error_message), (42, &words));
    // A share coordinator's key has three parts.
    let found = client.call(6, &request.with_key_type(2)).await;
    assert_eq!(
        (found.coordinators[0].error_code, &found.coordinators[0].error_message),
        (42, &Some(text("")))
    );
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn transactions_have_a_coordinator() {
    let broker = Broker::builder().start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    for version in 1..=6 {
        let request = FindCoordinatorRequest::default().with_key_type(1);
        let request = match version {
            1..=3 => request.with_key(text("a")),
            _ => request.with_coordinator_keys(vec![text("a")]),
        };
        let found = client.call(version, &request).await;
        let (code, node) = match version {
            1..=3 => (found.error_code, found.node_id.0),
            _ => (found.coordinators[0].error_code, found.coordinators[0].node_id.0),
        };
        assert_eq!((code, node), (0, 1), "v{version}");
    }
    let metadata = client.call(12, &MetadataRequest::default().with_topics(None)).await;
    let topic = &metadata.topics[0];
    let name = topic.name.as_ref().map(|name| name.0.as_str());
    assert_eq!((name, topic.is_internal, topic.partitions.len()), (Some("__transaction_state"), true, 50));
    broker.stop().await.unwrap();
}

/// A test may wipe everything between its cases, the groups' own topic as well.
#[tokio::test]
async fn groups_go_with_their_topic() {
    let (broker, mut client) = start().await;
    assert_eq!(client.call(8, &commit("g", 5)).await.topics[0].partitions[0].error_code, 0);
    let name = TopicName(text("__consumer_offsets"));
    let deleted = client.call(5, &DeleteTopicsRequest::default().with_topic_names(vec![name])).await;
    assert_eq!(deleted.responses[0].error_code, 0);
    assert_eq!(client.call(3, &heartbeat(&text(""), 0)).await.error_code, NOT_COORDINATOR);

    client.call(3, &FindCoordinatorRequest::default().with_key(text("g"))).await;
    let listed = client.call(5, &ListGroupsRequest::default()).await;
    assert_eq!(listed.groups.len(), 0);
    assert_eq!(client.call(8, &commit("g", 6)).await.topics[0].partitions[0].error_code, 0);
    broker.stop().await.unwrap();
}
