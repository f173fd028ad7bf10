//! The state of the metadata while its snapshot and its log are being read.

use std::path::Path;

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use ottla_protocol::batch::{Batches, RecordBatch};
use ottla_protocol::record_formats::metadata::AbortTransactionRecord;
use ottla_protocol::record_formats::{ControlRecord, MetadataRecord};

use super::quorum::Quorum;
use super::snapshot_file::{self, Entry, SnapshotId};
use crate::metadata::Controller;

/// What a batch may inflate to; KRaft writes none that is compressed.
const INFLATED_BYTES_MAX: usize = 64 << 20;

/// A transaction's records count when its end is seen.
#[derive(Default)]
pub(super) struct Loading {
    pub controller: Controller,
    pub quorum: Quorum,
    transaction: Option<Vec<MetadataRecord>>,
}

impl Loading {
    /// Begins with a snapshot.
    pub fn replay_snapshot(&mut self, id: SnapshotId, dir: &Path) -> Result<(), String> {
        self.replay_file(&id.path_in(dir))?;
        if id.end_offset > 0 {
            self.controller.replay_position(id.end_offset - 1, id.epoch);
        }
        Ok(())
    }

    /// What a file like a snapshot holds.
    pub fn replay_file(&mut self, path: &Path) -> Result<(), String> {
        let read = snapshot_file::read(path, |entry| self.replay_entry(entry));
        read.map_err(|error| format!("{}: {error}", path.display()))
    }

    pub fn replay_chunk(&mut self, chunk: Bytes) -> Result<(), String> {
        for batch in Batches::new(chunk) {
            self.replay_batch(&batch.map_err(|error| error.to_string())?)?;
        }
        Ok(())
    }

    /// One batch of the log, unless a snapshot holds it.
    pub fn replay_batch(&mut self, batch: &RecordBatch) -> Result<(), String> {
        if batch.last_offset() < self.controller.next_offset() {
            return Ok(());
        }
        self.replay_records(batch)
            .map_err(|error| format!("the batch at offset {}: {error}", batch.base_offset))?;
        self.controller.replay_position(batch.last_offset(), batch.partition_leader_epoch);
        Ok(())
    }

    /// The record that ends a transaction whose end is missing, when there is one.
    pub fn abort_unfinished(&mut self) -> Option<(AbortTransactionRecord, usize)> {
        let unfinished = self.transaction.take()?;
        let reason = Some(StrBytes::from_static_str("the node stopped"));
        Some((AbortTransactionRecord { reason }, unfinished.len()))
    }

    fn replay_records(&mut self, batch: &RecordBatch) -> Result<(), String> {
        if !batch.is_crc_valid() {
            return Err("its checksum is wrong".into());
        }
        snapshot_file::each_entry(batch, INFLATED_BYTES_MAX, |entry| self.replay_entry(entry))
    }

    fn replay_entry(&mut self, entry: Entry) -> Result<(), String> {
        match entry {
            Entry::Control(record) => {
                self.replay_control(&record);
                Ok(())
            }
            Entry::Metadata(record) => self.replay(record),
        }
    }

    fn replay_control(&mut self, record: &ControlRecord) {
        self.quorum.replay(record);
        if let ControlRecord::LeaderChange(change) = record {
            self.controller.replay_leader(change.leader_id);
        }
        self.controller.replay_kraft_version(self.quorum.kraft_version());
    }

    fn replay(&mut self, record: MetadataRecord) -> Result<(), String> {
        match (&record, self.transaction.take()) {
            (MetadataRecord::BeginTransaction(_), _) => self.transaction = Some(Vec::new()),
            (MetadataRecord::AbortTransaction(_), _) => {}
            (MetadataRecord::EndTransaction(_), records) => {
                for record in records.unwrap_or_default() {
                    self.controller.replay(&record).map_err(|error| error.to_string())?;
                }
            }
            (_, Some(mut records)) => {
                records.push(record);
                self.transaction = Some(records);
            }
            (_, None) => self.controller.replay(&record).map_err(|error| error.to_string())?,
        }
        Ok(())
    }
}
