//! What a recovery believes of a segment's indexes, and what it cuts off.

use super::disk::read_whole;
use super::index::{OffsetEntry, OffsetIndex, TimeEntry, TimeIndex, sane_entries};
use super::open_files::{CachedFile, OpenFiles};
use super::recovery::SMALL_FILE_MAX_BYTES;
use super::scan::Scanner;
use super::segment::Segment;
use crate::batch_info::{BatchInfo, crc_matches};
use crate::error::StorageError;

/// Whether the last index entry of a sealed segment can be right, as Kafka checks it, and its largest timestamp is known.
pub(super) fn has_sane_end(segment: &Segment, files: &OpenFiles) -> bool {
    // A power cut may leave zeros in the place of entries.
    let first_timestamp = segment.rolling.first_timestamp.unwrap_or(-1);
    if has_timestamps(segment) && segment.last_time_entry.timestamp < first_timestamp {
        return false;
    }
    let last = files.get(&segment.index_file).and_then(|file| segment.index.last(&*file));
    match last {
        Ok(Some(last)) => {
            let last = OffsetEntry::decode(last);
            u64::from(last.position) < segment.size() && (last.offset > 0 || segment.index.len() == 1)
        }
        Ok(None) => segment.size() < (1 << 20), // small segments have no entry
        Err(_) => false,
    }
}

/// The batch at a position that an index gave.
pub(super) fn batch_at(
    segment: &Segment,
    position: u64,
    files: &OpenFiles,
) -> Result<Option<BatchInfo>, StorageError> {
    let failed = |error| StorageError::io("recover", segment.log.path(), error);
    let file = files.get(&segment.log).map_err(failed)?;
    let mut scanner = Scanner::new(&*file, segment.size());
    let Some(batch) = scanner.header(position).map_err(failed)? else { return Ok(None) };
    let is_whole = crc_matches(scanner.bytes(position, batch.size as usize).map_err(failed)?);
    Ok((is_whole && batch.base_offset >= segment.base_offset()).then_some(batch))
}

/// What of a segment is walked, by its positions.
#[derive(Clone, Copy)]
pub(super) struct Stretch {
    pub start: u64,
    /// The index is made anew from here on, if at all.
    pub rebuild_from: Option<u64>,
}

/// Forgets all that the indexes say.
pub(super) fn clear_indexes(segment: &Segment, files: &OpenFiles) -> Result<(), StorageError> {
    for file in [&segment.index_file, &segment.time_index_file] {
        let cleared = files.get(file).and_then(|file| file.set_size(0));
        cleared.map_err(|error| StorageError::io("clear", file.path(), error))?;
    }
    Ok(())
}

/// Keeps the index entries before `indexed_to` that are in order, and says where the walk begins so that it comes by `from`.
/// What is on the disk of flushed batches stays as it is: a crash in the middle of a recovery could leave a part of one
/// index with the whole of the other, which the next one would believe.
pub(super) fn cut_indexes(
    segment: &mut Segment,
    from: i64,
    indexed_to: i64,
    files: &OpenFiles,
) -> Result<Stretch, StorageError> {
    let failed = |error| StorageError::io("recover the index of", segment.log.path(), error);
    let base = segment.base_offset();
    let relative = |offset: i64| u32::try_from((offset - base).max(0)).unwrap_or(u32::MAX);
    let mut kept = sane_offsets(segment, relative(indexed_to), files)?;
    let mut times = match kept.last() {
        Some(last) => sane_times(segment, last.offset, files)?,
        None => Vec::new(),
    };
    // The end of the time index may be lost where the offsets' is not: a power cut leaves what it likes of what the recovery
    // before it wrote.
    let is_clean = indexed_to == i64::MAX;
    let is_known = |entry: &OffsetEntry| match times.last() {
        Some(last) => is_clean || entry.offset <= last.offset,
        // The first batch may have no timestamp where later ones have.
        None => is_clean && !has_timestamps(segment),
    };
    kept.retain(is_known);
    let first = kept.iter().rfind(|entry| entry.offset < relative(from)).copied();
    // What does not lead to a batch came from a damaged file: believing it would cut the log there.
    for entry in first.into_iter().chain(kept.last().copied()) {
        let found = batch_at(segment, u64::from(entry.position), files)?;
        if found.is_none_or(|batch| batch.last_offset != base + i64::from(entry.offset)) {
            kept.clear();
        }
    }
    if kept.is_empty() {
        times.clear();
    }
    let first = first.filter(|_| !kept.is_empty());

    segment.index = OffsetIndex::stored(kept.len() as u32);
    let file = files.get_or_create(&segment.index_file).map_err(failed)?;
    file.set_size(kept.len() as u64 * 8).map_err(failed)?;
    segment.time_index = TimeIndex::stored(times.len() as u32);
    let file = files.get_or_create(&segment.time_index_file).map_err(failed)?;
    file.set_size(times.len() as u64 * 12).map_err(failed)?;

    segment.is_index_dirty = true;
    segment.last_time_entry = times.last().copied().unwrap_or(TimeEntry { timestamp: -1, offset: 0 });
    segment.max = times.last().map_or((-1, base), |last| (last.timestamp, base + i64::from(last.offset)));
    segment.bytes_since_index = 0;
    let position = |entry: &OffsetEntry| u64::from(entry.position);
    let start = first.as_ref().map_or(0, position);
    Ok(Stretch { start, rebuild_from: Some(kept.last().map_or(0, position)) })
}

/// The entries of the offset index that are in order and lead to before an offset and before the end of the segment.
fn sane_offsets(segment: &Segment, before: u32, files: &OpenFiles) -> Result<Vec<OffsetEntry>, StorageError> {
    let bytes = read_index(segment, &segment.index_file, files)?;
    let sane = sane_entries(&bytes, OffsetEntry::decode) as usize;
    let sane = bytes.as_chunks::<8>().0[..sane].iter().map(|entry| OffsetEntry::decode(*entry));
    let is_before = |entry: &OffsetEntry| entry.offset < before && u64::from(entry.position) < segment.size();
    Ok(sane.take_while(is_before).collect())
}

/// The entries of the time index that are in order, up to an offset.
fn sane_times(segment: &Segment, upto: u32, files: &OpenFiles) -> Result<Vec<TimeEntry>, StorageError> {
    let bytes = read_index(segment, &segment.time_index_file, files)?;
    let sane = sane_entries(&bytes, TimeEntry::decode) as usize;
    let sane = bytes.as_chunks::<12>().0[..sane].iter().map(|entry| TimeEntry::decode(*entry));
    Ok(sane.take_while(|entry| entry.offset <= upto).collect())
}

fn read_index(segment: &Segment, file: &CachedFile, files: &OpenFiles) -> Result<Vec<u8>, StorageError> {
    let read = read_whole(files.disk(), file.path(), SMALL_FILE_MAX_BYTES);
    let read = read.map_err(|error| StorageError::io("recover the index of", segment.log.path(), error))?;
    Ok(read.unwrap_or_default())
}

fn has_timestamps(segment: &Segment) -> bool {
    segment.rolling.first_timestamp.is_some_and(|first| first >= 0)
}
