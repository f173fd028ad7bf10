//! Typed requests to an in-process broker, one file per Kafka API; one test binary for all.

mod support;

mod api_versions;
mod configs;
mod list_offsets;
mod metadata;
mod metadata_log;
mod topics;
