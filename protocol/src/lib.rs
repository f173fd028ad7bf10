//! Kafka's wire protocol.
//!
//! Enters: bytes of a client. Leaves: typed requests, and frames for typed responses; record batches as bytes; error codes.
//! May use: kafka-protocol, bytes, crc32c, the compression codecs. No tokio, no clock, no files.

pub mod batch;
pub mod codec;
pub mod error_code;
pub mod fetch_response;
pub mod frame;
pub mod guard;
pub mod header;
mod kafka_id;
pub mod messages;
pub mod record_formats;
pub mod request;
pub mod response;
pub mod shapes;
pub mod varint;
pub mod wire;

pub use error_code::ErrorCode;
pub use kafka_id::{kafka_id, parse_kafka_id};
pub use kafka_protocol::protocol::StrBytes;
pub use uuid::Uuid;
