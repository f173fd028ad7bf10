//! CreateTopics, DeleteTopics and CreatePartitions over the wire; the expectations are Kafka 4.3.1's answers. What the
//! controller refuses, word by word, is in src/metadata/tests.

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, MetadataRequest,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;
use ottla::Broker;
use uuid::Uuid;

use crate::support::{Client, create_topic, start};

pub fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn topic(name: &str, partitions: i32) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
}

fn retention(value: &'static str) -> CreatableTopicConfig {
    CreatableTopicConfig::default()
        .with_name(StrBytes::from_static_str("retention.ms"))
        .with_value(Some(StrBytes::from_static_str(value)))
}

fn errors(response: &CreateTopicsResponse) -> Vec<(&str, i16, Option<&str>)> {
    response
        .topics
        .iter()
        .map(|topic| (topic.name.as_str(), topic.error_code, topic.error_message.as_deref()))
        .collect()
}

#[tokio::test]
async fn topics_are_created_in_every_version() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    for version in 2..=7 {
        let (name, bad) = (format!("t{version}"), format!("b{version}"));
        let good = topic(&name, 3).with_configs(vec![retention("+1000 ")]);
        let request = CreateTopicsRequest::default().with_topics(vec![good, topic(&bad, 0)]);
        let response = client.call(version, &request).await;
        let refusal = "Number of partitions was set to an invalid non-positive value.";
        assert_eq!(errors(&response), [(name.as_str(), 0, None), (bad.as_str(), 37, Some(refusal))]);
        let created = &response.topics[0];
        if version >= 5 {
            assert_eq!((created.num_partitions, created.replication_factor), (3, 1));
            let configs = created.configs.as_ref().unwrap();
            let names: Vec<&str> = configs.iter().map(|config| config.name.as_str()).collect();
            assert!(names.is_sorted() && names.len() > 30, "{names:?}");
            let retention = configs.iter().find(|config| &*config.name == "retention.ms").unwrap();
            assert_eq!((retention.value.as_deref(), retention.config_source), (Some("+1000 "), 1));
            let refused = &response.topics[1];
            assert_eq!((refused.num_partitions, refused.replication_factor), (-1, -1));
            assert_eq!(refused.configs, Some(vec![]));
        }
        assert_eq!(created.topic_id.is_nil(), version < 7);
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_topic_is_usable_when_its_creation_is_answered() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    let id = create_topic(&mut client, "t", 2).await;
    let metadata = client.call(12, &MetadataRequest::default().with_topics(None)).await;
    let topic = &metadata.topics[0];
    assert_eq!((topic.name.as_ref().unwrap().as_str(), topic.topic_id), ("t", id));
    assert!(topic.partitions.iter().all(|partition| partition.error_code == 0 && partition.leader_id.0 == 1));
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn names_twice_and_invalid_configurations_are_refused() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    let request = CreateTopicsRequest::default().with_validate_only(true).with_topics(vec![
        topic("dup", 1),
        topic("dup", 1),
        topic("good", 1),
        topic("bad", 1).with_configs(vec![retention("abc")]),
        topic("__cluster_metadata", 1),
    ]);
    let response = client.call(7, &request).await;
    assert_eq!(
        errors(&response),
        [
            ("good", 0, None),
            ("bad", 40, Some("Invalid value abc for configuration retention.ms: Not a number of type LONG")),
            ("__cluster_metadata", 42, Some("Creation of internal topic __cluster_metadata is prohibited.")),
            ("dup", 42, Some("Duplicate topic name.")),
        ]
    );
    // It was only to be validated.
    let metadata = client.call(12, &MetadataRequest::default().with_topics(None)).await;
    assert_eq!(metadata.topics, []);
    broker.stop().await.unwrap();
}

/// The message would quote the name, and a string of the protocol has room for no more than the name itself.
#[tokio::test]
async fn a_name_of_32767_characters_is_refused_and_answered() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    let name = "x".repeat(32_767);
    let request = CreateTopicsRequest::default().with_topics(vec![topic(&name, 1)]);
    for version in [2, 7] {
        let response = client.call(version, &request).await;
        assert_eq!(response.topics[0].error_code, -1, "v{version}, recorded from Kafka 4.3.1");
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn topics_are_deleted_by_name_in_every_version() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    for version in 1..=6 {
        let id = create_topic(&mut client, "t", 1).await;
        let names = vec![topic_name("t"), topic_name("nope")];
        let request = if version < 6 {
            DeleteTopicsRequest::default().with_topic_names(names)
        } else {
            let state = |name| DeleteTopicState::default().with_name(Some(name));
            DeleteTopicsRequest::default().with_topics(names.into_iter().map(state).collect())
        };
        let response = client.call(version, &request).await;
        let codes: Vec<i16> = response.responses.iter().map(|topic| topic.error_code).collect();
        assert_eq!(codes, [0, 3], "v{version}");
        if version >= 5 {
            let message = response.responses[1].error_message.as_deref();
            assert_eq!(message, Some("This server does not host this topic-partition."));
        }
        if version >= 6 {
            assert_eq!(response.responses[0].topic_id, id);
        }
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn topics_are_deleted_by_id_and_may_come_again_with_another() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    let first = create_topic(&mut client, "t", 1).await;
    let by_id = |id: Uuid| DeleteTopicState::default().with_name(None).with_topic_id(id);
    let request = DeleteTopicsRequest::default().with_topics(vec![by_id(first), by_id(Uuid::from_u128(7))]);
    let response = client.call(6, &request).await;
    let said: Vec<_> = response
        .responses
        .iter()
        .map(|topic| (topic.name.as_ref().map(|name| name.as_str()), topic.error_code))
        .collect();
    assert_eq!(said, [(Some("t"), 0), (None, 100)]);
    assert_eq!(
        response.responses[1].error_message.as_deref(),
        Some("This server does not host this topic ID.")
    );
    assert_ne!(create_topic(&mut client, "t", 1).await, first);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn deletion_can_be_forbidden() {
    let broker = Broker::builder().set("delete.topic.enable", false).start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    create_topic(&mut client, "t", 1).await;
    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
    assert_eq!(client.call(2, &request).await.responses[0].error_code, 42);
    assert_eq!(client.call(3, &request).await.responses[0].error_code, 73);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn topics_grow_in_every_version() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    create_topic(&mut client, "t", 1).await;
    for version in 0..=3 {
        let grow = |name: &str, count| {
            CreatePartitionsTopic::default()
                .with_name(topic_name(name))
                .with_count(count)
                .with_assignments(None)
        };
        let count = i32::from(version) + 2;
        let request = CreatePartitionsRequest::default().with_topics(vec![
            grow("t", count),
            grow("nope", 2),
            grow("twice", 1),
            grow("twice", 1),
        ]);
        let response = client.call(version, &request).await;
        let mut said: Vec<_> = response
            .results
            .iter()
            .map(|topic| (topic.name.as_str(), topic.error_code, topic.error_message.as_deref()))
            .collect();
        said.sort_unstable();
        let twice = ("twice", 42, Some("Duplicate topic name."));
        assert_eq!(said, [("nope", 3, None), ("t", 0, None), twice], "v{version}");
        let metadata = client.call(12, &MetadataRequest::default().with_topics(None)).await;
        assert_eq!(metadata.topics[0].partitions.len(), count as usize);
    }
    broker.stop().await.unwrap();
}
