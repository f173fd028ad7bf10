//! Services that stand beside the broker in one process and use it as its clients do.
//!
//! Enters: the broker's API table, requests of other protocols. Leaves: answers; requests to the broker.
//! No side door: what a service keeps, it keeps in topics, through `client`. May use: handlers, config, clock, schema.

pub mod client;
pub mod http;
pub mod registry;
