//! What AlterConfigs and IncrementalAlterConfigs have in common: each resource is checked by itself, the changes of those
//! that pass are decided by the controller, and what changed is taken into use before the answer leaves.

use std::collections::{HashMap, HashSet};

use ottla_protocol::{ErrorCode, StrBytes};

use super::Context;
use super::errors::Code;
use crate::broker::loggers::{LEVELS, Loggers, ROOT};
use crate::config::{Change, Refusal, Texts, alter_broker, validate_broker, validate_cluster_default};
use crate::metadata::{
    ConfigChange, ConfigError, ConfigErrorKind, ConfigOp, ResourceType, validate_topic_name,
};

/// One resource of a request.
pub struct Asked {
    pub resource_type: i8,
    pub name: StrBytes,
    /// None is an operation that does not exist.
    pub ops: Vec<(StrBytes, Option<Op>, Option<StrBytes>)>,
    /// Whether what is not named goes back to its default.
    pub replace: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Set,
    Delete,
    Append,
    Subtract,
}

/// A code and a message; (NONE, null) for what was done.
pub type Answer = (ErrorCode, Option<StrBytes>);

/// An answer for each resource, in their order.
pub async fn alter(context: &Context, asked: &[Asked], validate_only: bool) -> Vec<Answer> {
    let mut changes = Vec::new();
    let mut answers: Vec<Option<Answer>> = Vec::with_capacity(asked.len());
    for (resource, is_twice) in asked.iter().zip(named_twice(asked)) {
        let checked = match is_twice {
            true => Err(invalid_request("Each resource must appear at most once.")),
            false => check(context, resource, validate_only),
        };
        match checked {
            Ok(Some(change)) => {
                changes.push(change);
                answers.push(None);
            }
            Ok(None) => answers.push(Some((ErrorCode::None, None))),
            Err(answer) => answers.push(Some(answer)),
        }
    }
    let mut decided = decide(context, changes, validate_only).await.into_iter();
    let undecided = || (ErrorCode::UnknownServerError, None);
    answers.into_iter().map(|answer| answer.or_else(|| decided.next()).unwrap_or_else(undecided)).collect()
}

/// The controller's answers, in the order of the changes.
async fn decide(context: &Context, changes: Vec<ConfigChange>, validate_only: bool) -> Vec<Answer> {
    if changes.is_empty() {
        return Vec::new();
    }
    let broker = context.broker();
    let results = match broker.cluster.alter_configs(changes.clone(), validate_only).await {
        Ok(results) => results,
        Err(error) => {
            let message = StrBytes::from_static_str(error.code().message());
            return vec![(error.code(), Some(message)); changes.len()];
        }
    };
    for (change, result) in changes.iter().zip(&results) {
        if result.is_ok() && !validate_only {
            take_into_use(context, change);
        }
    }
    results.into_iter().map(|result| result.map_or_else(refused, |()| (ErrorCode::None, None))).collect()
}

fn take_into_use(context: &Context, change: &ConfigChange) {
    let broker = context.broker();
    match change.resource {
        ResourceType::Topic => {
            if let Some(topic) = broker.image().topic(&change.name) {
                broker.topic_config_changed(topic);
            }
        }
        ResourceType::Broker => broker.broker_config_changed(),
        ResourceType::BrokerLogger | ResourceType::ClientMetrics | ResourceType::Group => {}
    }
}

/// What the controller is to decide; None for what is done already.
fn check(context: &Context, asked: &Asked, validate_only: bool) -> Result<Option<ConfigChange>, Answer> {
    let mut seen = HashSet::new();
    if asked.ops.iter().any(|(key, ..)| !seen.insert(key)) {
        return Err(invalid_request("Error due to duplicate config keys"));
    }
    let needs_value = |op: &Option<Op>| *op != Some(Op::Delete);
    let nulls: Vec<&str> = asked
        .ops
        .iter()
        .filter(|(_, op, value)| needs_value(op) && value.is_none())
        .map(|(key, ..)| key.as_str())
        .collect();
    if !nulls.is_empty() {
        return Err(invalid_request(&format!("Null value not supported for : {}", nulls.join(", "))));
    }
    if asked.ops.iter().any(|(_, op, _)| op.is_none()) {
        return Err((ErrorCode::UnknownServerError, None));
    }
    let name = asked.name.as_str();
    let resource = match ResourceType::from_id(asked.resource_type) {
        Some(ResourceType::BrokerLogger) if !asked.replace => {
            alter_loggers(context, asked, validate_only)?;
            return Ok(None);
        }
        Some(ResourceType::BrokerLogger) | None => {
            return Err(invalid_request(&format!("Unknown resource type {}", asked.resource_type)));
        }
        Some(resource) => resource,
    };
    match resource {
        ResourceType::Broker => check_broker(context, asked)?,
        ResourceType::Topic if name.is_empty() => {
            return Err(invalid_request("Default topic resources are not allowed."));
        }
        ResourceType::Topic => validate_topic_name(name)
            .map_err(|invalid| (ErrorCode::InvalidTopicException, message(&invalid.message(name))))?,
        ResourceType::Group if name.is_empty() => {
            return Err(invalid_request("Default group resources are not allowed."));
        }
        ResourceType::ClientMetrics if name.is_empty() => {
            return Err(invalid_request("Subscription name can't be empty"));
        }
        _ => {}
    }
    let ops = asked.ops.iter().map(|(key, op, value)| (key.clone(), config_op(*op, value)));
    let change =
        ConfigChange { resource, name: asked.name.clone(), ops: ops.collect(), replace: asked.replace };
    Ok(Some(change))
}

/// A broker checks its own configuration, and that of all brokers against its own, before the controller is asked.
fn check_broker(context: &Context, asked: &Asked) -> Result<(), Answer> {
    let broker = context.broker();
    let name = asked.name.as_str();
    if !name.is_empty() {
        let node_id = broker.node_id();
        if node_number(name)? != node_id {
            let text = format!("Unexpected broker id, expected {node_id}, but received {name}");
            return Err(invalid_request(&text));
        }
    }
    let now = match asked.replace {
        true => Texts::new(),
        false => broker
            .image()
            .configs(ResourceType::Broker, name)
            .map(|configs| Texts::clone(configs))
            .unwrap_or_default(),
    };
    let changes: Vec<(&str, Change)> = asked
        .ops
        .iter()
        .map(|(key, op, value)| {
            let value = value.as_deref().unwrap_or_default();
            let change = match op {
                Some(Op::Append) => Change::Append(value),
                Some(Op::Subtract) => Change::Subtract(value),
                Some(Op::Set) => Change::Set(value),
                Some(Op::Delete) | None => Change::Delete,
            };
            (key.as_str(), change)
        })
        .collect();
    let config = broker.config();
    let altered = alter_broker(&now, &changes).map_err(not_allowed)?;
    let checked = match name.is_empty() {
        true => validate_cluster_default(&config, &altered),
        false => validate_broker(&config, &altered),
    };
    checked.map_err(not_allowed)
}

/// All levels are checked before one is set.
fn alter_loggers(context: &Context, asked: &Asked, validate_only: bool) -> Result<(), Answer> {
    let node_id = context.broker().node_id();
    if node_number(&asked.name)? != node_id {
        let text = format!("Unexpected node id. Expected {node_id}, but received {}", asked.name);
        return Err(invalid_request(&text));
    }
    for (logger, op, level) in &asked.ops {
        let word = match op {
            Some(Op::Append) => "APPEND",
            Some(Op::Subtract) => "SUBTRACT",
            Some(Op::Set | Op::Delete) | None => "",
        };
        if !word.is_empty() {
            let text = format!("{word} operation is not allowed for the BROKER_LOGGER resource");
            return Err(invalid_request(&text));
        }
        if !Loggers::exists(logger) {
            return Err((ErrorCode::InvalidConfig, message(&format!("Logger {logger} does not exist!"))));
        }
        if *op == Some(Op::Delete) && logger.as_str() == ROOT {
            return Err(invalid_request("Removing the log level of the root logger is not allowed"));
        }
        let level = level.as_deref().unwrap_or_default();
        if *op == Some(Op::Set) && !LEVELS.contains(&level) {
            let text = format!(
                "Cannot set the log level of {logger} to {level} as it is not a supported log level. Valid log levels \
                 are {}",
                LEVELS.join(", ")
            );
            return Err((ErrorCode::InvalidConfig, message(&text)));
        }
    }
    if validate_only {
        return Ok(());
    }
    let loggers = &context.broker().loggers;
    for (logger, _, level) in &asked.ops {
        match level.as_deref() {
            Some(level) => loggers.set(logger, level),
            None => loggers.unset(logger),
        }
    }
    Ok(())
}

fn node_number(name: &str) -> Result<i32, Answer> {
    name.parse().map_err(|_| invalid_request(&format!("Node id must be an integer, but it is: {name}")))
}

/// For each resource whether another one of the request is the same.
fn named_twice(asked: &[Asked]) -> Vec<bool> {
    let mut times: HashMap<(i8, &str), usize> = HashMap::new();
    for resource in asked {
        *times.entry((resource.resource_type, &resource.name)).or_default() += 1;
    }
    asked.iter().map(|resource| times[&(resource.resource_type, resource.name.as_str())] > 1).collect()
}

fn config_op(op: Option<Op>, value: &Option<StrBytes>) -> ConfigOp {
    let value = value.clone();
    match op {
        Some(Op::Append) => ConfigOp::Append(value.unwrap_or_default()),
        Some(Op::Subtract) => ConfigOp::Subtract(value.unwrap_or_default()),
        Some(Op::Set) => ConfigOp::Set(value),
        Some(Op::Delete) | None => ConfigOp::Delete,
    }
}

fn refused(error: ConfigError) -> Answer {
    let code = match error.kind {
        ConfigErrorKind::InvalidConfig => ErrorCode::InvalidConfig,
        ConfigErrorKind::InvalidRequest => ErrorCode::InvalidRequest,
        ConfigErrorKind::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
        ConfigErrorKind::TooManyRecords => ErrorCode::UnknownServerError,
    };
    (code, message(&error.message))
}

fn not_allowed(refusal: Refusal) -> Answer {
    match refusal {
        Refusal::Request(text) => (ErrorCode::InvalidRequest, message(&text)),
        Refusal::Config(text) => (ErrorCode::InvalidConfig, message(&text)),
    }
}

fn invalid_request(text: &str) -> Answer {
    (ErrorCode::InvalidRequest, message(text))
}

fn message(text: &str) -> Option<StrBytes> {
    Some(StrBytes::from_string(text.to_owned()))
}
