//! Enters: a correlation id and a typed response. Leaves: the frame, ready to be written.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Encodable, HeaderVersion};

use crate::frame::SIZE_LENGTH;

/// One response on the wire, in parts to be written one after the other. The first part begins with the frame's size.
#[derive(Clone, Debug, Default)]
pub struct ResponseFrame {
    pub parts: Vec<Bytes>,
}

impl ResponseFrame {
    /// Bytes on the wire, the size field included.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(Bytes::is_empty)
    }

    /// All parts in one piece, copied. For tests and small answers.
    pub fn to_bytes(&self) -> Bytes {
        let mut all = BytesMut::with_capacity(self.len());
        self.parts.iter().for_each(|part| all.put_slice(part));
        all.freeze()
    }
}

/// A response that does not fit its version (a field is set that the version lacks) or a frame. It is a mistake of the broker's.
#[derive(Debug, PartialEq, Eq)]
pub struct ResponseError(pub String);

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot encode the response: {}", self.0)
    }
}

impl std::error::Error for ResponseError {}

/// Encodes a response of a request version into a frame of one part, in one allocation.
///
/// The header is version 0 or 1 by the response's flexible versions; ApiVersions' is always 0, so that a client that does not
/// know the answer's version can read it (KIP-511).
pub fn encode_response<R: Encodable + HeaderVersion>(
    correlation_id: i32,
    version: i16,
    response: &R,
) -> Result<ResponseFrame, ResponseError> {
    let body_size = response.compute_size(version).map_err(encode_error)?;
    let header_size = header_size(R::header_version(version));
    let mut frame = BytesMut::with_capacity(SIZE_LENGTH + header_size + body_size);
    put_header(&mut frame, header_size, body_size, correlation_id)?;
    response.encode(&mut frame, version).map_err(encode_error)?;
    debug_assert_eq!(frame.len(), SIZE_LENGTH + header_size + body_size);
    Ok(ResponseFrame { parts: vec![frame.freeze()] })
}

/// Bytes of a response header: the correlation id and, from version 1, an empty set of tagged fields.
pub(crate) fn header_size(header_version: i16) -> usize {
    if header_version >= 1 { 5 } else { 4 }
}

pub(crate) fn put_header(
    frame: &mut BytesMut,
    header_size: usize,
    body_size: usize,
    correlation_id: i32,
) -> Result<(), ResponseError> {
    let size = i32::try_from(header_size + body_size)
        .map_err(|_| ResponseError("larger than a frame can say".to_owned()))?;
    frame.put_i32(size);
    frame.put_i32(correlation_id);
    if header_size == 5 {
        frame.put_u8(0);
    }
    Ok(())
}

fn encode_error(error: anyhow::Error) -> ResponseError {
    ResponseError(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StrBytes;
    use crate::messages::api_versions_response::ApiVersionsResponse;
    use crate::messages::{HeartbeatResponse, ListGroupsResponse, SaslHandshakeResponse};

    #[track_caller]
    fn check<R: Encodable + HeaderVersion>(version: i16, response: &R, expected: &[u8]) {
        let frame = encode_response(7, version, response).unwrap();
        assert_eq!(frame.parts.len(), 1);
        assert_eq!(&frame.parts[0][..], expected);
        assert_eq!(frame.len(), expected.len());
    }

    #[test]
    fn header_versions() {
        let heartbeat = HeartbeatResponse::default().with_error_code(27);
        check(3, &heartbeat, b"\0\0\0\x0a\0\0\0\x07\0\0\0\0\0\x1b");
        check(4, &heartbeat, b"\0\0\0\x0c\0\0\0\x07\0\0\0\0\0\0\x1b\0");
        check(1, &SaslHandshakeResponse::default(), b"\0\0\0\x0a\0\0\0\x07\0\0\0\0\0\0");
    }

    /// One byte more in this header made librdkafka ask for 34 GB of another broker.
    #[test]
    fn api_versions_has_no_tagged_fields_in_its_header() {
        let response = ApiVersionsResponse::default().with_error_code(35);
        check(4, &response, b"\0\0\0\x0c\0\0\0\x07\0\x23\x01\0\0\0\0\0");
        check(0, &response, b"\0\0\0\x0a\0\0\0\x07\0\x23\0\0\0\0");
    }

    #[test]
    fn what_a_version_cannot_say_is_an_error() {
        let group = crate::messages::list_groups_response::ListedGroup::default()
            .with_group_state(StrBytes::from_static_str("Stable"));
        let response = ListGroupsResponse::default().with_groups(vec![group]);
        assert!(encode_response(7, 4, &response).is_ok());
        // The state is ignorable in Kafka's definition, so an old version leaves it out.
        assert!(encode_response(7, 3, &response).is_ok());
        let response = ListGroupsResponse::default().with_error_code(1);
        assert!(encode_response(7, 99, &response).is_err());
    }
}
