//! Snapshots of the metadata as Kafka's files: `END-EPOCH.checkpoint`, batches like the log's between a header and a
//! footer. A file that is there is whole, since it gets its name last.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_protocol::batch::{BatchBuilder, RecordBatch, Records};
use ottla_protocol::record_formats::control::{SnapshotFooterRecord, SnapshotHeaderRecord};
use ottla_protocol::record_formats::{ControlRecord, MetadataRecord};

use super::data_dir::sync_parent;
use crate::metadata::encoded;

/// Records in one batch of a snapshot: a reader holds one batch at a time.
const RECORDS_PER_BATCH: usize = 1024;

/// What a snapshot's name says: it holds everything before `end_offset`, the last of it written in `epoch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SnapshotId {
    pub end_offset: i64,
    pub epoch: i32,
}

impl SnapshotId {
    pub fn path_in(self, dir: &Path) -> PathBuf {
        dir.join(format!("{:020}-{:010}.checkpoint", self.end_offset, self.epoch))
    }

    fn parse(name: &str) -> Option<Self> {
        let (end_offset, epoch) = name.strip_suffix(".checkpoint")?.split_once('-')?;
        Some(SnapshotId { end_offset: end_offset.parse().ok()?, epoch: epoch.parse().ok()? })
    }
}

/// All snapshots in a directory, the newest last.
pub(super) fn list(dir: &Path) -> io::Result<Vec<SnapshotId>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for entry in entries {
        found.extend(entry?.file_name().to_str().and_then(SnapshotId::parse));
    }
    found.sort();
    Ok(found)
}

/// Older ones are of no use once a newer one is whole.
pub(super) fn remove_before(newest: SnapshotId, dir: &Path) -> io::Result<()> {
    for old in list(dir)?.into_iter().filter(|old| *old < newest) {
        fs::remove_file(old.path_in(dir))?;
    }
    Ok(())
}

/// What is written beside the records.
pub(super) struct Frame<'a> {
    pub epoch: i32,
    pub now_ms: i64,
    pub last_contained_log_timestamp: i64,
    /// What the quorum must know: nothing in `bootstrap.checkpoint`, which only seeds a log.
    pub quorum: &'a [ControlRecord],
    /// What its readers know.
    pub metadata_version: i16,
}

/// Writes a whole snapshot, and gives it its name when the disk has it: the log before it may go then.
pub(super) fn write_durably(
    path: &Path,
    frame: &Frame<'_>,
    records: impl Iterator<Item = MetadataRecord>,
) -> io::Result<()> {
    let part = path.with_extension("checkpoint.part");
    let made = write(&part, frame, records).and_then(|file| file.sync_data());
    // Half of one is of no use, and may take the last space.
    made.inspect_err(|_| drop(fs::remove_file(&part)))?;
    fs::rename(&part, path)?;
    sync_parent(path)
}

/// Writes a snapshot that repeats what the log says, and that nothing depends on.
pub(super) fn write(
    path: &Path,
    frame: &Frame<'_>,
    records: impl Iterator<Item = MetadataRecord>,
) -> io::Result<File> {
    let mut file = BufWriter::new(File::create(path)?);
    let timestamp = frame.last_contained_log_timestamp;
    let header = SnapshotHeaderRecord { version: 0, last_contained_log_timestamp: timestamp };
    let mut builder = control_batch(0, frame);
    append_control(&mut builder, frame.now_ms, &ControlRecord::SnapshotHeader(header))?;
    for record in frame.quorum {
        append_control(&mut builder, frame.now_ms, record)?;
    }
    let mut next_offset = i64::from(builder.records_count());
    file.write_all(builder.build().bytes())?;

    let mut records = records.peekable();
    while records.peek().is_some() {
        let mut builder = BatchBuilder::new().base_offset(next_offset).leader_epoch(frame.epoch);
        for record in records.by_ref().take(RECORDS_PER_BATCH) {
            builder.append(
                frame.now_ms,
                None,
                Some(&encoded(&record, frame.metadata_version).map_err(io::Error::other)?),
            );
        }
        next_offset += i64::from(builder.records_count());
        file.write_all(builder.build().bytes())?;
    }

    let mut builder = control_batch(next_offset, frame);
    let footer = ControlRecord::SnapshotFooter(SnapshotFooterRecord { version: 0 });
    append_control(&mut builder, frame.now_ms, &footer)?;
    file.write_all(builder.build().bytes())?;
    file.into_inner().map_err(|error| error.into_error())
}

/// Whether a power cut has left the name and not the content, of a file that fits into one block of the disk. The two
/// that begin a log are not synced: the log's first batch says the same, and nothing was answered before it.
pub(super) fn is_unwritten(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes.iter().all(|byte| *byte == 0))
}

/// What a snapshot holds.
pub(super) enum Entry {
    Control(ControlRecord),
    Metadata(MetadataRecord),
}

/// The snapshot's records, one by one. An error for anything that is not a whole snapshot.
pub(super) fn read(path: &Path, mut each: impl FnMut(Entry) -> Result<(), String>) -> Result<(), String> {
    let mut file = BatchFile::open(path).map_err(|error| error.to_string())?;
    let mut has_footer = false;
    while let Some(bytes) = file.next_batch().map_err(|error| error.to_string())? {
        let batch = RecordBatch::parse(&bytes).map_err(|error| error.to_string())?;
        if !batch.is_crc_valid() {
            return Err(format!("the batch at offset {} is damaged", batch.base_offset));
        }
        each_entry(&batch, batch.size(), |entry| {
            has_footer |= matches!(entry, Entry::Control(ControlRecord::SnapshotFooter(_)));
            each(entry)
        })?;
    }
    if has_footer { Ok(()) } else { Err("the end is missing".into()) }
}

/// The records of a batch of metadata, one by one.
pub(super) fn each_entry(
    batch: &RecordBatch,
    inflated_bytes_max: usize,
    mut each: impl FnMut(Entry) -> Result<(), String>,
) -> Result<(), String> {
    let payload = batch.inflate(inflated_bytes_max).map_err(|error| error.to_string())?;
    for record in Records::new(&payload, batch.records_count) {
        let record = record.map_err(|error| error.to_string())?;
        let value = payload.slice_ref(record.value.unwrap_or_default());
        each(match batch.is_control() {
            true => {
                let key = payload.slice_ref(record.key.unwrap_or_default());
                Entry::Control(ControlRecord::decode(key, value).map_err(|error| error.to_string())?)
            }
            false => Entry::Metadata(MetadataRecord::decode(value).map_err(|error| error.to_string())?.0),
        })?;
    }
    Ok(())
}

/// A file of batches, of which one at a time is in memory: a million partitions make a large file.
struct BatchFile {
    file: BufReader<File>,
    /// Bytes that were not read yet.
    left: u64,
}

/// Base offset and length.
const BATCH_PREFIX_BYTES: usize = 12;

impl BatchFile {
    fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let left = file.metadata()?.len();
        Ok(BatchFile { file: BufReader::new(file), left })
    }

    /// The next whole batch; nothing at the end, or when what is left is none.
    fn next_batch(&mut self) -> io::Result<Option<Bytes>> {
        let Some(left) = self.left.checked_sub(BATCH_PREFIX_BYTES as u64) else { return Ok(None) };
        let mut prefix = [0; BATCH_PREFIX_BYTES];
        self.file.read_exact(&mut prefix)?;
        let length = prefix[8..].iter().fold(0, |length, byte| length << 8 | u64::from(*byte));
        let Some(left) = left.checked_sub(length) else { return Ok(None) };
        self.left = left;
        let mut batch = vec![0; BATCH_PREFIX_BYTES + length as usize]; // no more than the file has
        batch[..BATCH_PREFIX_BYTES].copy_from_slice(&prefix);
        self.file.read_exact(&mut batch[BATCH_PREFIX_BYTES..])?;
        Ok(Some(Bytes::from(batch)))
    }
}

fn control_batch(base_offset: i64, frame: &Frame<'_>) -> BatchBuilder {
    BatchBuilder::new().base_offset(base_offset).leader_epoch(frame.epoch).control()
}

pub(super) fn append_control(
    builder: &mut BatchBuilder,
    now_ms: i64,
    record: &ControlRecord,
) -> io::Result<()> {
    let value = record.encode_value().map_err(io::Error::other)?;
    builder.append(now_ms, Some(&record.encode_key()), Some(&value));
    Ok(())
}
