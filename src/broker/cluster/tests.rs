//! The thread between many askers and one log.

use kafka_protocol::messages::TopicName;

use super::*;
use crate::broker::TableRules;
use crate::config::ServerConfig;
use crate::metadata::{BrokerDirectories, TopicError};

pub(super) fn settings() -> ClusterSettings {
    let config = ServerConfig::new([("node.id".to_owned(), "1".to_owned())].into()).unwrap();
    ClusterSettings {
        create_topics: CreateTopicsSettings { num_partitions: 1, default_replication_factor: 1 },
        max_record_bytes_between_snapshots: 1 << 20,
        max_snapshot_interval_ms: 0,
        segment_bytes: 1 << 30,
        segment_ms: i64::MAX,
        config_rules: Arc::new(TableRules::new(config)),
    }
}

fn open(logs: &Arc<Logs>) -> Cluster {
    Cluster::open(Identity::in_memory(1, None), settings(), Arc::clone(logs), Clock::manual(0)).unwrap()
}

async fn registered(logs: &Arc<Logs>) -> Cluster {
    let cluster = open(logs);
    register(&cluster).await;
    cluster
}

pub(super) async fn register(cluster: &Cluster) {
    let command = RegisterBroker {
        broker_id: 1,
        incarnation_id: Uuid::from_u128(1),
        endpoints: vec![],
        rack: None,
        directories: BrokerDirectories { online: cluster.directory_ids().to_vec(), ..Default::default() },
    };
    cluster.register_broker(command).await.unwrap();
}

pub(super) fn topic(name: &str) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(TopicName(StrBytes::from_string(name.to_owned())))
        .with_num_partitions(1)
        .with_replication_factor(1)
}

#[tokio::test]
async fn of_many_who_create_the_same_topic_one_succeeds() {
    let logs = Arc::new(Logs::memory());
    let cluster = Arc::new(registered(&logs).await);
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let cluster = Arc::clone(&cluster);
            let name = format!("t{}", number % 10);
            tokio::spawn(async move { cluster.create_topics(vec![topic(&name)], false).await.unwrap() })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        match &task.await.unwrap()[0].1 {
            Ok(_) => created += 1,
            Err(error) => assert!(matches!(error, TopicError::AlreadyExists(_)), "{error:?}"),
        }
    }
    assert_eq!((created, cluster.image().topic_count()), (10, 10));
}

#[tokio::test]
async fn an_answer_is_in_the_image_and_a_watcher_hears_of_it() {
    let logs = Arc::new(Logs::memory());
    let cluster = registered(&logs).await;
    let mut changes = cluster.changes();
    let before = changes.borrow_and_update().clone();
    cluster.create_topics(vec![topic("t")], false).await.unwrap();
    assert!(cluster.image().topic("t").is_some());
    changes.changed().await.unwrap();
    let after = changes.borrow_and_update().clone();
    assert!(after.topic("t").is_some() && before.topic("t").is_none());
    assert_eq!(after.offset, before.offset + 2);
}

#[tokio::test]
async fn what_the_log_refuses_is_not_in_the_image() {
    let logs = Arc::new(Logs::memory());
    let cluster = registered(&logs).await;
    cluster.create_topics(vec![topic("before")], false).await.unwrap();
    logs.delete(&METADATA_TOPIC.into(), Uuid::from_u128(1), 0..1, 0);
    // The second finds a state that could not be read again.
    for name in ["first", "second"] {
        let refused = cluster.create_topics(vec![topic(name)], false).await;
        assert!(matches!(refused, Err(ClusterError::Unavailable(_))), "{refused:?}");
        assert!(cluster.image().topic(name).is_none());
        assert!(cluster.image().topic("before").is_some());
    }
}
