//! A walk through a whole segment, in large reads.

use std::io;
use std::sync::Arc;

use super::index::OffsetIndex;
use super::open_files::{CachedFile, OpenFiles};
use super::segment::{Segment, lookup_position};
use crate::batch_info::BatchInfo;
use crate::error::StorageError;
use crate::store::Source;

/// The batches of one segment as it was when the walk began.
pub(super) struct SegmentSource {
    log: CachedFile,
    index_file: CachedFile,
    index: OffsetIndex,
    base_offset: i64,
    files: Arc<OpenFiles>,
    /// Where to begin, until it has begun.
    from: Option<i64>,
    position: u64,
    end: u64,
    /// Grows for a batch that is larger.
    buffer: Vec<u8>,
}

impl SegmentSource {
    pub fn new(segment: &Segment, from: i64, buffer_bytes: usize, files: Arc<OpenFiles>) -> Self {
        Self {
            log: segment.log.clone(),
            index_file: segment.index_file.clone(),
            index: segment.index.clone(),
            base_offset: segment.base_offset(),
            files,
            from: Some(from),
            position: 0,
            end: segment.size(),
            buffer: vec![0; buffer_bytes.min(usize::try_from(segment.size()).unwrap_or(usize::MAX)).max(1)],
        }
    }

    /// Reads at the position. How many bytes of the buffer are whole batches, and how large the first one is.
    fn fill(&mut self) -> io::Result<(usize, Option<BatchInfo>)> {
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let wanted = left.min(self.buffer.len());
        let read = self.files.get(&self.log)?.read_at(&mut self.buffer[..wanted], self.position)?;
        let first = BatchInfo::parse(&self.buffer[..read]);
        let mut whole = 0;
        while let Some(info) = BatchInfo::parse(&self.buffer[whole..read])
            && info.size as usize <= read - whole
        {
            whole += info.size as usize;
        }
        Ok((whole, first))
    }
}

impl Source for SegmentSource {
    fn next(&mut self) -> Result<Option<&[u8]>, StorageError> {
        let failed = |log: &CachedFile, error| StorageError::io("read", log.path(), error);
        if let Some(from) = self.from.take() {
            let index_file = self.files.get(&self.index_file);
            let found =
                index_file.and_then(|file| lookup_position(&*file, &self.index, self.base_offset, from));
            // The index is a hint.
            self.position = found.unwrap_or(0);
        }
        if self.position >= self.end {
            return Ok(None);
        }
        let (mut whole, first) = self.fill().map_err(|error| failed(&self.log, error))?;
        if whole == 0
            && let Some(first) = first
            && u64::from(first.size) <= self.end - self.position
        {
            self.buffer.resize(self.buffer.len().max(first.size as usize), 0);
            (whole, _) = self.fill().map_err(|error| failed(&self.log, error))?;
        }
        if whole == 0 {
            let (path, position) = (self.log.path().display(), self.position);
            return Err(StorageError::corrupt(format!("no whole batch at position {position} of {path}")));
        }
        self.position += whole as u64;
        Ok(Some(&self.buffer[..whole]))
    }
}
