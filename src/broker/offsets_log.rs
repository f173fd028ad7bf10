//! `__consumer_offsets` as the group coordinator's log.

use std::sync::Weak;

use ottla_protocol::StrBytes;
use ottla_protocol::batch::{Batches, RecordBatch, ValidatedBatches};
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_storage::{AppendContext, AppendError, Appended, Origin, StorageError};
use tracing::warn;

use super::{Broker, Led, LookupError};
use crate::coordinator::runtime::{CoordinatorLog, LogError, LogFuture};
use crate::metadata::TopicError;

/// Where groups and their offsets are kept.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";

/// How much of a partition is read at once when its groups are loaded (`offsets.load.buffer.size` in Kafka).
const LOAD_BUFFER_BYTES: usize = 5 * 1024 * 1024;

/// The partitions of [`CONSUMER_OFFSETS`] that this broker leads.
pub struct OffsetsLog {
    broker: Weak<Broker>,
}

impl OffsetsLog {
    pub fn new(broker: Weak<Broker>) -> Self {
        OffsetsLog { broker }
    }

    fn led(&self, partition: i32) -> Result<Led, LogError> {
        let broker = self.broker.upgrade().ok_or(LogError::Unavailable)?;
        let image = broker.image();
        let topic = image.topic(CONSUMER_OFFSETS).ok_or(LogError::Fenced)?;
        broker.led(&image, topic, partition, -1).map_err(|error| match error {
            LookupError::Storage(error) => unavailable(error),
            _ => LogError::Fenced,
        })
    }

    fn submit(&self, partition: i32, batch: RecordBatch) -> Result<(Led, Appended), LogError> {
        let broker = self.broker.upgrade().ok_or(LogError::Unavailable)?;
        let led = self.led(partition)?;
        let context = AppendContext {
            leader_epoch: led.leader_epoch,
            now_ms: broker.clock.now_ms(),
            origin: Origin::Coordinator,
        };
        match led.partition.append(ValidatedBatches::internal([batch]), context) {
            Ok(appended) => Ok((led, appended)),
            Err(AppendError::Storage(error)) => Err(unavailable(error)),
            Err(error) => {
                warn!(partition, %error, "a batch of the group coordinator was refused");
                Err(LogError::Refused)
            }
        }
    }
}

impl CoordinatorLog for OffsetsLog {
    fn partitions(&self) -> Option<i32> {
        let image = self.broker.upgrade()?.image();
        image.topic(CONSUMER_OFFSETS).map(|topic| topic.partition_count())
    }

    fn create(&self) -> LogFuture<()> {
        let broker = self.broker.upgrade();
        Box::pin(async move {
            let broker = broker.ok_or(LogError::Unavailable)?;
            let created = broker.cluster.create_topics(vec![offsets_topic(&broker)], false).await;
            let results = created.map_err(|error| {
                warn!(%error, "{CONSUMER_OFFSETS} cannot be created");
                LogError::Unavailable
            })?;
            match results.into_iter().next() {
                // Somebody else was quicker.
                None | Some((_, Ok(_) | Err(TopicError::AlreadyExists(_)))) => Ok(()),
                Some((_, Err(error))) => {
                    warn!(?error, "{CONSUMER_OFFSETS} cannot be created");
                    Err(LogError::Unavailable)
                }
            }
        })
    }

    fn append(&self, partition: i32, batch: RecordBatch) -> LogFuture<()> {
        let submitted = self.submit(partition, batch);
        Box::pin(async move {
            let (led, appended) = submitted?;
            led.partition.committed(appended).await.map_err(unavailable)
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

fn unavailable(error: StorageError) -> LogError {
    warn!(%error, "{CONSUMER_OFFSETS} cannot be used");
    LogError::Unavailable
}

/// As Kafka creates it, but with no more replicas than there are brokers: one broker needs no setting to have groups.
fn offsets_topic(broker: &Broker) -> CreatableTopic {
    let config = broker.config();
    let brokers = i16::try_from(broker.image().brokers().count()).unwrap_or(i16::MAX);
    let setting = |name: &'static str, value: String| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from_string(value)))
    };
    CreatableTopic::default()
        .with_name(StrBytes::from_static_str(CONSUMER_OFFSETS).into())
        .with_num_partitions(config.offsets_topic_num_partitions)
        .with_replication_factor(config.offsets_topic_replication_factor.min(brokers.max(1)))
        .with_configs(vec![
            setting("cleanup.policy", "compact".to_owned()),
            setting("compression.type", "producer".to_owned()),
            setting("segment.bytes", config.offsets_topic_segment_bytes.to_string()),
        ])
}
