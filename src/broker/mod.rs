//! The broker behind the handlers: partitions, placement, delayed operations, fetch sessions.
//!
//! Enters: calls from handlers. Leaves: appends, reads, wake-ups. May use: coordinator, metadata, storage, config.

mod auto_topics;
mod blocking;
mod cleaner;
pub mod cluster;
mod cluster_view;
mod config_rules;
mod endpoint;
mod fetch_memory;

pub mod fetch_session;
mod group_config;
mod internal_topics;
mod log_dirs;
pub mod loggers;
mod lookup;
mod partition;
mod partitions;
mod producer_ids;
mod reconfigure;
mod retention;
mod schemas;
pub mod share;
mod streams_topics;
mod topic_options;
mod transaction_peers;
mod transactions;
mod waiters;

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};

use ottla_protocol::Uuid;
use ottla_storage::{LogOptions, Logs, StorageError};
use tracing::error;

use crate::clock::Clock;
use crate::config::{ServerConfig, ShareConfig, TopicConfig};
use crate::coordinator::runtime::{GroupCoordinator, ShareCoordinator, TransactionCoordinator};
use crate::coordinator::share::ShareCoordinatorConfig;
use crate::coordinator::transaction::TransactionConfig;
use crate::metadata::{Image, ResourceType, Topic};
use cleaner::Cleaner;
use cluster::Cluster;
use cluster_view::PresentImage;
use fetch_memory::FetchMemory;
use fetch_session::FetchSessions;
use internal_topics::{CONSUMER_OFFSETS, InternalTopicLog, SHARE_GROUP_STATE, TRANSACTION_STATE};
use loggers::Loggers;
use partitions::Partitions;
use producer_ids::ProducerIds;
use retention::RetentionChecks;
use share::ShareGroups;
use streams_topics::StreamsTopics;
use topic_options::TopicOptions;
use transaction_peers::Peers;

pub use blocking::in_place;
pub use config_rules::TableRules;
pub use endpoint::Endpoint;
pub use fetch_memory::Held;
pub use lookup::{Led, LookupError, TopicRef};
pub use partition::{Isolation, Partition, Visible};
pub use producer_ids::ProducerIdError;
pub use schemas::{CatchUp, RecordName, SchemaIdCheck, SchemaRegistry, Schemas, SchemasUnavailable};
pub use topic_options::validation_rules;
pub use transactions::{MarkerError, TransactionalProducer, VerificationError};

/// Everything that handlers ask; one per process (or per test).
pub struct Broker {
    pub clock: Clock,
    pub cluster: Cluster,
    pub fetch_sessions: FetchSessions,
    pub fetch_memory: Arc<FetchMemory>,
    pub loggers: Loggers,
    pub schemas: Schemas,
    config: RwLock<Arc<ServerConfig>>,
    partitions: Partitions,
    producer_ids: ProducerIds,
    retention_checks: RetentionChecks,
    cleaner: Cleaner,
    topic_options: TopicOptions,
    groups: Arc<GroupCoordinator>,
    streams_topics: StreamsTopics,
    share_states: Arc<ShareCoordinator>,
    transactions: Arc<TransactionCoordinator>,
    share: Arc<ShareGroups>,
}

impl Broker {
    pub fn new(config: Arc<ServerConfig>, clock: Clock, cluster: Cluster, logs: Arc<Logs>) -> Arc<Broker> {
        let sessions = usize::try_from(config.max_incremental_fetch_session_cache_slots).unwrap_or(0);
        let broker = Arc::new_cyclic(|broker| {
            let share_states = ShareCoordinator::new(
                share_coordinator_config(&config),
                Arc::new(InternalTopicLog::new(SHARE_GROUP_STATE, broker.clone())),
                Arc::new(PresentImage(broker.clone())),
                clock.clone(),
            );
            Broker {
                groups: GroupCoordinator::new(
                    group_config::group_config(&config),
                    Arc::new(InternalTopicLog::new(CONSUMER_OFFSETS, broker.clone())),
                    Arc::new(PresentImage(broker.clone())),
                    clock.clone(),
                    Arc::clone(&share_states),
                ),
                share: ShareGroups::new(broker.clone(), &ShareConfig::new(&config), clock.clone()),
                share_states,
                transactions: TransactionCoordinator::new(
                    transaction_config(&config),
                    Arc::new(InternalTopicLog::new(TRANSACTION_STATE, broker.clone())),
                    Arc::new(PresentImage(broker.clone())),
                    Arc::new(Peers(broker.clone())),
                    clock.clone(),
                ),
                clock,
                cluster,
                fetch_sessions: FetchSessions::new(sessions),
                fetch_memory: Arc::default(),
                loggers: Loggers::default(),
                schemas: Schemas::default(),
                config: RwLock::new(config),
                partitions: Partitions::new(logs),
                producer_ids: ProducerIds::default(),
                streams_topics: StreamsTopics::default(),
                retention_checks: RetentionChecks::default(),
                cleaner: Cleaner::default(),
                topic_options: TopicOptions::default(),
            }
        });
        broker.broker_config_changed();
        broker
    }

    /// The configuration as it is now: what was altered while running is in it.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The cluster's metadata as it is committed now.
    pub fn image(&self) -> Arc<Image> {
        self.cluster.image()
    }

    /// The coordinator of all groups whose partition of `__consumer_offsets` this broker leads.
    pub fn groups(&self) -> &Arc<GroupCoordinator> {
        &self.groups
    }

    /// The coordinator of the share partitions' state, whose partition of `__share_group_state` this broker leads.
    pub fn share_states(&self) -> &Arc<ShareCoordinator> {
        &self.share_states
    }

    /// The coordinator of all transactional ids whose partition of `__transaction_state` this broker leads.
    pub fn transactions(&self) -> &Arc<TransactionCoordinator> {
        &self.transactions
    }

    /// The share partitions that this broker leads, and the sessions of their members.
    pub fn share(&self) -> &Arc<ShareGroups> {
        &self.share
    }

    pub fn node_id(&self) -> i32 {
        self.cluster.node_id()
    }

    pub fn logs(&self) -> &Arc<Logs> {
        self.partitions.logs()
    }

    /// An id that no producer had before.
    pub async fn next_producer_id(&self) -> Result<i64, ProducerIdError> {
        self.producer_ids.next(&self.cluster).await
    }

    /// To be called every second or so, off the async threads: flushes that are due, files of deleted topics, and each
    /// `log.retention.check.interval.ms` what retention lets go of. Begins the cleaner's rounds.
    pub fn maintain(self: &Arc<Self>) {
        let now_ms = self.clock.now_ms();
        self.clean_logs(now_ms);
        self.apply_retention(now_ms);
        self.put_away_unused(now_ms);
        self.logs().maintain(now_ms);
        if let Some(logs) = self.own_metadata_logs() {
            logs.maintain(now_ms);
        }
    }

    /// A clean stop: everything is flushed, so that the next start need look at nothing. Blocks on the disk.
    pub fn close(&self) -> Result<(), StorageError> {
        self.stop_cleaner();
        let closed = self.logs().close(self.clock.now_ms());
        match self.own_metadata_logs() {
            Some(logs) => closed.and(logs.close(self.clock.now_ms())),
            None => closed,
        }
    }

    /// Those of a metadata log that is in a directory of its own (metadata.log.dir).
    fn own_metadata_logs(&self) -> Option<&Arc<Logs>> {
        Some(self.cluster.logs()).filter(|logs| !Arc::ptr_eq(logs, self.logs()))
    }

    /// A topic's configuration: its own over the broker's over the defaults; and what its logs obey of it.
    fn topic_config(&self, image: &Image, topic: &str) -> (Arc<TopicConfig>, Arc<LogOptions>) {
        self.topic_options.get(&self.config(), image.configs(ResourceType::Topic, topic))
    }

    /// Takes a topic's altered configuration into use.
    pub fn topic_config_changed(&self, topic: &Topic) {
        let (config, options) = self.topic_config(&self.image(), &topic.name);
        for partition in self.partitions.of_topic(topic.id, topic.partition_count()) {
            partition.set_config(Arc::clone(&config), Arc::clone(&options));
        }
        self.cleaner.config_changed(Some(topic.id));
        self.retention_checks.config_changed(Some(topic.id));
    }

    /// Takes the files of a deleted topic out of use; they are removed in the background, and so are its offsets.
    pub fn topic_deleted(&self, topic: &Topic) {
        self.share.topic_deleted(topic.id);
        self.retention_checks.topic_deleted(topic.id);
        if topic.name.as_str() == CONSUMER_OFFSETS.name {
            self.groups.unload();
        }
        if topic.name.as_str() == SHARE_GROUP_STATE.name {
            self.share_states.unload();
        }
        if topic.name.as_str() == TRANSACTION_STATE.name {
            self.transactions.unload();
        }
        let (groups, share_states) = (Arc::clone(&self.groups), Arc::clone(&self.share_states));
        let (name, topic_id) = (topic.name.clone(), topic.id);
        tokio::spawn(async move {
            if let Err(error) = groups.topic_deleted(&name, topic_id).await {
                error!(?error, topic = &*name, "the offsets in a deleted topic could not be removed");
            }
            if let Err(error) = share_states.topics_deleted(&[topic_id]).await {
                error!(
                    ?error,
                    topic = &*name,
                    "the share groups' state of a deleted topic could not be removed"
                );
            }
        });
        let name: Arc<str> = Arc::from(&*topic.name);
        in_place(|| self.partitions_deleted(&name, topic.id, 0..topic.partition_count()));
    }

    fn partitions_deleted(&self, topic: &Arc<str>, topic_id: Uuid, partitions: Range<i32>) {
        // The broker's own delay, as with Kafka: the topic's configuration is gone.
        let delay_ms = self.config().topic_defaults().file_delete_delay_ms;
        let remove_at_ms = self.clock.now_ms().saturating_add(delay_ms);
        self.partitions.delete(topic, topic_id, partitions, remove_at_ms);
    }
}

fn share_coordinator_config(config: &ServerConfig) -> ShareCoordinatorConfig {
    let config = ShareConfig::new(config);
    ShareCoordinatorConfig {
        snapshot_update_records_per_snapshot: config.snapshot_update_records_per_snapshot,
        cold_partition_snapshot_interval_ms: config.cold_partition_snapshot_interval_ms,
        prune_interval_ms: config.prune_interval_ms,
    }
}

fn transaction_config(config: &ServerConfig) -> TransactionConfig {
    TransactionConfig {
        max_timeout_ms: config.transaction_max_timeout_ms,
        abort_timed_out_interval_ms: config.transaction_abort_timed_out_cleanup_interval_ms,
        transactional_id_expiration_ms: config.transactional_id_expiration_ms,
        remove_expired_interval_ms: config.transaction_remove_expired_cleanup_interval_ms,
    }
}
