//! Walking the batches of a `.log` file from a position on, in one buffer.

use std::io;

use super::disk::DiskFile;
use crate::batch_info::{BatchInfo, HEADER_BYTES};

/// What is read at once. A larger batch that is wanted whole grows the buffer for as long as it is looked at.
const WINDOW_BYTES: usize = 64 * 1024;

/// A window over a file.
pub(crate) struct Scanner<'a> {
    file: &'a dyn DiskFile,
    end: u64,
    buffer: Vec<u8>,
    buffer_start: u64,
    buffer_len: usize,
}

impl<'a> Scanner<'a> {
    /// Over the first `end` bytes of the file.
    pub fn new(file: &'a dyn DiskFile, end: u64) -> Self {
        Self { file, end, buffer: Vec::new(), buffer_start: 0, buffer_len: 0 }
    }

    /// The header of the batch at `position`; nothing where no whole batch follows.
    pub fn header(&mut self, position: u64) -> io::Result<Option<BatchInfo>> {
        let end = self.end;
        let info = BatchInfo::parse(self.bytes(position, HEADER_BYTES)?);
        Ok(info.filter(|info| position + u64::from(info.size) <= end))
    }

    /// `length` bytes at `position`, fewer at the end.
    pub fn bytes(&mut self, position: u64, length: usize) -> io::Result<&[u8]> {
        let length = length.min(usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX));
        let is_there = position >= self.buffer_start
            && position + length as u64 <= self.buffer_start + self.buffer_len as u64;
        if !is_there {
            let left = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
            let wanted = length.max(WINDOW_BYTES.min(left));
            self.buffer.resize(wanted, 0);
            self.buffer_len = self.file.read_at(&mut self.buffer[..wanted], position)?;
            self.buffer_start = position;
        }
        let from = (position - self.buffer_start) as usize;
        let to = (from + length).min(self.buffer_len);
        Ok(&self.buffer[from.min(to)..to])
    }
}
