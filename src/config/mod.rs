//! Configuration: one table of keys, and typed values made from it.
//! Enters: server.properties, environment, flags; texts of AlterConfigs. Leaves: `ServerConfig`, `TopicConfig`, the entries
//! of DescribeConfigs, errors and warnings as texts. Pure: no file, no environment, no clock is touched here.

mod alter;
mod cleaner_config;
mod describe;
mod environment;
pub mod key;
pub mod keys;
pub mod listeners;
mod load;
pub mod properties;
mod registry_config;
mod server_config;
mod share_config;
mod topic_config;

pub use alter::{
    Change, Refusal, alter_broker, validate_broker, validate_client_metrics, validate_cluster_default,
    validate_group,
};
pub use cleaner_config::{CleanerConfig, io_max_bytes_per_second};
pub use describe::{
    ConfigEntry, Synonym, describe_broker, describe_client_metrics, describe_cluster_default, describe_group,
    describe_topic,
};
pub use listeners::{Advertised, Listener, SecurityProtocol};
pub use load::{ConfigError, Loaded, Sources, TopicAtStart};
pub use registry_config::{
    BasicAuthentication, ClientCertificates, Cors, HttpListener, RegistryConfig, TlsFiles, UsersFile,
};
pub use server_config::{ConfigSource, ServerConfig};
pub use share_config::ShareConfig;
pub use topic_config::{
    Compression, SchemaValidation, SubjectNameStrategy, Texts, TimestampType, TopicConfig, TopicConfigError,
    topic_value, validate_topic,
};
