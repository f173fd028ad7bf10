//! Kafka's own formats of the records that the broker keeps for itself.
//!
//! Enters: keys and values of records in `__cluster_metadata`, in the coordinators' topics (`__consumer_offsets`, `__transaction_state`,
//! `__share_group_state`), and of control batches; what consumers keep in a classic group's metadata. Leaves: typed records, and the same
//! bytes again. May use: the primitives of `wire`. The structs are generated (protocol/definitions); the frames around them are here.

pub mod consumer_protocol;
pub mod control;
pub mod group;
pub mod metadata;
pub mod schema;
pub mod share;
pub mod transaction;

mod control_record;
mod embedded;

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

use crate::wire::{WireError, get_varint, put_varint};

pub use control_record::{ControlRecord, ControlType};
pub use group::GroupRecord;
pub use metadata::MetadataRecord;
pub use share::ShareRecord;
pub use transaction::TransactionRecord;

/// KRaft's frame around a metadata record has a version of its own; there has been one so far.
const METADATA_FRAME_VERSION: u32 = 1;

/// Why a record's bytes cannot be read. A log with such a record is of a newer Kafka, or damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    UnknownFrame(u32),
    UnknownType(i16),
    Wire(WireError),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordError::UnknownFrame(version) => write!(f, "unknown frame version {version}"),
            RecordError::UnknownType(key) => write!(f, "unknown record type {key}"),
            RecordError::Wire(error) => write!(f, "malformed record: {error}"),
        }
    }
}

impl std::error::Error for RecordError {}

impl From<WireError> for RecordError {
    fn from(error: WireError) -> Self {
        RecordError::Wire(error)
    }
}

impl MetadataRecord {
    /// A record's value: varints for the frame's version, the type and `version`, then the record in that version.
    pub fn encode(&self, version: i16) -> Result<Bytes, WireError> {
        if !self.versions().contains(version) {
            return Err(WireError::UnsupportedVersion(version));
        }
        let mut out = BytesMut::new();
        put_varint(&mut out, METADATA_FRAME_VERSION);
        put_varint(&mut out, self.api_key() as u32);
        put_varint(&mut out, version as u32);
        self.write(&mut out, version)?;
        Ok(out.freeze())
    }

    /// The record and the version it was written in.
    pub fn decode(mut value: Bytes) -> Result<(Self, i16), RecordError> {
        let frame_version = get_varint(&mut value)?;
        if frame_version != METADATA_FRAME_VERSION {
            return Err(RecordError::UnknownFrame(frame_version));
        }
        let api_key = get_i16_varint(&mut value)?;
        let version = get_i16_varint(&mut value)?;
        let record = Self::read(api_key, version, value).ok_or(RecordError::UnknownType(api_key))??;
        Ok((record, version))
    }
}

fn get_i16_varint(buf: &mut Bytes) -> Result<i16, WireError> {
    i16::try_from(get_varint(buf)?).map_err(|_| WireError::BadVarint)
}

fn get_i16_prefix(buf: &mut Bytes) -> Result<i16, WireError> {
    Ok(buf.try_get_i16()?)
}

#[cfg(test)]
mod tests;
