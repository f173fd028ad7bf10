//! `__cluster_metadata-0`: loaded at the start, appended to and flushed by the controller's thread, cut short by
//! snapshots.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use ottla_protocol::batch::{BatchBuilder, RecordBatch, ValidatedBatches};
use ottla_protocol::record_formats::{ControlRecord, MetadataRecord};
use ottla_storage::{AppendContext, Log, LogId, LogOptions, Logs, Origin, ReadLimits};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::loading::Loading;
use super::quorum::{Quorum, leader_change, register_controller};
use super::snapshot_file::{self, Entry, Frame, SnapshotId, append_control};
use super::{ClusterError, ClusterSettings, Identity, data_dir};
use crate::clock::Clock;
use crate::metadata::{
    Controller, Image, bootstrap_records, encoded, feature_levels, newest_metadata_version,
};

/// The topic whose only partition is the metadata's log; no client sees it.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// Kafka's constant for it.
const METADATA_TOPIC_ID: Uuid = Uuid::from_u128(1);

/// In the directory that holds the log's: what a cluster is formatted to be.
pub(super) const BOOTSTRAP_CHECKPOINT: &str = "bootstrap.checkpoint";

/// Bytes of the log that are read at a time.
const READ_BYTES: usize = 1 << 20;

pub(super) struct Journal {
    log: Arc<Log>,
    /// `None`: in memory.
    dir: Option<PathBuf>,
    quorum: Quorum,
    epoch: i32,
    end_offset: i64,
    max_bytes_between_snapshots: u64,
    max_snapshot_interval_ms: i64,
    bytes_since_snapshot: u64,
    last_snapshot_ms: i64,
    last_append_ms: i64,
    snapshotting: Option<JoinHandle<()>>,
}

/// Loads what there is, takes the lead in a new epoch and writes what a new leader writes.
pub(super) fn open(
    identity: &Identity,
    settings: &ClusterSettings,
    logs: &Logs,
    clock: &Clock,
) -> Result<(Journal, Controller), ClusterError> {
    let now_ms = clock.now_ms();
    let dir = identity.metadata_dir();
    if let Some(dir) = &dir {
        std::fs::create_dir_all(dir).map_err(unavailable)?;
    }
    let id = LogId { topic: METADATA_TOPIC.into(), topic_id: METADATA_TOPIC_ID, partition: 0 };
    // Only a snapshot lets go of what is in this log.
    let options = LogOptions {
        segment_bytes: settings.segment_bytes,
        segment_ms: settings.segment_ms,
        cleanup_delete: false,
        cleanup_compact: false,
        ..LogOptions::default()
    };
    let log = logs.log(&id, &Arc::new(options));
    let mut journal = Journal {
        log,
        dir,
        quorum: Quorum::default(),
        epoch: 0,
        end_offset: 0,
        max_bytes_between_snapshots: settings.max_record_bytes_between_snapshots,
        max_snapshot_interval_ms: settings.max_snapshot_interval_ms,
        bytes_since_snapshot: 0,
        last_snapshot_ms: now_ms,
        last_append_ms: now_ms,
        snapshotting: None,
    };
    let controller = journal.load()?;
    let controller = journal.take_the_lead(identity, controller, now_ms)?;
    Ok((journal, controller))
}

impl Journal {
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// The offset that the next record will have.
    pub fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// Writes records as one batch, so that a crash leaves all or none, and returns when the disk has them.
    pub fn append(
        &mut self,
        records: &[MetadataRecord],
        metadata_version: i16,
        now_ms: i64,
    ) -> Result<(), ClusterError> {
        self.append_batches(vec![data_batch(records, metadata_version, now_ms)?], now_ms)?;
        self.flush()
    }

    /// Makes a snapshot on a thread of its own when enough has been written since the last, and drops the log before it.
    pub fn snapshot_if_due(&mut self, image: &Image, now_ms: i64) {
        let is_due = self.bytes_since_snapshot >= self.max_bytes_between_snapshots
            || self.max_snapshot_interval_ms > 0
                && now_ms - self.last_snapshot_ms >= self.max_snapshot_interval_ms;
        let is_busy = self.snapshotting.as_ref().is_some_and(|thread| !thread.is_finished());
        if !is_due || is_busy {
            return;
        }
        self.bytes_since_snapshot = 0;
        self.last_snapshot_ms = now_ms;
        let (dir, image, log, quorum) =
            (self.dir.clone(), image.clone(), self.log.clone(), self.quorum.records());
        let last_append_ms = self.last_append_ms;
        let snapshot = move || {
            let made = make_snapshot(dir.as_deref(), &image, &log, &quorum, last_append_ms, now_ms);
            if let Err(error) = made {
                warn!(%error, "could not make a snapshot of the metadata");
            }
        };
        match std::thread::Builder::new().name("snapshot".into()).spawn(snapshot) {
            Ok(thread) => self.snapshotting = Some(thread),
            Err(error) => warn!(%error, "could not make a snapshot of the metadata"),
        }
    }

    pub fn wait_for_snapshot(&mut self) {
        if self.snapshotting.take().is_some_and(|thread| thread.join().is_err()) {
            error!("making a snapshot of the metadata was cut short");
        }
    }

    /// The state as the newest snapshot and the log after it have it.
    pub fn load(&mut self) -> Result<Controller, ClusterError> {
        let mut loading = Loading::default();
        let snapshots = match &self.dir {
            Some(dir) => snapshot_file::list(dir).map_err(unavailable)?,
            None => Vec::new(),
        };
        if let (Some(dir), Some(newest)) = (&self.dir, snapshots.last()) {
            match loading.replay_snapshot(*newest, dir) {
                // The one that begins a log may have been lost to a power cut. The log says the same, or is not there yet.
                Err(_) if newest.end_offset == 0 => loading = Loading::default(),
                read => read.map_err(ClusterError::Unavailable)?,
            }
        }
        let log_start = self.log.start_offset().map_err(unavailable)?;
        if log_start > loading.controller.next_offset() {
            return Err(ClusterError::Unavailable(format!(
                "the metadata log begins at offset {log_start}, and no snapshot holds what came before"
            )));
        }
        self.end_offset = self.log.end_offset().map_err(unavailable)?;
        while loading.controller.next_offset() < self.end_offset {
            let from = loading.controller.next_offset();
            let limits =
                ReadLimits { max_bytes: READ_BYTES, upper_offset: self.end_offset, whole_first_batch: true };
            let read = self.log.read(from, limits).and_then(|read| read.wait()).map_err(unavailable)?;
            for chunk in read.chunks {
                self.bytes_since_snapshot += chunk.len() as u64;
                loading.replay_chunk(chunk).map_err(ClusterError::Unavailable)?;
            }
            if loading.controller.next_offset() == from {
                return Err(ClusterError::Unavailable(format!("the metadata log cannot be read at {from}")));
            }
        }
        self.epoch = loading.controller.image().epoch;
        self.quorum = std::mem::take(&mut loading.quorum);
        if let Some((abort, records)) = loading.abort_unfinished() {
            warn!(records, "dropped an unfinished transaction of the metadata log");
            let metadata_version = loading.controller.image().metadata_version();
            self.append(&[abort.into()], metadata_version, self.last_append_ms)?;
            loading.controller.replay_position(self.end_offset - 1, self.epoch);
        }
        Ok(loading.controller)
    }

    /// A new epoch begins with the news of who leads; the first one also with what the cluster is.
    fn take_the_lead(
        &mut self,
        identity: &Identity,
        mut controller: Controller,
        now_ms: i64,
    ) -> Result<Controller, ClusterError> {
        let is_new = self.end_offset == 0;
        let mut records = Vec::new();
        if is_new {
            records = self.first_records(identity, now_ms)?;
        }
        if let Some(dir) = &self.dir {
            let known = data_dir::read_quorum_epoch(dir).map_err(unavailable)?;
            self.epoch = known.max(self.epoch) + 1;
            data_dir::write_quorum_state(dir, identity.node_id, self.epoch, self.quorum.kraft_version())
                .map_err(unavailable)?;
        } else {
            self.epoch = 1;
        }
        let mut control = BatchBuilder::new().control();
        let leads = ControlRecord::LeaderChange(leader_change(identity.node_id));
        append_control(&mut control, now_ms, &leads).map_err(unavailable)?;
        if is_new {
            for record in self.quorum.records() {
                append_control(&mut control, now_ms, &record).map_err(unavailable)?;
            }
        }
        controller.replay_leader(identity.node_id);
        controller.replay_kraft_version(self.quorum.kraft_version());
        for record in &records {
            controller.replay(record).map_err(unavailable)?;
        }
        let mut batches = vec![control.build()];
        if !records.is_empty() {
            batches.push(data_batch(&records, controller.image().metadata_version(), now_ms)?);
        }
        self.append_batches(batches, now_ms)?;
        controller.replay_position(self.end_offset - 1, self.epoch);
        info!(
            epoch = self.epoch,
            offset = self.end_offset,
            topics = controller.image().topic_count(),
            "metadata loaded"
        );
        let kept = controller.image().kept_for_kafka();
        if !kept.is_empty() {
            let kept: Vec<String> = kept.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            warn!("kept for Kafka, and not enforced by this version: {}", kept.join(", "));
        }
        Ok(controller)
    }

    /// What a new log begins with: as this directory was formatted, if Kafka's format step has been here.
    fn first_records(
        &mut self,
        identity: &Identity,
        now_ms: i64,
    ) -> Result<Vec<MetadataRecord>, ClusterError> {
        let root = self.dir.as_deref().and_then(Path::parent);
        let first = SnapshotId { end_offset: 0, epoch: 0 };
        let was_cut = self.dir.as_ref().is_some_and(|dir| snapshot_file::is_unwritten(&first.path_in(dir)));
        let formatted = match root {
            Some(root) if !was_cut => formatted_records(&root.join(BOOTSTRAP_CHECKPOINT))?,
            _ => None,
        };
        let mut records = match formatted {
            Some(formatted) => bootstrap_records(formatted),
            None => {
                self.quorum = Quorum::of_one(identity);
                self.format(now_ms)?;
                bootstrap_records(feature_levels())
            }
        };
        records.push(register_controller(identity.node_id).into());
        Ok(records)
    }

    /// What Kafka's format step leaves behind: the features of a new cluster, and a snapshot that names the voters.
    fn format(&self, now_ms: i64) -> Result<(), ClusterError> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let metadata_version = newest_metadata_version();
        let frame =
            Frame { epoch: 0, now_ms, last_contained_log_timestamp: 0, quorum: &[], metadata_version };
        if let Some(root) = dir.parent() {
            let path = root.join(BOOTSTRAP_CHECKPOINT);
            let _written = snapshot_file::write(&path, &frame, feature_levels()).map_err(unavailable)?;
        }
        let quorum = self.quorum.records();
        let frame = Frame { last_contained_log_timestamp: now_ms, quorum: &quorum, ..frame };
        let path = SnapshotId { end_offset: 0, epoch: 0 }.path_in(dir);
        let _written = snapshot_file::write(&path, &frame, std::iter::empty()).map_err(unavailable)?;
        Ok(())
    }

    fn append_batches(&mut self, batches: Vec<RecordBatch>, now_ms: i64) -> Result<(), ClusterError> {
        let batches = ValidatedBatches::internal(batches);
        let size = batches.size() as u64;
        let context = AppendContext { leader_epoch: self.epoch, now_ms, origin: Origin::Coordinator };
        let appended = self.log.append(batches, context).map_err(unavailable)?;
        self.end_offset = appended.last_offset + 1;
        self.bytes_since_snapshot += size;
        self.last_append_ms = now_ms;
        Ok(())
    }

    /// As KRaft does after each append: the cluster's metadata is not worth less than a power cut.
    pub fn flush(&self) -> Result<(), ClusterError> {
        self.log.flush().map_err(|error| ClusterError::Unknown(error.to_string()))
    }
}

/// What a format step left in `bootstrap.checkpoint`, if it did.
fn formatted_records(path: &Path) -> Result<Option<Vec<MetadataRecord>>, ClusterError> {
    if !path.exists() || snapshot_file::is_unwritten(path) {
        return Ok(None);
    }
    let mut records = Vec::new();
    let read = snapshot_file::read(path, |entry| {
        if let Entry::Metadata(record) = entry {
            records.push(record);
        }
        Ok(())
    });
    read.map_err(|error| ClusterError::Unavailable(format!("{}: {error}", path.display())))?;
    Ok(Some(records))
}

/// Records that are all there after a crash, or none of them.
fn data_batch(
    records: &[MetadataRecord],
    metadata_version: i16,
    now_ms: i64,
) -> Result<RecordBatch, ClusterError> {
    let mut builder = BatchBuilder::new();
    for record in records {
        let value = encoded(record, metadata_version).map_err(unavailable)?;
        builder.append(now_ms, None, Some(&value));
    }
    Ok(builder.build())
}

/// In memory there is nothing to write, since nobody will start from it; the log is cut short all the same.
fn make_snapshot(
    dir: Option<&Path>,
    image: &Image,
    log: &Log,
    quorum: &[ControlRecord],
    last_append_ms: i64,
    now_ms: i64,
) -> Result<(), String> {
    let id = SnapshotId { end_offset: image.offset + 1, epoch: image.epoch };
    if let Some(dir) = dir {
        let frame = Frame {
            epoch: image.epoch,
            now_ms,
            last_contained_log_timestamp: last_append_ms,
            quorum,
            metadata_version: image.metadata_version(),
        };
        snapshot_file::write_durably(&id.path_in(dir), &frame, image.records())
            .map_err(|error| error.to_string())?;
    }
    log.set_start_offset(id.end_offset, now_ms).map_err(|error| error.to_string())?;
    if let Some(dir) = dir {
        snapshot_file::remove_before(id, dir).map_err(|error| error.to_string())?;
    }
    info!(offset = id.end_offset, "made a snapshot of the metadata");
    Ok(())
}

fn unavailable(error: impl std::fmt::Display) -> ClusterError {
    ClusterError::Unavailable(error.to_string())
}
