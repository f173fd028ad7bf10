//! Enters: a body, its api key and version. Leaves: the typed request, after the guard has walked over the bytes.

use std::fmt;

use bytes::Bytes;
use kafka_protocol::protocol::{Decodable, Message};

use crate::guard::{self, GuardError};

pub use crate::header::{RequestHeader, decode_header};

/// Why a request cannot be read. Kafka answers none of these: it closes the connection.
#[derive(Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The header is cut short or not well formed.
    Header,
    UnknownApi {
        api_key: i16,
        api_version: i16,
    },
    Guard(GuardError),
    /// The guard let it pass, but its text is not UTF-8 or the like.
    Decode(String),
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::Header => write!(f, "malformed request header"),
            RequestError::UnknownApi { api_key, api_version } => {
                write!(f, "unknown api key {api_key} (version {api_version})")
            }
            RequestError::Guard(error) => error.fmt(f),
            RequestError::Decode(why) => write!(f, "malformed request: {why}"),
        }
    }
}

impl std::error::Error for RequestError {}

impl From<bytes::TryGetError> for RequestError {
    fn from(_: bytes::TryGetError) -> Self {
        RequestError::Header
    }
}

/// Decodes a request's body. Strings, bytes and records in the result are slices of `body`, which they keep alive.
pub fn decode_body<R: Decodable + Message>(
    api_key: i16,
    api_version: i16,
    mut body: Bytes,
) -> Result<R, RequestError> {
    guard::check(api_key, api_version, &body).map_err(RequestError::Guard)?;
    R::decode(&mut body, api_version).map_err(|error| RequestError::Decode(error.to_string()))
}
