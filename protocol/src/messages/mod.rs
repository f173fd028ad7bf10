//! Every request and response type of the broker, wherever it comes from: kafka-protocol's, and ours where that crate lacks the newest version.
//! Ours implement the crate's traits, so a handler cannot tell them apart.

pub use kafka_protocol::messages::*;
pub use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, Request, VersionRange};
