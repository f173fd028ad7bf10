//! The metadata log's IO: everyone reads the [`Image`] here, and every change of it goes through here.
//!
//! Enters: decisions of the [`Controller`], from any task. Leaves: a new image once their records are in the log, then
//! their answers. One thread runs the controller: it takes all decisions that wait, writes their records at once and
//! flushes once for all of them.

#[cfg(test)]
mod damage_tests;
mod data_dir;
mod directories;
mod ids;
mod journal;
mod loading;
mod quorum;
mod snapshot_file;
mod takeover;
#[cfg(test)]
mod takeover_tests;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::protocol::StrBytes;
use ottla_storage::Logs;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use crate::clock::Clock;
use crate::metadata::{
    ConfigChange, ConfigResult, ConfigRules, Controller, CreateTopicsSettings, CreatedTopic, DeletedTopic,
    Image, Outcome, ProducerIdBlock, RegisterBroker, TopicResults, TopicToDelete,
};

pub use data_dir::{DataDirError, Given, Identity, examine, prepare};
pub use ids::random_kafka_id;
pub use journal::METADATA_TOPIC;

/// Decisions that may wait for the thread; more are made to wait themselves.
const QUEUED_DECISIONS: usize = 1024;

/// What the metadata's log and its controller need to know of the configuration.
#[derive(Clone)]
pub struct ClusterSettings {
    pub create_topics: CreateTopicsSettings,
    /// metadata.log.max.record.bytes.between.snapshots
    pub max_record_bytes_between_snapshots: u64,
    /// metadata.log.max.snapshot.interval.ms; 0: never because of time
    pub max_snapshot_interval_ms: i64,
    /// metadata.log.segment.bytes
    pub segment_bytes: u32,
    /// metadata.log.segment.ms
    pub segment_ms: i64,
    pub config_rules: Arc<dyn ConfigRules>,
}

/// Why a decision was not carried out. The three are three different answers to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterError {
    /// Another node's controller has taken over: nothing was written.
    Fenced,
    /// Nothing was written, or the broker is on its way out.
    Unavailable(String),
    /// It may have been written.
    Unknown(String),
}

impl fmt::Display for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClusterError::Fenced => f.write_str("this node is not the active controller"),
            ClusterError::Unavailable(why) => write!(f, "the metadata log is unavailable: {why}"),
            ClusterError::Unknown(why) => write!(f, "the metadata log may not have the change: {why}"),
        }
    }
}

impl std::error::Error for ClusterError {}

/// The cluster as this node knows it.
pub struct Cluster {
    identity: Identity,
    settings: RwLock<ClusterSettings>,
    /// Those with the metadata log: the broker's, or of a directory of its own.
    logs: Arc<Logs>,
    images: watch::Receiver<Arc<Image>>,
    decisions: mpsc::Sender<writer::Message>,
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Loads the newest snapshot and the log after it, takes over as its leader and begins to serve. A new log gets
    /// Kafka's first records. Blocks on the disk.
    pub fn open(
        identity: Identity,
        settings: ClusterSettings,
        logs: Arc<Logs>,
        clock: Clock,
    ) -> Result<Cluster, ClusterError> {
        let (journal, controller) = journal::open(&identity, &settings, &logs, &clock)?;
        let (publish, images) = watch::channel(Arc::new(controller.image().clone()));
        let (decisions, queue) = mpsc::channel(QUEUED_DECISIONS);
        writer::start(journal, controller, publish, queue, clock)
            .map_err(|error| ClusterError::Unavailable(error.to_string()))?;
        Ok(Cluster { identity, settings: RwLock::new(settings), logs, images, decisions })
    }

    pub fn node_id(&self) -> i32 {
        self.identity.node_id
    }

    /// As Kafka writes it: 22 characters.
    pub fn cluster_id(&self) -> &StrBytes {
        &self.identity.cluster_id
    }

    /// Checks configurations by these rules from now on: the brokers' defaults have changed.
    pub fn set_config_rules(&self, rules: Arc<dyn ConfigRules>) {
        self.settings.write().unwrap_or_else(PoisonError::into_inner).config_rules = rules;
    }

    fn settings(&self) -> ClusterSettings {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is committed now.
    pub fn image(&self) -> Arc<Image> {
        self.images.borrow().clone()
    }

    /// Tells of every later image; some may be skipped when they come faster than they are looked at.
    pub fn changes(&self) -> watch::Receiver<Arc<Image>> {
        self.images.clone()
    }

    /// Runs a decision against the newest state, and answers once its records are committed and in the image.
    pub async fn decide<T: Send + 'static>(
        &self,
        decision: impl FnOnce(&Controller) -> Outcome<T> + Send + 'static,
    ) -> Result<T, ClusterError> {
        let (answer, answered) = oneshot::channel();
        let job: writer::Job = Box::new(move |controller| {
            let Outcome { response, records } = decision(controller);
            let finish = Box::new(move |committed: Result<(), ClusterError>| {
                // Nobody waits any more when the client has gone.
                let _ = answer.send(committed.map(|()| response));
            });
            writer::Decided { records, finish }
        });
        let stopped = || ClusterError::Unavailable("the broker is shutting down".into());
        self.decisions.send(writer::Message::Decide(job)).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }

    /// Returns when nothing is being written beside the decisions: at a stop, before the logs are closed.
    pub async fn settle(&self) {
        let (settled, done) = oneshot::channel();
        if self.decisions.send(writer::Message::Settle(settled)).await.is_ok() {
            // The thread that would say so may have ended: then nothing is being written either.
            let _ = done.await;
        }
    }

    /// The logs that the metadata's is among.
    pub fn logs(&self) -> &Arc<Logs> {
        &self.logs
    }

    pub async fn register_broker(&self, command: RegisterBroker) -> Result<i64, ClusterError> {
        self.decide(move |controller| controller.register_broker(command)).await
    }

    pub async fn create_topics(
        &self,
        topics: Vec<CreatableTopic>,
        validate_only: bool,
    ) -> Result<TopicResults<CreatedTopic>, ClusterError> {
        let settings = self.settings();
        self.decide(move |controller| {
            let rules = &*settings.config_rules;
            controller.create_topics(
                &topics,
                validate_only,
                &settings.create_topics,
                rules,
                &mut random_kafka_id,
            )
        })
        .await
    }

    pub async fn delete_topics(&self, topics: Vec<TopicToDelete>) -> Result<Vec<DeletedTopic>, ClusterError> {
        self.decide(move |controller| controller.delete_topics(&topics)).await
    }

    pub async fn create_partitions(
        &self,
        topics: Vec<CreatePartitionsTopic>,
        validate_only: bool,
    ) -> Result<TopicResults<()>, ClusterError> {
        self.decide(move |controller| {
            controller.create_partitions(&topics, validate_only, &mut random_kafka_id)
        })
        .await
    }

    pub async fn alter_configs(
        &self,
        changes: Vec<ConfigChange>,
        validate_only: bool,
    ) -> Result<Vec<ConfigResult>, ClusterError> {
        let rules = self.settings().config_rules;
        self.decide(move |controller| controller.alter_configs(&changes, validate_only, &*rules)).await
    }

    /// A thousand ids that nobody else has; `None` when there are none left.
    pub async fn allocate_producer_ids(&self) -> Result<Option<ProducerIdBlock>, ClusterError> {
        let node_id = self.node_id();
        self.decide(move |controller| controller.allocate_producer_ids(node_id)).await
    }

    /// The id of the log directory that new partitions go to.
    pub fn directory_ids(&self) -> &[Uuid] {
        &self.identity.directory_ids
    }
}
