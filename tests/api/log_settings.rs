//! The settings of a topic's log: each is altered while the log is in use, and the files show at once that it holds.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::IncrementalAlterConfigsRequest;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::protocol::StrBytes;
use ottla::clock::Clock;
use ottla::{Broker, Running};
use ottla_protocol::batch::{BatchBuilder, Batches, RecordBatch};
use ottla_protocol::codec::Compression;

use crate::data::{FETCH, NONE, batch, create, fetch_request, fetched, produce};
use crate::support::{Client, TempDir};

const NOW_MS: i64 = 1_800_000_000_000;

struct World {
    dir: TempDir,
    clock: Clock,
    running: Running,
    client: Client,
}

impl World {
    async fn new(settings: &[(&str, &str)]) -> World {
        let (dir, clock) = (TempDir::new(), Clock::manual(NOW_MS));
        let mut builder = Broker::builder().data(dir.path()).clock(clock.clone());
        for (key, value) in settings {
            builder = builder.set(key, value);
        }
        let running = builder.start().await.unwrap();
        let mut client = Client::connect(&running).await;
        create(&mut client, "t", 1, &[]).await;
        World { dir, clock, running, client }
    }

    async fn alter(&mut self, key: &str, value: &str) {
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let config = AlterableConfig::default().with_name(text(key)).with_value(Some(text(value)));
        let resource = AlterConfigsResource::default()
            .with_resource_type(2)
            .with_resource_name(text("t"))
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        let answer = self.client.call(1, &request).await;
        assert_eq!(answer.responses[0].error_code, NONE, "{key}={value}: {:?}", answer.responses[0]);
    }

    /// One record of so many bytes, of the time it is now.
    async fn produce(&mut self, bytes: usize) {
        let mut builder = BatchBuilder::new();
        builder.append(self.clock.now_ms(), None, Some(&vec![b'x'; bytes]));
        let records: Bytes = builder.build().into_bytes();
        assert_eq!(produce(&mut self.client, "t", 0, records).await.error_code, NONE);
    }

    fn files(&self, suffix: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir.path().join("t-0")).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.to_string_lossy().ends_with(suffix));
        files.sort();
        files
    }

    fn segments(&self) -> usize {
        self.files(".log").len()
    }

    /// Time passes, and the logs are looked after.
    async fn advance(&self, by_ms: i64) {
        self.clock.advance(by_ms);
        let broker = self.running.broker().clone();
        tokio::task::spawn_blocking(move || broker.maintain()).await.unwrap();
    }

    async fn wait(&self, what: &str, is_so: impl Fn(&World) -> bool) {
        for _ in 0..2000 {
            if is_so(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("not in time: {what}: {:?}", self.files(""));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_ends_by_size_by_time_and_by_its_index() {
    let mut world = World::new(&[]).await;
    for _ in 0..3 {
        world.produce(600_000).await;
    }
    assert_eq!(world.segments(), 1, "of a gigabyte");
    world.alter("segment.bytes", "1048576").await;
    world.produce(600_000).await;
    world.produce(600_000).await;
    assert_eq!(world.segments(), 3);
    world.alter("segment.bytes", "100000000").await;

    world.clock.advance(3_600_000);
    world.produce(10).await;
    assert_eq!(world.segments(), 3, "of a week");
    world.alter("segment.ms", "3600000").await;
    world.clock.advance(1);
    world.produce(10).await;
    assert_eq!(world.segments(), 4);
    world.produce(10).await;
    assert_eq!(world.segments(), 4);
    world.alter("segment.ms", "604800000").await;

    // An index has an entry for each batch from now on, and room for two.
    world.alter("index.interval.bytes", "0").await;
    world.alter("segment.index.bytes", "24").await;
    for _ in 0..8 {
        world.produce(10).await;
    }
    let segments = world.segments();
    assert!((7..=9).contains(&segments), "{segments}");
    world.alter("segment.index.bytes", "10485760").await;
    for _ in 0..8 {
        world.produce(10).await;
    }
    assert!(world.segments() <= segments + 1);
    world.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_lets_go_of_is_removed_after_its_delay() {
    let mut world = World::new(&[("log.retention.check.interval.ms", "1")]).await;
    world.alter("segment.bytes", "1048576").await;
    world.alter("file.delete.delay.ms", "5000").await;
    for _ in 0..6 {
        world.produce(600_000).await;
    }
    world.advance(1000).await;
    world.advance(1000).await;
    assert_eq!(world.segments(), 6);
    world.alter("retention.bytes", "1200000").await;
    world.advance(1000).await;
    assert_eq!(world.segments(), 2, "less than that is left without them");
    assert_eq!(world.files(".log.deleted").len(), 4);
    world.advance(4999).await;
    assert_eq!(world.files(".log.deleted").len(), 4);
    world.advance(1).await;
    world.wait("the files are removed", |world| world.files(".deleted").is_empty()).await;

    world.alter("retention.bytes", "-1").await;
    world.alter("retention.ms", "60000").await;
    world.advance(40_000).await;
    assert_eq!(world.segments(), 2);
    world.alter("file.delete.delay.ms", "0").await;
    world.advance(20_000).await;
    world
        .wait("all is old: the last segment is begun anew", |world| {
            world.segments() == 1 && world.files(".deleted").is_empty()
        })
        .await;
    assert_eq!(world.files(".log")[0].file_name().unwrap(), "00000000000000000006.log");
    world.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_the_future_stay_until_they_are_old_and_retention_without_limit_keeps_all() {
    let mut world = World::new(&[("log.retention.check.interval.ms", "1")]).await;
    world.alter("message.timestamp.after.max.ms", "100000000").await;
    world.alter("retention.ms", "1000").await;
    let mut builder = BatchBuilder::new();
    builder.append(NOW_MS + 50_000, None, Some(b"of the future"));
    let records = builder.build().into_bytes();
    assert_eq!(produce(&mut world.client, "t", 0, records).await.error_code, NONE);
    world.advance(1000).await;
    world.advance(49_000).await;
    assert_ne!(fs::metadata(&world.files(".log")[0]).unwrap().len(), 0);
    world.alter("retention.ms", "-1").await;
    world.advance(10_000_000).await;
    assert_ne!(fs::metadata(&world.files(".log")[0]).unwrap().len(), 0);
    world.alter("retention.ms", "1000").await;
    world.advance(1).await;
    assert_eq!(world.files(".log")[0].file_name().unwrap(), "00000000000000000001.log");
    world.running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_segment_is_preallocated_and_a_stop_gives_back_the_rest() {
    let mut world = World::new(&[]).await;
    world.produce(600_000).await;
    world.alter("preallocate", "true").await;
    world.alter("segment.bytes", "1048576").await;
    world.produce(600_000).await;
    let lengths = |world: &World| -> Vec<u64> {
        world.files(".log").iter().map(|path| fs::metadata(path).unwrap().len()).collect()
    };
    let found = lengths(&world);
    assert_eq!((found.len(), found[1]), (2, 1_048_576));
    world.running.stop().await.unwrap();
    let entries = fs::read_dir(world.dir.path().join("t-0")).unwrap();
    let logs = entries
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "log"));
    for log in logs {
        assert_eq!(log.metadata().unwrap().len(), found[0]);
    }
}

/// How far the log is on the disk for sure, as the checkpoint says.
fn recovery_point(world: &World) -> i64 {
    let text =
        fs::read_to_string(world.dir.path().join("recovery-point-offset-checkpoint")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("t 0 ").map(str::to_owned));
    line.map_or(0, |offset| offset.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_is_flushed_by_records_and_by_time() {
    let mut world = World::new(&[("log.flush.offset.checkpoint.interval.ms", "1")]).await;
    world.produce(10).await;
    world.advance(1000).await;
    assert_eq!(recovery_point(&world), 0);
    world.alter("flush.messages", "2").await;
    world.produce(10).await;
    world.advance(1000).await;
    assert_eq!(recovery_point(&world), 2, "acknowledged, and so on the disk");
    world.alter("flush.messages", "9223372036854775807").await;
    world.produce(10).await;
    world.advance(1000).await;
    assert_eq!(recovery_point(&world), 2);
    world.alter("flush.ms", "2000").await;
    world.advance(1000).await;
    for _ in 0..2000 {
        world.advance(1).await;
        if recovery_point(&world) == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(recovery_point(&world), 3);
    world.running.stop().await.unwrap();
}

/// What the broker compresses itself, it compresses at the topic's level, which takes effect with the next batch.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_level_of_lz4_says_how_small_a_batch_becomes() {
    let mut world = World::new(&[]).await;
    world.alter("compression.type", "lz4").await;
    let line = |number: u32| format!("line {number} of {}\n", number.wrapping_mul(2_654_435_761));
    let value: String = (0..10_000).map(line).collect();
    let sent = batch(&[value.as_bytes()]);
    let mut sizes = Vec::new();
    for level in ["9", "1", "6", "17", "9"] {
        world.alter("compression.lz4.level", level).await;
        assert_eq!(produce(&mut world.client, "t", 0, sent.clone()).await.error_code, NONE);
        let request = fetch_request("t", &[(0, sizes.len() as i64, i32::MAX)]);
        let answer = world.client.call(FETCH, &request).await;
        let stored = fetched(answer).remove(0).records.unwrap();
        let stored = Batches::new(stored).next().unwrap().unwrap();
        assert_eq!(stored.compression(), Some(Compression::Lz4));
        let payload = stored.inflate(1 << 20).unwrap();
        assert_eq!(payload, RecordBatch::parse(&sent).unwrap().payload(), "{level}");
        sizes.push(stored.size());
    }
    let [fast, weak, middle, best, again] = sizes[..] else { panic!("{sizes:?}") };
    assert!(sent.len() > fast && fast > weak && weak > middle && middle > best, "{sizes:?}");
    assert_eq!(fast, again);
}
