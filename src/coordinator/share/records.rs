//! [`ShareRecord`] in the bytes of `__share_group_state`, in the versions that Kafka 4.3 writes.

use bytes::Bytes;
use ottla_protocol::batch::RecordBatch;
use ottla_protocol::record_formats::RecordError;
use ottla_protocol::record_formats::share::{
    self as formats, ShareSnapshotKey, ShareSnapshotValue, ShareUpdateKey, ShareUpdateValue,
    share_snapshot_value, share_update_value,
};
use ottla_protocol::wire::WireError;

use crate::coordinator::batches::{self, BatchError};

use super::{SharePartitionKey, ShareRecord, ShareState, ShareUpdate, StateBatch};

/// Both values have one version.
const VALUE_VERSION: i16 = 0;

/// One batch of the records. Fails if a string is longer than the format allows.
pub fn to_batch(records: &[ShareRecord], now_ms: i64) -> Result<RecordBatch, WireError> {
    let encoded: Vec<_> = records.iter().map(encode).collect::<Result<_, _>>()?;
    Ok(batches::to_batch(&encoded, now_ms))
}

/// The records of a batch.
pub fn from_batch(batch: &RecordBatch) -> Result<Vec<ShareRecord>, BatchError> {
    let mut records = Vec::new();
    for (key, value) in batches::from_batch(batch)? {
        records.extend(decode(key, value)?);
    }
    Ok(records)
}

/// Key and value. Fails if a string is longer than the format allows.
pub fn encode(record: &ShareRecord) -> Result<(Bytes, Option<Bytes>), WireError> {
    let format = to_format(record);
    Ok((format.encode_key()?, format.encode_value(VALUE_VERSION)?))
}

/// The record, or `None` for one that says nothing: of a later kind, or an update without a value.
pub fn decode(key: Bytes, value: Option<Bytes>) -> Result<Option<ShareRecord>, RecordError> {
    match formats::ShareRecord::decode(key, value) {
        Ok(format) => Ok(from_format(format)),
        Err(RecordError::UnknownType(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn to_format(record: &ShareRecord) -> formats::ShareRecord {
    match record {
        ShareRecord::Snapshot { key, state } => {
            let SharePartitionKey { group_id, topic_id, partition } = key.clone();
            let key = ShareSnapshotKey { group_id, topic_id, partition };
            formats::ShareRecord::ShareSnapshot(key, state.as_ref().map(snapshot_value))
        }
        ShareRecord::Update { key, update } => {
            let SharePartitionKey { group_id, topic_id, partition } = key.clone();
            let key = ShareUpdateKey { group_id, topic_id, partition };
            formats::ShareRecord::ShareUpdate(key, Some(update_value(update)))
        }
    }
}

fn from_format(record: formats::ShareRecord) -> Option<ShareRecord> {
    match record {
        formats::ShareRecord::ShareSnapshot(key, value) => {
            let ShareSnapshotKey { group_id, topic_id, partition } = key;
            let key = SharePartitionKey { group_id, topic_id, partition };
            Some(ShareRecord::Snapshot { key, state: value.map(state) })
        }
        formats::ShareRecord::ShareUpdate(key, value) => {
            let ShareUpdateKey { group_id, topic_id, partition } = key;
            let key = SharePartitionKey { group_id, topic_id, partition };
            value.map(|value| ShareRecord::Update { key, update: update(value) })
        }
    }
}

fn snapshot_value(state: &ShareState) -> ShareSnapshotValue {
    let batch = |batch: &StateBatch| share_snapshot_value::StateBatch {
        first_offset: batch.first_offset,
        last_offset: batch.last_offset,
        delivery_state: batch.delivery_state,
        delivery_count: batch.delivery_count,
    };
    ShareSnapshotValue {
        snapshot_epoch: state.snapshot_epoch,
        state_epoch: state.state_epoch,
        leader_epoch: state.leader_epoch,
        start_offset: state.start_offset,
        delivery_complete_count: state.delivery_complete_count,
        create_timestamp: state.create_timestamp_ms,
        write_timestamp: state.write_timestamp_ms,
        state_batches: state.batches.iter().map(batch).collect(),
    }
}

fn state(value: ShareSnapshotValue) -> ShareState {
    let batch = |batch: &share_snapshot_value::StateBatch| StateBatch {
        first_offset: batch.first_offset,
        last_offset: batch.last_offset,
        delivery_state: batch.delivery_state,
        delivery_count: batch.delivery_count,
    };
    ShareState {
        snapshot_epoch: value.snapshot_epoch,
        state_epoch: value.state_epoch,
        leader_epoch: value.leader_epoch,
        start_offset: value.start_offset,
        delivery_complete_count: value.delivery_complete_count,
        batches: value.state_batches.iter().map(batch).collect(),
        create_timestamp_ms: value.create_timestamp,
        write_timestamp_ms: value.write_timestamp,
    }
}

fn update_value(update: &ShareUpdate) -> ShareUpdateValue {
    let batch = |batch: &StateBatch| share_update_value::StateBatch {
        first_offset: batch.first_offset,
        last_offset: batch.last_offset,
        delivery_state: batch.delivery_state,
        delivery_count: batch.delivery_count,
    };
    ShareUpdateValue {
        snapshot_epoch: update.snapshot_epoch,
        leader_epoch: update.leader_epoch,
        start_offset: update.start_offset,
        delivery_complete_count: update.delivery_complete_count,
        state_batches: update.batches.iter().map(batch).collect(),
    }
}

fn update(value: ShareUpdateValue) -> ShareUpdate {
    let batch = |batch: &share_update_value::StateBatch| StateBatch {
        first_offset: batch.first_offset,
        last_offset: batch.last_offset,
        delivery_state: batch.delivery_state,
        delivery_count: batch.delivery_count,
    };
    ShareUpdate {
        snapshot_epoch: value.snapshot_epoch,
        leader_epoch: value.leader_epoch,
        start_offset: value.start_offset,
        delivery_complete_count: value.delivery_complete_count,
        batches: value.state_batches.iter().map(batch).collect(),
    }
}
