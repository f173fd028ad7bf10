//! snappy, in the block framing of xerial's snappy-java that Java and librdkafka write, or one raw block.
//!
//! The framing: `82 SNAPPY 00`, version and compatible version as big-endian i32, then blocks, each a big-endian i32
//! length and a raw snappy block. Whatever does not start with the magic is one raw block, as for snappy-java.

use std::io::{self, Read, Write};

use super::CodecError;

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER_BYTES: usize = 16;
const VERSION: i32 = 1;
/// What snappy-java compresses at a time.
const BLOCK_BYTES: usize = 32 * 1024;
/// No snappy element makes more than 64 bytes of 3; a block that claims a higher ratio is a lie, found before allocating.
const MAX_RATIO: usize = 22;

pub(super) fn reader(input: &[u8]) -> impl Read + '_ {
    let is_framed = input.starts_with(&MAGIC);
    Reader { rest: input, is_framed, block: Vec::new(), position: 0, decoder: snap::raw::Decoder::new() }
}

pub(super) fn compress(source: &mut dyn Read, output: &mut dyn Write) -> io::Result<()> {
    output.write_all(&MAGIC)?;
    output.write_all(&VERSION.to_be_bytes())?;
    output.write_all(&VERSION.to_be_bytes())?;
    let mut encoder = snap::raw::Encoder::new();
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    loop {
        block.clear();
        source.take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        if block.is_empty() {
            return Ok(());
        }
        let compressed = encoder.compress_vec(&block).map_err(corrupt)?;
        let length = i32::try_from(compressed.len()).map_err(io::Error::other)?;
        output.write_all(&length.to_be_bytes())?;
        output.write_all(&compressed)?;
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    is_framed: bool,
    block: Vec<u8>,
    position: usize,
    decoder: snap::raw::Decoder,
}

impl<'a> Reader<'a> {
    /// Inflates the next block; false at the end of the input.
    fn next_block(&mut self) -> io::Result<bool> {
        // A stream of streams is legal: each may begin with its own header.
        while self.is_framed && self.rest.starts_with(&MAGIC) {
            self.take(HEADER_BYTES)?;
        }
        // Fewer bytes than a block's length are no block: snappy-java ends there.
        if self.rest.len() < 4 && self.is_framed || self.rest.is_empty() {
            return Ok(false);
        }
        let compressed = if self.is_framed {
            let length = self.take(4)?;
            let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
            self.take(usize::try_from(length).map_err(|_| corrupt("negative block length"))?)?
        } else {
            std::mem::take(&mut self.rest)
        };
        let length = snap::raw::decompress_len(compressed).map_err(corrupt)?;
        if length > compressed.len().saturating_mul(MAX_RATIO) {
            return Err(corrupt("a block claims more than it can hold"));
        }
        self.block.resize(length, 0);
        self.position = 0;
        let written = self.decoder.decompress(compressed, &mut self.block).map_err(corrupt)?;
        self.block.truncate(written);
        Ok(true)
    }

    fn take(&mut self, count: usize) -> io::Result<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or_else(|| corrupt("premature end"))?;
        self.rest = rest;
        Ok(head)
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.block.len() {
            if !self.next_block()? {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.block.len() - self.position);
        buffer[..count].copy_from_slice(&self.block[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}

fn corrupt(why: impl ToString) -> io::Error {
    io::Error::other(CodecError::Corrupt(why.to_string()))
}
