//! `.txnindex`: the aborted transactions of one segment, in the order of their markers.

use std::io;

use super::disk::read_whole;
use super::open_files::{CachedFile, OpenFiles};
use crate::aborted::{AbortedTransaction, ENTRY_BYTES, sane_prefix, select};
use crate::error::StorageError;

/// No such file is larger: some two million aborted transactions in a segment.
const MAX_BYTES: u64 = 64 << 20;

pub(crate) struct TxnIndex {
    file: CachedFile,
    base_offset: i64,
    /// All entries, while the segment takes more or not all of them could be written.
    held: Option<Vec<AbortedTransaction>>,
    /// So many are in the file.
    written: usize,
    /// The marker of the last entry, or -1.
    last_offset: i64,
    /// The file goes on behind them with what cannot be right.
    has_rest: bool,
    /// Written since it was last synced.
    is_dirty: bool,
}

impl TxnIndex {
    /// Of a segment that has none yet, and no file.
    pub fn new(file: CachedFile, base_offset: i64) -> Self {
        let held = Some(Vec::new());
        Self { file, base_offset, held, written: 0, last_offset: -1, has_rest: false, is_dirty: false }
    }

    /// Takes what is in the file. False when a part of it cannot be right, and is left out.
    pub fn load(&mut self, files: &OpenFiles) -> io::Result<bool> {
        let bytes = read_whole(files.disk(), self.file.path(), MAX_BYTES)?.unwrap_or_default();
        let entries = sane_prefix(&bytes, self.base_offset);
        let is_whole = entries.len() * ENTRY_BYTES == bytes.len();
        self.has_rest = !is_whole;
        self.written = entries.len();
        self.hold(entries);
        Ok(is_whole)
    }

    /// One more, which can be read from now on, whatever becomes of the file: an error says that it is not written yet.
    /// The next one tries again.
    pub fn append(&mut self, aborted: AbortedTransaction, files: &OpenFiles) -> io::Result<()> {
        if self.held.is_none() {
            self.load(files)?;
        }
        let held = self.held.get_or_insert_default();
        held.push(aborted);
        self.last_offset = aborted.last_offset;
        self.write(files)
    }

    /// Writes the entries that are not in the file yet.
    pub fn write(&mut self, files: &OpenFiles) -> io::Result<()> {
        let held = self.held.as_deref().unwrap_or_default();
        if held.len() > self.written {
            let missing: Vec<u8> = held[self.written..].iter().flat_map(AbortedTransaction::encode).collect();
            let file = files.get_or_create(&self.file)?;
            file.write_at(&missing, (self.written * ENTRY_BYTES) as u64)?;
            (self.written, self.is_dirty) = (held.len(), true);
        }
        Ok(())
    }

    /// What recovery has found in the batches from `from` on. What the file says of those may be of others, which a power
    /// cut took, and which were there twice, since it can bring back what an earlier recovery removed.
    pub fn recover(
        &mut self,
        found: &[AbortedTransaction],
        from: i64,
        end_offset: i64,
        files: &OpenFiles,
    ) -> io::Result<()> {
        if self.held.is_none() {
            self.load(files)?;
        }
        let known = self.held.take().unwrap_or_default();
        let known_to = known.partition_point(|entry| entry.last_offset < from.min(end_offset));
        let entries = [&known[..known_to], found].concat();
        if entries != known || self.has_rest {
            let bytes: Vec<u8> = entries.iter().flat_map(AbortedTransaction::encode).collect();
            let file = files.get_or_create(&self.file)?;
            file.set_size(bytes.len() as u64)?;
            file.write_at(&bytes, 0)?;
            (self.is_dirty, self.has_rest) = (true, false);
        }
        self.written = entries.len();
        self.hold(entries);
        Ok(())
    }

    /// The segment takes no more: what is in the file need not be in memory.
    pub fn seal(&mut self) {
        if self.is_written() {
            self.held = None;
        }
    }

    /// The file, which may not be there.
    pub fn file(&self) -> &CachedFile {
        &self.file
    }

    /// Whether all that is known is in the file.
    pub fn is_written(&self) -> bool {
        self.held.as_ref().is_none_or(|held| held.len() == self.written)
    }

    /// Nobody knows whether what is in the file is on the disk.
    pub fn doubt(&mut self) {
        self.is_dirty |= self.written > 0;
    }

    /// The file, when it must be synced.
    pub fn dirty_file(&mut self) -> Option<&CachedFile> {
        std::mem::take(&mut self.is_dirty).then_some(&self.file)
    }

    /// What a reader of `from` on has to look through; nothing when all of it lies before.
    pub fn view(&self, from: i64) -> Option<TxnIndexView> {
        (self.last_offset >= from).then(|| match &self.held {
            Some(held) => {
                let first = held.partition_point(|aborted| aborted.last_offset < from);
                TxnIndexView::Held(held[first..].to_vec())
            }
            None => TxnIndexView::File {
                file: self.file.clone(),
                base_offset: self.base_offset,
                count: self.written,
            },
        })
    }

    fn hold(&mut self, entries: Vec<AbortedTransaction>) {
        self.last_offset = entries.last().map_or(-1, |last| last.last_offset);
        self.held = Some(entries);
    }
}

/// A segment's entries as they were when they were asked for.
pub(crate) enum TxnIndexView {
    Held(Vec<AbortedTransaction>),
    File { file: CachedFile, base_offset: i64, count: usize },
}

impl TxnIndexView {
    pub fn is_held(&self) -> bool {
        matches!(self, Self::Held(_))
    }
}

/// Those that a reader of `from` up to `upper_offset` has to know.
pub(crate) fn read(
    views: Vec<TxnIndexView>,
    from: i64,
    upper_offset: i64,
    files: &OpenFiles,
) -> Result<Vec<AbortedTransaction>, StorageError> {
    let mut selected = Vec::new();
    for view in views {
        let entries = match view {
            TxnIndexView::Held(entries) => entries,
            TxnIndexView::File { file, base_offset, count } => {
                read_file(&file, base_offset, count, from, files)?
            }
        };
        if select(&entries, from, upper_offset, &mut selected) {
            break;
        }
    }
    Ok(selected)
}

fn read_file(
    file: &CachedFile,
    base_offset: i64,
    count: usize,
    from: i64,
    files: &OpenFiles,
) -> Result<Vec<AbortedTransaction>, StorageError> {
    let failed = |error: io::Error| match error.kind() {
        // Retention took the segment after its entries were asked for.
        io::ErrorKind::NotFound => StorageError::OffsetOutOfRange { offset: from, start: -1, end: -1 },
        _ => StorageError::io("read", file.path(), error),
    };
    let mut bytes = vec![0; count * ENTRY_BYTES];
    let read = files.get(file).and_then(|file| file.read_at(&mut bytes, 0)).map_err(failed)?;
    let entries = sane_prefix(&bytes[..read], base_offset);
    if entries.len() < count {
        // Aborted records would look like committed ones.
        return Err(StorageError::corrupt(format!(
            "{} has entries that cannot be right",
            file.path().display()
        )));
    }
    Ok(entries)
}
