//! Consumers' own messages inside the metadata of a classic group: their version, then the message in it.

use bytes::{Bytes, BytesMut};

use super::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use super::{RecordError, get_i16_prefix};
use crate::wire::{Wire, WireError, put_i16};

impl ConsumerProtocolSubscription {
    /// What a member sent when it joined. One of a newer version begins with all that this one knows.
    pub fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        decode(bytes)
    }

    pub fn encode(&self, version: i16) -> Result<Bytes, WireError> {
        encode(self, version)
    }
}

impl ConsumerProtocolAssignment {
    /// What a member is sent when the group has settled.
    pub fn decode(bytes: Bytes) -> Result<Self, RecordError> {
        decode(bytes)
    }

    pub fn encode(&self, version: i16) -> Result<Bytes, WireError> {
        encode(self, version)
    }
}

fn decode<W: Wire>(mut bytes: Bytes) -> Result<W, RecordError> {
    let version = get_i16_prefix(&mut bytes)?;
    Ok(W::from_bytes(bytes, version.min(W::VERSIONS.max))?)
}

fn encode<W: Wire>(message: &W, version: i16) -> Result<Bytes, WireError> {
    let mut out = BytesMut::new();
    put_i16(&mut out, version);
    message.append_to(&mut out, version)?;
    Ok(out.freeze())
}
