//! Enters: a request body as a client sent it. Leaves: whether its decoder may see it.
//!
//! kafka-protocol's decoder trusts lengths: five bytes of Metadata v12 make it ask for 309 GB, which aborts the process. So this walks
//! over the body first, by the table of shapes, and checks every length and count against the bytes that are left, and what the decoded
//! request would take in memory against an allowance. It copies and allocates nothing; records are skipped by their length.
//!
//! Bytes after the body are let pass, as Kafka does.

use std::fmt;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use crate::shapes::{self, Field, Kind, Message, Shape};
use crate::varint;

/// What a decoded request may take, in bytes, however short it is on the wire.
const MEMORY_FLOOR: usize = 1024 * 1024;
/// What it may take in addition for each byte on the wire. Requests of real clients stay below 8.
const MEMORY_PER_BYTE: usize = 16;
/// What it may take at most. A hundred thousand partitions take a tenth of it.
const MEMORY_CEILING: usize = 256 * 1024 * 1024;

/// A slot of an array of strings or bytes.
const TEXT_MEMORY: usize = 32;
/// An unknown tagged field: it may be the first of the decoder's map, which then takes a whole node.
const UNKNOWN_FIELD_MEMORY: usize = 512;

/// Why a body was refused, and at which field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardError {
    UnknownApi {
        api_key: i16,
    },
    UnsupportedVersion {
        message: &'static str,
        version: i16,
    },
    /// The body ends inside the field, or the field's length points beyond the body's end.
    Truncated {
        field: &'static str,
    },
    NotNullable {
        field: &'static str,
    },
    NegativeLength {
        field: &'static str,
    },
    /// More elements than bytes are left. Kafka's rule, and it holds for elements that take no bytes.
    TooManyElements {
        field: &'static str,
    },
    TooMuchMemory {
        field: &'static str,
    },
    BadVarint {
        field: &'static str,
    },
    /// A tagged field that is longer or shorter than its size says.
    TaggedFieldSize {
        field: &'static str,
    },
}

impl fmt::Display for GuardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            GuardError::UnknownApi { api_key } => write!(f, "unknown api key {api_key}"),
            GuardError::UnsupportedVersion { message, version } => {
                write!(f, "unsupported version {version} of {message}")
            }
            GuardError::Truncated { field } => write!(f, "{field}: longer than the request"),
            GuardError::NotNullable { field } => write!(f, "{field}: null, but not nullable"),
            GuardError::NegativeLength { field } => write!(f, "{field}: negative length"),
            GuardError::TooManyElements { field } => write!(f, "{field}: more elements than bytes"),
            GuardError::TooMuchMemory { field } => {
                write!(f, "{field}: too many elements for a request of this size")
            }
            GuardError::BadVarint { field } => write!(f, "{field}: malformed varint"),
            GuardError::TaggedFieldSize { field } => {
                write!(f, "{field}: a tagged field of another size than it says")
            }
        }
    }
}

impl std::error::Error for GuardError {}

/// Checks the body of a request.
pub fn check(api_key: i16, version: i16, body: &[u8]) -> Result<(), GuardError> {
    let message = shapes::request(api_key).ok_or(GuardError::UnknownApi { api_key })?;
    if !message.versions.contains(version) {
        return Err(GuardError::UnsupportedVersion { message: message.name, version });
    }
    Walk::new(message, version, body).shape(&message.body)
}

/// The body with a `?` for each byte that is not UTF-8 in its strings; `None` if there is none, or if the body is malformed.
///
/// Kafka reads such text with replacement characters and answers; the decoder would refuse it. A `?` keeps all lengths as they are.
pub fn replace_malformed_text(api_key: i16, version: i16, body: &[u8]) -> Option<Bytes> {
    let message = shapes::request(api_key)?;
    let mut walk = Walk::new(message, version, body);
    walk.malformed = Some(Vec::new());
    walk.shape(&message.body).ok()?;
    let malformed = walk.malformed.filter(|texts| !texts.is_empty())?;
    let mut repaired = BytesMut::from(body);
    for range in malformed {
        replace_malformed(&mut repaired[range]);
    }
    Some(repaired.freeze())
}

fn replace_malformed(mut text: &mut [u8]) {
    while let Err(error) = std::str::from_utf8(text) {
        let at = error.valid_up_to();
        let length = error.error_len().unwrap_or(text.len() - at);
        text[at..at + length].fill(b'?');
        text = &mut text[at + length..];
    }
}

/// What the decoded form of so many bytes may take, in bytes.
pub fn allowance(length: usize) -> usize {
    length.saturating_mul(MEMORY_PER_BYTE).saturating_add(MEMORY_FLOOR).min(MEMORY_CEILING)
}

struct Walk<'a> {
    body: &'a [u8],
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    /// Bytes of memory that may still be spent.
    allowance: usize,
    /// Where strings are not UTF-8, when that is asked.
    malformed: Option<Vec<Range<usize>>>,
}

impl<'a> Walk<'a> {
    fn new(message: &'static Message, version: i16, body: &'a [u8]) -> Self {
        let flexible = message.flexible.contains(version);
        Walk { body, rest: body, version, flexible, allowance: allowance(body.len()), malformed: None }
    }

    fn shape(&mut self, shape: &'static Shape) -> Result<(), GuardError> {
        for field in shape.fields {
            if field.tag.is_none() && field.versions.contains(self.version) {
                self.value(field, &field.kind)?;
            }
        }
        if self.flexible { self.tagged_fields(shape) } else { Ok(()) }
    }

    fn value(&mut self, field: &'static Field, kind: &'static Kind) -> Result<(), GuardError> {
        match kind {
            Kind::Fixed(width) => self.skip(field.name, *width),
            Kind::String => {
                let length = self.string_length(field)?;
                let from = self.body.len() - self.rest.len();
                self.skip(field.name, length)?;
                self.note_malformed(from..from + length);
                Ok(())
            }
            Kind::Bytes => {
                let length = self.length(field)?;
                self.skip(field.name, length)
            }
            Kind::Array(element) => {
                let count = self.length(field)?;
                self.elements(field, element, count)
            }
            Kind::Struct(shape) => {
                if field.nullable.contains(self.version) && self.is_null_struct(field)? {
                    return Ok(());
                }
                self.shape(shape)
            }
        }
    }

    fn elements(
        &mut self,
        field: &'static Field,
        element: &'static Kind,
        count: usize,
    ) -> Result<(), GuardError> {
        if count > self.rest.len() {
            return Err(GuardError::TooManyElements { field: field.name });
        }
        match element {
            Kind::Fixed(width) => {
                self.spend(field.name, count, (*width).max(2))?;
                self.skip(field.name, count.saturating_mul(*width))
            }
            Kind::Struct(shape) => {
                self.spend(field.name, count, shape.memory as usize)?;
                for _ in 0..count {
                    self.shape(shape)?;
                }
                Ok(())
            }
            Kind::String | Kind::Bytes | Kind::Array(_) => {
                self.spend(field.name, count, TEXT_MEMORY)?;
                for _ in 0..count {
                    self.value(field, element)?;
                }
                Ok(())
            }
        }
    }

    /// The fields by tag, in whatever order they come. A known one must be exactly as long as its size says.
    fn tagged_fields(&mut self, shape: &'static Shape) -> Result<(), GuardError> {
        const FIELD: &str = "tagged fields";
        let count = self.varint(FIELD)? as usize;
        if count > self.rest.len() {
            return Err(GuardError::TooManyElements { field: FIELD });
        }
        for _ in 0..count {
            let tag = self.varint(FIELD)?;
            let size = self.varint(FIELD)? as usize;
            let known = shape
                .fields
                .iter()
                .find(|field| field.tag == Some(tag) && field.versions.contains(self.version));
            let Some(field) = known else {
                self.spend(FIELD, 1, UNKNOWN_FIELD_MEMORY)?;
                self.skip(FIELD, size)?;
                continue;
            };
            let after =
                self.rest.len().checked_sub(size).ok_or(GuardError::Truncated { field: field.name })?;
            self.value(field, &field.kind)?;
            if self.rest.len() != after {
                return Err(GuardError::TaggedFieldSize { field: field.name });
            }
        }
        Ok(())
    }

    fn string_length(&mut self, field: &'static Field) -> Result<usize, GuardError> {
        if self.flexible {
            return self.compact_length(field);
        }
        let length = i16::from_be_bytes(self.take(field.name)?);
        self.signed_length(field, i32::from(length))
    }

    fn length(&mut self, field: &'static Field) -> Result<usize, GuardError> {
        if self.flexible {
            return self.compact_length(field);
        }
        let length = i32::from_be_bytes(self.take(field.name)?);
        self.signed_length(field, length)
    }

    /// Null counts as no bytes.
    fn compact_length(&mut self, field: &'static Field) -> Result<usize, GuardError> {
        match self.varint(field.name)? {
            0 => self.null(field),
            length => Ok(length as usize - 1),
        }
    }

    fn signed_length(&self, field: &'static Field, length: i32) -> Result<usize, GuardError> {
        match length {
            -1 => self.null(field),
            length => usize::try_from(length).map_err(|_| GuardError::NegativeLength { field: field.name }),
        }
    }

    fn null(&self, field: &'static Field) -> Result<usize, GuardError> {
        if field.nullable.contains(self.version) {
            Ok(0)
        } else {
            Err(GuardError::NotNullable { field: field.name })
        }
    }

    /// A nullable struct begins with a byte: -1 for null, 1 for a value.
    fn is_null_struct(&mut self, field: &'static Field) -> Result<bool, GuardError> {
        match i8::from_be_bytes(self.take(field.name)?) {
            -1 => Ok(true),
            1 => Ok(false),
            _ => Err(GuardError::NegativeLength { field: field.name }),
        }
    }

    fn varint(&mut self, field: &'static str) -> Result<u32, GuardError> {
        let (value, length) = varint::unsigned(self.rest).ok_or(GuardError::BadVarint { field })?;
        self.rest = &self.rest[length..];
        Ok(value)
    }

    fn take<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], GuardError> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>().ok_or(GuardError::Truncated { field })?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn skip(&mut self, field: &'static str, length: usize) -> Result<(), GuardError> {
        self.rest = self.rest.get(length..).ok_or(GuardError::Truncated { field })?;
        Ok(())
    }

    fn note_malformed(&mut self, text: Range<usize>) {
        if let Some(malformed) = &mut self.malformed
            && std::str::from_utf8(&self.body[text.clone()]).is_err()
        {
            malformed.push(text);
        }
    }

    fn spend(&mut self, field: &'static str, count: usize, memory: usize) -> Result<(), GuardError> {
        let needed = count.saturating_mul(memory);
        self.allowance = self.allowance.checked_sub(needed).ok_or(GuardError::TooMuchMemory { field })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: i16 = 3;

    #[track_caller]
    fn refuses(api_key: i16, version: i16, body: &[u8], expected: GuardError) {
        assert_eq!(check(api_key, version, body), Err(expected));
    }

    #[test]
    fn five_bytes_of_metadata() {
        refuses(
            METADATA,
            12,
            &[0xff, 0xff, 0xff, 0xff, 0x0f],
            GuardError::TooManyElements { field: "Topics" },
        );
    }

    #[test]
    fn lengths_beyond_the_end() {
        refuses(METADATA, 0, &[0, 0, 0, 1], GuardError::TooManyElements { field: "Topics" });
        refuses(METADATA, 0, &[0, 0, 0, 1, 0], GuardError::Truncated { field: "Name" });
        refuses(METADATA, 0, &[0, 0, 0, 1, 0, 3, b'a', b'b'], GuardError::Truncated { field: "Name" });
        refuses(METADATA, 0, &[0x7f, 0xff, 0xff, 0xff], GuardError::TooManyElements { field: "Topics" });
        assert_eq!(check(METADATA, 0, &[0, 0, 0, 1, 0, 2, b'a', b'b']), Ok(()));
    }

    #[test]
    fn nulls_by_version() {
        refuses(METADATA, 0, &[0xff, 0xff, 0xff, 0xff], GuardError::NotNullable { field: "Topics" });
        assert_eq!(check(METADATA, 1, &[0xff, 0xff, 0xff, 0xff]), Ok(()));
        refuses(METADATA, 1, &[0xff, 0xff, 0xff, 0xfe], GuardError::NegativeLength { field: "Topics" });
    }

    #[test]
    fn bytes_after_the_body_pass() {
        assert_eq!(check(METADATA, 0, &[0, 0, 0, 0, 1, 2, 3]), Ok(()));
    }

    #[test]
    fn memory_grows_with_the_request_only() {
        // A Metadata v9 topic is two bytes here and some eighty in memory.
        let body = |topics: usize| {
            let (count, length) = varint::encode_unsigned(topics as u32 + 1);
            let mut body = count[..length].to_vec();
            body.extend(std::iter::repeat_n([1, 0], topics).flatten());
            body.extend([0, 0, 0, 0]);
            body
        };
        assert_eq!(check(METADATA, 9, &body(5_000)), Ok(()));
        refuses(METADATA, 9, &body(500_000), GuardError::TooMuchMemory { field: "Topics" });
    }

    #[test]
    fn malformed_text_is_replaced() {
        let body = b"\0\0\0\x02\0\x03a\xffb\0\x02\xc3\xa9";
        let repaired = replace_malformed_text(METADATA, 0, body).unwrap();
        assert_eq!(&repaired[..], b"\0\0\0\x02\0\x03a?b\0\x02\xc3\xa9");
        assert_eq!(replace_malformed_text(METADATA, 0, &repaired), None);
        let cut_short = replace_malformed_text(METADATA, 0, b"\0\0\0\x01\0\x02a\xc3").unwrap();
        assert_eq!(&cut_short[..], b"\0\0\0\x01\0\x02a?");
    }

    #[test]
    fn unknown_api_and_version() {
        refuses(999, 0, &[], GuardError::UnknownApi { api_key: 999 });
        refuses(
            METADATA,
            14,
            &[],
            GuardError::UnsupportedVersion { message: "MetadataRequest", version: 14 },
        );
    }
}
