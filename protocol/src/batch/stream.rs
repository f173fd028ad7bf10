//! Checks compressed records as they inflate, in bounded memory: keys, values and headers are counted and passed over, but for the
//! first bytes that a check asks for.
//! A small batch may inflate to anything, so a broker that only validates must not hold what comes out.

use std::io::Read;

use super::schema_id::Prefix;
use super::{MalformedRecords, Part, SchemaMarks};
use crate::codec::{CHUNK_BYTES, CodecError};

const SMALLEST_CHUNK_BYTES: usize = 512;

/// What validation needs of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordMeta {
    pub offset_delta: i32,
    pub timestamp_delta: i64,
    /// Bytes; negative for null.
    pub key_size: i32,
    /// Bytes; negative for null.
    pub value_size: i32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StreamError {
    Codec(CodecError),
    Malformed(MalformedRecords),
}

impl From<CodecError> for StreamError {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl From<MalformedRecords> for StreamError {
    fn from(error: MalformedRecords) -> Self {
        Self::Malformed(error)
    }
}

/// The records of a reader of inflated bytes.
pub(super) struct RecordStream<'a> {
    reader: &'a mut dyn Read,
    chunk: Box<[u8]>,
    position: usize,
    end: usize,
    /// Bytes given out by the chunks so far, this one included.
    inflated: usize,
    limit: usize,
}

impl<'a> RecordStream<'a> {
    /// Fails with `TooLarge` once more than `limit` bytes were inflated. `compressed_bytes` is what the reader has.
    pub fn new(reader: &'a mut dyn Read, compressed_bytes: usize, limit: usize) -> Self {
        // Clearing a whole chunk would cost more than inflating a batch of one record.
        let chunk_bytes = compressed_bytes.saturating_mul(4).clamp(SMALLEST_CHUNK_BYTES, CHUNK_BYTES);
        Self { reader, chunk: vec![0; chunk_bytes].into(), position: 0, end: 0, inflated: 0, limit }
    }

    /// The next record; what `marks` are about is kept in them.
    pub fn next_record(&mut self, mut marks: Option<&mut SchemaMarks>) -> Result<RecordMeta, StreamError> {
        let declared = self.take_varint()?;
        let length = usize::try_from(declared).map_err(|_| MalformedRecords::NegativeSize(declared))?;
        let start = self.consumed();
        if let Some(marks) = &mut marks {
            marks.begin();
        }

        self.skip(1)?;
        let timestamp_delta = self.take_varlong()?;
        let offset_delta = self.take_varint()?;
        let key_length = self.take_varint()?;
        self.take_nullable(key_length, marks.as_deref_mut().map(|marks| marks.payload(Part::Key)))?;
        let value_length = self.take_varint()?;
        self.take_nullable(value_length, marks.as_deref_mut().map(|marks| marks.payload(Part::Value)))?;
        let headers = self.take_varint()?;
        let headers = usize::try_from(headers).map_err(|_| MalformedRecords::NegativeHeaders(headers))?;
        for _ in 0..headers {
            self.take_header(marks.as_deref_mut())?;
        }
        let read = self.consumed() - start;
        if read != length {
            return Err(MalformedRecords::WrongSize { declared, read: read as i64 }.into());
        }
        Ok(RecordMeta { offset_delta, timestamp_delta, key_size: key_length, value_size: value_length })
    }

    /// Fails unless the stream ends here.
    pub fn finish(&mut self) -> Result<(), StreamError> {
        match self.position == self.end && !self.refill()? {
            true => Ok(()),
            false => Err(MalformedRecords::Remaining.into()),
        }
    }

    fn consumed(&self) -> usize {
        self.inflated - (self.end - self.position)
    }

    #[inline]
    fn take_header(&mut self, marks: Option<&mut SchemaMarks>) -> Result<(), StreamError> {
        let length = self.take_varint()?;
        let length = usize::try_from(length).map_err(|_| MalformedRecords::NegativeHeaderKey(length))?;
        let part = match marks.is_some() && Part::may_be_header(length) {
            true => {
                let mut name = [0; Part::HEADER_BYTES_MAX];
                let name = &mut name[..length];
                self.read_exact(name)?;
                Part::of_header(name)
            }
            false => {
                self.skip(length)?;
                None
            }
        };
        let value_length = self.take_varint()?;
        self.take_nullable(value_length, marks.zip(part).map(|(marks, part)| marks.header(part)))
    }

    /// Any negative length is null, as Kafka reads it.
    #[inline]
    fn take_nullable(&mut self, length: i32, kept: Option<&mut Prefix>) -> Result<(), StreamError> {
        let whole = usize::try_from(length);
        match (whole, kept) {
            (Ok(length), None) => self.skip(length),
            (Err(_), None) => Ok(()),
            (Ok(length), Some(kept)) => {
                let room = kept.make_room(length);
                self.read_exact(room)?;
                self.skip(length - room.len())
            }
            (Err(_), Some(kept)) => {
                kept.set_null();
                Ok(())
            }
        }
    }

    fn read_exact(&mut self, mut room: &mut [u8]) -> Result<(), StreamError> {
        while !room.is_empty() {
            if self.position == self.end && !self.refill()? {
                return Err(MalformedRecords::Truncated.into());
            }
            let step = room.len().min(self.end - self.position);
            room[..step].copy_from_slice(&self.chunk[self.position..self.position + step]);
            self.position += step;
            room = &mut room[step..];
        }
        Ok(())
    }

    fn skip(&mut self, mut count: usize) -> Result<(), StreamError> {
        loop {
            let step = count.min(self.end - self.position);
            self.position += step;
            count -= step;
            if count == 0 {
                return Ok(());
            }
            if !self.refill()? {
                return Err(MalformedRecords::Truncated.into());
            }
        }
    }

    #[inline]
    fn take_byte(&mut self) -> Result<u8, StreamError> {
        if self.position == self.end && !self.refill()? {
            return Err(MalformedRecords::Truncated.into());
        }
        let byte = self.chunk[self.position];
        self.position += 1;
        Ok(byte)
    }

    fn take_varint(&mut self) -> Result<i32, StreamError> {
        let raw = self.take_raw(5)? as u32;
        Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    fn take_varlong(&mut self) -> Result<i64, StreamError> {
        let raw = self.take_raw(10)?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    #[inline]
    fn take_raw(&mut self, max_bytes: u32) -> Result<u64, StreamError> {
        let mut raw = 0u64;
        for position in 0..max_bytes {
            let byte = self.take_byte()?;
            raw |= u64::from(byte & 0x7f).wrapping_shl(7 * position);
            if byte < 0x80 {
                return Ok(raw);
            }
        }
        Err(MalformedRecords::VarintTooLong.into())
    }

    /// Reads the next chunk; false at the end.
    fn refill(&mut self) -> Result<bool, StreamError> {
        self.position = 0;
        self.end = 0;
        self.end = self.reader.read(&mut self.chunk).map_err(CodecError::from)?;
        self.inflated += self.end;
        match self.inflated > self.limit {
            true => Err(CodecError::TooLarge { limit: self.limit }.into()),
            false => Ok(self.end > 0),
        }
    }
}
