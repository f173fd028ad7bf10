//! Of each producer a snapshot keeps the last batch alone, but up to five may have been on their way to a client whose
//! broker stopped, and all five are then sent again. Those before the last are found in the log.

use std::io;

use super::index::OffsetEntry;
use super::open_files::OpenFiles;
use super::scan::Scanner;
use super::segment::Segment;
use crate::batch_info::BatchInfo;
use crate::producers::Producers;

/// So many bytes of the log before the snapshot are looked through: five full batches of a dozen producers, in a
/// fraction of a millisecond.
const RECALL_BYTES: u64 = 1 << 20;

/// Gives the producers of the snapshot at `snapshot_offset` back what the log before it tells of their last batches.
/// Only reads headers, and believes nothing that does not lead up to what the snapshot says.
pub(crate) fn recall(
    segments: &[Segment],
    snapshot_offset: i64,
    producers: &mut Producers,
    files: &OpenFiles,
) -> io::Result<()> {
    if producers.is_empty() {
        return Ok(());
    }
    let mut left = RECALL_BYTES;
    let before = segments.partition_point(|segment| segment.base_offset() < snapshot_offset);
    for segment in segments[..before].iter().rev() {
        let end = end_position(segment, snapshot_offset, files)?;
        let from = position_up_to(segment, end.saturating_sub(left), files)?;
        for batch in batches(segment, from, snapshot_offset, files)?.iter().rev() {
            producers.recall(batch);
        }
        left = left.saturating_sub(end);
        if left == 0 {
            break;
        }
    }
    Ok(())
}

/// About where `offset` lies in the segment.
fn end_position(segment: &Segment, offset: i64, files: &OpenFiles) -> io::Result<u64> {
    let relative = u32::try_from(offset - segment.base_offset()).unwrap_or(u32::MAX);
    let index = files.get(&segment.index_file)?;
    let entry = segment.index.last_where(&*index, |entry| OffsetEntry::decode(entry).offset <= relative)?;
    Ok(entry.map_or(segment.size(), |entry| u64::from(OffsetEntry::decode(entry).position)))
}

/// The position of a batch at or before `position`.
fn position_up_to(segment: &Segment, position: u64, files: &OpenFiles) -> io::Result<u64> {
    let index = files.get(&segment.index_file)?;
    let is_before = |entry| u64::from(OffsetEntry::decode(entry).position) <= position;
    let entry = segment.index.last_where(&*index, is_before)?;
    Ok(entry.map_or(0, |entry| u64::from(OffsetEntry::decode(entry).position)))
}

fn batches(segment: &Segment, from: u64, upper_offset: i64, files: &OpenFiles) -> io::Result<Vec<BatchInfo>> {
    let file = files.get(&segment.log)?;
    let mut scanner = Scanner::new(&*file, segment.size());
    let (mut position, mut found) = (from, Vec::new());
    while let Some(batch) = scanner.header(position)? {
        if batch.base_offset >= upper_offset {
            break;
        }
        position += u64::from(batch.size);
        if batch.has_producer() && !batch.is_control() {
            found.push(batch);
        }
    }
    Ok(found)
}
