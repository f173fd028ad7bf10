//! The seam between what every log does and how an engine keeps its bytes. In the words of storage: extents, offsets,
//! batches. An engine knows nothing of producers, epochs or consumers.

use std::any::Any;

use bytes::Bytes;

use crate::aborted::AbortedTransaction;
use crate::batch_info::BatchInfo;
use crate::commit::Commit;
use crate::error::StorageError;
use crate::options::LogOptions;

/// A batch with its offsets assigned: what is written.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub info: BatchInfo,
    pub bytes: Bytes,
}

/// A run of a log that is kept, dropped and looked up as one: a segment today, an object or a part of a shared
/// journal later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub base_offset: i64,
    /// After the last batch; the base offset when empty.
    pub next_offset: i64,
    pub bytes: u64,
    /// The largest timestamp of its batches, or -1.
    pub max_timestamp: i64,
    /// When it was last written, for data without timestamps.
    pub modified_ms: i64,
    /// The largest timestamp of its first batch, or -1.
    pub first_timestamp: i64,
    /// Of its larger index.
    pub index_bytes: u64,
}

impl Extent {
    /// Its age for retention is counted from here.
    pub fn written_ms(&self) -> i64 {
        if self.max_timestamp >= 0 { self.max_timestamp } else { self.modified_ms }
    }
}

/// How much a read may return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLimits {
    pub max_bytes: usize,
    /// Only batches before this offset: the high watermark, or the last stable offset for read-committed consumers.
    pub upper_offset: i64,
    /// Return the first batch even when it is larger than `max_bytes` (KIP-74), so that a consumer is never stuck.
    pub whole_first_batch: bool,
}

/// Whole batches, the first of which holds (or follows) the offset that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Records {
    /// In order, each holding one or more whole batches; shared with the log where possible.
    pub chunks: Vec<Bytes>,
    /// All chunks together.
    pub bytes: usize,
    /// Where to go on reading: the offset after the last batch here, or the one asked for when nothing was read.
    pub next_offset: i64,
}

impl Records {
    pub(crate) fn none(from: i64) -> Self {
        Self { next_offset: from, ..Self::default() }
    }
}

/// The answer to a read: there already, or behind a read of the disk that should not run on an async thread.
pub enum Read<T = Records> {
    Ready(T),
    Cold(ColdRead<T>),
}

impl<T> Read<T> {
    /// Runs what must be run, here and now.
    pub fn wait(self) -> Result<T, StorageError> {
        match self {
            Self::Ready(found) => Ok(found),
            Self::Cold(read) => read.run(),
        }
    }
}

/// A read that needs the disk. Holds what it needs: the log may be written, truncated or deleted meanwhile.
pub struct ColdRead<T = Records>(Box<dyn FnOnce() -> Result<T, StorageError> + Send>);

impl<T> ColdRead<T> {
    pub(crate) fn new(run: impl FnOnce() -> Result<T, StorageError> + Send + 'static) -> Self {
        Self(Box::new(run))
    }

    /// Blocks on the disk.
    pub fn run(self) -> Result<T, StorageError> {
        (self.0)()
    }
}

/// What the log above keeps beside its batches, to be found again at the next start.
pub(crate) enum Note<'a> {
    /// The producers' state as of this offset: a `.snapshot` file.
    Producers { offset: i64, encoded: &'a [u8] },
    /// The content of `leader-epoch-checkpoint`.
    Epochs(&'a str),
    /// One more line of the active extent's `.txnindex`.
    Aborted(AbortedTransaction),
}

/// What an append did beside writing.
pub(crate) struct Submitted {
    pub commit: Commit,
    /// The base offset of the extent that was begun for it, when one was. The log above then notes the producers.
    pub rolled_at: Option<i64>,
}

/// Makes what was written up to `upto` durable when run: without the log's lock, since it waits for the disk.
pub(crate) struct Flush(Box<dyn FnOnce() -> Result<(), StorageError> + Send>);

impl Flush {
    pub fn new(run: impl FnOnce() -> Result<(), StorageError> + Send + 'static) -> Self {
        Self(Box::new(run))
    }

    pub fn nothing() -> Self {
        Self::new(|| Ok(()))
    }

    pub fn run(self) -> Result<(), StorageError> {
        (self.0)()
    }
}

/// An engine: one partition's bytes. Calls come one at a time, under the log's lock; what waits for a disk is handed
/// out to be run without it.
pub(crate) trait LogStore: Rewrite + Send {
    /// Writes batches at the end, all or none. Returns when a crash of the process can no longer lose them; the commit
    /// tells the rest.
    fn submit(
        &mut self,
        batches: &[Placed],
        options: &LogOptions,
        now_ms: i64,
    ) -> Result<Submitted, StorageError>;

    /// Reads from the batch that holds `from`, which lies in the log.
    fn read(&mut self, from: i64, limits: ReadLimits) -> Result<Read, StorageError>;

    /// The aborted transactions that were noted and that a reader of `from` up to `upper_offset` has to know.
    fn aborted(
        &mut self,
        from: i64,
        upper_offset: i64,
    ) -> Result<Read<Vec<AbortedTransaction>>, StorageError>;

    /// In ascending order; at least one, the last of which takes the next append.
    fn extents(&mut self) -> Result<Vec<Extent>, StorageError>;

    /// In the extent that begins at `base_offset`: an offset at or before the first batch whose timestamp is at
    /// least `timestamp`, to scan from.
    fn seek_time(&mut self, base_offset: i64, timestamp: i64) -> Result<i64, StorageError>;

    /// The log now starts at `offset`: extents that lie wholly before it go. An offset at the end leaves one empty
    /// extent there.
    fn set_start(&mut self, offset: i64, options: &LogOptions, now_ms: i64) -> Result<(), StorageError>;

    /// Makes everything written so far durable.
    fn flush(&mut self) -> Flush;

    fn note(&mut self, note: Note<'_>) -> Result<(), StorageError>;

    /// Nobody will write for a while: gives back what was reserved for more.
    /// False while its files lack something that could not be written, or still end in it.
    fn settle(&mut self) -> bool;
}

/// How an engine's extents are replaced by what compaction leaves of them. Called like `LogStore`; what is handed out is
/// used without the lock, since it takes long.
pub(crate) trait Rewrite {
    /// The batches of an extent, from about the one that holds `from` on; nothing when there is no such extent.
    fn source(&mut self, base_offset: i64, from: i64, buffer_bytes: usize) -> Option<Box<dyn Source>>;

    /// Begins what is to take the place of these extents, which follow each other and do not include the active one. Nothing
    /// while what an earlier replacement has left does not allow it.
    fn begin_replacement(&mut self, extents: &[Extent], options: &LogOptions)
    -> Option<Box<dyn Replacement>>;

    /// Puts the finished replacement into the place of the extents, step by step: to be called until it is done. Reads see
    /// it from some step on; those that began before see what was there, until `remove_at_ms` at least.
    fn replace(
        &mut self,
        extents: &[Extent],
        with: &mut dyn Replacement,
        remove_at_ms: i64,
    ) -> Result<Replacing, StorageError>;
}

/// How far a replacement is.
pub(crate) enum Replacing {
    /// This waits for the disk and is run without the lock, before the next step.
    Next(Flush),
    Done,
    /// The log does not have these extents any more: somebody deleted them meanwhile. Nothing was changed.
    Gone,
}

/// Reads through one extent.
pub(crate) trait Source: Send {
    /// The next whole batches, one at least; nothing at the end. Waits for the disk.
    fn next(&mut self) -> Result<Option<&[u8]>, StorageError>;
}

/// What takes the place of some extents: nobody sees it before it is put there, and when it is dropped it was never there.
pub(crate) trait Replacement: Any + Send {
    /// Whole batches behind those before, and the aborted transactions whose markers are among them.
    fn append(&mut self, batches: &[u8], aborted: &[AbortedTransaction]) -> Result<(), StorageError>;

    /// No more will come: makes it durable.
    fn finish(&mut self) -> Result<(), StorageError>;
}
