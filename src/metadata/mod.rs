//! The cluster's metadata as a pure machine over a log.
//!
//! Enters: commands, random ids, replayed records of `__cluster_metadata-0` (KRaft's own formats).
//! Leaves: [`Outcome`]s (a response and the records that make it true) and the [`Image`] that everyone reads.
//! May use: the protocol's types. No tokio, no clock, no random source, no lock, no file: `broker/cluster` does the IO.
//!
//! The controller decides with `&self` and changes only by [`Controller::replay`], so that a live broker and one that
//! reloads its log are the same machine.

mod bootstrap;
mod brokers;
mod configs;
mod controller;
mod directories;
mod encoding;
mod image;
mod placement;
mod producer_ids;
mod snapshot;
mod topic_names;
mod topics;

pub use bootstrap::{FEATURES, Feature, bootstrap_records, feature_levels};
pub use brokers::RegisterBroker;
pub use configs::{
    ConfigChange, ConfigError, ConfigErrorKind, ConfigOp, ConfigResult, ConfigRules, ResourceType,
};
pub use controller::{Controller, Outcome};
pub use directories::BrokerDirectories;
pub use encoding::{encoded, newest_metadata_version};
pub use image::{Broker, Configs, Endpoint, Image, Membership, Partition, ReplayError, Topic};
pub use producer_ids::{PRODUCER_IDS_PER_BLOCK, ProducerIdBlock};
pub use topic_names::{InvalidTopicName, is_internal, validate_topic_name};
pub use topics::{
    CreateTopicsSettings, CreatedTopic, DeletedTopic, MAX_PARTITIONS_PER_REQUEST, MAX_RECORDS_PER_REQUEST,
    TopicError, TopicResults, TopicToDelete,
};

#[cfg(test)]
mod tests;
