//! Topics that nobody created: those that clients name first, and the broker's own.

use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::StrBytes;

use super::Broker;
use super::cluster::ClusterError;
use crate::config::ServerConfig;
use crate::metadata::{CreatedTopic, TopicResults};

impl Broker {
    /// Creates topics with the broker's defaults, or with their own when they are internal. Those that are there
    /// already, or whose names are not allowed, answer so.
    pub async fn auto_create_topics(
        &self,
        names: impl IntoIterator<Item = StrBytes>,
    ) -> Result<TopicResults<CreatedTopic>, ClusterError> {
        let config = self.config();
        let topics = names.into_iter().map(|name| auto_topic(&config, name)).collect();
        self.cluster.create_topics(topics, false).await
    }
}

/// What a topic is created as when it is not said how.
fn auto_topic(config: &ServerConfig, name: StrBytes) -> CreatableTopic {
    let (partitions, replication_factor, configs) = match name.as_str() {
        "__consumer_offsets" => (
            config.offsets_topic_num_partitions,
            config.offsets_topic_replication_factor,
            vec![
                ("cleanup.policy", "compact".to_owned()),
                ("compression.type", "producer".to_owned()),
                ("segment.bytes", config.offsets_topic_segment_bytes.to_string()),
            ],
        ),
        "__transaction_state" => (
            config.transaction_state_log_num_partitions,
            config.transaction_state_log_replication_factor,
            vec![
                ("cleanup.policy", "compact".to_owned()),
                ("compression.type", "uncompressed".to_owned()),
                ("min.insync.replicas", config.transaction_state_log_min_isr.to_string()),
                ("segment.bytes", config.transaction_state_log_segment_bytes.to_string()),
                ("unclean.leader.election.enable", "false".to_owned()),
            ],
        ),
        _ => (-1, -1, Vec::new()),
    };
    let config = |(name, value): (&'static str, String)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from_string(value)))
    };
    CreatableTopic::default()
        .with_name(TopicName(name))
        .with_num_partitions(partitions)
        .with_replication_factor(replication_factor)
        .with_configs(configs.into_iter().map(config).collect())
}
