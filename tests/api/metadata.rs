//! Metadata, DescribeTopicPartitions, DescribeCluster and DescribeLogDirs; the expectations are Kafka 4.3.1's answers.

use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    DescribeClusterRequest, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, MetadataRequest,
    MetadataResponse,
};
use ottla::Broker;
use ottla_protocol::messages::DescribeLogDirsRequest;
use ottla_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use uuid::Uuid;

use crate::support::{Client, TempDir, create_topic, start};
use crate::topics::topic_name;

const NOT_ASKED: i32 = i32::MIN;
const ALL_TOPIC_OPERATIONS: i32 = 3576;
const ALL_CLUSTER_OPERATIONS: i32 = 8096;

fn by_name(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic::default().with_name(Some(topic_name(name)))
}

fn by_id(id: Uuid) -> MetadataRequestTopic {
    MetadataRequestTopic::default().with_name(None).with_topic_id(id)
}

/// Without auto-creation where the version can say so.
fn request(version: i16, topics: Option<Vec<MetadataRequestTopic>>) -> MetadataRequest {
    MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(version < 4)
}

fn topics(response: &MetadataResponse) -> Vec<(&str, i16, usize)> {
    response
        .topics
        .iter()
        .map(|topic| {
            (topic.name.as_ref().map_or("", |name| name.as_str()), topic.error_code, topic.partitions.len())
        })
        .collect()
}

#[tokio::test]
async fn every_version_tells_of_topics_and_brokers() {
    let broker = Broker::builder().set("auto.create.topics.enable", false).start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    create_topic(&mut client, "a", 2).await;
    for version in 0..=13 {
        let wanted = vec![by_name("a"), by_name("a"), by_name("nope"), by_name("bad name")];
        let response = client.call(version, &request(version, Some(wanted))).await;
        assert_eq!(topics(&response), [("a", 0, 2), ("nope", 3, 0), ("bad name", 17, 0)], "v{version}");
        let host = &response.brokers[0];
        assert_eq!(format!("{}:{}", host.host, host.port), broker.bootstrap_servers());
        assert_eq!(host.node_id.0, 1);
        let partition = &response.topics[0].partitions[1];
        assert_eq!((partition.partition_index, partition.leader_id.0, partition.error_code), (1, 1, 0));
        assert_eq!((partition.replica_nodes[0].0, partition.isr_nodes[0].0), (1, 1));
        assert_eq!(partition.leader_epoch, if version >= 7 { 0 } else { -1 });
        if version >= 1 {
            assert_eq!(response.controller_id.0, 1);
        }
        if version >= 2 {
            assert_eq!(response.cluster_id.as_ref().unwrap().len(), 22);
        }
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn all_topics_are_null_topics_and_in_v0_none() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    create_topic(&mut client, "b", 1).await;
    create_topic(&mut client, "a", 1).await;
    let all = [("a", 0, 1), ("b", 0, 1)];
    assert_eq!(topics(&client.call(0, &request(0, Some(vec![]))).await), all);
    for version in 1..=13 {
        assert_eq!(topics(&client.call(version, &request(version, None)).await), all, "v{version}");
        assert_eq!(topics(&client.call(version, &request(version, Some(vec![]))).await), [], "v{version}");
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn topics_by_id() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    let id = create_topic(&mut client, "a", 1).await;
    let unknown = Uuid::from_u128(9);
    for version in 12..=13 {
        let response = client.call(version, &request(version, Some(vec![by_id(id), by_id(unknown)]))).await;
        let said: Vec<_> = response
            .topics
            .iter()
            .map(|topic| (topic.topic_id, topic.error_code, topic.name.as_ref().map(|name| name.to_string())))
            .collect();
        assert!(said.contains(&(id, 0, Some("a".to_owned()))), "{said:?}");
        assert!(said.contains(&(unknown, 100, None)), "{said:?}");
    }
    // Fields without a meaning yet, and neither of the two.
    for (version, topic, error) in
        [(10, by_id(id), 42), (11, by_id(Uuid::nil()), 42), (12, by_id(Uuid::nil()), -1)]
    {
        let response = client.call(version, &request(version, Some(vec![topic]))).await;
        assert_eq!(topics(&response), [("", error, 0)], "v{version}");
        assert_eq!((response.brokers.len(), response.controller_id.0), (0, -1));
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn permissions_are_told_when_asked_for() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    create_topic(&mut client, "a", 1).await;
    for version in 8..=13 {
        for asked in [true, false] {
            let mut request = request(version, Some(vec![by_name("a"), by_name("nope")]))
                .with_include_topic_authorized_operations(asked);
            if version <= 10 {
                request = request.with_include_cluster_authorized_operations(asked);
            }
            let response = client.call(version, &request).await;
            for topic in &response.topics {
                let expected = if asked { ALL_TOPIC_OPERATIONS } else { NOT_ASKED };
                assert_eq!(topic.topic_authorized_operations, expected);
            }
            let expected = if asked && version <= 10 { ALL_CLUSTER_OPERATIONS } else { NOT_ASKED };
            assert_eq!(response.cluster_authorized_operations, expected);
        }
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_topic_is_created_by_asking_for_it_unless_that_is_forbidden() {
    let broker = Broker::builder().set("num.partitions", 3).start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    let ask = |name: &str, allow| {
        MetadataRequest::default()
            .with_topics(Some(vec![by_name(name)]))
            .with_allow_auto_topic_creation(allow)
    };
    assert_eq!(topics(&client.call(12, &ask("forbidden", false)).await), [("forbidden", 3, 0)]);
    assert_eq!(topics(&client.call(12, &ask("auto_1", true)).await), [("auto_1", 0, 3)]);
    assert_eq!(topics(&client.call(1, &ask("old", true)).await), [("old", 0, 3)]);
    // Its name collides, so that it stays unknown.
    assert_eq!(topics(&client.call(12, &ask("auto.1", true)).await), [("auto.1", 3, 0)]);
    assert_eq!(topics(&client.call(12, &ask("bad name", true)).await), [("bad name", 17, 0)]);
    let offsets = client.call(12, &ask("__consumer_offsets", true)).await;
    assert_eq!(topics(&offsets), [("__consumer_offsets", 0, 50)]);
    assert!(offsets.topics[0].is_internal);
    broker.stop().await.unwrap();
}

fn describe(names: &[&str], limit: i32, cursor: Option<(&str, i32)>) -> DescribeTopicPartitionsRequest {
    let topic = |name: &&str| TopicRequest::default().with_name(topic_name(name));
    let cursor = cursor.map(|(name, partition)| {
        Cursor::default().with_topic_name(topic_name(name)).with_partition_index(partition)
    });
    DescribeTopicPartitionsRequest::default()
        .with_topics(names.iter().map(topic).collect())
        .with_response_partition_limit(limit)
        .with_cursor(cursor)
}

/// One line: `topic:error[partitions]...` and where to go on.
fn page(response: &DescribeTopicPartitionsResponse) -> String {
    let mut line = String::new();
    for topic in &response.topics {
        let indexes: Vec<i32> = topic.partitions.iter().map(|partition| partition.partition_index).collect();
        line += &format!("{}:{}{indexes:?} ", topic.name.as_ref().unwrap().as_str(), topic.error_code);
    }
    match &response.next_cursor {
        Some(next) => line + &format!("-> {} {}", next.topic_name.as_str(), next.partition_index),
        None => line.trim_end().to_owned(),
    }
}

#[tokio::test]
async fn topics_are_described_page_by_page() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    create_topic(&mut client, "a1", 4).await;
    create_topic(&mut client, "x.y", 3).await;
    for (names, limit, cursor, expected) in [
        (&["a1", "nope", "x.y"][..], 3, None, "a1:0[0, 1, 2] -> a1 3"),
        (&["x.y", "a1"], 4, None, "a1:0[0, 1, 2, 3] -> x.y 0"),
        (&["a1"], 4, None, "a1:0[0, 1, 2, 3]"),
        (&["bad name", "nope"], 5, None, "bad name:17[] nope:3[]"),
        (&["x.y", "x.y"], 100, None, "x.y:0[0, 1, 2]"),
        (&["x.y", "nope"], 100, Some(("x.y", 1)), "x.y:0[1, 2]"),
        (&["x.y", "a1"], 100, Some(("x.y", 100)), "x.y:0[]"),
        (&["a1", "nope"], 100, Some(("nope", 0)), "nope:3[]"),
        (&["x.y", "a1"], 100, Some(("z", 0)), "x.y:42[] a1:42[]"),
        (&["x.y", "a1"], 100, Some(("x.y", -1)), "x.y:42[] a1:42[]"),
        (&["nope", ""], 5, None, "nope:-1[] :-1[]"),
        (&[], 3, None, "a1:0[0, 1, 2] -> a1 3"),
        (&[], 0, None, "a1:0[0] -> a1 1"),
        (&[], 100, Some(("a1", 2)), "a1:0[2, 3] x.y:0[0, 1, 2]"),
        (&[], 100, Some(("b", 0)), "x.y:0[0, 1, 2]"),
        (&[], 100, Some(("b", -1)), ""),
        (&[], 100, Some(("zz", 0)), ""),
    ] {
        let response = client.call(0, &describe(names, limit, cursor)).await;
        assert_eq!(page(&response), expected, "{names:?} {limit} {cursor:?}");
    }
    let response = client.call(0, &describe(&["a1"], 1, None)).await;
    assert_eq!(response.topics[0].topic_authorized_operations, ALL_TOPIC_OPERATIONS);
    assert_eq!(response.topics[0].partitions[0].eligible_leader_replicas, Some(vec![]));
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn the_cluster_is_described_to_clients_only() {
    let broker = start().await;
    let mut client = Client::connect(&broker).await;
    for version in 0..=2 {
        let request = DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
        let response = client.call(version, &request).await;
        assert_eq!((response.error_code, response.controller_id.0), (0, 1), "v{version}");
        assert_eq!(response.cluster_id.len(), 22);
        assert_eq!(response.cluster_authorized_operations, ALL_CLUSTER_OPERATIONS);
        let host = &response.brokers[0];
        assert_eq!(format!("{}:{}", host.host, host.port), broker.bootstrap_servers());
    }
    for (endpoint_type, error, message) in [
        (
            2,
            114,
            "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER",
        ),
        (3, 115, "Unsupported endpoint type 3"),
    ] {
        let request = DescribeClusterRequest::default().with_endpoint_type(endpoint_type);
        let response = client.call(2, &request).await;
        assert_eq!((response.error_code, response.error_message.as_deref()), (error, Some(message)));
        assert_eq!((response.cluster_id.as_str(), response.controller_id.0), ("", -1));
        assert_eq!(response.cluster_authorized_operations, NOT_ASKED);
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn log_directories_are_described_in_every_version() {
    let data = TempDir::new();
    let broker = Broker::builder().data(data.path()).start().await.unwrap();
    let mut client = Client::connect(&broker).await;
    create_topic(&mut client, "a", 2).await;
    let wanted = |topic: &str, partitions| DescribableLogDirTopic { topic: topic_name(topic), partitions };
    for version in 1..=5 {
        let some =
            DescribeLogDirsRequest { topics: Some(vec![wanted("a", vec![1, 77]), wanted("nope", vec![0])]) };
        for (request, expected) in [
            (some, vec![1]),
            (DescribeLogDirsRequest { topics: None }, vec![0, 1]),
            (DescribeLogDirsRequest { topics: Some(vec![]) }, vec![]),
        ] {
            let response = client.call(version, &request).await;
            assert_eq!((response.error_code, response.results.len()), (0, 1), "v{version}");
            let result = &response.results[0];
            assert_eq!(result.log_dir.as_str(), data.path().to_str().unwrap());
            let told: Vec<i32> =
                result.topics.iter().flat_map(|topic| &topic.partitions).map(|p| p.partition_index).collect();
            assert_eq!(told, expected, "v{version}");
            if version >= 4 {
                assert!(result.total_bytes > 0 && result.usable_bytes > 0);
            }
        }
    }
    broker.stop().await.unwrap();
}
