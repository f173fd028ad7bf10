//! DescribeConfigs (32) v1-4. v1: synonyms and sources (KIP-226); v3: types and documentation (KIP-569).

use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
use ottla_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use ottla_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use ottla_protocol::{ErrorCode, StrBytes};

use super::Context;
use crate::config::{
    ConfigEntry, ConfigSource, Texts, describe_broker, describe_client_metrics, describe_cluster_default,
    describe_group, describe_topic,
};
use crate::metadata::{ResourceType, validate_topic_name};

pub async fn handle(context: Context, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let shown = Shown { synonyms: request.include_synonyms, documentation: request.include_documentation };
    // A type that does not exist spoils the whole request, as in Kafka.
    let is_spoiled =
        request.resources.iter().any(|asked| ResourceType::from_id(asked.resource_type).is_none());
    let results = request
        .resources
        .into_iter()
        .map(|resource| if is_spoiled { spoiled(resource) } else { describe(&context, resource, shown) })
        .collect();
    DescribeConfigsResponse::default().with_results(results)
}

#[derive(Clone, Copy)]
struct Shown {
    synonyms: bool,
    documentation: bool,
}

type Refused = (ErrorCode, String);

fn describe(context: &Context, resource: DescribeConfigsResource, shown: Shown) -> DescribeConfigsResult {
    let result = DescribeConfigsResult::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name.clone());
    match entries(context, resource.resource_type, &resource.resource_name) {
        Ok(entries) => {
            let asked = resource.configuration_keys.filter(|keys| !keys.is_empty());
            let is_asked = |entry: &ConfigEntry| {
                asked.as_ref().is_none_or(|keys| keys.iter().any(|key| key.as_str() == entry.name))
            };
            let configs = entries.into_iter().filter(is_asked).map(|entry| told(entry, shown)).collect();
            result.with_configs(configs).with_error_message(Some(StrBytes::new()))
        }
        Err((code, message)) => {
            result.with_error_code(code.code()).with_error_message(Some(StrBytes::from_string(message)))
        }
    }
}

fn spoiled(resource: DescribeConfigsResource) -> DescribeConfigsResult {
    let message = StrBytes::from_static_str(ErrorCode::InvalidRequest.message());
    DescribeConfigsResult::default()
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name)
        .with_error_code(ErrorCode::InvalidRequest.code())
        .with_error_message(Some(message))
}

fn entries(context: &Context, resource_type: i8, name: &str) -> Result<Vec<ConfigEntry>, Refused> {
    let invalid = |message: &str| Err((ErrorCode::InvalidRequest, message.to_owned()));
    let broker = context.broker();
    let Some(resource) = ResourceType::from_id(resource_type) else {
        return invalid(ErrorCode::InvalidRequest.message());
    };
    let image = broker.image();
    let altered = || -> Texts {
        image.configs(resource, name).map(|configs| Texts::clone(configs)).unwrap_or_default()
    };
    match resource {
        ResourceType::Topic => {
            validate_topic_name(name)
                .map_err(|invalid| (ErrorCode::InvalidTopicException, invalid.message(name)))?;
            if image.topic_id(name).is_none() {
                return Err((ErrorCode::UnknownTopicOrPartition, String::new()));
            }
            Ok(describe_topic(&broker.config(), &altered()))
        }
        ResourceType::Broker if name.is_empty() => Ok(describe_cluster_default(&broker.config())),
        ResourceType::Broker => {
            check_node(context, name, "or empty string, ")?;
            Ok(describe_broker(&broker.config()))
        }
        ResourceType::BrokerLogger if name.is_empty() => invalid("Broker id must not be empty"),
        ResourceType::BrokerLogger => {
            check_node(context, name, "")?;
            Ok(broker.loggers.levels().into_iter().map(logger).collect())
        }
        ResourceType::ClientMetrics if name.is_empty() => {
            invalid("Client metrics subscription name must not be empty")
        }
        ResourceType::ClientMetrics => Ok(describe_client_metrics(&altered())),
        ResourceType::Group if name.is_empty() => invalid("Group name must not be empty"),
        ResourceType::Group => Ok(describe_group(&broker.config(), &altered())),
    }
}

fn check_node(context: &Context, name: &str, or_empty: &str) -> Result<(), Refused> {
    let node_id = context.broker().node_id();
    let message = match name.parse::<i32>() {
        Ok(id) if id == node_id => return Ok(()),
        Ok(_) => format!("Unexpected broker id, expected {node_id} {or_empty}but received {name}"),
        Err(_) => format!("Broker id must be an integer, but it is: {name}"),
    };
    Err((ErrorCode::InvalidRequest, message))
}

fn logger((name, level): (&'static str, &'static str)) -> ConfigEntry {
    ConfigEntry {
        name: name.to_owned(),
        value: Some(level.to_owned()),
        read_only: false,
        source: ConfigSource::DynamicBrokerLogger,
        sensitive: false,
        synonyms: Vec::new(),
        kind: None,
        documentation: None,
    }
}

fn told(entry: ConfigEntry, shown: Shown) -> DescribeConfigsResourceResult {
    let text = StrBytes::from_string;
    let is_logger = entry.source == ConfigSource::DynamicBrokerLogger;
    let documentation = match entry.documentation {
        Some(doc) if shown.documentation => Some(StrBytes::from_static_str(doc)),
        // Kafka has nothing to say of a logger, and says so even when it is not asked.
        _ => is_logger.then(StrBytes::new),
    };
    let synonyms = entry.synonyms.into_iter().filter(|_| shown.synonyms).map(|synonym| {
        DescribeConfigsSynonym::default()
            .with_name(text(synonym.name))
            .with_value(synonym.value.map(text))
            .with_source(synonym.source as i8)
    });
    DescribeConfigsResourceResult::default()
        .with_name(text(entry.name))
        .with_value(entry.value.map(text))
        .with_read_only(entry.read_only)
        .with_config_source(entry.source as i8)
        .with_is_sensitive(entry.sensitive)
        .with_synonyms(synonyms.collect())
        .with_config_type(entry.kind.map_or(0, |kind| kind as i8))
        .with_documentation(documentation)
}
