//! What is known of a streams group beside its log: found out again, or forgotten, when the log is read again.

use std::sync::Arc;

use ottla_protocol::StrBytes;

use super::configure::ConfiguredTopology;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct SoftStreams {
    pub configured: Option<Configured>,
    /// Who asked that the whole application stops.
    pub shutdown_requested_by: Option<StrBytes>,
    /// Grows when the tasks of a member with an endpoint change.
    pub endpoint_information_epoch: i32,
    /// The first assignment waits for more members.
    pub is_delayed: bool,
}

/// The topology beside the topics of a view.
#[derive(Debug, Clone, PartialEq)]
pub struct Configured {
    /// Of the view; topics may be others in a newer one.
    pub version: i64,
    pub topology: Arc<ConfiguredTopology>,
}
