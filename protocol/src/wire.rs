//! The primitives that generated messages are written with: how Kafka puts numbers, strings, arrays and tagged fields on the wire.
//!
//! Reading is safe by construction: nothing is allocated for a length before the bytes behind it have been seen.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use uuid::Uuid;

use crate::shapes::Versions;
use crate::varint;

/// Why bytes are not the message they should be, or why a message cannot be written in a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    Truncated,
    NegativeLength,
    BadVarint,
    NotUtf8,
    /// Null, where this version has no null.
    Null,
    /// A length that points beyond the end.
    TooLong,
    /// A tagged field of another size than it says.
    TaggedFieldSize,
    /// The field is set, and this version cannot say it.
    NotInVersion(&'static str),
    UnsupportedVersion(i16),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Truncated => write!(f, "cut short"),
            WireError::NegativeLength => write!(f, "negative length"),
            WireError::BadVarint => write!(f, "malformed varint"),
            WireError::NotUtf8 => write!(f, "text is not UTF-8"),
            WireError::Null => write!(f, "null where it is not allowed"),
            WireError::TooLong => write!(f, "a length points beyond the end"),
            WireError::TaggedFieldSize => write!(f, "a tagged field of another size than it says"),
            WireError::NotInVersion(field) => write!(f, "this version has no {field}"),
            WireError::UnsupportedVersion(version) => write!(f, "unsupported version {version}"),
        }
    }
}

impl std::error::Error for WireError {}

impl From<bytes::TryGetError> for WireError {
    fn from(_: bytes::TryGetError) -> Self {
        WireError::Truncated
    }
}

/// A message of ours: generated from Kafka's definition of it.
pub trait Wire: Sized {
    const VERSIONS: Versions;

    fn read<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self, WireError>;
    fn write<S: Sink>(&self, out: &mut S, version: i16) -> Result<(), WireError>;

    /// Reads from bytes that hold nothing else but perhaps fields of a newer version at their end.
    fn from_bytes(mut bytes: Bytes, version: i16) -> Result<Self, WireError> {
        if !Self::VERSIONS.contains(version) {
            return Err(WireError::UnsupportedVersion(version));
        }
        Self::read(&mut bytes, version)
    }

    fn to_bytes(&self, version: i16) -> Result<Bytes, WireError> {
        let mut out = BytesMut::new();
        self.append_to(&mut out, version)?;
        Ok(out.freeze())
    }

    fn append_to(&self, out: &mut BytesMut, version: i16) -> Result<(), WireError> {
        if !Self::VERSIONS.contains(version) {
            return Err(WireError::UnsupportedVersion(version));
        }
        self.write(out, version)
    }
}

/// Where bytes go.
pub trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for BytesMut {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts the bytes and drops them.
#[derive(Debug, Default)]
pub struct Count(pub usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// A buffer of kafka-protocol's encoders.
pub(crate) struct Buffer<'a, B>(pub &'a mut B);

impl<B: ByteBufMut> Sink for Buffer<'_, B> {
    fn put(&mut self, bytes: &[u8]) {
        self.0.put_slice(bytes);
    }
}

/// How lengths are written: as fixed integers, or as varints in flexible versions (KIP-482).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    Classic,
    Compact,
}

impl Layout {
    pub fn flexible(flexible: bool) -> Self {
        if flexible { Layout::Compact } else { Layout::Classic }
    }
}

macro_rules! fixed {
    ($($get:ident $put:ident $type:ty, $try_get:ident;)*) => {$(
        pub fn $get<B: ByteBuf>(buf: &mut B) -> Result<$type, WireError> {
            Ok(buf.$try_get()?)
        }

        pub fn $put<S: Sink>(out: &mut S, value: $type) {
            out.put(&value.to_be_bytes());
        }
    )*};
}

fixed! {
    get_i8 put_i8 i8, try_get_i8;
    get_i16 put_i16 i16, try_get_i16;
    get_u16 put_u16 u16, try_get_u16;
    get_i32 put_i32 i32, try_get_i32;
    get_i64 put_i64 i64, try_get_i64;
    get_f64 put_f64 f64, try_get_f64;
}

pub fn get_bool<B: ByteBuf>(buf: &mut B) -> Result<bool, WireError> {
    Ok(buf.try_get_u8()? != 0)
}

pub fn put_bool<S: Sink>(out: &mut S, value: bool) {
    out.put(&[u8::from(value)]);
}

pub fn get_uuid<B: ByteBuf>(buf: &mut B) -> Result<Uuid, WireError> {
    Ok(Uuid::from_u128(buf.try_get_u128()?))
}

pub fn put_uuid<S: Sink>(out: &mut S, value: Uuid) {
    out.put(value.as_bytes());
}

pub fn get_varint<B: ByteBuf>(buf: &mut B) -> Result<u32, WireError> {
    let mut bytes = [0; varint::MAX_LENGTH];
    for at in 0..varint::MAX_LENGTH {
        bytes[at] = buf.try_get_u8()?;
        if bytes[at] & 0x80 == 0 {
            let (value, _) = varint::unsigned(&bytes[..=at]).ok_or(WireError::BadVarint)?;
            return Ok(value);
        }
    }
    Err(WireError::BadVarint)
}

pub fn put_varint<S: Sink>(out: &mut S, value: u32) {
    let (bytes, length) = varint::encode_unsigned(value);
    out.put(&bytes[..length]);
}

pub fn get_string<B: ByteBuf>(buf: &mut B, layout: Layout) -> Result<StrBytes, WireError> {
    get_nullable_string(buf, layout)?.ok_or(WireError::Null)
}

pub fn get_nullable_string<B: ByteBuf>(buf: &mut B, layout: Layout) -> Result<Option<StrBytes>, WireError> {
    let length = match layout {
        Layout::Classic => signed_length(i32::from(get_i16(buf)?))?,
        Layout::Compact => compact_length(buf)?,
    };
    let Some(length) = length else { return Ok(None) };
    let text = StrBytes::from_utf8(take(buf, length)?).map_err(|_| WireError::NotUtf8)?;
    Ok(Some(text))
}

pub fn put_string<S: Sink>(out: &mut S, text: &str, layout: Layout) -> Result<(), WireError> {
    match layout {
        Layout::Classic => put_i16(out, i16::try_from(text.len()).map_err(|_| WireError::TooLong)?),
        Layout::Compact => put_compact_length(out, text.len())?,
    }
    out.put(text.as_bytes());
    Ok(())
}

pub fn put_nullable_string<S: Sink>(
    out: &mut S,
    text: Option<&str>,
    layout: Layout,
) -> Result<(), WireError> {
    match (text, layout) {
        (Some(text), _) => put_string(out, text, layout)?,
        (None, Layout::Classic) => put_i16(out, -1),
        (None, Layout::Compact) => put_varint(out, 0),
    }
    Ok(())
}

pub fn get_bytes<B: ByteBuf>(buf: &mut B, layout: Layout) -> Result<Bytes, WireError> {
    get_nullable_bytes(buf, layout)?.ok_or(WireError::Null)
}

pub fn get_nullable_bytes<B: ByteBuf>(buf: &mut B, layout: Layout) -> Result<Option<Bytes>, WireError> {
    get_length(buf, layout)?.map(|length| take(buf, length)).transpose()
}

pub fn put_bytes<S: Sink>(out: &mut S, bytes: &[u8], layout: Layout) -> Result<(), WireError> {
    put_length(out, bytes.len(), layout)?;
    out.put(bytes);
    Ok(())
}

pub fn put_nullable_bytes<S: Sink>(
    out: &mut S,
    bytes: Option<&[u8]>,
    layout: Layout,
) -> Result<(), WireError> {
    match bytes {
        Some(bytes) => put_bytes(out, bytes, layout),
        None => {
            put_null_length(out, layout);
            Ok(())
        }
    }
}

pub fn get_array<B: ByteBuf, T>(
    buf: &mut B,
    layout: Layout,
    element: impl FnMut(&mut B) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    get_nullable_array(buf, layout, element)?.ok_or(WireError::Null)
}

pub fn get_nullable_array<B: ByteBuf, T>(
    buf: &mut B,
    layout: Layout,
    mut element: impl FnMut(&mut B) -> Result<T, WireError>,
) -> Result<Option<Vec<T>>, WireError> {
    let Some(count) = get_length(buf, layout)? else { return Ok(None) };
    if count > buf.remaining() {
        return Err(WireError::TooLong);
    }
    // Whatever its count says, an array begins with no more bytes than are left, and doubles with what is really there.
    let mut elements: Vec<T> = Vec::with_capacity(count.min(buf.remaining() / size_of::<T>().max(1)));
    for read in 0..count {
        if read == elements.capacity() {
            elements.reserve_exact((count - read).min(read.max(1)));
        }
        elements.push(element(buf)?);
    }
    Ok(Some(elements))
}

pub fn put_array<S: Sink, T>(
    out: &mut S,
    elements: &[T],
    layout: Layout,
    mut element: impl FnMut(&mut S, &T) -> Result<(), WireError>,
) -> Result<(), WireError> {
    put_length(out, elements.len(), layout)?;
    elements.iter().try_for_each(|each| element(out, each))
}

pub fn put_nullable_array<S: Sink, T>(
    out: &mut S,
    elements: Option<&[T]>,
    layout: Layout,
    element: impl FnMut(&mut S, &T) -> Result<(), WireError>,
) -> Result<(), WireError> {
    match elements {
        Some(elements) => put_array(out, elements, layout, element),
        None => {
            put_null_length(out, layout);
            Ok(())
        }
    }
}

pub fn get_nullable_struct<B: ByteBuf, T: Wire>(buf: &mut B, version: i16) -> Result<Option<T>, WireError> {
    if get_i8(buf)? < 0 { Ok(None) } else { T::read(buf, version).map(Some) }
}

pub fn put_nullable_struct<S: Sink, T: Wire>(
    out: &mut S,
    value: Option<&T>,
    version: i16,
) -> Result<(), WireError> {
    match value {
        Some(value) => {
            put_i8(out, 1);
            value.write(out, version)
        }
        None => {
            put_i8(out, -1);
            Ok(())
        }
    }
}

/// A struct that is a tagged field says whether it is there with a varint, and not with a byte as any other.
pub fn get_nullable_tagged_struct<B: ByteBuf, T: Wire>(
    buf: &mut B,
    version: i16,
) -> Result<Option<T>, WireError> {
    if get_varint(buf)? == 0 { Ok(None) } else { T::read(buf, version).map(Some) }
}

pub fn put_nullable_tagged_struct<S: Sink, T: Wire>(
    out: &mut S,
    value: Option<&T>,
    version: i16,
) -> Result<(), WireError> {
    put_varint(out, u32::from(value.is_some()));
    value.map_or(Ok(()), |value| value.write(out, version))
}

/// Hands each tagged field to `field`, which reads it whole or clears what it does not know.
pub fn get_tagged_fields<B: ByteBuf>(
    buf: &mut B,
    mut field: impl FnMut(u32, &mut Bytes) -> Result<(), WireError>,
) -> Result<(), WireError> {
    let count = get_varint(buf)?;
    for _ in 0..count {
        let tag = get_varint(buf)?;
        let size = get_varint(buf)? as usize;
        let mut value = take(buf, size)?;
        field(tag, &mut value)?;
        if value.has_remaining() {
            return Err(WireError::TaggedFieldSize);
        }
    }
    Ok(())
}

/// The tagged fields of one struct that are not at their default, by ascending tag.
#[derive(Debug, Default)]
pub struct TaggedFields {
    count: u32,
    encoded: Vec<u8>,
}

impl TaggedFields {
    pub fn add(
        &mut self,
        tag: u32,
        value: impl FnOnce(&mut Vec<u8>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let mut encoded = Vec::new();
        value(&mut encoded)?;
        put_varint(&mut self.encoded, tag);
        put_varint(&mut self.encoded, u32::try_from(encoded.len()).map_err(|_| WireError::TooLong)?);
        self.encoded.put(&encoded);
        self.count += 1;
        Ok(())
    }

    pub fn finish<S: Sink>(self, out: &mut S) {
        put_varint(out, self.count);
        out.put(&self.encoded);
    }
}

fn get_length<B: ByteBuf>(buf: &mut B, layout: Layout) -> Result<Option<usize>, WireError> {
    match layout {
        Layout::Classic => signed_length(get_i32(buf)?),
        Layout::Compact => compact_length(buf),
    }
}

fn signed_length(length: i32) -> Result<Option<usize>, WireError> {
    match length {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| WireError::NegativeLength),
    }
}

fn compact_length<B: ByteBuf>(buf: &mut B) -> Result<Option<usize>, WireError> {
    Ok((get_varint(buf)? as usize).checked_sub(1))
}

fn take<B: ByteBuf>(buf: &mut B, length: usize) -> Result<Bytes, WireError> {
    buf.try_get_bytes(length).map_err(|_| WireError::TooLong)
}

fn put_length<S: Sink>(out: &mut S, length: usize, layout: Layout) -> Result<(), WireError> {
    match layout {
        Layout::Classic => put_i32(out, i32::try_from(length).map_err(|_| WireError::TooLong)?),
        Layout::Compact => put_compact_length(out, length)?,
    }
    Ok(())
}

fn put_compact_length<S: Sink>(out: &mut S, length: usize) -> Result<(), WireError> {
    put_varint(out, u32::try_from(length + 1).map_err(|_| WireError::TooLong)?);
    Ok(())
}

fn put_null_length<S: Sink>(out: &mut S, layout: Layout) {
    match layout {
        Layout::Classic => put_i32(out, -1),
        Layout::Compact => put_varint(out, 0),
    }
}

/// Gives a generated message the traits of kafka-protocol's, so that handlers treat it like any other.
macro_rules! wire_message {
    ($name:ty, $header_version:expr) => {
        wire_struct!($name);

        impl kafka_protocol::protocol::HeaderVersion for $name {
            fn header_version(version: i16) -> i16 {
                let header_version: fn(i16) -> i16 = $header_version;
                header_version(version)
            }
        }

        impl kafka_protocol::protocol::Message for $name {
            const VERSIONS: kafka_protocol::protocol::VersionRange = kafka_protocol::protocol::VersionRange {
                min: <Self as $crate::wire::Wire>::VERSIONS.min,
                max: <Self as $crate::wire::Wire>::VERSIONS.max,
            };
            const DEPRECATED_VERSIONS: Option<kafka_protocol::protocol::VersionRange> = None;
        }
    };
}

macro_rules! wire_struct {
    ($name:ty) => {
        impl kafka_protocol::protocol::Encodable for $name {
            fn encode<B: kafka_protocol::protocol::buf::ByteBufMut>(
                &self,
                buf: &mut B,
                version: i16,
            ) -> anyhow::Result<()> {
                Ok($crate::wire::Wire::write(self, &mut $crate::wire::Buffer(buf), version)?)
            }

            fn compute_size(&self, version: i16) -> anyhow::Result<usize> {
                let mut count = $crate::wire::Count::default();
                $crate::wire::Wire::write(self, &mut count, version)?;
                Ok(count.0)
            }
        }

        impl kafka_protocol::protocol::Decodable for $name {
            fn decode<B: kafka_protocol::protocol::buf::ByteBuf>(
                buf: &mut B,
                version: i16,
            ) -> anyhow::Result<Self> {
                Ok(<Self as $crate::wire::Wire>::read(buf, version)?)
            }
        }
    };
}

pub(crate) use {wire_message, wire_struct};
