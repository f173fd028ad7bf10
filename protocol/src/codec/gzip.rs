//! gzip: one member is written, any number is read, as Java's GZIPInputStream does.

use std::io::{self, Read, Write};

use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;

/// zlib's -1, Kafka's default of `compression.gzip.level`.
const DEFAULT_LEVEL: u32 = 6;

pub(super) fn reader(input: &[u8]) -> impl Read + '_ {
    MultiGzDecoder::new(input)
}

pub(super) fn compress(level: Option<i32>, source: &mut dyn Read, output: &mut dyn Write) -> io::Result<()> {
    let level = level.and_then(|level| u32::try_from(level).ok()).unwrap_or(DEFAULT_LEVEL).min(9);
    let mut encoder = GzEncoder::new(output, flate2::Compression::new(level));
    io::copy(source, &mut encoder)?;
    encoder.finish()?;
    Ok(())
}
