//! Configuration of resources: what was altered, as ConfigRecords. What keys mean is the configuration tables' matter,
//! behind [`ConfigRules`].

use std::collections::BTreeSet;

use kafka_protocol::protocol::StrBytes;
use ottla_protocol::record_formats::metadata::{ClearElrRecord, ConfigRecord, MetadataRecord};

use super::controller::own;
use super::{Configs, Controller, MAX_RECORDS_PER_REQUEST, Outcome};

/// Kafka's resource types, as ConfigRecord and the configuration APIs number them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ResourceType {
    Topic,
    Broker,
    BrokerLogger,
    ClientMetrics,
    Group,
}

impl ResourceType {
    pub fn id(self) -> i8 {
        match self {
            ResourceType::Topic => 2,
            ResourceType::Broker => 4,
            ResourceType::BrokerLogger => 8,
            ResourceType::ClientMetrics => 16,
            ResourceType::Group => 32,
        }
    }

    pub fn from_id(id: i8) -> Option<Self> {
        match id {
            2 => Some(ResourceType::Topic),
            4 => Some(ResourceType::Broker),
            8 => Some(ResourceType::BrokerLogger),
            16 => Some(ResourceType::ClientMetrics),
            32 => Some(ResourceType::Group),
            _ => None,
        }
    }
}

/// What the controller must know of configuration keys.
pub trait ConfigRules: Send + Sync {
    /// Checks all that would be altered of a resource, against what is altered now: INVALID_CONFIG with Kafka's words,
    /// or INVALID_REQUEST.
    fn validate(
        &self,
        resource: ResourceType,
        name: &str,
        previous: &Configs,
        altered: &Configs,
    ) -> Result<(), ConfigError>;

    /// Whether APPEND and SUBTRACT make sense of a key.
    fn is_list(&self, resource: ResourceType, key: &str) -> bool;

    /// What APPEND and SUBTRACT begin with when nothing was altered.
    fn default_value(&self, resource: ResourceType, key: &str) -> Option<String>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub kind: ConfigErrorKind,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigErrorKind {
    InvalidConfig,
    InvalidRequest,
    UnknownTopic,
    /// More than one request may write.
    TooManyRecords,
}

/// KIP-966: who may lead depends on it, so that the cluster's own value may change but not go.
pub(super) const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// IncrementalAlterConfigs' operations; `Replace` is the older AlterConfigs', for a whole resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigOp {
    /// As Kafka does, a null value deletes.
    Set(Option<StrBytes>),
    Delete,
    Append(StrBytes),
    Subtract(StrBytes),
}

/// All changes to one resource, decided and refused together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    pub resource: ResourceType,
    /// The topic, the broker's id (empty: the default of all), the group...
    pub name: StrBytes,
    pub ops: Vec<(StrBytes, ConfigOp)>,
    /// Whether what is not named goes back to its default: AlterConfigs, against IncrementalAlterConfigs.
    pub replace: bool,
}

pub type ConfigResult = Result<(), ConfigError>;

impl Controller {
    /// One answer for each change; those that are refused write nothing, the others are written together.
    pub fn alter_configs(
        &self,
        changes: &[ConfigChange],
        validate_only: bool,
        rules: &dyn ConfigRules,
    ) -> Outcome<Vec<ConfigResult>> {
        let mut records = Vec::new();
        let mut results = Vec::with_capacity(changes.len());
        for change in changes {
            let result = self.alter_resource(change, rules).and_then(|mut altered| {
                if records.len() + altered.len() > MAX_RECORDS_PER_REQUEST {
                    let message = "Unable to perform excessively large batch operation.".into();
                    return Err(ConfigError { kind: ConfigErrorKind::TooManyRecords, message });
                }
                records.append(&mut altered);
                Ok(())
            });
            results.push(result);
        }
        if validate_only {
            records.clear();
        }
        Outcome { response: results, records }
    }

    fn alter_resource(
        &self,
        change: &ConfigChange,
        rules: &dyn ConfigRules,
    ) -> Result<Vec<MetadataRecord>, ConfigError> {
        let none = Configs::new();
        let old = self.image.configs(change.resource, &change.name).map_or(&none, |configs| configs);
        let mut new = old.clone();
        let mut explicit: BTreeSet<&str> = BTreeSet::new();
        for (key, op) in &change.ops {
            explicit.insert(key);
            let value = new_value(change.resource, key, op, new.get(key.as_str()), rules)?;
            apply(&mut new, key, value);
        }
        if change.replace {
            new.retain(|key, _| explicit.contains(key.as_str()));
        }
        rules.validate(change.resource, &change.name, old, &new)?;
        if change.resource == ResourceType::Topic && self.image.topic_id(&change.name).is_none() {
            let message = format!("The topic '{}' does not exist.", change.name);
            return Err(ConfigError { kind: ConfigErrorKind::UnknownTopic, message });
        }
        let is_elr_enabled = self.image.is_elr_enabled();
        if change.resource == ResourceType::Broker && is_elr_enabled {
            check_min_insync_replicas(change, &new)?;
        }
        let mut records = difference(change, old, &new);
        if is_elr_enabled && records.iter().any(is_about_min_insync_replicas) {
            let is_topic = change.resource == ResourceType::Topic;
            let topic_name = if is_topic { own(&change.name) } else { StrBytes::new() };
            records.push(ClearElrRecord { topic_name }.into());
        }
        Ok(records)
    }
}

fn check_min_insync_replicas(change: &ConfigChange, new: &Configs) -> Result<(), ConfigError> {
    let named = change.ops.iter().any(|(key, _)| &**key == MIN_INSYNC_REPLICAS);
    let is_set = new.contains_key(MIN_INSYNC_REPLICAS);
    let message = match (change.name.is_empty(), is_set) {
        (true, false) if named || change.replace => {
            "Cluster-level min.insync.replicas cannot be removed while ELR is enabled."
        }
        (false, _) if named => "Broker-level min.insync.replicas cannot be altered while ELR is enabled.",
        _ => return Ok(()),
    };
    Err(ConfigError { kind: ConfigErrorKind::InvalidConfig, message: message.into() })
}

pub(super) fn apply(configs: &mut Configs, key: &str, value: Option<String>) {
    match value {
        Some(value) => configs.insert(key.to_owned(), value),
        None => configs.remove(key),
    };
}

fn new_value(
    resource: ResourceType,
    key: &StrBytes,
    op: &ConfigOp,
    old: Option<&String>,
    rules: &dyn ConfigRules,
) -> Result<Option<String>, ConfigError> {
    let (word, operand) = match op {
        ConfigOp::Set(value) => return Ok(value.as_ref().map(|value| value.as_str().to_owned())),
        ConfigOp::Delete => return Ok(None),
        ConfigOp::Append(value) => ("APPEND", value),
        ConfigOp::Subtract(value) => ("SUBTRACT", value),
    };
    if !rules.is_list(resource, key) {
        let message = format!("Can't {word} to key {key} because its type is not LIST.");
        return Err(ConfigError { kind: ConfigErrorKind::InvalidConfig, message });
    }
    let old = old.cloned().or_else(|| rules.default_value(resource, key));
    let old = old.unwrap_or_default();
    let mut parts: Vec<&str> = old.split(',').filter(|part| !part.is_empty()).collect();
    for part in operand.split(',') {
        match op {
            ConfigOp::Append(_) if !parts.contains(&part) => parts.push(part),
            ConfigOp::Subtract(_) => parts.retain(|old| *old != part),
            _ => {}
        }
    }
    Ok(Some(parts.join(",")))
}

/// The records that lead from the old to the new; for a broker also those that change nothing, because that is how
/// Kafka has a broker reload the files that its settings name.
fn difference(change: &ConfigChange, old: &Configs, new: &Configs) -> Vec<MetadataRecord> {
    let record = |key: &String, value: Option<&String>| ConfigRecord {
        resource_type: change.resource.id(),
        resource_name: own(&change.name),
        name: StrBytes::from_string(key.clone()),
        value: value.cloned().map(StrBytes::from_string),
    };
    let always = change.resource == ResourceType::Broker;
    let named = |key: &String| change.ops.iter().any(|(named, _)| named.as_str() == key);
    let set = new
        .iter()
        .filter(|(key, value)| old.get(*key) != Some(value) || (always && named(key)))
        .map(|(key, value)| record(key, Some(value)));
    let removed = old.keys().filter(|key| !new.contains_key(*key)).map(|key| record(key, None));
    set.chain(removed).map(MetadataRecord::from).collect()
}

fn is_about_min_insync_replicas(record: &MetadataRecord) -> bool {
    matches!(record, MetadataRecord::Config(config) if &*config.name == MIN_INSYNC_REPLICAS)
}
