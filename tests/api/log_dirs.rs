//! Several log directories (JBOD): what clients see when one of them fails, as the reference answers it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{DescribeLogDirsRequest, ListOffsetsRequest, MetadataRequest};
use ottla::{Broker, Running};

use crate::data::{FETCH, NONE, append, batch, create, fetch_request, name, produce};
use crate::support::{Client, TempDir};

const LEADER_NOT_AVAILABLE: i16 = 5;
const KAFKA_STORAGE_ERROR: i16 = 56;
const PARTITIONS: i32 = 6;

struct World {
    dir: TempDir,
}

impl World {
    fn dirs(&self) -> Vec<PathBuf> {
        ["a", "b", "c"].map(|name| self.dir.path().join(name)).into()
    }

    async fn start(&self) -> (Running, Client) {
        let dirs = self.dirs().iter().map(|dir| dir.display().to_string()).collect::<Vec<_>>().join(",");
        let running = Broker::builder().data(dirs).start().await.unwrap();
        let client = Client::connect(&running).await;
        (running, client)
    }
}

/// Error, leader, leader epoch, ISR and offline replicas of each partition.
async fn metadata(client: &mut Client) -> Vec<(i16, i32, i32, usize, usize)> {
    let topic = MetadataRequestTopic::default().with_name(Some(name("t")));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    let mut partitions = client.call(12, &request).await.topics.remove(0).partitions;
    partitions.sort_by_key(|partition| partition.partition_index);
    let seen = partitions.iter().map(|partition| {
        let (isr, offline) = (partition.isr_nodes.len(), partition.offline_replicas.len());
        (partition.error_code, partition.leader_id.0, partition.leader_epoch, isr, offline)
    });
    seen.collect()
}

/// Of each directory: the error, whether sizes are known, and how many logs are told.
async fn described(client: &mut Client) -> Vec<(i16, bool, usize)> {
    let response = client.call(4, &DescribeLogDirsRequest::default().with_topics(None)).await;
    let seen = response.results.iter().map(|dir| {
        let logs = dir.topics.iter().map(|topic| topic.partitions.len()).sum();
        (dir.error_code, dir.total_bytes != -1 && dir.usable_bytes != -1, logs)
    });
    seen.collect()
}

async fn list_offset(client: &mut Client, partition: i32) -> i16 {
    let latest = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(-1);
    let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(vec![latest]);
    let request = ListOffsetsRequest::default().with_topics(vec![topic]);
    client.call(7, &request).await.topics[0].partitions[0].error_code
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect(what);
}

/// Partitions 1 and 4 lie in the second directory.
async fn check_offline(client: &mut Client, offset: i64) {
    assert_eq!(
        described(client).await.iter().map(|dir| (dir.0, dir.1)).collect::<Vec<_>>(),
        [(NONE, true), (KAFKA_STORAGE_ERROR, false), (NONE, true)]
    );
    for (index, seen) in (0..).zip(metadata(client).await) {
        let is_offline = index % 3 == 1;
        if is_offline {
            assert_eq!((seen.0, seen.1, seen.3, seen.4), (LEADER_NOT_AVAILABLE, -1, 0, 1));
        } else {
            assert_eq!(seen, (NONE, 1, 0, 1, 0));
        }
        let expected = if is_offline { KAFKA_STORAGE_ERROR } else { NONE };
        let produced = produce(client, "t", index, batch(&[b"more"])).await;
        assert_eq!(
            (produced.error_code, produced.base_offset),
            (expected, if is_offline { -1 } else { offset })
        );
        let fetched = client.call(FETCH, &fetch_request("t", &[(index, 0, 1000)])).await;
        assert_eq!(fetched.responses[0].partitions[0].error_code, expected);
        assert_eq!(list_offset(client, index).await, expected);
    }
}

#[tokio::test]
async fn a_directory_that_fails_takes_its_partitions_offline_and_no_others() {
    let world = World { dir: TempDir::new() };
    let (running, mut client) = world.start().await;
    create(&mut client, "t", PARTITIONS, &[("segment.bytes", "1048576")]).await;
    for index in 0..PARTITIONS {
        assert_eq!(append(&mut client, "t", index, b"first").await, 0);
        assert!(world.dirs()[index as usize % 3].join(format!("t-{index}")).is_dir());
    }
    assert_eq!(described(&mut client).await, [(NONE, true, 2); 3]);

    // It vanishes: the next segment cannot be made.
    let (b, away) = (world.dirs()[1].clone(), world.dir.path().join("away"));
    fs::rename(&b, &away).unwrap();
    let large = vec![0; 600_000];
    let failed = async || produce(&mut client, "t", 1, batch(&[&large])).await.error_code != NONE;
    until("the directory fails", failed).await;
    until("its partitions have no leader", async || metadata(&mut client).await[4].1 == -1).await;
    check_offline(&mut client, 1).await;
    // What comes now goes to the others.
    create(&mut client, "u", 4, &[]).await;
    for index in 0..4 {
        append(&mut client, "u", index, b"first").await;
        assert!(world.dirs()[if index % 2 == 0 { 0 } else { 2 }].join(format!("u-{index}")).is_dir());
    }
    running.stop().await.unwrap();

    fs::write(&b, "a file").unwrap();
    let (running, mut client) = world.start().await;
    check_offline(&mut client, 2).await;
    running.stop().await.unwrap();

    // So a disk looks that is not mounted.
    fs::remove_file(&b).unwrap();
    fs::create_dir(&b).unwrap();
    let (running, mut client) = world.start().await;
    check_offline(&mut client, 3).await;
    running.stop().await.unwrap();
    assert!(!b.join("meta.properties").exists(), "nothing may begin where a disk belongs");

    fs::remove_dir_all(&b).unwrap();
    fs::rename(&away, &b).unwrap();
    let (running, mut client) = world.start().await;
    assert_eq!(metadata(&mut client).await[1], (NONE, 1, 2, 1, 0));
    assert_eq!(append(&mut client, "t", 4, b"after").await, 1);
    assert_eq!(append(&mut client, "t", 0, b"after").await, 4);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_broker_whose_metadata_directory_fails_says_so_and_ends() {
    let world = World { dir: TempDir::new() };
    let (running, _client) = world.start().await;
    running.broker().logs().take_offline(0, "its disk is broken");
    let why = tokio::time::timeout(Duration::from_secs(30), running.failed()).await.unwrap();
    assert!(why.contains("metadata") && why.contains("its disk is broken"), "{why}");
    let _ = running.stop().await;
}
