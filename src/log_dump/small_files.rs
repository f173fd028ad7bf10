//! What lies beside a segment: `.index`, `.timeindex`, `.txnindex`, `.snapshot`.

use std::fs;
use std::io::Write;
use std::path::Path;

use ottla_protocol::batch::NO_TIMESTAMP;
use ottla_storage::files::{self, IndexedTime, OffsetPosition};

use super::segment::{self, Segment, base_offset};
use super::{Complaints, DumpError, Options, damaged, java, note};

pub fn offset_index(
    path: &Path,
    options: &Options,
    out: &mut dyn Write,
    found: &mut Complaints,
) -> Result<(), DumpError> {
    let base_offset = base_offset(path)?;
    let mut log = Segment::open(&path.with_extension("log"))?;
    let bytes = read(path)?;
    let entries = files::offset_index(&bytes, base_offset);
    let Some(last) = entries.clone().next_back() else {
        writeln!(out, "{} is empty.", path.display())?;
        return Ok(());
    };
    if options.index_sanity_check {
        check_last_offset(path, last.offset, base_offset)?;
        check_length(path, bytes.len(), 8)?;
        writeln!(out, "{} passed sanity check.", path.display())?;
        return Ok(());
    }
    for entry in before_zeros(entries, base_offset, |entry| entry.offset) {
        let in_log = last_offset_at(&mut log, entry, options.max_message_size)?;
        if in_log != entry.offset {
            note(&mut found.index_mismatches, path, (entry.offset, in_log));
        }
        if !options.verify_index_only {
            writeln!(out, "offset: {} position: {}", entry.offset, entry.position)?;
        }
    }
    Ok(())
}

fn last_offset_at(log: &mut Segment, entry: OffsetPosition, max_bytes: i32) -> Result<i64, DumpError> {
    let position = u64::try_from(entry.position).unwrap_or(u64::MAX);
    let end = position.saturating_add(u64::try_from(max_bytes).unwrap_or(0));
    let batch = log.batch(position, end)?;
    let nothing = || format!("no batch of at most {max_bytes} bytes is at position {}", entry.position);
    Ok(batch.ok_or_else(|| damaged(log.path(), nothing()))?.last_offset())
}

pub fn time_index(
    path: &Path,
    options: &Options,
    out: &mut dyn Write,
    found: &mut Complaints,
) -> Result<(), DumpError> {
    let base_offset = base_offset(path)?;
    let mut log = Segment::open(&path.with_extension("log"))?;
    let bytes = read(path)?;
    let entries = files::time_index(&bytes, base_offset);
    if options.index_sanity_check {
        check_times(path, &bytes, base_offset)?;
        writeln!(out, "{} passed sanity check.", path.display())?;
        return Ok(());
    }
    let positions = read(&path.with_extension("index"))?;
    let mut previous = NO_TIMESTAMP;
    for entry in before_zeros(entries, base_offset, |entry| entry.offset) {
        verify_time(
            path,
            entry,
            previous,
            position_for(&positions, base_offset, entry.offset),
            &mut log,
            found,
        )?;
        if !options.verify_index_only {
            writeln!(out, "timestamp: {} offset: {}", entry.timestamp, entry.offset)?;
        }
        previous = entry.timestamp;
    }
    Ok(())
}

/// Where to begin to look for an offset: at the last entry that is not behind it.
fn position_for(index: &[u8], base_offset: i64, offset: i64) -> u64 {
    let entries = before_zeros(files::offset_index(index, base_offset), base_offset, |entry| entry.offset);
    let last = entries.take_while(|entry| entry.offset <= offset).last();
    last.map_or(0, |entry| u64::try_from(entry.position).unwrap_or(0))
}

/// The entries of an index without those of the zeros in which the file ends if the broker was killed.
fn before_zeros<E>(
    entries: impl Iterator<Item = E>,
    base_offset: i64,
    offset: fn(&E) -> i64,
) -> impl Iterator<Item = E> {
    let numbered = entries.enumerate();
    let sane = numbered.take_while(move |(number, entry)| *number == 0 || offset(entry) != base_offset);
    sane.map(|(_, entry)| entry)
}

fn verify_time(
    path: &Path,
    entry: IndexedTime,
    previous: i64,
    mut position: u64,
    log: &mut Segment,
    found: &mut Complaints,
) -> Result<(), DumpError> {
    let batch = loop {
        match log.batch(position, u64::MAX)? {
            Some(batch) if batch.last_offset() < entry.offset => position += batch.size() as u64,
            other => break other,
        }
    };
    let Some(batch) = batch.as_ref().filter(|batch| batch.last_offset() == entry.offset) else {
        let in_log = batch.map_or(-1, |batch| batch.last_offset());
        found.not_found.push((entry.offset, in_log));
        return Ok(());
    };
    let payload = segment::inflated(batch, log.path())?;
    let mut greatest = NO_TIMESTAMP;
    for record in segment::records(batch, &payload) {
        let record = record.map_err(|error| damaged(log.path(), error))?;
        greatest = greatest.max(batch.timestamp_of(record.timestamp_delta));
    }
    if greatest != entry.timestamp {
        note(&mut found.time_mismatches, path, (entry.timestamp, greatest));
    }
    if previous >= entry.timestamp {
        note(&mut found.times_out_of_order, path, (entry.timestamp, previous));
    }
    Ok(())
}

fn check_times(path: &Path, bytes: &[u8], base_offset: i64) -> Result<(), DumpError> {
    let mut entries = files::time_index(bytes, base_offset);
    if let Some(first) = entries.next() {
        let last = entries.next_back().unwrap_or(first);
        if last.timestamp < first.timestamp {
            let why = format!(
                "Corrupt time index found: its last timestamp is {}, which is less than the first timestamp {}",
                last.timestamp, first.timestamp
            );
            return Err(damaged(path, why));
        }
        check_last_offset(path, last.offset, base_offset)?;
    }
    check_length(path, bytes.len(), 12)
}

fn check_last_offset(path: &Path, last_offset: i64, base_offset: i64) -> Result<(), DumpError> {
    if last_offset >= base_offset {
        return Ok(());
    }
    let why = format!(
        "Corrupt index found: its last offset is {last_offset}, which is less than the base offset {base_offset}"
    );
    Err(damaged(path, why))
}

fn check_length(path: &Path, length: usize, entry_bytes: usize) -> Result<(), DumpError> {
    if length.is_multiple_of(entry_bytes) {
        return Ok(());
    }
    Err(damaged(path, format!("Corrupt index found: {length} bytes are no multiple of {entry_bytes}")))
}

/// What is damaged is told and not shown, as with Kafka's tool.
pub fn producer_snapshot(path: &Path, out: &mut dyn Write, found: &mut Complaints) -> Result<(), DumpError> {
    let entries = match files::read_snapshot(&read(path)?) {
        Ok(entries) => entries,
        Err(error) => {
            found.others.push(format!("{}: {error}", path.display()));
            return Ok(());
        }
    };
    for entry in entries {
        let open = Some(entry.current_txn_first_offset).filter(|offset| *offset >= 0);
        write!(
            out,
            "producerId: {} producerEpoch: {} coordinatorEpoch: {} currentTxnFirstOffset: {} lastTimestamp: {}",
            entry.producer_id,
            entry.producer_epoch,
            entry.coordinator_epoch,
            java::optional_long(open),
            entry.last_timestamp
        )?;
        if entry.last_offset >= 0 {
            write!(
                out,
                " firstSequence: {} lastSequence: {} lastOffset: {} offsetDelta: {} timestamp: {}",
                entry.first_sequence(),
                entry.last_sequence,
                entry.last_offset,
                entry.offset_delta,
                entry.last_timestamp
            )?;
        }
        writeln!(out)?;
    }
    Ok(())
}

pub fn transaction_index(path: &Path, out: &mut dyn Write) -> Result<(), DumpError> {
    base_offset(path)?;
    for (version, aborted) in files::transaction_index(&read(path)?) {
        if version > 0 {
            let why = format!("Unexpected aborted transaction version {version}, current version is 0");
            return Err(damaged(path, why));
        }
        writeln!(
            out,
            "version: {version} producerId: {} firstOffset: {} lastOffset: {} lastStableOffset: {}",
            aborted.producer_id, aborted.first_offset, aborted.last_offset, aborted.last_stable_offset
        )?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, DumpError> {
    fs::read(path).map_err(|error| DumpError::Read(path.to_owned(), error))
}
