//! The metadata survives: clean stops, crashes, torn writes, snapshots.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kafka_protocol::messages::{DeleteTopicsRequest, InitProducerIdRequest, MetadataRequest};
use ottla::{Broker, Running};

use crate::support::{Client, TempDir, create_topic};
use crate::topics::topic_name;

async fn open(data: &TempDir) -> Running {
    Broker::builder().data(data.path()).start().await.unwrap()
}

/// Topics with their ids and numbers of partitions, in words.
async fn topics(broker: &Running) -> Vec<String> {
    let mut client = Client::connect(broker).await;
    let metadata = client.call(12, &MetadataRequest::default().with_topics(None)).await;
    let topic = |topic: &kafka_protocol::messages::metadata_response::MetadataResponseTopic| {
        assert!(topic.partitions.iter().all(|partition| partition.leader_id.0 == 1));
        format!("{} {} {}", topic.name.as_ref().unwrap().as_str(), topic.topic_id, topic.partitions.len())
    };
    metadata.topics.iter().map(topic).collect()
}

async fn some_history(broker: &Running) {
    let mut client = Client::connect(broker).await;
    for name in ["a", "b", "c"] {
        create_topic(&mut client, name, 3).await;
    }
    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("b")]);
    assert_eq!(client.call(5, &request).await.responses[0].error_code, 0);
}

fn log_of(data: &TempDir) -> PathBuf {
    let mut logs: Vec<PathBuf> = fs::read_dir(data.path().join("__cluster_metadata-0"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    logs.pop().unwrap()
}

fn snapshots(data: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(data.join("__cluster_metadata-0"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".checkpoint"))
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn topics_survive_a_clean_stop() {
    let data = TempDir::new();
    let broker = open(&data).await;
    some_history(&broker).await;
    let before = topics(&broker).await;
    let cluster = broker.broker().cluster.cluster_id().clone();
    broker.stop().await.unwrap();
    for _ in 0..3 {
        let broker = open(&data).await;
        assert_eq!(topics(&broker).await, before);
        assert_eq!(broker.broker().cluster.cluster_id(), &cluster);
        broker.stop().await.unwrap();
    }
}

#[tokio::test]
async fn what_was_answered_survives_a_crash() {
    let data = TempDir::new();
    let broker = open(&data).await;
    some_history(&broker).await;
    let before = topics(&broker).await;
    let crashed = data.copy();
    broker.stop().await.unwrap();
    let broker = open(&crashed).await;
    assert_eq!(topics(&broker).await, before);
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn a_torn_write_is_as_if_it_had_never_begun() {
    let data = TempDir::new();
    let broker = open(&data).await;
    let mut client = Client::connect(&broker).await;
    create_topic(&mut client, "a", 1).await;
    let before = topics(&broker).await;
    let whole = fs::metadata(log_of(&data)).unwrap().len();
    create_topic(&mut client, "torn", 50).await;
    let longer = fs::metadata(log_of(&data)).unwrap().len();
    let crashed = data.copy();
    broker.stop().await.unwrap();
    for cut in [1, 40, 61, 100, longer - whole - 1] {
        let torn = crashed.copy();
        OpenOptions::new().write(true).open(log_of(&torn)).unwrap().set_len(whole + cut).unwrap();
        let broker = open(&torn).await;
        assert_eq!(topics(&broker).await, before, "cut {cut} bytes into the batch");
        // And the log goes on behind it.
        let mut client = Client::connect(&broker).await;
        create_topic(&mut client, "next", 1).await;
        let next = topics(&broker).await;
        broker.stop().await.unwrap();
        let broker = open(&torn).await;
        assert_eq!(topics(&broker).await, next);
        broker.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_snapshot_takes_the_place_of_the_log_before_it() {
    let data = TempDir::new();
    let small = || {
        Broker::builder()
            .data(data.path())
            .set("metadata.log.max.record.bytes.between.snapshots", 1000)
            .start()
    };
    let broker = small().await.unwrap();
    some_history(&broker).await;
    let mut client = Client::connect(&broker).await;
    // A snapshot is made beside the answers; the commands go on until one is there.
    let mut number = 0;
    while snapshots(data.path()).iter().all(|name| name.starts_with("00000000000000000000-")) {
        assert!(number < 1000, "no snapshot is made");
        create_topic(&mut client, &format!("t{number}"), 1).await;
        number += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    create_topic(&mut client, "after", 1).await;
    let before = topics(&broker).await;
    broker.broker().cluster.settle().await;
    assert_eq!(snapshots(data.path()).len(), 1, "the older ones are gone");
    let crashed = data.copy();
    broker.stop().await.unwrap();

    let broker = open(&crashed).await;
    assert_eq!(topics(&broker).await, before, "after a crash");
    broker.stop().await.unwrap();
    let broker = small().await.unwrap();
    assert_eq!(topics(&broker).await, before, "after a clean stop");
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn producer_ids_are_never_given_twice() {
    let data = TempDir::new();
    let mut last = -1;
    for _ in 0..3 {
        let broker = open(&data).await;
        let mut client = Client::connect(&broker).await;
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        let response = client.call(4, &request).await;
        assert_eq!(response.error_code, 0);
        assert!(response.producer_id.0 > last, "{} after {last}", response.producer_id.0);
        last = response.producer_id.0;
        broker.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_directory_of_another_node_is_refused() {
    let data = TempDir::new();
    open(&data).await.stop().await.unwrap();
    let other = Broker::builder().data(data.path()).set("node.id", 2).start().await;
    let refusal = other.err().expect("the directory belongs to node 1").to_string();
    assert!(refusal.starts_with("Stored node id 1 doesn't match previous node id 2"), "{refusal}");
}

#[tokio::test]
async fn logs_of_topics_that_the_metadata_does_not_know_are_set_aside() {
    let data = TempDir::new();
    let broker = open(&data).await;
    let mut client = Client::connect(&broker).await;
    create_topic(&mut client, "kept", 1).await;
    let before = topics(&broker).await;
    broker.stop().await.unwrap();
    // Logs that the metadata knows nothing of.
    for stray in ["gone-0", "gone-with-dashes-12", "kept-1"] {
        let dir = data.path().join(stray);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("partition.metadata"), "version: 0\ntopic_id: KhS4CUNISVCzghnRNkHnfw").unwrap();
        fs::write(dir.join("00000000000000000000.log"), "").unwrap();
    }
    fs::create_dir(data.path().join("holiday-2026")).unwrap();
    let broker = open(&data).await;
    let is_there = |name: &str| data.path().join(name).exists();
    for _ in 0..10_000 {
        if !is_there("gone-0") && !is_there("gone-with-dashes-12") && !is_there("kept-1") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!is_there("gone-0") && !is_there("gone-with-dashes-12") && !is_there("kept-1"));
    assert!(is_there("holiday-2026"), "it is not a log");
    for stray in ["gone-0", "gone-with-dashes-12", "kept-1"] {
        let aside = format!("{stray}.2a14b80943484950b38219d13641e77f-stray/00000000000000000000.log");
        assert!(is_there(&aside), "as with Kafka");
    }
    assert_eq!(topics(&broker).await, before);
    broker.stop().await.unwrap();
    let broker = open(&data).await;
    assert_eq!(topics(&broker).await, before);
    broker.stop().await.unwrap();
}
