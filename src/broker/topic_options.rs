//! What a topic's configuration means to its log and to the check of what is produced to it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use ottla_protocol::batch::{self, TargetCompression, ValidationRules};
use ottla_protocol::codec;
use ottla_storage::LogOptions;

use crate::config::{Compression, ServerConfig, Texts, TimestampType, TopicConfig};
use crate::metadata::Configs;

/// So many different configurations are remembered: most topics have the same one.
const REMEMBERED: usize = 16;

/// What the configurations of topics come to, so that partitions share it.
#[derive(Default)]
pub struct TopicOptions(Mutex<VecDeque<Made>>);

struct Made {
    /// The broker's, and what was altered of the topic's. Held, so that no other has the same address.
    server: Arc<ServerConfig>,
    altered: Option<Arc<Configs>>,
    config: Arc<TopicConfig>,
    options: Arc<LogOptions>,
}

impl TopicOptions {
    /// A topic's configuration: its own over the broker's over the defaults; and what its logs obey of it.
    pub fn get(
        &self,
        server: &Arc<ServerConfig>,
        altered: Option<&Arc<Configs>>,
    ) -> (Arc<TopicConfig>, Arc<LogOptions>) {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |made: &&Made| {
            Arc::ptr_eq(&made.server, server)
                && made.altered.as_ref().map(Arc::as_ptr) == altered.map(Arc::as_ptr)
        };
        if let Some(known) = made.iter().find(is_same) {
            return (Arc::clone(&known.config), Arc::clone(&known.options));
        }
        let own = altered.map_or_else(Texts::new, |altered| Texts::clone(altered));
        let config = Arc::new(TopicConfig::new(server, &own));
        let options = Arc::new(log_options(&config, i64::from(server.producer_id_expiration_ms)));
        made.truncate(REMEMBERED - 1);
        made.push_front(Made {
            server: Arc::clone(server),
            altered: altered.cloned(),
            config: Arc::clone(&config),
            options: Arc::clone(&options),
        });
        (config, options)
    }
}

/// The part of a topic's configuration that its log obeys.
fn log_options(config: &TopicConfig, producer_id_expiration_ms: i64) -> LogOptions {
    LogOptions {
        segment_bytes: unsigned(config.segment_bytes),
        segment_ms: config.segment_ms,
        segment_jitter_ms: config.segment_jitter_ms,
        segment_index_bytes: unsigned(config.segment_index_bytes),
        index_interval_bytes: unsigned(config.index_interval_bytes),
        flush_messages: config.flush_messages,
        flush_ms: config.flush_ms,
        preallocate: config.preallocate,
        retention_ms: config.retention_ms,
        retention_bytes: config.retention_bytes,
        cleanup_delete: config.cleanup_delete,
        cleanup_compact: config.cleanup_compact,
        min_compaction_lag_ms: config.min_compaction_lag_ms,
        max_compaction_lag_ms: config.max_compaction_lag_ms,
        delete_retention_ms: config.delete_retention_ms,
        file_delete_delay_ms: config.file_delete_delay_ms,
        producer_id_expiration_ms,
    }
}

/// The part that a Produce request of a version must obey.
pub fn validation_rules<'a>(
    config: &TopicConfig,
    topic: &'a str,
    partition: i32,
    produce_version: i16,
    now_ms: i64,
) -> ValidationRules<'a> {
    ValidationRules {
        max_message_bytes: usize::try_from(config.max_message_bytes).unwrap_or(0),
        compression: target(config.compression),
        timestamp_type: match config.message_timestamp_type {
            TimestampType::CreateTime => batch::TimestampType::CreateTime,
            TimestampType::LogAppendTime => batch::TimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: config.message_timestamp_before_max_ms,
        timestamp_after_max_ms: config.message_timestamp_after_max_ms,
        is_compacted: config.cleanup_compact,
        ..ValidationRules::new(topic, partition, produce_version, now_ms)
    }
}

fn target(compression: Compression) -> TargetCompression {
    // -1 is how Kafka writes a codec's own default.
    let codec =
        |codec, level: Option<i32>| TargetCompression::Codec { codec, level: level.filter(|l| *l != -1) };
    match compression {
        Compression::Producer => TargetCompression::Producer,
        Compression::Uncompressed => codec(codec::Compression::None, None),
        Compression::Gzip(level) => codec(codec::Compression::Gzip, Some(level)),
        Compression::Snappy => codec(codec::Compression::Snappy, None),
        Compression::Lz4(level) => codec(codec::Compression::Lz4, Some(level)),
        Compression::Zstd(level) => codec(codec::Compression::Zstd, Some(level)),
    }
}

fn unsigned(value: i32) -> u32 {
    u32::try_from(value).unwrap_or(0)
}
