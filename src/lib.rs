//! Ottla: an Apache Kafka broker.
//!
//! The way of a request, and the room of each step:
//!
//! ```text
//! socket -> server -> protocol -> handlers -> broker -> storage
//!                                                |-> coordinator, metadata (pure; records out, replay in)
//! ```
//!
//! | room | what is in it |
//! |---|---|
//! | `config` | one table of keys; where their values come from |
//! | `accepting` | one loop that accepts connections, for whatever is spoken on them |
//! | [`server`] | listeners, connections |
//! | [`services`] | what stands beside the broker and uses it as a client: the schema registry |
//! | [`handlers`] | the API table, one file per Kafka API |
//! | [`broker`] | partitions, delayed fetches, fetch sessions, the metadata log's IO |
//! | [`coordinator`] | groups, as pure machines over `__consumer_offsets` |
//! | [`metadata`] | the image of the cluster and the controller that decides its records |
//! | [`clock`] | the one place that asks for time and chance |
//! | [`start`] | puts the rooms together |
//! | `log_dump` | `ottla log dump`: the files of a log, shown as Kafka's tool shows them |
//! | [`health`] | a client that asks a broker whether it serves |

mod accepting;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod coordinator;
pub mod handlers;
pub mod health;
pub mod log_dump;
mod memory;
pub mod metadata;
pub mod server;
pub mod services;
pub mod start;

pub use broker::Broker;
pub use start::{Builder, Running};
