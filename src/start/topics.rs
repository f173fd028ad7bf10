//! `KAFKA_CREATE_TOPICS`: topics that are there when the broker says that it is ready.

use ottla_protocol::StrBytes;
use ottla_protocol::messages::TopicName;
use ottla_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use tracing::info;

use super::StartError;
use crate::broker::Broker;
use crate::config::TopicAtStart;
use crate::metadata::TopicError;

/// Creates those that are missing, as CreateTopics would; those that are there stay as they are, whatever was asked.
pub async fn create(broker: &Broker, topics: &[TopicAtStart]) -> Result<(), StartError> {
    if topics.is_empty() {
        return Ok(());
    }
    let asked = topics.iter().map(creatable).collect();
    for (name, result) in broker.cluster.create_topics(asked, false).await? {
        match result {
            Ok(created) => info!("topic {name} created with {} partitions", created.partitions),
            Err(TopicError::AlreadyExists(_)) => info!("topic {name} is there already"),
            Err(error) => return Err(StartError::Topic(name.to_string(), error)),
        }
    }
    Ok(())
}

fn creatable(topic: &TopicAtStart) -> CreatableTopic {
    let policy = topic.cleanup_policy.iter().map(|policy| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str("cleanup.policy"))
            .with_value(Some(StrBytes::from_string(policy.clone())))
    });
    CreatableTopic::default()
        .with_name(TopicName(StrBytes::from_string(topic.name.clone())))
        .with_num_partitions(topic.partitions)
        .with_replication_factor(topic.replication_factor)
        .with_configs(policy.collect())
}
