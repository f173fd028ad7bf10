//! What stays of a batch. A record stays when it is the latest of its key; a tombstone or a marker that is not needed any
//! more stays until a horizon that the first pass over it sets (KIP-534), so that readers on their way see it.

use std::collections::HashMap;

use ottla_protocol::batch::{BatchHeader, RecordView, Records, rewrite, rewrite_empty};

use super::transactions::MarkerUse;
use super::{OffsetMap, Transactions, damaged, header, payload, records};
use crate::aborted::AbortedTransaction;
use crate::batch_info::{BatchInfo, Marker};
use crate::error::StorageError;
use crate::producers::LastRecord;

/// One pass's rules.
pub(crate) struct Filter<'a> {
    pub map: &'a OffsetMap,
    /// What was last written by each producer that is remembered.
    pub last_records: &'a HashMap<i64, LastRecord>,
    /// Where the range that the pass could look at ends: its last batch stays, if empty, to say so.
    pub round_end: i64,
    pub now_ms: i64,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
}

/// How many records went in, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub records_read: u64,
    pub records_kept: u64,
    /// Dropped because they have no key: of a time when the topic was not compacted.
    pub records_without_key: u64,
}

/// What the transaction says about all records of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Each record for itself.
    OfEachRecord,
    /// All stay: a marker. `starts_horizon` when it is not needed any more.
    AllStay { starts_horizon: bool },
    /// All go: aborted data, or a marker after its horizon.
    AllGo,
}

impl Filter<'_> {
    /// Puts what stays of the batch behind `kept`. Returns the aborted transaction whose marker it is, when that must be
    /// known to readers further on.
    pub fn take(
        &self,
        info: &BatchInfo,
        batch: &[u8],
        transactions: &mut Transactions,
        kept: &mut Vec<u8>,
        counts: &mut Counts,
    ) -> Result<Option<AbortedTransaction>, StorageError> {
        let header = header(info, batch)?;
        let (fate, aborted) = self.fate(info, &header, batch, transactions);
        counts.records_read += u64::try_from(header.records_count).unwrap_or(0);
        let stays_empty = self.is_last_of_producer(info) || info.next_offset() == self.round_end;
        let keeps_some = match fate {
            Fate::AllGo => false,
            Fate::AllStay { starts_horizon } => {
                self.keep(info, &header, batch, starts_horizon, kept, counts)?
            }
            Fate::OfEachRecord => self.keep(info, &header, batch, false, kept, counts)?,
        };
        if !keeps_some && stays_empty {
            rewrite_empty(&header, kept);
        }
        Ok(aborted)
    }

    fn fate(
        &self,
        info: &BatchInfo,
        header: &BatchHeader,
        batch: &[u8],
        transactions: &mut Transactions,
    ) -> (Fate, Option<AbortedTransaction>) {
        if !info.is_control() {
            let is_aborted = transactions.is_aborted(info);
            return (if is_aborted { Fate::AllGo } else { Fate::OfEachRecord }, None);
        }
        let needed = Fate::AllStay { starts_horizon: false };
        match transactions.end(info, Marker::parse(batch)) {
            MarkerUse::Needed => (needed, None),
            MarkerUse::NeededForAborted(aborted) => (needed, Some(aborted)),
            MarkerUse::Unneeded => match header.delete_horizon_ms() {
                Some(horizon_ms) if horizon_ms <= self.now_ms => (Fate::AllGo, None),
                _ => (Fate::AllStay { starts_horizon: true }, None),
            },
        }
    }

    /// Puts the records that stay behind `kept`: the very bytes, when all of them stay. False when none does.
    fn keep(
        &self,
        info: &BatchInfo,
        header: &BatchHeader,
        batch: &[u8],
        marker_starts_horizon: bool,
        kept: &mut Vec<u8>,
        counts: &mut Counts,
    ) -> Result<bool, StorageError> {
        let payload = payload(info, header, batch)?;
        let mut stays = Vec::new();
        let (mut staying, mut has_tombstones) = (0, false);
        for record in records(info, header, &payload) {
            let record = record?;
            let does_stay = info.is_control() || self.stays(header, &record, counts);
            staying += usize::from(does_stay);
            has_tombstones |= does_stay && record.value.is_none();
            stays.push(does_stay);
        }
        if staying == 0 {
            return Ok(false);
        }
        counts.records_kept += staying as u64;
        let begins = (has_tombstones || marker_starts_horizon) && header.delete_horizon_ms().is_none();
        if staying == stays.len() && !begins {
            kept.extend_from_slice(batch);
            return Ok(true);
        }
        let horizon_ms = match begins {
            true => Some(self.now_ms.saturating_add(self.delete_retention_ms)),
            false => header.delete_horizon_ms(),
        };
        let records = Records::new(&payload, header.records_count).flatten().zip(&stays);
        let records = records.filter_map(|(record, stays)| stays.then_some(record));
        rewrite(header, records, horizon_ms, kept).map_err(|error| damaged(info, error))?;
        Ok(true)
    }

    fn stays(&self, header: &BatchHeader, record: &RecordView<'_>, counts: &mut Counts) -> bool {
        let offset = header.offset_of(record.offset_delta);
        if offset > self.map.latest_offset() {
            return true;
        }
        let Some(key) = record.key else {
            counts.records_without_key += 1;
            return false;
        };
        let is_latest = self.map.get(key).is_none_or(|latest| offset >= latest);
        let is_expired = || header.delete_horizon_ms().is_some_and(|horizon_ms| self.now_ms >= horizon_ms);
        is_latest && (record.value.is_some() || !is_expired())
    }

    /// The batch tells the last sequence and epoch of a producer that may still write.
    fn is_last_of_producer(&self, info: &BatchInfo) -> bool {
        let last = self.last_records.get(&info.producer_id).filter(|_| info.has_producer());
        last.is_some_and(|last| match last.data_offset {
            Some(offset) => info.last_offset == offset,
            None => info.is_control() && info.producer_epoch == last.epoch,
        })
    }
}

#[cfg(test)]
mod tests;
