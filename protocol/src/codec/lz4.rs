//! lz4 frames with a right header checksum (KIP-57), as batches of magic 2 carry them.
//!
//! Written like Kafka's own: independent blocks of 64 KiB, no content size, no checksums. Read: any valid frame.

use std::cell::Cell;
use std::io::{self, Cursor, Read, Write};
use std::marker::PhantomData;

use lz4::block::{CompressionMode, compress_bound, compress_to_buffer};
use lz4_flex::block::{DecompressError, decompress_into};
use lz4_flex::frame::{BlockSize, FrameDecoder};

/// Kafka's default of `compression.lz4.level`.
const DEFAULT_LEVEL: i32 = 9;

const MAGIC: [u8; 4] = 0x184d_2204u32.to_le_bytes();
const MAGIC_BYTES: usize = MAGIC.len();
/// Version 1, independent blocks, nothing optional but a checksum of the content.
const USUAL_FLAGS: u8 = 0x60;
const CONTENT_CHECKSUM_FLAG: u8 = 0x04;
const BLOCK_CHECKSUM_FLAG: u8 = 0x10;
const CONTENT_SIZE_FLAG: u8 = 0x08;
const DICTIONARY_FLAG: u8 = 0x01;
/// The bit of a block's size that says it is stored, not compressed.
const STORED_BLOCK_BIT: u32 = 1 << 31;

/// All that is in a frame of the usual kind, inflated straight into its place. The reader's own memory is as large as the
/// largest block that the frame allows, 4 MiB with several clients, which is too much to be kept: to take it anew for each
/// frame takes longer than the inflation. None for any other frame, or when it would be more than `limit`: the reader says what is wrong. As in Kafka,
/// nobody looks at the checksum of the content: the batch has one.
pub(super) fn inflate_usual(frame: &[u8], limit: usize) -> Option<Vec<u8>> {
    let (header, mut rest) = frame.split_first_chunk::<{ MAGIC_BYTES + 3 }>()?;
    if header[..MAGIC_BYTES] != MAGIC || header[MAGIC_BYTES] & !CONTENT_CHECKSUM_FLAG != USUAL_FLAGS {
        return None;
    }
    let block_max_bytes = match header[MAGIC_BYTES + 1] {
        0x40 => 64 << 10,
        0x50 => 256 << 10,
        0x60 => 1 << 20,
        0x70 => 4 << 20,
        _ => return None,
    };
    let mut inflated = Vec::new();
    loop {
        let (size, blocks) = rest.split_first_chunk()?;
        let size = u32::from_le_bytes(*size);
        if size == 0 {
            return Some(inflated);
        }
        let (block, behind) = blocks.split_at_checked((size & !STORED_BLOCK_BIT) as usize)?;
        let room = block_max_bytes.min(limit - inflated.len());
        match size & STORED_BLOCK_BIT {
            0 => inflate_block(block, room, &mut inflated)?,
            _ if block.len() <= room => inflated.extend_from_slice(block),
            _ => return None,
        }
        rest = behind;
    }
}

/// Puts at most `room` bytes behind `inflated`.
fn inflate_block(block: &[u8], room: usize, inflated: &mut Vec<u8>) -> Option<()> {
    let start = inflated.len();
    // What records usually come to.
    let mut guess = block.len().saturating_mul(3).min(room);
    loop {
        inflated.resize(start + guess, 0);
        match decompress_into(block, &mut inflated[start..]) {
            Ok(count) => {
                inflated.truncate(start + count);
                return Some(());
            }
            Err(DecompressError::OutputTooSmall { .. }) if guess < room => {
                guess = guess.saturating_mul(2).min(room);
            }
            Err(_) => return None,
        }
    }
}

/// Reads one frame; what follows it is ignored, as Kafka does.
pub(super) fn reader(input: &[u8]) -> impl Read + '_ {
    Frame::new(input)
}

/// A decoder has up to 256 KiB of buffers for blocks of 64 KiB: to take and to clear them anew for each batch would cost
/// more than to inflate it. So a thread keeps one.
type Decoder = FrameDecoder<Cursor<Vec<u8>>>;

thread_local! {
    static KEPT: Cell<Option<Decoder>> = const { Cell::new(None) };
}

/// Of blocks up to this size a decoder is kept, and after an input up to that.
const KEPT_BLOCK_SIZE_CODE: u8 = BlockSize::Max64KB as u8;
const KEPT_INPUT_BYTES: usize = 128 << 10;

/// The decoder takes a frame that ends between two blocks for a whole one; Kafka's clients do not.
struct Frame<'a> {
    /// None at the end.
    decoder: Option<Decoder>,
    /// Where the mark of the end ends, if there is one.
    end: Option<usize>,
    /// The decoder may serve again.
    is_kept: bool,
    input: PhantomData<&'a [u8]>,
}

impl Frame<'_> {
    fn new(input: &[u8]) -> Self {
        let mut decoder = KEPT.take().unwrap_or_else(|| FrameDecoder::new(Cursor::default()));
        let own = decoder.get_mut();
        own.set_position(0);
        own.get_mut().clear();
        own.get_mut().extend_from_slice(input);
        let block_size = input.get(MAGIC_BYTES + 1).map_or(0, |descriptor| descriptor >> 4 & 7);
        let is_kept = input.starts_with(&MAGIC)
            && block_size <= KEPT_BLOCK_SIZE_CODE
            && input.len() <= KEPT_INPUT_BYTES;
        Self { decoder: Some(decoder), end: end_of_blocks(input), is_kept, input: PhantomData }
    }
}

impl Read for Frame<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(decoder) = &mut self.decoder else { return Ok(0) };
        let count = match decoder.read(buffer) {
            Ok(count) => count,
            Err(error) => {
                self.decoder = None; // it is in the middle of something
                return Err(error);
            }
        };
        if count > 0 || buffer.is_empty() {
            return Ok(count);
        }
        let end = self.end.ok_or(io::ErrorKind::UnexpectedEof)?;
        // Behind the mark it is between two frames: a block of nothing looks like the end, too.
        let is_between = |decoder: &Decoder| decoder.get_ref().position() >= end as u64;
        KEPT.set(self.decoder.take().filter(|decoder| self.is_kept && is_between(decoder)));
        Ok(0)
    }
}

/// Steps over the blocks of a frame, and the mark of the end, which may be missing.
fn end_of_blocks(frame: &[u8]) -> Option<usize> {
    let flags = frame.get(MAGIC_BYTES).copied()?;
    let optional = |flag, bytes| if flags & flag == 0 { 0 } else { bytes };
    // Flags, block size, header checksum.
    let header_bytes = MAGIC_BYTES + 3 + optional(CONTENT_SIZE_FLAG, 8) + optional(DICTIONARY_FLAG, 4);
    let checksum_bytes = optional(BLOCK_CHECKSUM_FLAG, 4);
    let mut rest = frame.get(header_bytes..);
    while let Some((size, blocks)) = rest.and_then(|rest| rest.split_first_chunk()) {
        let size = u32::from_le_bytes(*size);
        if size == 0 {
            return Some(frame.len() - blocks.len());
        }
        let skipped = (size & !STORED_BLOCK_BIT) as usize + checksum_bytes;
        rest = blocks.get(skipped..);
    }
    None
}

/// What Kafka's frames begin with: version 1 and independent blocks, of 64 KiB at most, and the second byte of the xxHash32 of
/// these two.
const WRITTEN_HEADER: [u8; MAGIC_BYTES + 3] = [0x04, 0x22, 0x4d, 0x18, USUAL_FLAGS, 0x40, 0x82];
const WRITTEN_BLOCK_BYTES: usize = 64 << 10;

/// The reference compressor, as in Kafka, so that the bytes are Kafka's: the fast one at the default level, the one of high
/// compression at any other.
pub(super) fn compress(level: Option<i32>, source: &mut dyn Read, output: &mut dyn Write) -> io::Result<()> {
    let mode = match level {
        None | Some(DEFAULT_LEVEL) => CompressionMode::DEFAULT,
        Some(level) => CompressionMode::HIGHCOMPRESSION(level),
    };
    output.write_all(&WRITTEN_HEADER)?;
    let (mut block, mut compressed) = (Vec::new(), Vec::new());
    loop {
        block.clear();
        source.take(WRITTEN_BLOCK_BYTES as u64).read_to_end(&mut block)?;
        if block.is_empty() {
            return output.write_all(&0u32.to_le_bytes());
        }
        compressed.resize(compress_bound(block.len())?.max(compressed.len()), 0);
        let count = compress_to_buffer(&block, Some(mode), false, &mut compressed)?;
        let (size, written) = if count < block.len() {
            (count as u32, &compressed[..count])
        } else {
            (block.len() as u32 | STORED_BLOCK_BIT, &block[..])
        };
        output.write_all(&size.to_le_bytes())?;
        output.write_all(written)?;
    }
}
