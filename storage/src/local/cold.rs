//! A read that goes to the disk. Knows its segments by their files, so that it runs without the log's lock.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;

use super::disk::DiskFile;
use super::index::OffsetIndex;
use super::open_files::{CachedFile, OpenFiles};
use super::scan::Scanner;
use super::segment::{Segment, lookup_position};
use crate::batch_info::{BatchInfo, crc_matches};
use crate::error::StorageError;
use crate::store::{ReadLimits, Records};

/// One segment as it was when the read was asked for: later appends are not seen.
pub(crate) struct SegmentView {
    base_offset: i64,
    log: CachedFile,
    index_file: CachedFile,
    index: OffsetIndex,
    size: u64,
    /// Where the next segment begins, or the log ends.
    end_offset: i64,
}

impl SegmentView {
    pub fn of(segment: &Segment, end_offset: i64) -> Self {
        Self {
            end_offset,
            base_offset: segment.base_offset(),
            log: segment.log.clone(),
            index_file: segment.index_file.clone(),
            index: segment.index.clone(),
            size: segment.size(),
        }
    }

    /// Whole batches from the one that holds `from`; nothing when the segment ends before it.
    fn read(
        &self,
        from: i64,
        limits: ReadLimits,
        files: &OpenFiles,
    ) -> Result<Option<Records>, StorageError> {
        let failed = |error: io::Error| match error.kind() {
            // Retention took the segment after the read was asked for.
            io::ErrorKind::NotFound => StorageError::OffsetOutOfRange { offset: from, start: -1, end: -1 },
            _ => StorageError::io("read", self.log.path(), error),
        };
        let log = files.get(&self.log).map_err(failed)?;
        let hint = files
            .get(&self.index_file)
            .and_then(|file| lookup_position(&*file, &self.index, self.base_offset, from))
            .map_err(failed)?;
        match self.read_at(&*log, hint, from, limits) {
            // The index may be damaged where the log is not.
            Err(StorageError::Corrupt { .. }) if hint > 0 => self.read_at(&*log, 0, from, limits),
            outcome => outcome,
        }
    }

    /// Walks to the batch from the one at `position`.
    fn read_at(
        &self,
        log: &dyn DiskFile,
        mut position: u64,
        from: i64,
        limits: ReadLimits,
    ) -> Result<Option<Records>, StorageError> {
        let failed = |error| StorageError::io("read", self.log.path(), error);
        let mut scanner = Scanner::new(log, self.size);
        let (hint, mut next_offset) = (position, self.base_offset);
        let first = loop {
            match scanner.header(position).map_err(failed)? {
                // No entry points behind the last batch: what follows it was not all that came before.
                None if position == self.size && (hint == 0 || position > hint) => return Ok(None),
                None => return Err(self.corrupt(position)),
                Some(batch) if position == hint && hint > 0 && batch.base_offset > from => {
                    return Err(self.corrupt(position));
                }
                // No CRC covers the offset: what does not fit in was changed.
                Some(batch) if !batch.lies_in(next_offset, self.end_offset) => {
                    return Err(self.corrupt(position));
                }
                Some(batch) if batch.last_offset >= from => break batch,
                Some(batch) => {
                    position += u64::from(batch.size);
                    next_offset = batch.next_offset();
                }
            }
        };
        let is_allowed = first.size as usize <= limits.max_bytes || limits.whole_first_batch;
        if first.base_offset >= limits.upper_offset || !is_allowed {
            return Ok(Some(Records::none(from)));
        }
        let wanted = (limits.max_bytes as u64).max(u64::from(first.size)).min(self.size - position);
        let mut buffer = BytesMut::zeroed(wanted as usize);
        let read = log.read_at(&mut buffer, position).map_err(failed)?;
        buffer.truncate(read);
        let (bytes, next_offset) =
            whole_batches(&buffer, limits.upper_offset, first.base_offset, self.end_offset);
        if bytes == 0 {
            return Err(self.corrupt(position));
        }
        buffer.truncate(bytes);
        Ok(Some(Records { chunks: vec![buffer.freeze()], bytes, next_offset }))
    }

    fn corrupt(&self, position: u64) -> StorageError {
        StorageError::corrupt(format!(
            "no whole batch at position {position} of {}",
            self.log.path().display()
        ))
    }
}

/// Reads from the first of the segments that has something: compaction may have emptied the end of one.
pub(crate) fn read(
    segments: &[SegmentView],
    from: i64,
    limits: ReadLimits,
    files: &Arc<OpenFiles>,
) -> Result<Records, StorageError> {
    for segment in segments {
        if let Some(records) = segment.read(from, limits, files)? {
            return Ok(records);
        }
    }
    Ok(Records::none(from))
}

/// How many bytes of the buffer are whole batches before `upper_offset`, and the offset after them. Ends before a batch
/// that the disk has changed: a CRC costs far less than the read did, and a consumer would only stumble over it.
fn whole_batches(buffer: &[u8], upper_offset: i64, from: i64, end_offset: i64) -> (usize, i64) {
    let (mut position, mut next_offset) = (0, from);
    while let Some(batch) = BatchInfo::parse(&buffer[position..]) {
        let end = position + batch.size as usize;
        let is_wanted =
            end <= buffer.len() && batch.base_offset < upper_offset && batch.lies_in(next_offset, end_offset);
        if !is_wanted || !crc_matches(&buffer[position..end]) {
            break;
        }
        (position, next_offset) = (end, batch.next_offset());
    }
    (position, next_offset)
}
