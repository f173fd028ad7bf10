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
    /// The API is served, but not in this version.
    UnsupportedVersion {
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
            RequestError::UnsupportedVersion { api_version } => {
                write!(f, "version {api_version} is not served")
            }
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
    body: Bytes,
) -> Result<R, RequestError> {
    guard::check(api_key, api_version, &body).map_err(RequestError::Guard)?;
    let decode = |mut body: Bytes| R::decode(&mut body, api_version);
    decode(body.clone())
        .or_else(|error| match guard::replace_malformed_text(api_key, api_version, &body) {
            Some(repaired) => decode(repaired),
            None => Err(error),
        })
        .map_err(|error| RequestError::Decode(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StrBytes;
    use crate::messages::{MetadataRequest, ProduceRequest};

    /// Api key, version, client id, and the body that is left.
    type Header<'a> = (i16, i16, Option<&'a str>, &'a [u8]);

    fn check(frame: &'static [u8], expected: Result<Header<'_>, RequestError>) {
        let mut rest = Bytes::from_static(frame);
        let header = decode_header(&mut rest);
        let found = header.as_ref().map(|header| {
            assert_eq!(header.correlation_id, 1);
            (header.api_key, header.api_version, header.client_id.as_deref(), &rest[..])
        });
        assert_eq!(found, expected.as_ref().copied());
    }

    #[test]
    fn headers() {
        check(b"\0\x03\0\x08\0\0\0\x01\0\x02meBODY", Ok((3, 8, Some("me"), b"BODY")));
        check(b"\0\x03\0\x08\0\0\0\x01\xff\xffBODY", Ok((3, 8, None, b"BODY")));
        check(b"\0\x03\0\x09\0\0\0\x01\0\x02me\0BODY", Ok((3, 9, Some("me"), b"BODY")));
        check(b"\0\x03\0\x09\0\0\0\x01\0\0\x01\x07\x02xxBODY", Ok((3, 9, Some(""), b"BODY")));
    }

    /// Each as the reference takes it.
    #[test]
    fn odd_headers() {
        let malformed = || Err(RequestError::Header);
        check(b"", malformed());
        check(b"\0\x03\0\x08\0\0\0\x01", malformed());
        check(b"\0\x03\0\x08\0\0\0\x01\0\x03me", malformed());
        check(b"\0\x03\0\x09\0\0\0\x01\0\x02me", malformed());
        check(b"\0\x03\0\x08\0\0\0\x01\xff\xfeBODY", Ok((3, 8, None, b"BODY")));
        check(b"\0\x03\0\x08\0\0\0\x01\0\x02m\xffBODY", Ok((3, 8, Some("m\u{fffd}"), b"BODY")));
        let unknown = RequestError::UnknownApi { api_key: 999, api_version: 0 };
        check(b"\x03\xe7\0\0\0\0\0\x01\xff\xff", Err(unknown));
        // ApiVersions of no version that there is: answered, so its header must be read.
        check(b"\0\x12\0\x63\0\0\0\x01\xff\xff\0", Ok((18, 99, None, b"")));
        check(b"\0\x12\xff\xff\0\0\0\x01\xff\xff", Ok((18, -1, None, b"")));
    }

    #[test]
    fn text_that_is_not_utf8_is_read_with_replacements() {
        let body = Bytes::from_static(b"\0\0\0\x01\0\x02a\xff");
        let request: MetadataRequest = decode_body(3, 0, body).unwrap();
        assert_eq!(request.topics.unwrap()[0].name.as_deref(), Some(&StrBytes::from_static_str("a?")));
    }

    #[test]
    fn records_are_slices_of_the_frame() {
        let body =
            Bytes::from_static(b"\xff\xff\0\x01\0\0\0\x64\0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\0\0\0\0\x04DATA");
        let request: ProduceRequest = decode_body(0, 3, body.clone()).unwrap();
        let records = request.topic_data[0].partition_data[0].records.as_ref().unwrap();
        assert_eq!(records.as_ptr(), body[body.len() - 4..].as_ptr());
    }
}
