//! `__cluster_metadata-0`: loaded at the start, appended to and flushed by the controller's thread, cut short by
//! snapshots.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use ottla_protocol::batch::{BatchBuilder, Batches, RecordBatch, Records, ValidatedBatches};
use ottla_protocol::record_formats::control::leader_change_message::Voter as LeaderVoter;
use ottla_protocol::record_formats::control::voters_record::{Endpoint, KRaftVersionFeature, Voter};
use ottla_protocol::record_formats::control::{KRaftVersionRecord, LeaderChangeMessage, VotersRecord};
use ottla_protocol::record_formats::metadata::register_controller_record::{
    ControllerEndpoint, ControllerFeature,
};
use ottla_protocol::record_formats::metadata::{AbortTransactionRecord, RegisterControllerRecord};
use ottla_protocol::record_formats::{ControlRecord, MetadataRecord};
use ottla_storage::{AppendContext, Log, LogId, LogOptions, Logs, Origin, ReadLimits};
use tracing::{error, info, warn};
use uuid::Uuid;

use super::snapshot_file::{self, Frame, SnapshotId, append_control};
use super::{ClusterError, ClusterSettings, Identity, data_dir, random_kafka_id};
use crate::clock::Clock;
use crate::metadata::{Controller, FEATURES, Image, bootstrap_records, encoded, feature_levels};

/// The topic whose only partition is the metadata's log; no client sees it.
pub const METADATA_TOPIC: &str = "__cluster_metadata";

/// Kafka's constant for it.
const METADATA_TOPIC_ID: Uuid = Uuid::from_u128(1);

/// Bytes of the log that are read at a time.
const READ_BYTES: usize = 1 << 20;

/// KRaft must have the address of a controller. Nothing listens there: this controller has no quorum to talk to.
const CONTROLLER_LISTENER: &str = "CONTROLLER";
const CONTROLLER_HOST: &str = "localhost";
const CONTROLLER_PORT: u16 = 9093;

pub(super) struct Journal {
    log: Arc<Log>,
    /// `None`: in memory.
    dir: Option<PathBuf>,
    quorum: Arc<Vec<ControlRecord>>,
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
        quorum: Arc::new(quorum_records(identity)),
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
    pub fn append(&mut self, records: &[MetadataRecord], now_ms: i64) -> Result<(), ClusterError> {
        let mut builder = BatchBuilder::new();
        for record in records {
            let value = encoded(record).map_err(unavailable)?;
            builder.append(now_ms, None, Some(&value));
        }
        self.append_batches(vec![builder.build()], now_ms)?;
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
            (self.dir.clone(), image.clone(), self.log.clone(), self.quorum.clone());
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
        let mut loading = Loading { controller: Controller::default(), transaction: None };
        let snapshots = match &self.dir {
            Some(dir) => snapshot_file::list(dir).map_err(unavailable)?,
            None => Vec::new(),
        };
        // The one that begins a log holds no records, and may have been lost to a power cut.
        let newest = snapshots.last().filter(|newest| newest.end_offset > 0);
        if let (Some(dir), Some(newest)) = (&self.dir, newest) {
            let path = newest.path_in(dir);
            snapshot_file::read(&path, |record| loading.replay(record))
                .map_err(|error| ClusterError::Unavailable(format!("{}: {error}", path.display())))?;
            loading.controller.replay_position(newest.end_offset - 1, newest.epoch);
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
                loading.replay_chunk(chunk)?;
            }
            if loading.controller.next_offset() == from {
                return Err(ClusterError::Unavailable(format!("the metadata log cannot be read at {from}")));
            }
        }
        self.epoch = loading.controller.image().epoch;
        if let Some(unfinished) = loading.transaction {
            let why = Some(StrBytes::from_static_str("the node stopped"));
            warn!(records = unfinished.len(), "dropped an unfinished transaction of the metadata log");
            let abort = AbortTransactionRecord { reason: why };
            self.append(&[abort.into()], self.last_append_ms)?;
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
        if let Some(dir) = &self.dir {
            let known = data_dir::read_quorum_epoch(dir).map_err(unavailable)?;
            self.epoch = known.max(self.epoch) + 1;
            data_dir::write_quorum_state(dir, identity.node_id, self.epoch).map_err(unavailable)?;
            if is_new {
                self.format(now_ms)?;
            }
        } else {
            self.epoch = 1;
        }
        let mut control = BatchBuilder::new().control();
        let leads = ControlRecord::LeaderChange(leader_change(identity.node_id));
        append_control(&mut control, now_ms, &leads).map_err(unavailable)?;
        let mut batches = Vec::new();
        let mut records = Vec::new();
        if is_new {
            for record in self.quorum.iter() {
                append_control(&mut control, now_ms, record).map_err(unavailable)?;
            }
            records = bootstrap_records();
            records.push(register_controller(identity.node_id).into());
        }
        batches.push(control.build());
        if !records.is_empty() {
            let mut bootstrap = BatchBuilder::new();
            for record in &records {
                bootstrap.append(now_ms, None, Some(&encoded(record).map_err(unavailable)?));
            }
            batches.push(bootstrap.build());
        }
        self.append_batches(batches, now_ms)?;
        controller.replay_leader(identity.node_id);
        for record in &records {
            controller.replay(record).map_err(unavailable)?;
        }
        controller.replay_position(self.end_offset - 1, self.epoch);
        info!(
            epoch = self.epoch,
            offset = self.end_offset,
            topics = controller.image().topic_count(),
            "metadata loaded"
        );
        Ok(controller)
    }

    /// What Kafka's format step leaves behind: the features of a new cluster, and a snapshot that names the voters.
    fn format(&self, now_ms: i64) -> Result<(), ClusterError> {
        let Some(dir) = &self.dir else { return Ok(()) };
        let frame = Frame { epoch: 0, now_ms, last_contained_log_timestamp: 0, quorum: &[] };
        if let Some(root) = dir.parent() {
            let path = root.join("bootstrap.checkpoint");
            let _written = snapshot_file::write(&path, &frame, feature_levels()).map_err(unavailable)?;
        }
        let frame = Frame { epoch: 0, now_ms, last_contained_log_timestamp: now_ms, quorum: &self.quorum };
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
    fn flush(&self) -> Result<(), ClusterError> {
        self.log.flush().map_err(|error| ClusterError::Unknown(error.to_string()))
    }
}

/// The state while it is being read: a transaction's records count when its end is seen.
struct Loading {
    controller: Controller,
    transaction: Option<Vec<MetadataRecord>>,
}

impl Loading {
    fn replay_chunk(&mut self, chunk: Bytes) -> Result<(), ClusterError> {
        for batch in Batches::new(chunk) {
            let batch = batch.map_err(unavailable)?;
            if batch.last_offset() < self.controller.next_offset() {
                continue;
            }
            self.replay_batch(&batch).map_err(|error| {
                ClusterError::Unavailable(format!("the batch at offset {}: {error}", batch.base_offset))
            })?;
            self.controller.replay_position(batch.last_offset(), batch.partition_leader_epoch);
        }
        Ok(())
    }

    fn replay_batch(&mut self, batch: &RecordBatch) -> Result<(), String> {
        if !batch.is_crc_valid() {
            return Err("its checksum is wrong".into());
        }
        let payload = batch.inflate(READ_BYTES * 64).map_err(|error| error.to_string())?;
        for record in Records::new(&payload, batch.records_count) {
            let record = record.map_err(|error| error.to_string())?;
            let value = payload.slice_ref(record.value.unwrap_or_default());
            if batch.is_control() {
                let key = payload.slice_ref(record.key.unwrap_or_default());
                let control = ControlRecord::decode(key, value).map_err(|error| error.to_string())?;
                if let ControlRecord::LeaderChange(change) = control {
                    self.controller.replay_leader(change.leader_id);
                }
            } else {
                self.replay(MetadataRecord::decode(value).map_err(|error| error.to_string())?.0)?;
            }
        }
        Ok(())
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
        let frame =
            Frame { epoch: image.epoch, now_ms, last_contained_log_timestamp: last_append_ms, quorum };
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

fn leader_change(node_id: i32) -> LeaderChangeMessage {
    let voter = || LeaderVoter { voter_id: node_id, ..Default::default() };
    LeaderChangeMessage {
        version: 0,
        leader_id: node_id,
        voters: vec![voter()],
        granting_voters: vec![voter()],
    }
}

/// KIP-853: the voters are in the log, so that Kafka can open the directory without being told of them.
fn quorum_records(identity: &Identity) -> Vec<ControlRecord> {
    let voter = Voter {
        voter_id: identity.node_id,
        voter_directory_id: identity.directory_ids.first().copied().unwrap_or_default(),
        endpoints: vec![Endpoint {
            name: StrBytes::from_static_str(CONTROLLER_LISTENER),
            host: StrBytes::from_static_str(CONTROLLER_HOST),
            port: CONTROLLER_PORT,
        }],
        k_raft_version_feature: KRaftVersionFeature { min_supported_version: 0, max_supported_version: 1 },
    };
    vec![
        ControlRecord::KRaftVersion(KRaftVersionRecord { version: 0, k_raft_version: 1 }),
        ControlRecord::KRaftVoters(VotersRecord { version: 0, voters: vec![voter] }),
    ]
}

fn register_controller(node_id: i32) -> RegisterControllerRecord {
    RegisterControllerRecord {
        controller_id: node_id,
        incarnation_id: random_kafka_id(),
        zk_migration_ready: false,
        end_points: vec![ControllerEndpoint {
            name: StrBytes::from_static_str(CONTROLLER_LISTENER),
            host: StrBytes::from_static_str(CONTROLLER_HOST),
            port: CONTROLLER_PORT,
            security_protocol: 0,
        }],
        features: FEATURES
            .iter()
            .map(|feature| ControllerFeature {
                name: StrBytes::from_static_str(feature.name),
                min_supported_version: feature.min_level,
                max_supported_version: feature.max_level,
            })
            .collect(),
    }
}

fn unavailable(error: impl std::fmt::Display) -> ClusterError {
    ClusterError::Unavailable(error.to_string())
}
