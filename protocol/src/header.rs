//! The request header: versions 1 and 2 (with tagged fields). Which one stands before a body follows from the api's flexible versions.

use bytes::{Buf, Bytes};

use crate::StrBytes;
use crate::request::RequestError;
use crate::shapes;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    pub api_key: i16,
    pub api_version: i16,
    pub correlation_id: i32,
    pub client_id: Option<StrBytes>,
}

/// Takes the header off the front of a frame (without its size) and leaves the body in `frame`.
///
/// The version need not be one that exists: an ApiVersions request of an unknown version is answered (KIP-511), so its header must be read.
/// An api key that no client listener takes is an error, as its header version cannot be known.
pub fn decode_header(frame: &mut Bytes) -> Result<RequestHeader, RequestError> {
    let api_key = frame.try_get_i16()?;
    let api_version = frame.try_get_i16()?;
    let correlation_id = frame.try_get_i32()?;
    let client_id = client_id(frame)?;
    let shape = shapes::request(api_key).ok_or(RequestError::UnknownApi { api_key, api_version })?;
    if api_version >= shape.flexible.min && shape.flexible.min <= shape.flexible.max {
        skip_tagged_fields(frame)?;
    }
    Ok(RequestHeader { api_key, api_version, correlation_id, client_id })
}

/// As Kafka reads it: every negative length is null, and what is not UTF-8 is replaced.
fn client_id(frame: &mut Bytes) -> Result<Option<StrBytes>, RequestError> {
    let Ok(length) = usize::try_from(frame.try_get_i16()?) else {
        return Ok(None);
    };
    if length > frame.remaining() {
        return Err(RequestError::Header);
    }
    let bytes = frame.split_to(length);
    let text = StrBytes::from_utf8(bytes.clone())
        .unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into());
    Ok(Some(text))
}

fn skip_tagged_fields(frame: &mut Bytes) -> Result<(), RequestError> {
    let fields = unsigned_varint(frame)?;
    for _ in 0..fields {
        let _tag = unsigned_varint(frame)?;
        let size = unsigned_varint(frame)? as usize;
        if size > frame.remaining() {
            return Err(RequestError::Header);
        }
        frame.advance(size);
    }
    Ok(())
}

fn unsigned_varint(frame: &mut Bytes) -> Result<u32, RequestError> {
    let (value, length) = crate::varint::unsigned(frame).ok_or(RequestError::Header)?;
    frame.advance(length);
    Ok(value)
}
