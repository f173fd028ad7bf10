//! The four compression codecs of record batches.
//!
//! Enters: the payload of a record batch (all that follows its 61-byte header). Leaves: the same bytes, inflated or
//! compressed as Kafka's clients write them. Every inflation has a limit, and nothing is allocated beyond it.
//! May use: the codec crates and `bytes`.

mod gzip;
mod lz4;
mod snappy;
mod zstd;

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use bytes::Bytes;

/// What one read of a decoder may yield; also the size of every copy buffer here.
pub(crate) const CHUNK_BYTES: usize = 32 * 1024;

/// Bits 0 to 2 of a batch's attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Compression {
    #[default]
    None = 0,
    Gzip = 1,
    Snappy = 2,
    Lz4 = 3,
    Zstd = 4,
}

impl Compression {
    pub const ALL: [Compression; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The codec with this id, the low three bits of the attributes. None for 5 to 7, which name no codec.
    pub fn from_id(id: u8) -> Option<Self> {
        Self::ALL.get(usize::from(id)).copied()
    }

    pub fn id(self) -> u8 {
        self as u8
    }

    /// The name in `compression.type`, where no compression is also called `uncompressed`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Compression {
    type Err = UnknownCompression;

    /// Parses a codec's name as clients (`none`) and topics (`uncompressed`) write it. `producer` is no codec.
    fn from_str(name: &str) -> Result<Self, UnknownCompression> {
        match name {
            "none" | "uncompressed" => Ok(Self::None),
            "gzip" => Ok(Self::Gzip),
            "snappy" => Ok(Self::Snappy),
            "lz4" => Ok(Self::Lz4),
            "zstd" => Ok(Self::Zstd),
            _ => Err(UnknownCompression(name.to_owned())),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCompression(pub String);

impl fmt::Display for UnknownCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unknown compression name: {}", self.0)
    }
}

impl std::error::Error for UnknownCompression {}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CodecError {
    /// The output would pass the limit, in bytes.
    TooLarge { limit: usize },
    /// The input is not what the codec writes.
    Corrupt(String),
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => write!(f, "the data takes more than {limit} bytes"),
            Self::Corrupt(why) => write!(f, "the compressed data is corrupt: {why}"),
        }
    }
}

impl std::error::Error for CodecError {}

impl From<io::Error> for CodecError {
    fn from(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<CodecError>()) {
            Some(own) => own.clone(),
            None => Self::Corrupt(error.to_string()),
        }
    }
}

/// Inflates `input` whole, to at most `limit` bytes.
pub fn decompress(codec: Compression, input: &[u8], limit: usize) -> Result<Bytes, CodecError> {
    if codec == Compression::Lz4
        && let Some(inflated) = lz4::inflate_usual(input, limit)
    {
        return Ok(inflated.into());
    }
    let mut output = Vec::with_capacity(input.len().saturating_mul(4).min(limit));
    with_reader(codec, input, |reader| read_to_limit(reader, limit, &mut output))?;
    Ok(output.into())
}

/// Compresses `input` whole. `level` is that of `compression.{gzip,lz4,zstd}.level`; none is the codec's default.
pub fn compress(codec: Compression, level: Option<i32>, input: &[u8]) -> Result<Bytes, CodecError> {
    compress_from(codec, level, &mut &input[..], usize::MAX)
}

/// Compresses all that `source` yields, in bounded memory: the output stops at `limit` bytes.
pub fn compress_from(
    codec: Compression,
    level: Option<i32>,
    source: &mut dyn Read,
    limit: usize,
) -> Result<Bytes, CodecError> {
    let mut output = Limited { bytes: Vec::new(), limit };
    match codec {
        Compression::None => drop(io::copy(source, &mut output)?),
        Compression::Gzip => gzip::compress(level, source, &mut output)?,
        Compression::Snappy => snappy::compress(source, &mut output)?,
        Compression::Lz4 => lz4::compress(level, source, &mut output)?,
        Compression::Zstd => zstd::compress(level, source, &mut output)?,
    }
    Ok(output.bytes.into())
}

/// Hands `body` a reader of the inflated bytes. The reader's own memory is bounded: by the codec's window (64 KiB for
/// gzip, 4 MiB for lz4, 128 MiB for zstd at its highest level), or for snappy by 22 times the input.
pub fn with_reader<T, E: From<CodecError>>(
    codec: Compression,
    input: &[u8],
    body: impl FnOnce(&mut dyn Read) -> Result<T, E>,
) -> Result<T, E> {
    match codec {
        Compression::None => body(&mut &input[..]),
        // zstd alone takes nothing for an empty stream, here as in Kafka.
        Compression::Gzip | Compression::Snappy | Compression::Lz4 if input.is_empty() => {
            Err(CodecError::Corrupt("no data".to_owned()).into())
        }
        Compression::Gzip => body(&mut gzip::reader(input)),
        Compression::Snappy => body(&mut snappy::reader(input)),
        Compression::Lz4 => body(&mut lz4::reader(input)),
        Compression::Zstd => zstd::with_reader(input, body),
    }
}

fn read_to_limit(reader: &mut dyn Read, limit: usize, output: &mut Vec<u8>) -> Result<(), CodecError> {
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        let count = reader.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        if count > limit - output.len() {
            return Err(CodecError::TooLarge { limit });
        }
        if output.capacity() - output.len() < count {
            // Doubles as Vec would, but never past the limit.
            let target = output.capacity().saturating_mul(2).max(CHUNK_BYTES).min(limit);
            output.reserve_exact(target - output.len());
        }
        output.extend_from_slice(&chunk[..count]);
    }
}

/// A sink that refuses to grow past its limit.
struct Limited {
    bytes: Vec<u8>,
    limit: usize,
}

impl Write for Limited {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if data.len() > self.limit - self.bytes.len() {
            return Err(io::Error::other(CodecError::TooLarge { limit: self.limit }));
        }
        self.bytes.extend_from_slice(data);
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
