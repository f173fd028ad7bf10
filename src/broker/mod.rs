//! The broker behind the handlers: partitions, placement, delayed operations, fetch sessions.
//!
//! Enters: calls from handlers. Leaves: appends, reads, wake-ups. May use: coordinator, metadata, storage, config.

pub mod cluster;
mod config_rules;
mod endpoint;

use std::sync::Arc;

use crate::clock::Clock;

pub use config_rules::TableRules;
pub use endpoint::Endpoint;

/// Everything that handlers ask; one per process (or per test).
#[derive(Debug)]
pub struct Broker {
    pub clock: Clock,
}

impl Broker {
    pub fn new(clock: Clock) -> Arc<Broker> {
        Arc::new(Broker { clock })
    }
}
