//! What the tests of this crate build logs and batches with.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::batch::{BatchBuilder, Batches, ValidatedBatches};
use ottla_storage::{
    AppendContext, LocalSettings, Log, LogId, LogOptions, Logs, Origin, ReadLimits, Records,
};
use uuid::Uuid;

pub const NOW: i64 = 1_800_000_000_000;

pub fn id(topic: &str, partition: i32) -> LogId {
    LogId { topic: topic.into(), topic_id: Uuid::from_u128(0x0123_4567_89ab_cdef), partition }
}

pub fn options() -> Arc<LogOptions> {
    Arc::new(LogOptions::default())
}

pub fn client() -> AppendContext {
    AppendContext { leader_epoch: 0, now_ms: NOW, origin: Origin::Client }
}

/// `count` records, a millisecond apart.
pub fn batch(count: i64, first_timestamp: i64) -> ValidatedBatches {
    build(BatchBuilder::new(), count, first_timestamp, b"value")
}

pub fn sized_batch(value: &[u8], timestamp: i64) -> ValidatedBatches {
    build(BatchBuilder::new(), 1, timestamp, value)
}

pub fn idempotent(producer_id: i64, epoch: i16, base_sequence: i32, count: i64) -> ValidatedBatches {
    build(BatchBuilder::new().producer(producer_id, epoch, base_sequence), count, 1000, b"value")
}

pub fn build(mut builder: BatchBuilder, count: i64, first_timestamp: i64, value: &[u8]) -> ValidatedBatches {
    for n in 0..count {
        builder.append(first_timestamp + n, Some(format!("key-{n}").as_bytes()), Some(value));
    }
    ValidatedBatches::internal([builder.build()])
}

pub fn limits(max_bytes: usize) -> ReadLimits {
    ReadLimits { max_bytes, upper_offset: i64::MAX, whole_first_batch: true }
}

pub fn read(log: &Log, from: i64, max_bytes: usize) -> Records {
    log.read(from, limits(max_bytes)).unwrap().wait().unwrap()
}

pub fn base_offsets(records: &Records) -> Vec<i64> {
    let batches = records.chunks.iter().flat_map(|chunk: &Bytes| Batches::new(chunk.clone()));
    batches.map(|batch| batch.unwrap().base_offset).collect()
}

/// Deletes the log as its topic's only one.
pub fn delete(logs: &Logs, log: &Log, remove_at_ms: i64) {
    let (id, partition) = (log.id(), log.id().partition);
    logs.delete(&id.topic, id.topic_id, partition..partition + 1, remove_at_ms);
}

/// Waits for what happens in the background.
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("not in time: {what}");
}

pub fn wait_until_gone(path: &Path) {
    wait_until(&format!("{} is gone", path.display()), || !path.exists());
}

/// A log directory for one test, empty at first and removed at the end.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn logs(&self) -> Logs {
        Logs::local(vec![self.0.clone()], LocalSettings::default()).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
