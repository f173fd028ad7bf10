//! What of a log survives compaction. Pure: knows batches, not where they lie.
//!
//! Enters: whole batches in the order of the log, the aborted transactions, the producers' last batches, the time. Leaves:
//! the batches that stay, byte for byte or with fewer records, and `Corrupt` for what is none.
//! May use: `ottla_protocol` (batches and codecs), `batch_info`, `aborted`.
//!
//! `offset_map` is which offset is the latest of each key, `transactions` which batches were aborted and which markers
//! are still needed, `filter` what stays of a batch (KIP-534 for tombstones and markers).

mod filter;
mod offset_map;
mod transactions;

use ottla_protocol::batch::{BatchHeader, RecordView, Records};
use ottla_protocol::codec::{self, Compression};

use crate::batch_info::{BatchInfo, INFLATED_MAX_BYTES, crc_matches};
use crate::error::StorageError;

pub(crate) use filter::{Counts, Filter};
pub(crate) use offset_map::OffsetMap;
pub(crate) use transactions::Transactions;

/// The batches of a chunk, each proved by its CRC.
pub(crate) fn batches(
    mut chunk: &[u8],
) -> impl Iterator<Item = Result<(BatchInfo, &[u8]), StorageError>> + use<'_> {
    std::iter::from_fn(move || {
        if chunk.is_empty() {
            return None;
        }
        let info = BatchInfo::parse(chunk).filter(|info| info.size as usize <= chunk.len());
        let Some(info) = info else {
            chunk = &[];
            return Some(Err(StorageError::corrupt("what should be a batch is none")));
        };
        let (batch, rest) = chunk.split_at(info.size as usize);
        chunk = rest;
        match crc_matches(batch) {
            true => Some(Ok((info, batch))),
            false => Some(Err(damaged(&info, "its CRC does not match"))),
        }
    })
}

/// Takes the keys of a batch into the map, from `from` on. False when the map is full: what was taken counts.
pub(crate) fn map_keys(
    info: &BatchInfo,
    batch: &[u8],
    from: i64,
    map: &mut OffsetMap,
) -> Result<bool, StorageError> {
    let header = header(info, batch)?;
    let payload = payload(info, &header, batch)?;
    for record in records(info, &header, &payload) {
        let record = record?;
        let offset = header.offset_of(record.offset_delta);
        if let Some(key) = record.key
            && offset >= from
            && !map.put(key, offset)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

fn header(info: &BatchInfo, batch: &[u8]) -> Result<BatchHeader, StorageError> {
    BatchHeader::parse(batch).map_err(|error| damaged(info, error))
}

/// The records of a batch: as they lie, or inflated.
fn payload<'a>(
    info: &BatchInfo,
    header: &BatchHeader,
    batch: &'a [u8],
) -> Result<std::borrow::Cow<'a, [u8]>, StorageError> {
    let payload = &batch[crate::batch_info::HEADER_BYTES..];
    match header.compression() {
        Some(Compression::None) => Ok(payload.into()),
        // An emptied batch has nothing to inflate.
        _ if payload.is_empty() => Ok(payload.into()),
        Some(codec) => {
            let inflated = codec::decompress(codec, payload, INFLATED_MAX_BYTES);
            Ok(Vec::from(inflated.map_err(|error| damaged(info, error))?).into())
        }
        None => Err(damaged(info, "unknown codec")),
    }
}

/// The records, each of which lies in the batch.
fn records<'a>(
    info: &BatchInfo,
    header: &BatchHeader,
    payload: &'a [u8],
) -> impl Iterator<Item = Result<RecordView<'a>, StorageError>> {
    let last = header.last_offset_delta;
    Records::new(payload, header.records_count).map(move |record| match record {
        Ok(record) if (0..=last).contains(&record.offset_delta) => Ok(record),
        Ok(record) => Err(damaged(info, format!("a record has the offset delta {}", record.offset_delta))),
        Err(error) => Err(damaged(info, error)),
    })
}

fn damaged(info: &BatchInfo, why: impl std::fmt::Display) -> StorageError {
    StorageError::corrupt(format!("the batch at offset {} cannot be compacted: {why}", info.base_offset))
}
