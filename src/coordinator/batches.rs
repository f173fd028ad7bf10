//! Records of coordinators as batches, the way Kafka's coordinators write them.

use std::fmt;

use bytes::Bytes;
use ottla_protocol::batch::{BatchBuilder, RecordBatch, Records};
use ottla_protocol::record_formats::RecordError;

/// The most bytes that a compressed batch of a coordinator's log may inflate to.
const MAX_INFLATED_BYTES: usize = 64 * 1024 * 1024;

/// Why a batch of a coordinator's log cannot be read: it is damaged, or of a newer Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchError {
    /// Its records cannot be told apart.
    Malformed,
    /// A record has no key.
    NoKey,
    Record(RecordError),
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BatchError::Malformed => f.write_str("its records cannot be told apart"),
            BatchError::NoKey => f.write_str("a record has no key"),
            BatchError::Record(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BatchError {}

impl From<RecordError> for BatchError {
    fn from(error: RecordError) -> Self {
        BatchError::Record(error)
    }
}

/// One batch of the records' keys and values.
pub fn to_batch(records: &[(Bytes, Option<Bytes>)], now_ms: i64) -> RecordBatch {
    fill(BatchBuilder::new(), records, now_ms)
}

/// The same, for a batch that has been begun: one of a transaction.
pub fn fill(mut batch: BatchBuilder, records: &[(Bytes, Option<Bytes>)], now_ms: i64) -> RecordBatch {
    for (key, value) in records {
        batch.append(now_ms, Some(key), value.as_deref());
    }
    batch.build()
}

/// The keys and values of a batch, each with bytes of its own. Control batches (of transactions) have none.
pub fn from_batch(batch: &RecordBatch) -> Result<Vec<(Bytes, Option<Bytes>)>, BatchError> {
    if batch.is_control() {
        return Ok(Vec::new());
    }
    let payload = batch.inflate(MAX_INFLATED_BYTES).map_err(|_| BatchError::Malformed)?;
    let mut records = Vec::new();
    for record in Records::new(&payload, batch.header().records_count) {
        let record = record.map_err(|_| BatchError::Malformed)?;
        let key = record.key.ok_or(BatchError::NoKey)?;
        records.push((Bytes::copy_from_slice(key), record.value.map(Bytes::copy_from_slice)));
    }
    Ok(records)
}
