//! `.log` and `.checkpoint` files: a line for each batch, and one for each record.

use std::io::{self, Write};
use std::path::Path;

use bytes::Bytes;
use ottla_protocol::batch::{NO_SEQUENCE, RecordBatch, RecordView, TimestampType};
use ottla_protocol::codec::Compression;
use ottla_protocol::record_formats::schema;
use ottla_protocol::wire::{get_i16, get_i32};

use super::decoders::Decoder;
use super::segment::{self, Segment};
use super::{Complaints, DumpError, Options, damaged, java, json, note};

const BOOTSTRAP_CHECKPOINT: &str = "bootstrap.checkpoint";

/// Before a record, so that lines of records are told from lines of batches.
const RECORD_INDENT: &str = "|";

pub fn dump(
    path: &Path,
    options: &Options,
    decoder: &Decoder,
    out: &mut dyn Write,
    found: &mut Complaints,
) -> Result<(), DumpError> {
    writeln!(out, "{}", title(path)?)?;
    let mut segment = Segment::open(path)?;
    let end = u64::try_from(options.max_bytes).map_or(0, |max| max.min(segment.size()));
    let (mut position, mut last_offset) = (0, -1);
    while let Some(batch) = segment.batch(position, end)? {
        write_batch(&batch, position, out).map_err(|error| write_or_damaged(path, error))?;
        if options.deep_iteration {
            let payload = segment::inflated(&batch, path)?;
            for record in segment::records(&batch, &payload) {
                let record = record.map_err(|error| in_batch(path, &batch, error))?;
                let offset = batch.offset_of(record.offset_delta);
                if offset != last_offset + 1 {
                    note(&mut found.gaps, path, (last_offset, offset));
                }
                last_offset = offset;
                let line = RecordLine { batch: &batch, record: &record, payload: &payload };
                line.write(options, decoder, out).map_err(|error| write_or_damaged(path, error))?;
            }
        }
        position += batch.size() as u64;
    }
    if end > position && options.max_bytes == i32::MAX {
        let name = path.file_name().unwrap_or_default().display();
        writeln!(out, "Found {} invalid bytes at the end of {name}", end - position)?;
    }
    Ok(())
}

fn in_batch(path: &Path, batch: &RecordBatch, error: impl std::fmt::Display) -> DumpError {
    damaged(path, format!("the batch at offset {}: {error}", batch.base_offset))
}

/// A line that cannot be written because of what the file holds is an error of the file.
fn write_or_damaged(path: &Path, error: io::Error) -> DumpError {
    match error.kind() {
        io::ErrorKind::InvalidData => damaged(path, error),
        _ => DumpError::Write(error),
    }
}

fn title(path: &Path) -> Result<String, DumpError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name == BOOTSTRAP_CHECKPOINT {
        return Ok("KRaft bootstrap snapshot".to_owned());
    }
    let Some(snapshot) = name.strip_suffix(".checkpoint") else {
        return Ok(format!("Log starting offset: {}", segment::base_offset(path)?));
    };
    let parsed = snapshot
        .split_once('-')
        .and_then(|(offset, epoch)| Some((offset.parse::<i64>().ok()?, epoch.parse::<i32>().ok()?)));
    let (offset, epoch) = parsed.ok_or_else(|| damaged(path, "its name is not a snapshot's"))?;
    Ok(format!("Snapshot end offset: {offset}, epoch: {epoch}"))
}

fn write_batch(batch: &RecordBatch, position: u64, out: &mut dyn Write) -> io::Result<()> {
    let codec =
        batch.compression().ok_or_else(|| invalid(format!("unknown codec at position {position}")))?;
    writeln!(
        out,
        "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} \
         partitionLeaderEpoch: {} isTransactional: {} isControl: {} deleteHorizonMs: {} position: {position} {}: {} \
         size: {} magic: 2 compresscodec: {} crc: {} isvalid: {}",
        batch.base_offset,
        batch.last_offset(),
        batch.records_count,
        batch.base_sequence,
        batch.last_sequence(),
        batch.producer_id,
        batch.producer_epoch,
        batch.partition_leader_epoch,
        batch.is_transactional(),
        batch.is_control(),
        java::optional_long(batch.delete_horizon_ms()),
        timestamp_type(batch),
        batch.max_timestamp_ms,
        batch.size(),
        codec_name(codec),
        batch.crc,
        batch.is_crc_valid(),
    )
}

fn timestamp_type(batch: &RecordBatch) -> &'static str {
    match batch.timestamp_type() {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}

fn codec_name(codec: Compression) -> &'static str {
    match codec {
        Compression::None => "none",
        Compression::Gzip => "gzip",
        Compression::Snappy => "snappy",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}

struct RecordLine<'a> {
    batch: &'a RecordBatch,
    record: &'a RecordView<'a>,
    payload: &'a Bytes,
}

impl RecordLine<'_> {
    fn write(&self, options: &Options, decoder: &Decoder, out: &mut dyn Write) -> io::Result<()> {
        if !options.skip_record_metadata {
            self.write_metadata(out)?;
        }
        if options.print_data_log && !self.batch.is_control() {
            let indent = if options.skip_record_metadata { RECORD_INDENT } else { "" };
            let mut prefix = format!("{indent} ");
            let offset = self.batch.offset_of(self.record.offset_delta);
            let (key, value) = (self.part(self.record.key), self.part(self.record.value));
            let shown = decoder.show(key, value, offset).map_err(invalid)?;
            if let Some(key) = shown.key {
                write!(out, "{prefix}key: {key}")?;
                prefix = " ".to_owned();
            }
            if let Some(value) = shown.value {
                write!(out, "{prefix}payload: {value}")?;
            }
        }
        writeln!(out)
    }

    fn write_metadata(&self, out: &mut dyn Write) -> io::Result<()> {
        let (batch, record) = (self.batch, self.record);
        let size = |part: Option<&[u8]>| part.map_or(-1, |part| part.len() as i64);
        let sequence = match batch.base_sequence {
            negative if negative < 0 => NO_SEQUENCE,
            base => base.wrapping_add(record.offset_delta) & i32::MAX,
        };
        let headers: Vec<_> = record.headers().map(|(key, _)| java::text(key)).collect();
        write!(
            out,
            "{RECORD_INDENT} offset: {} {}: {} keySize: {} valueSize: {} sequence: {sequence} headerKeys: [{}]",
            batch.offset_of(record.offset_delta),
            timestamp_type(batch),
            batch.timestamp_of(record.timestamp_delta),
            size(record.key),
            size(record.value),
            headers.join(","),
        )?;
        if batch.is_control() {
            let (key, value) = (self.part(record.key), self.part(record.value));
            let control = control(key.unwrap_or_default(), value.unwrap_or_default());
            write!(out, "{}", control.map_err(|error| invalid(format!("a control record: {error}")))?)?;
        }
        Ok(())
    }

    fn part(&self, part: Option<&[u8]>) -> Option<Bytes> {
        part.map(|part| self.payload.slice_ref(part))
    }
}

/// What a control record says, in the tool's own words for each type.
fn control(mut key: Bytes, mut value: Bytes) -> Result<String, ottla_protocol::wire::WireError> {
    let _key_version = get_i16(&mut key)?;
    let control_type = get_i16(&mut key)?;
    let (title, schema) = match control_type {
        0 | 1 => {
            let _version = get_i16(&mut value)?;
            let name = if control_type == 0 { "ABORT" } else { "COMMIT" };
            return Ok(format!(" endTxnMarker: {name} coordinatorEpoch: {}", get_i32(&mut value)?));
        }
        2 => ("LeaderChange:", &schema::LEADER_CHANGE_MESSAGE),
        3 => ("SnapshotHeader", &schema::SNAPSHOT_HEADER_RECORD),
        4 => ("SnapshotFooter", &schema::SNAPSHOT_FOOTER_RECORD),
        5 => ("KRaftVersion", &schema::K_RAFT_VERSION_RECORD),
        6 => ("KRaftVoters", &schema::VOTERS_RECORD),
        unknown => return Ok(format!(" controlType: UNKNOWN({unknown})")),
    };
    // Their first field is their version.
    let version = get_i16(&mut value.clone())?;
    Ok(format!(" {title} {}", json::read(&mut value, schema, version)?))
}

/// The file's fault, not the reader's of the lines.
fn invalid(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
