//! The internal topics, each as its coordinator's log.

use std::sync::Weak;

use ottla_protocol::StrBytes;
use ottla_protocol::batch::{Batches, RecordBatch, ValidatedBatches};
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_storage::{AppendContext, AppendError, Appended, Origin, StorageError, VerificationGuard};
use tracing::{debug, warn};

use super::{Broker, Led, LookupError};
use crate::config::{ServerConfig, ShareConfig};
use crate::coordinator::runtime::{CoordinatorLog, LogError, LogFuture, Voucher, partition_of};
use crate::coordinator::transaction::TopicPartition;
use crate::metadata::TopicError;

/// An internal topic, and how it is made when it is first needed.
#[derive(Debug, Clone, Copy)]
pub struct InternalTopic {
    pub name: &'static str,
    settings: fn(&ServerConfig) -> Settings,
}

struct Settings {
    partitions: i32,
    replication_factor: i16,
    configs: Vec<(&'static str, String)>,
}

/// Where groups and their offsets are kept.
pub const CONSUMER_OFFSETS: InternalTopic = InternalTopic {
    name: "__consumer_offsets",
    settings: |config| Settings {
        partitions: config.offsets_topic_num_partitions,
        replication_factor: config.offsets_topic_replication_factor,
        configs: vec![
            ("cleanup.policy", "compact".to_owned()),
            ("compression.type", "producer".to_owned()),
            ("segment.bytes", config.offsets_topic_segment_bytes.to_string()),
        ],
    },
};

/// Where share groups' progress is kept. It is pruned, not compacted: an update means nothing without its snapshot.
pub const SHARE_GROUP_STATE: InternalTopic = InternalTopic {
    name: "__share_group_state",
    settings: |config| {
        let config = ShareConfig::new(config);
        Settings {
            partitions: config.state_topic_num_partitions,
            replication_factor: i16::try_from(config.state_topic_replication_factor).unwrap_or(i16::MAX),
            configs: vec![
                ("cleanup.policy", "delete".to_owned()),
                ("compression.type", "producer".to_owned()),
                ("segment.bytes", config.state_topic_segment_bytes.to_string()),
                ("min.insync.replicas", config.state_topic_min_isr.to_string()),
                ("retention.ms", "-1".to_owned()),
            ],
        }
    },
};

/// Where transactional ids and their transactions are kept.
pub const TRANSACTION_STATE: InternalTopic = InternalTopic {
    name: "__transaction_state",
    settings: |config| Settings {
        partitions: config.transaction_state_log_num_partitions,
        replication_factor: config.transaction_state_log_replication_factor,
        configs: vec![
            ("cleanup.policy", "compact".to_owned()),
            ("compression.type", "uncompressed".to_owned()),
            ("min.insync.replicas", config.transaction_state_log_min_isr.to_string()),
            ("segment.bytes", config.transaction_state_log_segment_bytes.to_string()),
            ("unclean.leader.election.enable", "false".to_owned()),
        ],
    },
};

/// How much of a partition is read at once when its groups are loaded (`offsets.load.buffer.size` in Kafka).
const LOAD_BUFFER_BYTES: usize = 5 * 1024 * 1024;

impl Broker {
    /// Where a group's offsets are, or will be once the topic is made.
    pub fn offsets_partition(&self, group_id: &str) -> TopicPartition {
        let image = self.image();
        let topic = image.topic(CONSUMER_OFFSETS.name);
        let partitions =
            topic.map_or_else(|| self.config().offsets_topic_num_partitions, |topic| topic.partition_count());
        TopicPartition {
            topic: StrBytes::from_static_str(CONSUMER_OFFSETS.name),
            partition: partition_of(group_id, partitions),
        }
    }
}

/// The partitions of an internal topic that this broker leads.
pub struct InternalTopicLog {
    topic: InternalTopic,
    broker: Weak<Broker>,
}

impl InternalTopicLog {
    pub fn new(topic: InternalTopic, broker: Weak<Broker>) -> Self {
        InternalTopicLog { topic, broker }
    }

    fn led(&self, partition: i32) -> Result<Led, LogError> {
        let broker = self.broker.upgrade().ok_or(LogError::Unavailable)?;
        let image = broker.image();
        let topic = image.topic(self.topic.name).ok_or(LogError::Fenced)?;
        broker.led(&image, topic, partition, -1).map_err(|error| match error {
            LookupError::Storage(error) => unavailable(error),
            _ => LogError::Fenced,
        })
    }

    fn submit(
        &self,
        partition: i32,
        batch: RecordBatch,
        origin: Origin,
    ) -> Result<(Led, Appended), LogError> {
        let broker = self.broker.upgrade().ok_or(LogError::Unavailable)?;
        let led = self.led(partition)?;
        let context = AppendContext { leader_epoch: led.leader_epoch, now_ms: broker.clock.now_ms(), origin };
        match led.partition.append(ValidatedBatches::internal([batch]), context) {
            Ok(appended) => Ok((led, appended)),
            Err(AppendError::Storage(error)) => Err(unavailable(error)),
            Err(AppendError::InvalidProducerEpoch { .. }) => Err(LogError::InvalidProducerEpoch),
            Err(AppendError::InvalidTxnState { .. }) => Err(LogError::InvalidTxnState),
            Err(AppendError::TransactionCoordinatorFenced { .. }) => {
                Err(LogError::TransactionCoordinatorFenced)
            }
            Err(error) => {
                warn!(topic = self.topic.name, partition, %error, "a batch of a coordinator was refused");
                Err(LogError::Refused)
            }
        }
    }
}

impl CoordinatorLog for InternalTopicLog {
    fn partitions(&self) -> Option<i32> {
        let image = self.broker.upgrade()?.image();
        image.topic(self.topic.name).map(|topic| topic.partition_count())
    }

    fn create(&self) -> LogFuture<()> {
        let (topic, broker) = (self.topic, self.broker.upgrade());
        Box::pin(async move {
            let broker = broker.ok_or(LogError::Unavailable)?;
            let created = broker.cluster.create_topics(vec![creatable(topic, &broker)], false).await;
            let results = created.map_err(|error| {
                warn!(%error, "{} cannot be created", topic.name);
                LogError::Unavailable
            })?;
            match results.into_iter().next() {
                // Somebody else was quicker.
                None | Some((_, Ok(_) | Err(TopicError::AlreadyExists(_)))) => Ok(()),
                Some((_, Err(error))) => {
                    warn!(?error, "{} cannot be created", topic.name);
                    Err(LogError::Unavailable)
                }
            }
        })
    }

    fn append(&self, partition: i32, batch: RecordBatch) -> LogFuture<()> {
        committed(self.submit(partition, batch, Origin::Coordinator))
    }

    fn append_vouched(&self, partition: i32, batch: RecordBatch, voucher: Voucher) -> LogFuture<()> {
        let origin = match voucher {
            Voucher::Ongoing => Origin::Coordinator,
            Voucher::Verified(None) => Origin::VerifiedCoordinator(VerificationGuard::NotRequired),
            Voucher::Verified(Some(number)) => Origin::VerifiedCoordinator(VerificationGuard::Of(number)),
            Voucher::Marker { transaction_version } => Origin::Marker { transaction_version },
        };
        committed(self.submit(partition, batch, origin))
    }

    fn delete_before(&self, partition: i32, offset: i64) -> LogFuture<()> {
        let (led, now_ms) = (self.led(partition), self.broker.upgrade().map(|broker| broker.clock.now_ms()));
        Box::pin(async move {
            let (partition, now_ms) = (led?.partition, now_ms.ok_or(LogError::Unavailable)?);
            let offset = offset.min(partition.high_watermark());
            let deleted = partition.look_up(move |log| log.set_start_offset(offset, now_ms)).await;
            deleted.map(|_| ()).map_err(unavailable)
        })
    }

    fn read(&self, partition: i32, offset: i64) -> LogFuture<Vec<RecordBatch>> {
        let led = self.led(partition);
        Box::pin(async move {
            let partition = led?.partition;
            let offset = offset.max(partition.log().start_offset().map_err(unavailable)?);
            let end = partition.high_watermark();
            if offset >= end {
                return Ok(Vec::new());
            }
            let read = partition.read(offset, LOAD_BUFFER_BYTES, true, end).await;
            let records = read.map_err(unavailable)?;
            let batches: Result<Vec<RecordBatch>, _> =
                records.chunks.into_iter().flat_map(Batches::new).collect();
            batches.map_err(|_| LogError::Corrupt)
        })
    }
}

fn committed(submitted: Result<(Led, Appended), LogError>) -> LogFuture<()> {
    Box::pin(async move {
        let (led, appended) = submitted?;
        led.partition.committed(appended).await.map_err(unavailable)
    })
}

fn unavailable(error: StorageError) -> LogError {
    if error.is_told() {
        debug!(%error, "a coordinator's log cannot be used");
    } else {
        warn!(%error, "a coordinator's log cannot be used");
    }
    LogError::Unavailable
}

/// As Kafka creates it, but with no more replicas than there are brokers: one broker needs no setting to have groups.
fn creatable(topic: InternalTopic, broker: &Broker) -> CreatableTopic {
    let Settings { partitions, replication_factor, configs } = (topic.settings)(&broker.config());
    let brokers = i16::try_from(broker.image().brokers().count()).unwrap_or(i16::MAX);
    let config = |(name, value): (&'static str, String)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from_string(value)))
    };
    CreatableTopic::default()
        .with_name(StrBytes::from_static_str(topic.name).into())
        .with_num_partitions(partitions)
        .with_replication_factor(replication_factor.min(brokers.max(1)))
        .with_configs(configs.into_iter().map(config).collect())
}
