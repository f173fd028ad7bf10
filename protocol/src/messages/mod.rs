//! Every request and response type of the broker, wherever it comes from: kafka-protocol's, and ours where that crate lacks the newest
//! version. Ours implement the crate's traits, so a handler cannot tell them apart.

// Generated; each has the name of the crate's module that it stands in for.
pub mod describe_log_dirs_request;
pub mod describe_log_dirs_response;
pub mod list_offsets_request;
pub mod list_offsets_response;
pub mod offset_commit_request;
pub mod offset_commit_response;
pub mod offset_fetch_request;
pub mod offset_fetch_response;

pub use describe_log_dirs_request::DescribeLogDirsRequest;
pub use describe_log_dirs_response::DescribeLogDirsResponse;
pub use list_offsets_request::ListOffsetsRequest;
pub use list_offsets_response::ListOffsetsResponse;
pub use offset_commit_request::OffsetCommitRequest;
pub use offset_commit_response::OffsetCommitResponse;
pub use offset_fetch_request::OffsetFetchRequest;
pub use offset_fetch_response::OffsetFetchResponse;

pub use kafka_protocol::messages::*;
pub use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, Request, VersionRange};
