//! The coordinator over a log in memory, with peers that lose markers and keep book of them.

use std::sync::atomic::{AtomicI64, Ordering};

use super::super::test_log::{NoTopics, TestLog};
use super::*;
use crate::coordinator::transaction::{TransactionResult, TransactionVersion};

/// Writes markers into a list; some not at once.
struct TestPeers {
    last_producer_id: AtomicI64,
    /// How many of the next markers are lost.
    lost: AtomicI64,
    written: Mutex<Vec<(TransactionResult, i32)>>,
}

impl TestPeers {
    fn losing(lost: i64) -> Arc<Self> {
        Arc::new(TestPeers {
            last_producer_id: AtomicI64::new(999),
            lost: AtomicI64::new(lost),
            written: Mutex::default(),
        })
    }

    /// The partitions that have a marker of that kind, in order and each once.
    fn marked(&self, result: TransactionResult) -> Vec<i32> {
        let written = self.written.lock().unwrap();
        let mut marked: Vec<i32> =
            written.iter().filter(|(kind, _)| *kind == result).map(|(_, partition)| *partition).collect();
        marked.sort_unstable();
        marked.dedup();
        marked
    }
}

impl TransactionPeers for TestPeers {
    fn new_producer_id(&self) -> PeerFuture<Option<i64>> {
        let id = self.last_producer_id.fetch_add(1, Ordering::SeqCst) + 1;
        Box::pin(async move { Some(id) })
    }

    fn write_markers(&self, _partition: i32, markers: Markers) -> PeerFuture<Vec<TopicPartition>> {
        let mut left = Vec::new();
        for partition in markers.partitions {
            if self.lost.fetch_sub(1, Ordering::SeqCst) > 0 {
                left.push(partition);
            } else {
                self.written.lock().unwrap().push((markers.result, partition.partition));
            }
        }
        Box::pin(async move { left })
    }
}

fn coordinator(log: &Arc<TestLog>, peers: &Arc<TestPeers>) -> Arc<TransactionCoordinator> {
    let (log, peers): (Arc<dyn CoordinatorLog>, Arc<dyn TransactionPeers>) = (log.clone(), peers.clone());
    let config = TransactionConfig { abort_timed_out_interval_ms: 5, ..TransactionConfig::default() };
    TransactionCoordinator::new(config, log, Arc::new(NoTopics), peers, Clock::default())
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

/// A producer of `a` with a transaction in partitions 0, 1 and 2 of `t`.
async fn begin(coordinator: &TransactionCoordinator) -> ProducerIdAndEpoch {
    let init = InitProducerId {
        transactional_id: text("a"),
        timeout_ms: 60_000,
        expected: None,
        new_producer_id: None,
    };
    let producer = coordinator.init_producer_id(init).await.expect("a producer");
    let partition = |partition| TopicPartition { topic: text("t"), partition };
    let add = AddPartitions {
        transactional_id: text("a"),
        producer,
        partitions: (0..3).map(partition).collect(),
        client_version: TransactionVersion::V2,
    };
    coordinator.add_partitions(&add).await.expect("partitions");
    producer
}

fn end(producer: ProducerIdAndEpoch, result: TransactionResult) -> EndTxn {
    EndTxn {
        transactional_id: text("a"),
        producer,
        result,
        client_version: TransactionVersion::V2,
        new_producer_id: None,
    }
}

async fn until(coordinator: &TransactionCoordinator, state: &str) {
    let reached = async {
        while coordinator.describe(&text("a")).await.map(|described| described.state) != Ok(state) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reached).await.expect("the state is reached");
}

#[tokio::test]
async fn lost_markers_are_sent_again() {
    let (log, peers) = (TestLog::new(), TestPeers::losing(5));
    let coordinator = coordinator(&log, &peers);
    let producer = begin(&coordinator).await;
    coordinator.end(end(producer, TransactionResult::Commit)).await.expect("a decision");
    until(&coordinator, "CompleteCommit").await;
    assert_eq!(peers.marked(TransactionResult::Commit), [0, 1, 2]);
    assert!(peers.marked(TransactionResult::Abort).is_empty());
}

#[tokio::test]
async fn a_new_coordinator_finishes_what_was_decided_although_nobody_asks() {
    let log = TestLog::new();
    let losing = TestPeers::losing(i64::MAX);
    let first = coordinator(&log, &losing);
    let producer = begin(&first).await;
    first.end(end(producer, TransactionResult::Abort)).await.expect("a decision");

    let peers = TestPeers::losing(0);
    let second = coordinator(&log, &peers);
    tokio::spawn(TransactionCoordinator::keep_loaded(Arc::downgrade(&second)));
    let marked = async {
        while peers.marked(TransactionResult::Abort) != [0, 1, 2] {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), marked).await.expect("markers");
    until(&second, "CompleteAbort").await;
}

/// The log fails when it is to be written down that all markers are there: the shard is read again, and asks for them
/// once more.
#[tokio::test]
async fn what_was_decided_is_finished_although_the_log_fails() {
    let (log, peers) = (TestLog::new(), TestPeers::losing(0));
    let coordinator = coordinator(&log, &peers);
    for result in [TransactionResult::Commit, TransactionResult::Abort] {
        let producer = begin(&coordinator).await;
        // What is appended from here on is committed when it is let through.
        log.commit(log.appended());
        let ending = tokio::spawn({
            let coordinator = Arc::clone(&coordinator);
            async move { coordinator.end(end(producer, result)).await }
        });
        let before = log.appended();
        while log.appended() == before {
            tokio::task::yield_now().await;
        }
        assert!(peers.marked(result).is_empty(), "no marker before the decision is in the log");
        log.fail_next();
        log.commit(i64::MAX);
        ending.await.expect("no panic").expect("a decision");
        until(
            &coordinator,
            if result == TransactionResult::Commit { "CompleteCommit" } else { "CompleteAbort" },
        )
        .await;
        assert_eq!(peers.marked(result), [0, 1, 2]);
    }
}

#[tokio::test]
async fn a_decision_that_is_not_in_the_log_is_none() {
    let (log, peers) = (TestLog::new(), TestPeers::losing(0));
    let coordinator = coordinator(&log, &peers);
    let producer = begin(&coordinator).await;
    log.fail_next();
    let refused = coordinator.end(end(producer, TransactionResult::Commit)).await;
    assert_eq!(refused, Err(TransactionError::CoordinatorNotAvailable));
    until(&coordinator, "Ongoing").await;
    assert!(peers.marked(TransactionResult::Commit).is_empty());
    coordinator.end(end(producer, TransactionResult::Abort)).await.expect("a decision");
    until(&coordinator, "CompleteAbort").await;
}

#[tokio::test]
async fn a_transactions_time_passes_although_nobody_asks() {
    let (log, peers) = (TestLog::new(), TestPeers::losing(0));
    let coordinator = coordinator(&log, &peers);
    let init =
        InitProducerId { transactional_id: text("a"), timeout_ms: 20, expected: None, new_producer_id: None };
    let producer = coordinator.init_producer_id(init).await.expect("a producer");
    let partitions = vec![TopicPartition { topic: text("t"), partition: 0 }];
    let client_version = TransactionVersion::V0;
    let add = AddPartitions { transactional_id: text("a"), producer, partitions, client_version };
    coordinator.add_partitions(&add).await.expect("partitions");
    until(&coordinator, "CompleteAbort").await;
    assert_eq!(peers.marked(TransactionResult::Abort), [0]);
    assert_eq!(coordinator.add_partitions(&add).await, Err(TransactionError::ProducerFenced));
}
