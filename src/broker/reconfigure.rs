//! Configuration that changes while the broker runs (KIP-226): from the metadata's records to those who obey it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use tracing::warn;

use super::{Broker, TableRules};
use crate::config::Texts;
use crate::metadata::{Image, ResourceType};

impl Broker {
    /// Takes into use what the metadata says of this broker's configuration and of all brokers' defaults, and what
    /// follows from it for the partitions that are open.
    pub fn broker_config_changed(&self) {
        let image = self.image();
        let cluster = altered(&image, "");
        let own = altered(&image, &self.node_id().to_string());
        let changed = match self.config().with_dynamic(&cluster, &own) {
            Ok(config) => Arc::new(config),
            // Checked when it was altered, so it was altered by another version.
            Err(why) => {
                return warn!(%why, "the altered configuration does not fit together: the old one stays");
            }
        };
        self.cluster.set_config_rules(Arc::new(TableRules::new(changed.as_ref().clone())));
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = changed;
        let mut by_topic = HashMap::new();
        for partition in self.partitions.all() {
            let name = Arc::clone(&partition.id().topic);
            let (config, options) =
                by_topic.entry(Arc::clone(&name)).or_insert_with(|| self.topic_config(&image, &name));
            partition.set_config(Arc::clone(config), Arc::clone(options));
        }
        self.cleaner.config_changed(None);
        self.retention_checks.config_changed(None);
    }
}

fn altered(image: &Image, broker: &str) -> Texts {
    image.configs(ResourceType::Broker, broker).map(|configs| Texts::clone(configs)).unwrap_or_default()
}
