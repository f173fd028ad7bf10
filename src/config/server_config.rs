//! What a broker is configured to: layers of texts (defaults, static, dynamic for the cluster, dynamic for this broker)
//! and the typed values that the rest of the broker reads.
//! Enters: checked texts. Leaves: `ServerConfig`; one that has dynamic layers is made anew from the old one.

use super::alter::out_of_bounds;
use super::cleaner_config::check_cleaner;
use super::key::{Update, Value};
use super::keys;
use super::listeners::{self, Listener};
use super::topic_config::{Texts, TopicConfig};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The configuration of one broker. Every known key in its layers has a valid text.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    layers: Layers,
    /// `node.id`.
    pub node_id: i32,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// Where to listen, and what to tell clients; controller listeners are left out.
    pub listeners: Vec<Listener>,
    /// `inter.broker.listener.name`, or the first listener that speaks `security.inter.broker.protocol`.
    pub inter_broker_listener: String,
    /// `log.dirs`, or `log.dir`.
    pub log_dirs: Vec<PathBuf>,
    /// Where the metadata log is: the first of `log_dirs`, or none of them.
    pub metadata_log_dir: PathBuf,

    pub auto_create_topics_enable: bool,
    pub delete_topic_enable: bool,
    pub num_partitions: i32,
    pub default_replication_factor: i16,

    /// -1 is no limit.
    pub connections_max_idle_ms: i64,
    pub max_connections: i32,
    pub max_connections_per_ip: i32,
    /// By host or address.
    pub max_connections_per_ip_overrides: BTreeMap<String, i32>,
    pub socket_listen_backlog_size: i32,
    /// -1 leaves it to the system.
    pub socket_receive_buffer_bytes: i32,
    /// -1 leaves it to the system.
    pub socket_send_buffer_bytes: i32,
    pub socket_request_max_bytes: i32,
    pub queued_max_requests: i32,
    /// -1 leaves it to the broker.
    pub queued_max_request_bytes: i64,

    pub fetch_max_bytes: i32,
    pub max_incremental_fetch_session_cache_slots: i32,
    pub max_request_partition_size_limit: i32,
    pub telemetry_max_bytes: i32,

    pub group_initial_rebalance_delay_ms: i32,
    pub group_min_session_timeout_ms: i32,
    pub group_max_session_timeout_ms: i32,
    pub group_max_size: i32,
    pub offset_metadata_max_bytes: i32,
    pub offsets_commit_timeout_ms: i32,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    pub offsets_retention_check_interval_ms: i64,
    pub offsets_topic_num_partitions: i32,
    pub offsets_topic_replication_factor: i16,
    pub offsets_topic_segment_bytes: i32,
    /// The codec's number in a batch's attributes.
    pub offsets_topic_compression_codec: i32,

    pub add_partitions_to_txn_retry_backoff_ms: i32,
    pub add_partitions_to_txn_retry_backoff_max_ms: i32,
    pub transaction_max_timeout_ms: i32,
    pub transaction_abort_timed_out_cleanup_interval_ms: i32,
    pub transaction_remove_expired_cleanup_interval_ms: i32,
    pub transaction_partition_verification_enable: bool,
    pub transactional_id_expiration_ms: i32,
    pub transaction_state_log_num_partitions: i32,
    pub transaction_state_log_replication_factor: i16,
    pub transaction_state_log_min_isr: i32,
    pub transaction_state_log_segment_bytes: i32,
    pub producer_id_expiration_ms: i32,
    pub producer_id_expiration_check_interval_ms: i32,

    pub log_retention_check_interval_ms: i64,
    pub log_initial_task_delay_ms: i64,
    pub log_flush_offset_checkpoint_interval_ms: i32,
    pub log_flush_scheduler_interval_ms: i64,
    pub metadata_log_max_record_bytes_between_snapshots: i64,
    /// 0 is no limit.
    pub metadata_log_max_snapshot_interval_ms: i64,
    pub metadata_log_segment_bytes: i32,
    pub metadata_log_segment_ms: i64,
}

/// Where a text came from, the strongest first; the numbers are those of DescribeConfigs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigSource {
    Topic = 1,
    DynamicBroker = 2,
    DynamicDefaultBroker = 3,
    StaticBroker = 4,
    Default = 5,
    DynamicBrokerLogger = 6,
    ClientMetrics = 7,
    Group = 8,
}

#[derive(Clone, Debug, Default)]
struct Layers {
    dynamic_broker: Texts,
    dynamic_default: Texts,
    given: Texts,
}

impl ServerConfig {
    /// The configuration from what was given at the start. A message of Kafka's if the values are invalid or do not fit
    /// together; keys that the table does not know are kept, and told by DescribeConfigs as Kafka does.
    pub fn new(mut given: Texts) -> Result<ServerConfig, String> {
        one_node_id(&mut given)?;
        check_known(&given)?;
        ServerConfig::derive(Layers { given, ..Layers::default() })
    }

    /// The same with the dynamic layers replaced, as ConfigRecords of the cluster and of this broker have them. What a
    /// running broker may not change, or what is invalid, does not count: Kafka logs and ignores it too.
    pub fn with_dynamic(&self, cluster: &Texts, broker: &Texts) -> Result<ServerConfig, String> {
        let usable = |texts: &Texts, per_broker: bool| -> Texts {
            let is_usable = |name: &str, text: &str| match keys::broker_key(name) {
                // Told by DescribeConfigs, and read by nobody.
                None => true,
                Some(key) => match key.update {
                    Update::ReadOnly => false,
                    Update::PerBroker => per_broker && key.parse(text).is_ok(),
                    Update::ClusterWide => key.parse(text).is_ok(),
                },
            };
            texts
                .iter()
                .filter(|(name, text)| is_usable(name, text))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect()
        };
        ServerConfig::derive(Layers {
            dynamic_broker: usable(broker, true),
            dynamic_default: usable(cluster, false),
            given: self.layers.given.clone(),
        })
    }

    /// The value of a broker key now; None is Kafka's null.
    pub fn value(&self, name: &str) -> Option<Value> {
        self.layers.value(name)
    }

    /// The text of a key in one layer, as it was written.
    pub fn text(&self, source: ConfigSource, name: &str) -> Option<&str> {
        match source {
            ConfigSource::Default => keys::broker_key(name).and_then(keys::broker_default),
            _ => self.layer(source)?.get(name).map(String::as_str),
        }
    }

    /// All texts of one layer; None for a source that is no layer of texts.
    pub fn layer(&self, source: ConfigSource) -> Option<&Texts> {
        match source {
            ConfigSource::DynamicBroker => Some(&self.layers.dynamic_broker),
            ConfigSource::DynamicDefaultBroker => Some(&self.layers.dynamic_default),
            ConfigSource::StaticBroker => Some(&self.layers.given),
            _ => None,
        }
    }

    /// What a topic without overrides is configured to.
    pub fn topic_defaults(&self) -> TopicConfig {
        TopicConfig::new(self, &Texts::new())
    }

    fn derive(layers: Layers) -> Result<ServerConfig, String> {
        let listeners = listeners::Listeners::new(&layers)?;
        let log_dirs = match layers.list("log.dirs") {
            dirs if dirs.is_empty() => layers.list("log.dir"),
            dirs => dirs,
        };
        let mut log_dirs: Vec<PathBuf> = log_dirs.iter().map(PathBuf::from).collect();
        let metadata_log_dir = layers.optional_text("metadata.log.dir").map(PathBuf::from);
        log_dirs.sort_by_key(|dir| Some(dir) != metadata_log_dir.as_ref());
        let config = ServerConfig {
            metadata_log_dir: metadata_log_dir.or_else(|| log_dirs.first().cloned()).unwrap_or_default(),
            node_id: layers.int("node.id"),
            rack: layers.optional_text("broker.rack"),
            inter_broker_listener: listeners.inter_broker,
            listeners: listeners.list,
            log_dirs,
            auto_create_topics_enable: layers.flag("auto.create.topics.enable"),
            delete_topic_enable: layers.flag("delete.topic.enable"),
            num_partitions: layers.int("num.partitions"),
            default_replication_factor: layers.short("default.replication.factor")?,
            connections_max_idle_ms: layers.long("connections.max.idle.ms"),
            max_connections: layers.int("max.connections"),
            max_connections_per_ip: layers.int("max.connections.per.ip"),
            max_connections_per_ip_overrides: layers.connections_per_ip()?,
            socket_listen_backlog_size: layers.int("socket.listen.backlog.size"),
            socket_receive_buffer_bytes: layers.int("socket.receive.buffer.bytes"),
            socket_send_buffer_bytes: layers.int("socket.send.buffer.bytes"),
            socket_request_max_bytes: layers.int("socket.request.max.bytes"),
            queued_max_requests: layers.int("queued.max.requests"),
            queued_max_request_bytes: layers.long("queued.max.request.bytes"),
            fetch_max_bytes: layers.int("fetch.max.bytes"),
            max_incremental_fetch_session_cache_slots: layers
                .int("max.incremental.fetch.session.cache.slots"),
            max_request_partition_size_limit: layers.int("max.request.partition.size.limit"),
            telemetry_max_bytes: layers.int("telemetry.max.bytes"),
            group_initial_rebalance_delay_ms: layers.int("group.initial.rebalance.delay.ms"),
            group_min_session_timeout_ms: layers.int("group.min.session.timeout.ms"),
            group_max_session_timeout_ms: layers.int("group.max.session.timeout.ms"),
            group_max_size: layers.int("group.max.size"),
            offset_metadata_max_bytes: layers.int("offset.metadata.max.bytes"),
            offsets_commit_timeout_ms: layers.int("offsets.commit.timeout.ms"),
            offsets_retention_ms: layers.long("offsets.retention.minutes") * 60 * 1000,
            offsets_retention_check_interval_ms: layers.long("offsets.retention.check.interval.ms"),
            offsets_topic_num_partitions: layers.int("offsets.topic.num.partitions"),
            offsets_topic_replication_factor: layers.short("offsets.topic.replication.factor")?,
            offsets_topic_segment_bytes: layers.int("offsets.topic.segment.bytes"),
            offsets_topic_compression_codec: layers.int("offsets.topic.compression.codec"),
            add_partitions_to_txn_retry_backoff_ms: layers.int("add.partitions.to.txn.retry.backoff.ms"),
            add_partitions_to_txn_retry_backoff_max_ms: layers
                .int("add.partitions.to.txn.retry.backoff.max.ms"),
            transaction_max_timeout_ms: layers.int("transaction.max.timeout.ms"),
            transaction_abort_timed_out_cleanup_interval_ms: layers
                .int("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
            transaction_remove_expired_cleanup_interval_ms: layers
                .int("transaction.remove.expired.transaction.cleanup.interval.ms"),
            transaction_partition_verification_enable: layers
                .flag("transaction.partition.verification.enable"),
            transactional_id_expiration_ms: layers.int("transactional.id.expiration.ms"),
            transaction_state_log_num_partitions: layers.int("transaction.state.log.num.partitions"),
            transaction_state_log_replication_factor: layers
                .short("transaction.state.log.replication.factor")?,
            transaction_state_log_min_isr: layers.int("transaction.state.log.min.isr"),
            transaction_state_log_segment_bytes: layers.int("transaction.state.log.segment.bytes"),
            producer_id_expiration_ms: layers.int("producer.id.expiration.ms"),
            producer_id_expiration_check_interval_ms: layers.int("producer.id.expiration.check.interval.ms"),
            log_retention_check_interval_ms: layers.long("log.retention.check.interval.ms"),
            log_initial_task_delay_ms: layers.long("log.initial.task.delay.ms"),
            log_flush_offset_checkpoint_interval_ms: layers.int("log.flush.offset.checkpoint.interval.ms"),
            log_flush_scheduler_interval_ms: layers.long("log.flush.scheduler.interval.ms"),
            metadata_log_max_record_bytes_between_snapshots: layers
                .long("metadata.log.max.record.bytes.between.snapshots"),
            metadata_log_max_snapshot_interval_ms: layers.long("metadata.log.max.snapshot.interval.ms"),
            metadata_log_segment_bytes: layers.int("metadata.log.segment.bytes"),
            metadata_log_segment_ms: layers.long("metadata.log.segment.ms"),
            layers,
        };
        config.check_together()?;
        Ok(config)
    }

    /// Kafka's rules between keys, in Kafka's words.
    fn check_together(&self) -> Result<(), String> {
        let topic = self.topic_defaults();
        let require = |holds: bool, message: &str| {
            if holds { Ok(()) } else { Err(format!("requirement failed: {message}")) }
        };
        require(topic.segment_ms >= 1, "log.roll.ms must be greater than or equal to 1")?;
        require(topic.segment_jitter_ms >= 0, "log.roll.jitter.ms must be greater than or equal to 0")?;
        require(
            topic.retention_ms != 0 && topic.retention_ms >= -1,
            "log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
        )?;
        require(
            self.max_connections_per_ip != 0 || !self.max_connections_per_ip_overrides.is_empty(),
            "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set.",
        )?;
        require(
            self.queued_max_request_bytes <= 0
                || self.queued_max_request_bytes >= self.socket_request_max_bytes.into(),
            "queued.max.request.bytes must be larger or equal to socket.request.max.bytes",
        )?;
        if !(0..=4).contains(&self.offsets_topic_compression_codec) {
            return Err(format!("Unknown compression type id: {}", self.offsets_topic_compression_codec));
        }
        check_cleaner(self)?;
        for key in keys::GROUP {
            let Some((name, value)) = key.fallbacks.first().and_then(|name| Some((name, self.value(name)?)))
            else {
                continue;
            };
            if let Some(message) = out_of_bounds(self, key.name, name, &value) {
                return Err(message);
            }
        }
        let (least, most) = (self.group_min_session_timeout_ms, self.group_max_session_timeout_ms);
        if least > most {
            // Kafka starts and then refuses every member; that helps nobody.
            return Err(format!(
                "group.min.session.timeout.ms ({least}) must not be larger than group.max.session.timeout.ms ({most})"
            ));
        }
        Ok(())
    }
}

impl Layers {
    fn value(&self, name: &str) -> Option<Value> {
        let key = keys::broker_key(name)?;
        let text = [&self.dynamic_broker, &self.dynamic_default, &self.given]
            .into_iter()
            .find_map(|layer| layer.get(name));
        let text = text.map(String::as_str).or_else(|| keys::broker_default(key))?;
        Some(key.parse(text).expect("layers hold valid texts only"))
    }

    fn long(&self, name: &str) -> i64 {
        match self.value(name) {
            Some(Value::Integer(number)) => number,
            other => unreachable!("{name} is a number, not {other:?}"),
        }
    }

    fn int(&self, name: &str) -> i32 {
        i32::try_from(self.long(name)).expect("the type of the key is int")
    }

    /// For keys that Kafka has as an int and uses as a short.
    fn short(&self, name: &str) -> Result<i16, String> {
        let number = self.long(name);
        i16::try_from(number)
            .map_err(|_| format!("Invalid value {number} for configuration {name}: it is too large"))
    }

    fn flag(&self, name: &str) -> bool {
        self.value(name) == Some(Value::Boolean(true))
    }

    fn optional_text(&self, name: &str) -> Option<String> {
        self.value(name).map(|value| value.to_string())
    }

    fn list(&self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(Value::List(list)) => list,
            _ => Vec::new(),
        }
    }

    fn connections_per_ip(&self) -> Result<BTreeMap<String, i32>, String> {
        let name = "max.connections.per.ip.overrides";
        let text = self.optional_text(name).unwrap_or_default();
        let pairs = listeners::parse_pairs(&text)
            .ok_or_else(|| format!("Error parsing configuration property '{name}': '{text}'"))?;
        let parse = |(host, limit): (String, String)| match limit.parse() {
            Ok(limit) => Ok((host, limit)),
            Err(_) => Err(format!("Error parsing configuration property '{name}': '{limit}' is no number")),
        };
        pairs.into_iter().map(parse).collect()
    }
}

impl listeners::Settings for Layers {
    fn list(&self, name: &str) -> Vec<String> {
        self.list(name)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.optional_text(name)
    }

    fn is_given(&self, name: &str) -> bool {
        [&self.dynamic_broker, &self.dynamic_default, &self.given]
            .iter()
            .any(|layer| layer.contains_key(name))
    }
}

/// `node.id` and `broker.id` are one value; whichever is given stands for both.
fn one_node_id(given: &mut Texts) -> Result<(), String> {
    match (given.get("node.id").cloned(), given.get("broker.id").cloned()) {
        (Some(node), Some(broker)) if node.trim() != broker.trim() => {
            return Err("You must set `node.id` to the same value as `broker.id`.".to_owned());
        }
        (Some(node), None) => given.insert("broker.id".to_owned(), node),
        (None, Some(broker)) => given.insert("node.id".to_owned(), broker),
        _ => None,
    };
    Ok(())
}

fn check_known(given: &Texts) -> Result<(), String> {
    for (name, text) in given {
        if let Some(key) = keys::broker_key(name) {
            key.parse(text).map_err(|invalid| invalid.to_string())?;
        }
    }
    Ok(())
}
