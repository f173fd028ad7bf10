//! lz4 frames with a right header checksum (KIP-57), as batches of magic 2 carry them.
//!
//! Written like Kafka's own: independent blocks of 64 KiB, no content size, no checksums. Read: any valid frame.
//! The encoder has one level, so `compression.lz4.level` does not change the output.

use std::io::{self, Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

const MAGIC_BYTES: usize = 4;
const BLOCK_CHECKSUM_FLAG: u8 = 0x10;
const CONTENT_SIZE_FLAG: u8 = 0x08;
const DICTIONARY_FLAG: u8 = 0x01;
/// The bit of a block's size that says it is stored, not compressed.
const STORED_BLOCK_BIT: u32 = 1 << 31;

/// Reads one frame; what follows it is ignored, as Kafka does.
pub(super) fn reader(input: &[u8]) -> impl Read + '_ {
    Frame { decoder: FrameDecoder::new(input), has_end: has_end_mark(input) }
}

/// The decoder takes a frame that ends between two blocks for a whole one; Kafka's clients do not.
struct Frame<'a> {
    decoder: FrameDecoder<&'a [u8]>,
    has_end: bool,
}

impl Read for Frame<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        match count == 0 && !buffer.is_empty() && !self.has_end {
            true => Err(io::ErrorKind::UnexpectedEof.into()),
            false => Ok(count),
        }
    }
}

/// Steps over the blocks of a frame.
fn has_end_mark(frame: &[u8]) -> bool {
    let Some(flags) = frame.get(MAGIC_BYTES).copied() else { return false };
    let optional = |flag, bytes| if flags & flag == 0 { 0 } else { bytes };
    // Flags, block size, header checksum.
    let header_bytes = MAGIC_BYTES + 3 + optional(CONTENT_SIZE_FLAG, 8) + optional(DICTIONARY_FLAG, 4);
    let checksum_bytes = optional(BLOCK_CHECKSUM_FLAG, 4);
    let mut rest = frame.get(header_bytes..);
    while let Some((size, blocks)) = rest.and_then(|rest| rest.split_first_chunk()) {
        let size = u32::from_le_bytes(*size);
        if size == 0 {
            return true;
        }
        let skipped = (size & !STORED_BLOCK_BIT) as usize + checksum_bytes;
        rest = blocks.get(skipped..);
    }
    false
}

pub(super) fn compress(source: &mut dyn Read, output: &mut dyn Write) -> io::Result<()> {
    let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, output);
    // The frame header is written with the first block: an empty source must write one too.
    io::copy(source, &mut encoder)?;
    encoder.finish().map_err(io::Error::from)?;
    Ok(())
}
