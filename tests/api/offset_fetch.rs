use ottla::Broker;
use ottla_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::{DeleteTopicsRequest, OffsetFetchRequest, OffsetFetchResponse, TopicName};
use ottla_protocol::{StrBytes, Uuid};

use crate::groups::*;
use crate::support::Client;

fn single(group: &str, topics: Option<Vec<(&str, Vec<i32>)>>) -> OffsetFetchRequest {
    let topic = |(name, partitions): (&str, Vec<i32>)| {
        OffsetFetchRequestTopic::default().with_name(text(name).into()).with_partition_indexes(partitions)
    };
    let topics = topics.map(|topics| topics.into_iter().map(topic).collect());
    OffsetFetchRequest::default().with_group_id(text(group).into()).with_topics(topics)
}

fn offsets(response: &OffsetFetchResponse) -> Vec<(String, i32, i64, Option<StrBytes>)> {
    let mut offsets = Vec::new();
    for topic in &response.topics {
        for each in &topic.partitions {
            offsets.push((
                topic.name.to_string(),
                each.partition_index,
                each.committed_offset,
                each.metadata.clone(),
            ));
        }
    }
    offsets
}

#[tokio::test]
async fn one_group_at_a_time() {
    let (broker, mut client) = start().await;
    client.call(9, &commit("g", 5)).await;
    for version in 1..=7 {
        let request = single("g", Some(vec![("t", vec![0, 9]), ("nope", vec![0])]));
        let fetched = client.call(version, &request).await;
        let none = |name: &str, index| (name.to_owned(), index, -1, Some(text("")));
        let expected = [("t".to_owned(), 0, 5, Some(text("m"))), none("t", 9), none("nope", 0)];
        assert_eq!((fetched.error_code, offsets(&fetched)), (0, expected.to_vec()), "v{version}");
        if version >= 2 {
            let fetched = client.call(version, &single("g", None)).await;
            assert_eq!(offsets(&fetched), expected[..1], "v{version}");
            let fetched = client.call(version, &single("nowhere", None)).await;
            assert_eq!((fetched.error_code, offsets(&fetched)), (0, Vec::new()), "v{version}");
        }
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn several_groups_at_once() {
    let (broker, mut client) = start().await;
    client.call(9, &commit("g", 5)).await;
    client.call(9, &commit("h", 6)).await;
    let group =
        |id: &str| OffsetFetchRequestGroup::default().with_group_id(text(id).into()).with_topics(None);
    for version in 8..=10 {
        let groups = vec![group("g"), group("nowhere"), group("h")];
        let fetched = client.call(version, &OffsetFetchRequest::default().with_groups(groups)).await;
        let found: Vec<Vec<i64>> = fetched
            .groups
            .iter()
            .map(|group| group.topics.iter().map(|topic| topic.partitions[0].committed_offset).collect())
            .collect();
        assert_eq!(found, [vec![5], vec![], vec![6]], "v{version}");
        assert!(fetched.groups.iter().all(|group| group.error_code == 0));
        let topic = &fetched.groups[0].topics[0];
        assert_eq!(
            (topic.name.is_empty(), topic.topic_id.is_nil()),
            (version == 10, version < 10),
            "v{version}"
        );
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn an_unknown_id_is_answered_for_each_partition() {
    let (broker, mut client) = start().await;
    let unknown = OffsetFetchRequestTopics::default()
        .with_topic_id(Uuid::from_u128(1 << 64 | 5))
        .with_partition_indexes(vec![0]);
    let group =
        OffsetFetchRequestGroup::default().with_group_id(text("g").into()).with_topics(Some(vec![unknown]));
    let fetched = client.call(10, &OffsetFetchRequest::default().with_groups(vec![group])).await;
    let partition = &fetched.groups[0].topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.committed_offset), (UNKNOWN_TOPIC_ID, -1));
    broker.stop().await.unwrap();
}

/// Version 1 has no place for the group's error but the partitions.
#[tokio::test]
async fn without_a_coordinator() {
    let broker = Broker::builder().start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    let request = single("g", Some(vec![("t", vec![0])]));
    let fetched = client.call(1, &request).await;
    assert_eq!(fetched.topics[0].partitions[0].error_code, NOT_COORDINATOR);
    let fetched = client.call(7, &request).await;
    assert_eq!((fetched.error_code, fetched.topics.len()), (NOT_COORDINATOR, 0));
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn offsets_are_there_after_a_restart() {
    let dir = std::env::temp_dir().join(format!("ottla-offsets-{}", std::process::id()));
    for (restart, expected) in [(false, -1), (true, 5)] {
        let broker = Broker::builder().data(&dir).start().await.unwrap();
        let mut client = Client::connect(&broker).await;
        if !restart {
            make_topic(&mut client).await;
        }
        let fetched = client.call(7, &single("g", Some(vec![("t", vec![0])]))).await;
        assert_eq!(fetched.topics[0].partitions[0].committed_offset, expected);
        client.call(9, &commit("g", 5)).await;
        drop(client);
        broker.stop().await.unwrap();
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

/// A topic of the same name begins anew: nobody has read it yet.
#[tokio::test]
async fn offsets_go_with_their_topic() {
    let (broker, mut client) = start().await;
    client.call(9, &commit("g", 5)).await;
    let name = TopicName(text("t"));
    client.call(5, &DeleteTopicsRequest::default().with_topic_names(vec![name])).await;
    // The tombstones are written behind the answer.
    while !offsets(&client.call(7, &single("g", None)).await).is_empty() {}
    make_topic(&mut client).await;
    let fetched = client.call(7, &single("g", Some(vec![("t", vec![0])]))).await;
    assert_eq!(fetched.topics[0].partitions[0].committed_offset, -1);
    broker.stop().await.unwrap();
}
