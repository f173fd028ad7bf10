//! Control records: a key that names the type, a value that is a small message of that type.

use bytes::{Bytes, BytesMut};

use super::control::{
    EndTxnMarker, KRaftVersionRecord, LeaderChangeMessage, SnapshotFooterRecord, SnapshotHeaderRecord,
    VotersRecord,
};
use super::{RecordError, get_i16_prefix};
use crate::wire::{Wire, WireError, put_i16};

/// The version of a control record's key.
const KEY_VERSION: i16 = 0;

/// The types, numbered as in the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i16)]
pub enum ControlType {
    Abort = 0,
    Commit = 1,
    LeaderChange = 2,
    SnapshotHeader = 3,
    SnapshotFooter = 4,
    KRaftVersion = 5,
    KRaftVoters = 6,
}

/// A control record. The values say their own version in their first field, except for those of end-transaction markers.
#[derive(Clone, Debug, PartialEq)]
pub enum ControlRecord {
    Abort(EndTxnMarker),
    Commit(EndTxnMarker),
    LeaderChange(LeaderChangeMessage),
    SnapshotHeader(SnapshotHeaderRecord),
    SnapshotFooter(SnapshotFooterRecord),
    KRaftVersion(KRaftVersionRecord),
    KRaftVoters(VotersRecord),
}

impl ControlRecord {
    pub fn control_type(&self) -> ControlType {
        match self {
            ControlRecord::Abort(_) => ControlType::Abort,
            ControlRecord::Commit(_) => ControlType::Commit,
            ControlRecord::LeaderChange(_) => ControlType::LeaderChange,
            ControlRecord::SnapshotHeader(_) => ControlType::SnapshotHeader,
            ControlRecord::SnapshotFooter(_) => ControlType::SnapshotFooter,
            ControlRecord::KRaftVersion(_) => ControlType::KRaftVersion,
            ControlRecord::KRaftVoters(_) => ControlType::KRaftVoters,
        }
    }

    pub fn encode_key(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(4);
        put_i16(&mut out, KEY_VERSION);
        put_i16(&mut out, self.control_type() as i16);
        out.freeze()
    }

    pub fn encode_value(&self) -> Result<Bytes, WireError> {
        let mut out = BytesMut::new();
        match self {
            ControlRecord::Abort(marker) | ControlRecord::Commit(marker) => {
                put_i16(&mut out, 0);
                marker.append_to(&mut out, 0)?;
            }
            ControlRecord::LeaderChange(message) => message.append_to(&mut out, message.version)?,
            ControlRecord::SnapshotHeader(record) => record.append_to(&mut out, record.version)?,
            ControlRecord::SnapshotFooter(record) => record.append_to(&mut out, record.version)?,
            ControlRecord::KRaftVersion(record) => record.append_to(&mut out, record.version)?,
            ControlRecord::KRaftVoters(record) => record.append_to(&mut out, record.version)?,
        }
        Ok(out.freeze())
    }

    pub fn decode(mut key: Bytes, value: Bytes) -> Result<Self, RecordError> {
        let _key_version = get_i16_prefix(&mut key)?;
        let control_type = get_i16_prefix(&mut key)?;
        let mut after_version = value.clone();
        let version = get_i16_prefix(&mut after_version)?;
        Ok(match control_type {
            0 => ControlRecord::Abort(EndTxnMarker::from_bytes(after_version, version)?),
            1 => ControlRecord::Commit(EndTxnMarker::from_bytes(after_version, version)?),
            2 => ControlRecord::LeaderChange(LeaderChangeMessage::from_bytes(value, version)?),
            3 => ControlRecord::SnapshotHeader(SnapshotHeaderRecord::from_bytes(value, version)?),
            4 => ControlRecord::SnapshotFooter(SnapshotFooterRecord::from_bytes(value, version)?),
            5 => ControlRecord::KRaftVersion(KRaftVersionRecord::from_bytes(value, version)?),
            6 => ControlRecord::KRaftVoters(VotersRecord::from_bytes(value, version)?),
            _ => return Err(RecordError::UnknownType(control_type)),
        })
    }
}
