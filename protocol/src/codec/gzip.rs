//! gzip: one member is written, any number is read, as Java's GZIPInputStream does.

use std::io::{self, Read, Write};

use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

/// zlib's -1, Kafka's default of `compression.gzip.level`.
const DEFAULT_LEVEL: u32 = 6;

const MAGIC: [u8; 2] = [0x1f, 0x8b];

pub(super) fn reader(input: &[u8]) -> impl Read + '_ {
    Members { member: GzDecoder::new(input) }
}

/// One member after the other. What follows the last one and begins no other is ignored, as Java does.
struct Members<'a> {
    member: GzDecoder<&'a [u8]>,
}

impl Read for Members<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.member.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            let rest = *self.member.get_ref();
            if !rest.starts_with(&MAGIC) {
                return Ok(0);
            }
            self.member = GzDecoder::new(rest);
        }
    }
}

pub(super) fn compress(level: Option<i32>, source: &mut dyn Read, output: &mut dyn Write) -> io::Result<()> {
    let level = level.and_then(|level| u32::try_from(level).ok()).unwrap_or(DEFAULT_LEVEL).min(9);
    let mut encoder = GzEncoder::new(output, flate2::Compression::new(level));
    io::copy(source, &mut encoder)?;
    encoder.finish()?;
    Ok(())
}
