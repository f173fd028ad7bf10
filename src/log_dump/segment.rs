//! A `.log` or `.checkpoint` file, read batch by batch.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use ottla_protocol::batch::{LOG_OVERHEAD_BYTES, RecordBatch, Records};

use super::{DumpError, damaged};

/// What a batch's header must have before its format is known.
const HEADER_TO_MAGIC_BYTES: u64 = 17;

/// The smallest record that ever was.
const MIN_RECORD_BYTES: i32 = 14;

/// The most that one batch may inflate to: a hundred times what brokers take by default.
const MAX_INFLATED_BYTES: usize = 1 << 30;

pub struct Segment {
    path: PathBuf,
    file: File,
    size: u64,
}

impl Segment {
    pub fn open(path: &Path) -> Result<Self, DumpError> {
        let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (size, file) = opened.map_err(|error| DumpError::Read(path.to_owned(), error))?;
        Ok(Self { path: path.to_owned(), file, size })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The batch at `position`; `None` when it does not lie wholly before `end`.
    pub fn batch(&mut self, position: u64, end: u64) -> Result<Option<RecordBatch>, DumpError> {
        let end = end.min(self.size);
        if position.saturating_add(HEADER_TO_MAGIC_BYTES) >= end {
            return Ok(None);
        }
        let header = self.bytes(position, HEADER_TO_MAGIC_BYTES)?;
        let length = i32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        if length < MIN_RECORD_BYTES {
            let why = format!(
                "position {position}: Found record size {length} smaller than minimum record overhead ({MIN_RECORD_BYTES})"
            );
            return Err(damaged(&self.path, why));
        }
        let size = length as u64 + LOG_OVERHEAD_BYTES as u64;
        if position + size > end {
            return Ok(None);
        }
        let bytes = self.bytes(position, size)?;
        let batch = RecordBatch::parse(&bytes);
        batch.map(Some).map_err(|error| damaged(&self.path, format!("position {position}: {error}")))
    }

    fn bytes(&mut self, position: u64, size: u64) -> Result<Bytes, DumpError> {
        let mut read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            self.file.seek(SeekFrom::Start(position))?;
            // Grows with what is there: a file may be cut short while it is read.
            let count = (&self.file).take(size).read_to_end(&mut bytes)?;
            if count as u64 == size { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        };
        read().map(Bytes::from).map_err(|error| DumpError::Read(self.path.clone(), error))
    }
}

/// The records of a batch as bytes, to be walked with [`records`].
pub fn inflated(batch: &RecordBatch, path: &Path) -> Result<Bytes, DumpError> {
    let inflated = batch.inflate(MAX_INFLATED_BYTES);
    inflated.map_err(|error| damaged(path, format!("the batch at offset {}: {error}", batch.base_offset)))
}

pub fn records<'a>(batch: &RecordBatch, payload: &'a Bytes) -> Records<'a> {
    Records::new(payload, batch.records_count)
}

/// The base offset that a segment's files have as their name.
pub fn base_offset(path: &Path) -> Result<i64, DumpError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let digits = name.split('.').next().unwrap_or_default();
    digits.parse().map_err(|_| damaged(path, "its name does not begin with a segment's base offset"))
}
