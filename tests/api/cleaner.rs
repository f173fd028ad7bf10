//! The cleaner at work: what it compacts, when, and what it leaves alone.

use std::path::Path;
use std::time::Duration;

use kafka_protocol::messages::{FindCoordinatorRequest, ListGroupsRequest, OffsetFetchRequest};
use ottla::clock::Clock;
use ottla::{Broker, Builder, Running};
use ottla_protocol::batch::{BatchBuilder, Batches};
use ottla_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::{IncrementalAlterConfigsRequest, OffsetCommitRequest};
use tokio::time::{sleep, timeout};

use crate::data::{FETCH, NONE, create, fetch_request, fetched, produce};
use crate::groups::text;
use crate::support::{Client, TempDir};
use crate::transactions;

/// Segments of a few batches, and no patience.
const EAGER: [(&str, &str); 3] =
    [("cleanup.policy", "compact"), ("internal.segment.bytes", "1000"), ("min.cleanable.dirty.ratio", "0.0")];

fn broker() -> Builder {
    Broker::builder().set("log.cleaner.backoff.ms", 0)
}

async fn connected(builder: Builder) -> (Running, Client) {
    let running = builder.start().await.unwrap();
    let client = Client::connect(&running).await;
    (running, client)
}

/// Overwrites the same ten keys again and again: a hundred records of about 100 bytes, in as many batches.
async fn overwrite(client: &mut Client, topic: &str) {
    for number in 0..100 {
        let mut batch = BatchBuilder::new();
        let key = format!("key-{}", number % 10);
        batch.append(1_700_000_000_000 + number, Some(key.as_bytes()), Some(&[b'x'; 30]));
        assert_eq!(produce(client, topic, 0, batch.build().into_bytes()).await.error_code, NONE);
    }
}

/// How many records a reader finds from the beginning.
async fn count(client: &mut Client, topic: &str) -> usize {
    let (mut offset, mut count) = (0, 0);
    loop {
        let partition =
            fetched(client.call(FETCH, &fetch_request(topic, &[(0, offset, i32::MAX)])).await).remove(0);
        assert_eq!(partition.error_code, NONE);
        let before = offset;
        for batch in Batches::new(partition.records.unwrap_or_default()) {
            let batch = batch.expect("a whole batch");
            count += usize::try_from(batch.records_count).unwrap();
            offset = batch.last_offset() + 1;
        }
        if offset == before {
            return count;
        }
    }
}

/// Waits until so few records are left; what has not been compacted is in the last segments, which hold a dozen.
async fn until_compacted(client: &mut Client, topic: &str) {
    let compacted = async {
        while count(client, topic).await > 30 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(30), compacted).await.expect("the log is compacted");
}

async fn alter(client: &mut Client, resource_type: i8, resource: &str, key: &str, value: &str) {
    let config = AlterableConfig::default().with_name(text(key)).with_value(Some(text(value)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(text(resource))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    assert_eq!(client.call(1, &request).await.responses[0].error_code, NONE);
}

const TOPIC: i8 = 2;

/// Bytes in the log files of a directory.
fn log_bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let logs = files.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    // One may have been replaced since the directory was read.
    logs.filter_map(|path| std::fs::metadata(path).ok()).map(|file| file.len()).sum()
}

/// Waits until a log on the disk is this small.
async fn until_small(dir: &Path, bytes: u64) {
    let small = async {
        while log_bytes(dir) > bytes {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(60), small)
        .await
        .unwrap_or_else(|_| panic!("{} bytes are left", log_bytes(dir)));
}

#[tokio::test]
async fn a_dirty_log_is_compacted_in_memory_and_on_disk() {
    let dir = TempDir::new();
    for builder in [broker(), broker().data(dir.path())] {
        let (running, mut client) = connected(builder).await;
        create(&mut client, "t", 1, &EAGER).await;
        overwrite(&mut client, "t").await;
        until_compacted(&mut client, "t").await;
        running.stop().await.unwrap();
    }
}

/// Nobody touches the topic after the start.
#[tokio::test]
async fn a_log_that_nobody_has_used_since_the_start_is_compacted_too() {
    let dir = TempDir::new();
    let (running, mut client) = connected(broker().data(dir.path()).set("log.cleaner.enable", false)).await;
    create(&mut client, "t", 1, &EAGER).await;
    overwrite(&mut client, "t").await;
    assert_eq!(count(&mut client, "t").await, 100);
    running.stop().await.unwrap();
    let before = log_bytes(&dir.path().join("t-0"));

    let (running, mut client) = connected(broker().data(dir.path())).await;
    until_small(&dir.path().join("t-0"), before / 3).await;
    until_compacted(&mut client, "t").await;
    running.stop().await.unwrap();
}

/// Written to and put away between two rounds: opened for the pass, and put away again.
#[tokio::test]
async fn a_log_out_of_use_is_compacted_and_put_away_again() {
    let (dir, clock) = (TempDir::new(), Clock::manual(1_700_000_000_000));
    let builder = Broker::builder().data(dir.path()).clock(clock.clone());
    let (running, mut client) = connected(builder.set("log.cleaner.backoff.ms", 600_000)).await;
    let pass = |seconds: i64| {
        clock.advance(seconds * 1000);
        running.broker().maintain();
    };
    // The first round ends here: it may have begun by itself, and found nothing.
    pass(600);
    create(&mut client, "t", 1, &EAGER).await;
    overwrite(&mut client, "t").await;
    // The metadata's own log is always open.
    let is_put_away = async |seconds: i64| {
        let closes = async {
            while running.broker().logs().open_count() > 1 {
                pass(seconds);
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(Duration::from_secs(30), closes).await.expect("the log is closed");
    };
    // Before the next round, which is 600 seconds away.
    is_put_away(2).await;
    let log = dir.path().join("t-0");
    let before = log_bytes(&log);
    pass(600);
    until_small(&log, before / 3).await;
    is_put_away(60).await;
    until_compacted(&mut client, "t").await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_policy_and_a_ratio_that_are_altered_count_at_once() {
    let (running, mut client) = connected(broker()).await;
    create(&mut client, "policy", 1, &[EAGER[1], EAGER[2]]).await;
    create(&mut client, "ratio", 1, &[EAGER[0], EAGER[1], ("min.cleanable.dirty.ratio", "1.0")]).await;
    for topic in ["policy", "ratio"] {
        overwrite(&mut client, topic).await;
    }
    create(&mut client, "other", 1, &EAGER).await;
    overwrite(&mut client, "other").await;
    until_compacted(&mut client, "other").await;
    assert_eq!((count(&mut client, "policy").await, count(&mut client, "ratio").await), (100, 100));
    alter(&mut client, TOPIC, "policy", "cleanup.policy", "compact").await;
    alter(&mut client, TOPIC, "ratio", "min.cleanable.dirty.ratio", "0.2").await;
    until_compacted(&mut client, "policy").await;
    until_compacted(&mut client, "ratio").await;
    running.stop().await.unwrap();
}

/// The records are of 2023, and must be compacted within a minute of that.
#[tokio::test]
async fn a_lag_that_has_passed_overrules_the_ratio() {
    let (running, mut client) = connected(broker()).await;
    let lag = ("max.compaction.lag.ms", "60000");
    create(&mut client, "t", 1, &[EAGER[0], EAGER[1], ("min.cleanable.dirty.ratio", "1.0"), lag]).await;
    overwrite(&mut client, "t").await;
    until_compacted(&mut client, "t").await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_throttled_pass() {
    let dir = TempDir::new();
    let builder = broker().data(dir.path()).set("log.cleaner.io.max.bytes.per.second", 1);
    let (running, mut client) = connected(builder).await;
    create(&mut client, "t", 1, &EAGER).await;
    overwrite(&mut client, "t").await;
    let has_begun = || {
        std::fs::read_to_string(dir.path().join("cleaner-offset-checkpoint"))
            .is_ok_and(|text| text.contains("\nt 0 "))
    };
    let begun = async {
        while !has_begun() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(30), begun).await.expect("a pass has begun");
    // That it has not ended shows that it is throttled.
    assert_eq!(count(&mut client, "t").await, 100);
    timeout(Duration::from_secs(10), running.stop()).await.expect("the pass is given up").unwrap();

    let (running, mut client) = connected(broker().data(dir.path())).await;
    until_compacted(&mut client, "t").await;
    running.stop().await.unwrap();
}

/// A flipped byte in one log: it is left as it is, and the others are compacted.
#[tokio::test]
async fn a_damaged_log_is_left_alone() {
    let dir = TempDir::new();
    let (running, mut client) = connected(broker().data(dir.path()).set("log.cleaner.enable", false)).await;
    for topic in ["damaged", "whole"] {
        create(&mut client, topic, 1, &EAGER).await;
        overwrite(&mut client, topic).await;
    }
    running.stop().await.unwrap();
    let path = dir.path().join("damaged-0/00000000000000000000.log");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, &bytes).unwrap();

    let (running, mut client) = connected(broker().data(dir.path())).await;
    until_compacted(&mut client, "whole").await;
    overwrite(&mut client, "whole").await;
    until_compacted(&mut client, "whole").await;
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    running.stop().await.unwrap();
}

/// A hundred thousand offsets of three groups, in a log that is let grow to a few megabytes.
#[tokio::test]
async fn the_log_of_offsets_stays_small() {
    const GROUPS: [&str; 3] = ["one", "two", "three"];
    let dir = TempDir::new();
    let builder = || {
        broker()
            .data(dir.path())
            .set("offsets.topic.num.partitions", 1)
            .set("offsets.topic.segment.bytes", 1 << 20)
            .set("log.cleaner.min.cleanable.ratio", 0.01)
    };
    let (running, mut client) = connected(builder()).await;
    create(&mut client, "t", 100, &[]).await;
    for group in GROUPS {
        let request = FindCoordinatorRequest::default().with_key(text(group));
        assert_eq!(client.call(3, &request).await.error_code, NONE);
    }
    for round in 0..1000 {
        let partition = |index| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(index)
                .with_committed_offset(i64::from(round * 100 + index))
                .with_committed_metadata(Some(text("m")))
        };
        let topic = OffsetCommitRequestTopic::default()
            .with_name(text("t").into())
            .with_partitions((0..100).map(partition).collect());
        let group = GROUPS[usize::try_from(round).unwrap() % GROUPS.len()];
        let request =
            OffsetCommitRequest::default().with_group_id(text(group).into()).with_topics(vec![topic]);
        assert_eq!(client.call(8, &request).await.topics[0].partitions[0].error_code, NONE);
    }
    let log = dir.path().join("__consumer_offsets-0");
    // Three hundred keys, and the last segment.
    until_small(&log, 1_200_000).await;
    check_offsets(&mut client, &GROUPS).await;
    running.stop().await.unwrap();

    let (running, mut client) = connected(builder()).await;
    check_offsets(&mut client, &GROUPS).await;
    let listed = client.call(4, &ListGroupsRequest::default()).await;
    assert_eq!(listed.groups.len(), GROUPS.len());
    running.stop().await.unwrap();
}

async fn check_offsets(client: &mut Client, groups: &[&str]) {
    for (number, group) in groups.iter().enumerate() {
        // 999 % 3 is 0: the first group's last round is the last of all.
        let round = [999, 997, 998][number];
        let request = OffsetFetchRequest::default().with_group_id(text(group).into()).with_topics(None);
        let fetched = client.call(2, &request).await;
        let mut offsets: Vec<i64> =
            fetched.topics[0].partitions.iter().map(|partition| partition.committed_offset).collect();
        offsets.sort_unstable();
        assert_eq!(offsets, (round * 100..round * 100 + 100).collect::<Vec<i64>>(), "{group}");
    }
}

#[tokio::test]
async fn the_log_of_transactions_stays_small() {
    const IDS: [&str; 3] = ["one", "two", "three"];
    let dir = TempDir::new();
    let builder = || {
        broker()
            .data(dir.path())
            .set("transaction.state.log.num.partitions", 1)
            .set("log.cleaner.min.cleanable.ratio", 0.01)
    };
    let (running, mut client) = connected(builder()).await;
    create(&mut client, "t", 1, &[]).await;
    transactions::find(&mut client, "one").await;
    alter(&mut client, TOPIC, "__transaction_state", "internal.segment.bytes", "8192").await;
    let mut producers = Vec::new();
    for id in IDS {
        producers.push(transactions::begin(&mut client, id).await);
    }
    for round in 0..100 {
        for (id, producer) in IDS.iter().zip(&producers) {
            transactions::begin_transaction(&mut client, id, *producer).await;
            let is_commit = round % 2 == 0;
            let ended = client.call(3, &transactions::end(id, *producer, is_commit)).await;
            assert_eq!(ended.error_code, NONE);
            let state = if is_commit { "CompleteCommit" } else { "CompleteAbort" };
            transactions::until(&mut client, id, state).await;
        }
    }
    until_small(&dir.path().join("__transaction_state-0"), 12_000).await;
    running.stop().await.unwrap();

    let (running, mut client) = connected(builder()).await;
    for (id, producer) in IDS.iter().zip(&producers) {
        let state = transactions::until(&mut client, id, "CompleteAbort").await;
        assert_eq!((state.producer_id.0, state.producer_epoch), *producer);
    }
    running.stop().await.unwrap();
}
