//! zstd, with one compressing and one inflating context per thread: making one costs more than a small batch.

use std::cell::RefCell;
use std::io::{self, Read, Write};

use zstd::stream::{read, write};
use zstd::zstd_safe::{CCtx, CParameter, DCtx, ResetDirective};

use super::CodecError;

/// Kafka's default of `compression.zstd.level`.
const DEFAULT_LEVEL: i32 = 3;
/// A context that a rare batch (levels 20 and up) made larger than this is dropped rather than kept by its thread.
const KEPT_CONTEXT_BYTES: usize = 8 * 1024 * 1024;

thread_local! {
    static INFLATING: RefCell<Option<DCtx<'static>>> = const { RefCell::new(None) };
    static COMPRESSING: RefCell<Option<CCtx<'static>>> = const { RefCell::new(None) };
}

pub(super) fn with_reader<T, E: From<CodecError>>(
    input: &[u8],
    body: impl FnOnce(&mut dyn Read) -> Result<T, E>,
) -> Result<T, E> {
    // No frame at all is an empty stream, not a torn frame.
    if input.is_empty() {
        return body(&mut io::empty());
    }
    // Taken out while in use, so that a reader inside a reader gets a context of its own.
    let mut context = INFLATING.take().unwrap_or_else(DCtx::create);
    let _ = context.reset(ResetDirective::SessionOnly);
    let result = body(&mut read::Decoder::with_context(input, &mut context));
    if context.sizeof() <= KEPT_CONTEXT_BYTES {
        INFLATING.set(Some(context));
    }
    result
}

pub(super) fn compress(level: Option<i32>, source: &mut dyn Read, output: &mut dyn Write) -> io::Result<()> {
    let mut context = COMPRESSING.take().unwrap_or_else(CCtx::create);
    let result = compress_in(&mut context, level.unwrap_or(DEFAULT_LEVEL), source, output);
    if context.sizeof() <= KEPT_CONTEXT_BYTES {
        COMPRESSING.set(Some(context));
    }
    result
}

fn compress_in(
    context: &mut CCtx<'static>,
    level: i32,
    source: &mut dyn Read,
    output: &mut dyn Write,
) -> io::Result<()> {
    let named = |code| io::Error::other(zstd::zstd_safe::get_error_name(code));
    context.reset(ResetDirective::SessionOnly).map_err(named)?;
    context.set_parameter(CParameter::CompressionLevel(level)).map_err(named)?;
    let mut encoder = write::Encoder::with_context(output, context);
    io::copy(source, &mut encoder)?;
    encoder.finish()?;
    Ok(())
}
