//! What the controller asks of the configuration tables.

use crate::config::{
    Refusal, ServerConfig, key::Kind, keys, validate_client_metrics, validate_group, validate_topic,
};
use crate::metadata::{ConfigError, ConfigErrorKind, ConfigRules, Configs, ResourceType};

/// The tables, with what this broker was configured to at its start.
pub struct TableRules {
    server: ServerConfig,
}

impl TableRules {
    pub fn new(server: ServerConfig) -> Self {
        TableRules { server }
    }
}

impl ConfigRules for TableRules {
    fn validate(
        &self,
        resource: ResourceType,
        _name: &str,
        previous: &Configs,
        altered: &Configs,
    ) -> Result<(), ConfigError> {
        match resource {
            ResourceType::Topic => validate_topic(&self.server, previous, altered).map_err(|error| {
                ConfigError { kind: ConfigErrorKind::InvalidConfig, message: error.to_string() }
            }),
            ResourceType::Group => validate_group(&self.server, altered).map_err(refused),
            ResourceType::ClientMetrics => validate_client_metrics(altered).map_err(refused),
            // Checked by their handlers, before the controller is asked.
            ResourceType::Broker | ResourceType::BrokerLogger => Ok(()),
        }
    }

    fn is_list(&self, resource: ResourceType, key: &str) -> bool {
        let key = match resource {
            ResourceType::Topic => keys::topic_key(key),
            ResourceType::Broker => keys::broker_key(key),
            ResourceType::Group => keys::group_key(key),
            // Kafka's controller does not know that they have lists.
            ResourceType::ClientMetrics | ResourceType::BrokerLogger => None,
        };
        key.is_some_and(|key| key.kind == Kind::List)
    }

    fn default_value(&self, resource: ResourceType, key: &str) -> Option<String> {
        match resource {
            ResourceType::Topic => {
                let value = crate::config::topic_value(&self.server, &Configs::new(), keys::topic_key(key)?);
                value.map(|value| value.to_string())
            }
            _ => keys::broker_default(keys::broker_key(key)?).map(str::to_owned),
        }
    }
}

fn refused(refusal: Refusal) -> ConfigError {
    let (kind, message) = match refusal {
        Refusal::Request(message) => (ConfigErrorKind::InvalidRequest, message),
        Refusal::Config(message) => (ConfigErrorKind::InvalidConfig, message),
    };
    ConfigError { kind, message }
}
