//! CreateTopics (19) v2-7. v5: what the topic was given (KIP-525); v7: its id (KIP-516).

use ottla_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use ottla_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};
use ottla_protocol::{ErrorCode, StrBytes};

use super::Context;
use super::errors::Code;
use super::topic_answers::refusal;
use crate::config::{ServerConfig, describe_topic};
use crate::metadata::{Configs, CreatedTopic};

/// Without a number to say: no partitions were counted, no replicas placed.
const UNKNOWN: i32 = -1;

pub async fn handle(context: Context, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let names: Vec<TopicName> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    let config = context.broker().config();
    // Most topics are given nothing of their own, and a request may have thousands.
    let mut usual = None;
    let topics = match context.broker().cluster.create_topics(request.topics, request.validate_only).await {
        Ok(results) => results
            .into_iter()
            .map(|(name, result)| match result {
                Ok(created) => {
                    let configs = match created.configs.is_empty() {
                        true => usual.get_or_insert_with(|| configs(&config, &created.configs)).clone(),
                        false => configs(&config, &created.configs),
                    };
                    created_topic(name, &created, configs)
                }
                Err(error) => {
                    let (code, message) = refusal(&error);
                    refused(TopicName(name), code, message)
                }
            })
            .collect(),
        Err(error) => {
            let message = StrBytes::from_static_str(error.code().message());
            names.into_iter().map(|name| refused(name, error.code(), Some(message.clone()))).collect()
        }
    };
    CreateTopicsResponse::default().with_topics(topics)
}

fn created_topic(
    name: StrBytes,
    created: &CreatedTopic,
    configs: Vec<CreatableTopicConfigs>,
) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(TopicName(name))
        .with_topic_id(created.id)
        .with_error_message(None)
        .with_num_partitions(created.partitions)
        .with_replication_factor(created.replication_factor)
        .with_configs(Some(configs))
}

/// All of its configuration, by name, with where each value comes from. Its own values are told as they were written.
fn configs(config: &ServerConfig, overrides: &Configs) -> Vec<CreatableTopicConfigs> {
    let entry = |entry: crate::config::ConfigEntry| {
        let value = overrides.get(&entry.name).cloned().or(entry.value);
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_string(entry.name))
            .with_value(value.map(StrBytes::from_string))
            .with_read_only(entry.read_only)
            .with_config_source(entry.source as i8)
            .with_is_sensitive(entry.sensitive)
    };
    describe_topic(config, overrides).into_iter().map(entry).collect()
}

/// A message that quotes a name of 32,767 characters is too long for the answer. Kafka fails to write it and answers
/// with its error for that.
fn refused(name: TopicName, error: ErrorCode, message: Option<StrBytes>) -> CreatableTopicResult {
    let fits = message.as_ref().is_none_or(|message| i16::try_from(message.len()).is_ok());
    let (error, message) = match fits {
        true => (error, message),
        false => {
            let error = ErrorCode::UnknownServerError;
            (error, Some(StrBytes::from_static_str(error.message())))
        }
    };
    CreatableTopicResult::default()
        .with_name(name)
        .with_error_code(error.code())
        .with_error_message(message)
        .with_num_partitions(UNKNOWN)
        .with_replication_factor(UNKNOWN as i16)
}
