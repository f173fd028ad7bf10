//! lz4 frames with a right header checksum (KIP-57), as batches of magic 2 carry them.
//!
//! Written like Kafka's own: independent blocks of 64 KiB, no content size, no checksums. Read: any valid frame.
//! The encoder has one level, so `compression.lz4.level` does not change the output.

use std::io::{self, Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

pub(super) fn reader(input: &[u8]) -> impl Read + '_ {
    FrameDecoder::new(input)
}

pub(super) fn compress(source: &mut dyn Read, output: &mut dyn Write) -> io::Result<()> {
    let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, output);
    // The frame header is written with the first block: an empty source must write one too.
    io::copy(source, &mut encoder)?;
    encoder.finish().map_err(io::Error::from)?;
    Ok(())
}
