//! The runtime over a log in memory that can be slow, and can fail.

use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::test_log::{NoTopics, TestLog};
use super::*;
use crate::clock::Clock;
use crate::coordinator::group::commands::*;
use crate::coordinator::group::{GroupConfig, GroupError, Producer};
use crate::coordinator::marker::TxnMarker;
use crate::coordinator::share::ShareCoordinatorConfig;

fn new_coordinator(config: GroupConfig, log: Arc<dyn CoordinatorLog>) -> Arc<GroupCoordinator> {
    let (cluster, clock) = (Arc::new(NoTopics), Clock::default());
    let share_config = ShareCoordinatorConfig::default();
    let states = ShareCoordinator::new(share_config, Arc::clone(&log), cluster.clone(), clock.clone());
    GroupCoordinator::new(config, log, cluster, clock, states)
}

fn coordinator(log: &Arc<TestLog>) -> Arc<GroupCoordinator> {
    let log: Arc<dyn CoordinatorLog> = log.clone();
    new_coordinator(GroupConfig::default(), log)
}

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn commit(offset: i64) -> Commit {
    let partitions = vec![CommitPartition { index: 0, offset, leader_epoch: -1, metadata: text("") }];
    Commit {
        group_id: text("g"),
        member_id: text(""),
        group_instance_id: None,
        generation_id: -1,
        retention_ms: None,
        api_version: 9,
        topics: vec![CommitTopic { name: text("t"), topic_id: Uuid::nil(), partitions }],
    }
}

fn join(coordinator: &GroupCoordinator, member_id: StrBytes, session_timeout_ms: i32) -> Join {
    Join {
        ticket: coordinator.ticket(),
        group_id: text("g"),
        member_id,
        group_instance_id: None,
        client_id: text("c"),
        client_host: text("/127.0.0.1"),
        session_timeout_ms,
        rebalance_timeout_ms: 1_000,
        protocol_type: text("consumer"),
        protocols: vec![Protocol { name: text("range"), metadata: Bytes::new() }],
        must_know_member_id: false,
        may_skip_assignment: true,
        unique: Uuid::from_u128(1),
    }
}

async fn committed(coordinator: &Arc<GroupCoordinator>) -> Option<i64> {
    let fetch = FetchOffsets {
        group_id: text("g"),
        member_id: None,
        member_epoch: -1,
        require_stable: false,
        topics: None,
    };
    let topics = coordinator.fetch_offsets(fetch).await.expect("a coordinator");
    topics.first().and_then(|topic| topic.partitions.first()).map(|partition| partition.offset)
}

#[tokio::test]
async fn offsets_are_there_again_after_a_restart() {
    let log = TestLog::new();
    coordinator(&log).commit(&commit(5)).await.expect("a commit");
    assert_eq!(committed(&coordinator(&log)).await, Some(5));
}

#[tokio::test]
async fn no_answer_leaves_before_the_log_has_it() {
    let log = TestLog::new();
    let coordinator = coordinator(&log);
    coordinator.commit(&commit(5)).await.expect("a commit");
    log.commit(log.appended());

    let writing = tokio::spawn({
        let coordinator = Arc::clone(&coordinator);
        async move { coordinator.commit(&commit(6)).await }
    });
    while log.appended() < 2 {
        tokio::task::yield_now().await;
    }
    // A reader that sees the new offset has to wait for it as well.
    let reading = tokio::spawn({
        let coordinator = Arc::clone(&coordinator);
        async move { committed(&coordinator).await }
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!writing.is_finished() && !reading.is_finished());
    log.commit(i64::MAX);
    writing.await.expect("no panic").expect("a commit");
    assert_eq!(reading.await.expect("no panic"), Some(6));
}

#[tokio::test]
async fn a_failed_append_takes_everything_back() {
    let log = TestLog::new();
    let coordinator = coordinator(&log);
    coordinator.commit(&commit(5)).await.expect("a commit");
    log.fail_next();
    assert_eq!(coordinator.commit(&commit(6)).await, Err(GroupError::CoordinatorNotAvailable));
    assert_eq!(committed(&coordinator).await, Some(5));

    // The same when it turns out later, with others waiting behind.
    log.commit(log.appended());
    log.fail_next();
    let behind = |offset| {
        let coordinator = Arc::clone(&coordinator);
        tokio::spawn(async move { coordinator.commit(&commit(offset)).await })
    };
    let first = behind(7);
    let second = behind(8);
    while log.appended() < 2 {
        tokio::task::yield_now().await;
    }
    log.commit(i64::MAX);
    assert_eq!(first.await.expect("no panic"), Err(GroupError::NotCoordinator));
    assert_eq!(second.await.expect("no panic"), Err(GroupError::NotCoordinator));
}

/// A batch that came too late for its transaction is refused; nobody else notices.
#[tokio::test]
async fn a_refused_batch_changes_nothing() {
    let log = TestLog::new();
    let coordinator = coordinator(&log);
    coordinator.commit(&commit(5)).await.expect("a commit");
    let pending = TransactionalCommit {
        group_id: text("g"),
        producer: Producer { id: 7, epoch: 0 },
        claim: MemberClaim { generation_id: -1, ..MemberClaim::default() },
        topics: commit(6).topics,
    };
    let marker = TxnMarker {
        producer_id: 7,
        producer_epoch: 0,
        coordinator_epoch: 0,
        is_commit: true,
        transaction_version: 0,
    };
    let appended = log.appended();
    let refused = coordinator.commit_transactional(&pending, Voucher::Ongoing).await;
    assert_eq!((refused, log.appended()), (Err(GroupError::InvalidTxnState), appended));
    for partition in 0..3 {
        coordinator.end_transaction(partition, marker).await.expect("an end");
    }
    assert_eq!(committed(&coordinator).await, Some(5));

    coordinator.commit_transactional(&pending, Voucher::Verified(Some(1))).await.expect("a commit");
    assert_eq!(committed(&coordinator).await, Some(5));
    for partition in 0..3 {
        coordinator.end_transaction(partition, marker).await.expect("an end");
    }
    assert_eq!(committed(&coordinator).await, Some(6));
    // A restart reads the same.
    assert_eq!(committed(&self::coordinator(&log)).await, Some(6));
}

#[tokio::test]
async fn a_silent_member_is_removed_by_the_alarm() {
    let log = TestLog::new();
    let as_log: Arc<dyn CoordinatorLog> = log.clone();
    let config = GroupConfig { min_session_timeout_ms: 1, ..GroupConfig::default() };
    let coordinator = new_coordinator(config, as_log);
    let joined = coordinator.join(join(&coordinator, text(""), 30_000)).await.expect("a place");
    assert_eq!(joined.generation_id, 1);
    // A shorter session from now on: the alarm has to be brought forward.
    let rejoined = join(&coordinator, joined.member_id.clone(), 20);
    let rejoined = Join {
        protocols: vec![Protocol { metadata: Bytes::from_static(b"new"), ..rejoined.protocols[0].clone() }],
        ..rejoined
    };
    assert_eq!(coordinator.join(rejoined).await.expect("a place").generation_id, 2);

    let is_empty = async {
        while coordinator.describe(&text("g")).await.expect("a group").state != "Empty" {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), is_empty).await.expect("the session ends");
}

#[test]
fn groups_lie_where_kafka_has_them() {
    // Utils.abs(groupId.hashCode()) % 50 in Java.
    assert_eq!(partition_of("", 50), 0);
    assert_eq!(partition_of("g", 50), 3);
    assert_eq!(partition_of("console-consumer-12345", 50), 6);
    // Its hash is i32::MIN.
    assert_eq!(partition_of("polygenelubricants", 50), 0);
}
