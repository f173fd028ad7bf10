//! Partitions that nobody uses cost next to nothing, and nobody notices.

use ottla::clock::Clock;
use ottla::{Broker, Running};

use crate::data::{FETCH, append, batches, create, fetch_request, fetched, latest_offset};
use crate::support::{Client, TempDir};

/// The time of the records that the tests of the data path write.
const WRITTEN_MS: i64 = 1_700_000_000_000;
const HOUR_MS: i64 = 3_600_000;
const PARTITIONS: i32 = 50;
/// The metadata's own log is always open.
const METADATA_LOG: usize = 1;

/// Time passes, and upkeep comes by as often as it takes.
fn pass(running: &Running, clock: &Clock) {
    for _ in 0..3 {
        clock.advance(60_000);
        running.broker().maintain();
    }
}

async fn start(dir: &TempDir, clock: &Clock) -> (Running, Client) {
    let running = Broker::builder().data(dir.path()).clock(clock.clone()).start().await.unwrap();
    let client = Client::connect(&running).await;
    (running, client)
}

#[tokio::test]
async fn unused_partitions_are_put_away_and_come_back() {
    let (dir, clock) = (TempDir::new(), Clock::manual(WRITTEN_MS));
    let (running, mut client) = start(&dir, &clock).await;
    create(&mut client, "t", PARTITIONS, &[]).await;
    for offset in 0..3 {
        for partition in 0..PARTITIONS {
            assert_eq!(append(&mut client, "t", partition, b"value").await, offset);
        }
        pass(&running, &clock);
        assert_eq!(running.broker().logs().open_count(), METADATA_LOG);
    }
    let wanted: Vec<_> = (0..PARTITIONS).map(|partition| (partition, 1, 1 << 20)).collect();
    for partition in fetched(client.call(FETCH, &fetch_request("t", &wanted)).await) {
        assert_eq!((partition.high_watermark, partition.last_stable_offset), (3, 3));
        assert_eq!(batches(&partition), [(1, 1), (2, 2)]);
    }
    running.stop().await.unwrap();
}

/// Asking for what is empty must not cost memory for ever, either.
#[tokio::test]
async fn empty_partitions_are_put_away() {
    let (dir, clock) = (TempDir::new(), Clock::manual(WRITTEN_MS));
    let (running, mut client) = start(&dir, &clock).await;
    create(&mut client, "t", PARTITIONS, &[]).await;
    for partition in 0..PARTITIONS {
        assert_eq!(latest_offset(&mut client, "t", partition).await, 0);
    }
    assert_eq!(running.broker().logs().open_count(), METADATA_LOG + PARTITIONS as usize);
    pass(&running, &clock);
    assert_eq!(running.broker().logs().open_count(), METADATA_LOG);
    running.stop().await.unwrap();
}

#[tokio::test]
async fn who_waits_for_a_partition_keeps_it() {
    let (dir, clock) = (TempDir::new(), Clock::manual(WRITTEN_MS));
    let (running, mut producer) = start(&dir, &clock).await;
    create(&mut producer, "t", 1, &[]).await;
    let mut consumer = Client::connect(&running).await;
    consumer.send(FETCH, &fetch_request("t", &[(0, 0, 1 << 20)]).with_max_wait_ms(60_000)).await;
    while running.broker().logs().open_count() == METADATA_LOG {
        tokio::task::yield_now().await;
    }
    pass(&running, &clock);
    assert_eq!(running.broker().logs().open_count(), METADATA_LOG + 1);
    append(&mut producer, "t", 0, b"value").await;
    consumer.answer_begins().await;
    running.stop().await.unwrap();
}

/// Also of a log that was put away, and when the topic's configuration says so only later.
#[tokio::test]
async fn retention_finds_what_was_put_away() {
    let (dir, clock) = (TempDir::new(), Clock::manual(WRITTEN_MS));
    let (running, mut client) = start(&dir, &clock).await;
    create(&mut client, "hours", 1, &[("retention.ms", "3600000")]).await;
    create(&mut client, "weeks", 1, &[]).await;
    for topic in ["hours", "weeks"] {
        append(&mut client, topic, 0, b"value").await;
    }
    let size = |topic: &str| {
        let files = std::fs::read_dir(dir.path().join(format!("{topic}-0"))).unwrap();
        let logs = files
            .map(|file| file.unwrap())
            .filter(|file| file.file_name().to_string_lossy().ends_with(".log"));
        logs.map(|log| log.metadata().unwrap().len()).sum::<u64>()
    };
    pass(&running, &clock);
    pass(&running, &clock);
    assert_eq!(running.broker().logs().open_count(), METADATA_LOG);
    assert!(size("hours") > 0 && size("weeks") > 0);
    clock.advance(HOUR_MS);
    pass(&running, &clock);
    assert!(size("hours") == 0 && size("weeks") > 0);

    let altered = kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig::default()
        .with_name("retention.ms".into())
        .with_value(Some("1000".into()));
    let resource =
        kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name("weeks".into())
            .with_configs(vec![altered]);
    let request =
        kafka_protocol::messages::IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    assert_eq!(client.call(1, &request).await.responses[0].error_code, 0);
    clock.advance(HOUR_MS);
    pass(&running, &clock);
    assert_eq!(size("weeks"), 0);
    assert_eq!(latest_offset(&mut client, "weeks", 0).await, 1);
    running.stop().await.unwrap();
}
