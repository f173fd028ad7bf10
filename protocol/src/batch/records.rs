//! Walks the records of an inflated payload, without allocating.

use std::fmt;

use super::varint::{take_i32, take_i64};

/// The records of a payload, in order. Ends after the first error; a payload with more or fewer bytes than `count`
/// records is an error too.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
    left: i32,
}

impl<'a> Records<'a> {
    /// `payload` is what `RecordBatch::inflate` gives, `count` the header's `records_count`.
    pub fn new(payload: &'a [u8], count: i32) -> Self {
        Self { rest: payload, left: count }
    }

    fn fail(&mut self, error: MalformedRecords) -> Option<Result<RecordView<'a>, MalformedRecords>> {
        self.left = 0;
        self.rest = &[];
        Some(Err(error))
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<RecordView<'a>, MalformedRecords>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return match (self.left < 0, self.rest.is_empty()) {
                (true, _) => self.fail(MalformedRecords::NegativeCount),
                (false, false) => self.fail(MalformedRecords::Remaining),
                (false, true) => None,
            };
        }
        self.left -= 1;
        match take_record(&mut self.rest) {
            Ok(record) => Some(Ok(record)),
            Err(error) => self.fail(error),
        }
    }
}

/// One record, as slices of its batch.
#[derive(Debug, Clone, Copy)]
pub struct RecordView<'a> {
    pub offset_delta: i32,
    /// Milliseconds after the batch's base timestamp; may be negative.
    pub timestamp_delta: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    headers: Headers<'a>,
    size: usize,
}

impl<'a> RecordView<'a> {
    /// The headers in the producer's order, duplicate keys and all.
    pub fn headers(&self) -> Headers<'a> {
        self.headers
    }

    pub fn headers_count(&self) -> usize {
        self.headers.left
    }

    /// The headers as they lie.
    pub(super) fn headers_bytes(&self) -> &'a [u8] {
        self.headers.rest
    }

    /// Bytes of the whole record, its length included.
    pub fn size(&self) -> usize {
        self.size
    }
}

/// The headers of one record, checked when the record was read.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    rest: &'a [u8],
    left: usize,
}

impl Headers<'_> {
    pub const EMPTY: Headers<'static> = Headers { rest: &[], left: 0 };
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        take_header(&mut self.rest).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// What keeps bytes from being records. The words are those of Kafka's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MalformedRecords {
    Truncated,
    Remaining,
    NegativeCount,
    VarintTooLong,
    NegativeSize(i32),
    NegativeHeaders(i32),
    TooManyHeaders(i32),
    NegativeHeaderKey(i32),
    WrongSize { declared: i32, read: i64 },
}

impl fmt::Display for MalformedRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("Incorrect declared batch size, premature EOF reached"),
            Self::Remaining => f.write_str("Incorrect declared batch size, records still remaining in file"),
            Self::NegativeCount => f.write_str("Found invalid record count in magic v2 batch"),
            Self::VarintTooLong | Self::NegativeSize(_) => f.write_str("Found invalid record structure"),
            Self::NegativeHeaders(count) => write!(f, "Found invalid number of record headers {count}"),
            Self::TooManyHeaders(count) => {
                write!(
                    f,
                    "Found invalid number of record headers. {count} is larger than the remaining size of the buffer"
                )
            }
            Self::NegativeHeaderKey(size) => write!(f, "Invalid negative header key size {size}"),
            Self::WrongSize { declared, read } => write!(
                f,
                "Invalid record size: expected to read {declared} bytes in record payload, but instead read {read}"
            ),
        }
    }
}

impl std::error::Error for MalformedRecords {}

#[inline]
fn take_record<'a>(rest: &mut &'a [u8]) -> Result<RecordView<'a>, MalformedRecords> {
    let before = rest.len();
    let declared = take_i32(rest)?;
    let length = usize::try_from(declared).map_err(|_| MalformedRecords::NegativeSize(declared))?;
    let mut body = take(rest, length)?;
    let size = before - rest.len();

    // The record's attributes: none is in use.
    take(&mut body, 1)?;
    let timestamp_delta = take_i64(&mut body)?;
    let offset_delta = take_i32(&mut body)?;
    let key = take_nullable(&mut body)?;
    let value = take_nullable(&mut body)?;
    let headers = take_headers(&mut body)?;
    if !body.is_empty() {
        return Err(MalformedRecords::WrongSize { declared, read: (length - body.len()) as i64 });
    }
    Ok(RecordView { offset_delta, timestamp_delta, key, value, headers, size })
}

#[inline]
fn take_headers<'a>(body: &mut &'a [u8]) -> Result<Headers<'a>, MalformedRecords> {
    let count = take_i32(body)?;
    if count == 0 {
        return Ok(Headers::EMPTY);
    }
    let left = usize::try_from(count).map_err(|_| MalformedRecords::NegativeHeaders(count))?;
    if left > body.len() {
        return Err(MalformedRecords::TooManyHeaders(count));
    }
    let start = *body;
    for _ in 0..left {
        take_header(body)?;
    }
    Ok(Headers { rest: &start[..start.len() - body.len()], left })
}

fn take_header<'a>(rest: &mut &'a [u8]) -> Result<(&'a [u8], Option<&'a [u8]>), MalformedRecords> {
    let length = take_i32(rest)?;
    let length = usize::try_from(length).map_err(|_| MalformedRecords::NegativeHeaderKey(length))?;
    Ok((take(rest, length)?, take_nullable(rest)?))
}

/// Any negative length is null, as Kafka reads it.
#[inline]
fn take_nullable<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, MalformedRecords> {
    match usize::try_from(take_i32(rest)?) {
        Ok(length) => take(rest, length).map(Some),
        Err(_) => Ok(None),
    }
}

#[inline]
fn take<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], MalformedRecords> {
    let (head, tail) = rest.split_at_checked(length).ok_or(MalformedRecords::Truncated)?;
    *rest = tail;
    Ok(head)
}
