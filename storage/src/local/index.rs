//! The two indexes beside a segment: `.index` (offset to position) and `.timeindex` (timestamp to offset). Entries of
//! 8 and 12 bytes, big-endian, offsets relative to the segment's base. They are hints: batches tell the rest.

use std::io;

use super::disk::DiskFile;

/// At most this much of an index is read at once while searching.
const WINDOW_ENTRIES: u32 = 512;

/// So many entries wait in memory for one write: they are of a quarter of a megabyte of log, by default.
const PENDING_MAX: usize = 64;

/// One kind of index: `N` bytes an entry. The newest entries are kept here until there are enough for one write; a crash
/// that loses them costs nothing, since recovery makes them anew from the batches behind the recovery point.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index<const N: usize> {
    /// So many are in the file.
    written: u32,
    /// These follow them.
    pending: Vec<[u8; N]>,
}

/// `.index`
pub(crate) type OffsetIndex = Index<8>;
/// `.timeindex`
pub(crate) type TimeIndex = Index<12>;

/// Relative offset of a batch's last record, and the batch's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OffsetEntry {
    pub offset: u32,
    pub position: u32,
}

/// No batch up to this relative offset is later than the timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimeEntry {
    pub timestamp: i64,
    pub offset: u32,
}

impl OffsetEntry {
    pub fn encode(self) -> [u8; 8] {
        (u64::from(self.offset) << 32 | u64::from(self.position)).to_be_bytes()
    }

    pub fn decode(bytes: [u8; 8]) -> Self {
        let both = u64::from_be_bytes(bytes);
        Self { offset: (both >> 32) as u32, position: both as u32 }
    }
}

impl TimeEntry {
    pub fn encode(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..].copy_from_slice(&self.offset.to_be_bytes());
        bytes
    }

    pub fn decode(bytes: [u8; 12]) -> Self {
        let (timestamp, offset) = bytes.split_at(8);
        Self {
            timestamp: timestamp.iter().fold(0, |n, byte| n << 8 | i64::from(*byte)),
            offset: offset.iter().fold(0, |n, byte| n << 8 | u32::from(*byte)),
        }
    }
}

impl<const N: usize> Index<N> {
    /// Of a file that has so many entries.
    pub fn stored(entries: u32) -> Self {
        Self { written: entries, pending: Vec::new() }
    }

    pub fn len(&self) -> u32 {
        self.written + self.pending.len() as u32 // a few
    }

    /// One more entry. True when it is time to write.
    pub fn push(&mut self, entry: [u8; N]) -> bool {
        if self.pending.len() >= 4 * PENDING_MAX {
            self.pending.clear(); // nobody can write them, and nobody needs them
        }
        self.pending.push(entry);
        self.pending.len() >= PENDING_MAX
    }

    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Brings the file up to date. After an error the entries are still here, for the next time.
    pub fn write(&mut self, file: &dyn DiskFile) -> io::Result<()> {
        file.write_at(self.pending.as_flattened(), u64::from(self.written) * N as u64)?;
        self.written += self.pending.len() as u32;
        self.pending = Vec::new(); // a log that rests holds no memory
        Ok(())
    }

    /// Whether an index file of `max_bytes` (segment.index.bytes) has no room for another entry.
    pub fn is_full(&self, max_bytes: u32) -> bool {
        self.len() >= max_bytes / N as u32
    }

    fn get(&self, file: &dyn DiskFile, at: u32) -> io::Result<[u8; N]> {
        let mut entry = [0; N];
        match file.read_at(&mut entry, u64::from(at) * N as u64)? {
            read if read == N => Ok(entry),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    pub fn last(&self, file: &dyn DiskFile) -> io::Result<Option<[u8; N]>> {
        if let Some(last) = self.pending.last() {
            return Ok(Some(*last));
        }
        self.written.checked_sub(1).map(|at| self.get(file, at)).transpose()
    }

    /// The last entry that `is_before` holds for; entries are sorted by it.
    pub fn last_where(
        &self,
        file: &dyn DiskFile,
        is_before: impl Fn([u8; N]) -> bool,
    ) -> io::Result<Option<[u8; N]>> {
        let pending = self.pending.partition_point(|entry| is_before(*entry));
        if let Some(entry) = pending.checked_sub(1).map(|at| self.pending[at]) {
            return Ok(Some(entry));
        }
        let (mut low, mut high) = (0, self.written); // the first entry that is not before lies in low..=high
        while high - low > WINDOW_ENTRIES {
            let middle = low + (high - low) / 2;
            if is_before(self.get(file, middle)?) { low = middle + 1 } else { high = middle }
        }
        let first = low.saturating_sub(1);
        let mut window = vec![0; (high - first) as usize * N];
        let read = file.read_at(&mut window, u64::from(first) * N as u64)?;
        let (entries, _) = window[..read].as_chunks::<N>();
        Ok(entries.iter().copied().take_while(|entry| is_before(*entry)).last())
    }
}

/// How many entries from the start are in order, as `read_whole` gave them. A file that was extended before a crash of
/// the machine ends in zeros.
pub(crate) fn sane_entries<const N: usize, T: Ord>(bytes: &[u8], decode: impl Fn([u8; N]) -> T) -> u32 {
    let (entries, _) = bytes.as_chunks::<N>();
    let mut previous = None;
    let mut sane = 0;
    for entry in entries {
        let entry = decode(*entry);
        if previous.as_ref().is_some_and(|previous| *previous >= entry) {
            break;
        }
        previous = Some(entry);
        sane += 1;
    }
    sane
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_at_the_end_are_no_entries() {
        let entry = |offset, position| OffsetEntry { offset, position };
        let mut bytes: Vec<u8> =
            [entry(0, 0), entry(9, 4200)].iter().flat_map(|entry| entry.encode()).collect();
        bytes.extend([0; 24]);
        assert_eq!(sane_entries(&bytes, OffsetEntry::decode), 2);
        assert_eq!(sane_entries(&[], OffsetEntry::decode), 0);
        let time = TimeEntry { timestamp: 1 << 40, offset: 7 };
        assert_eq!(TimeEntry::decode(time.encode()), time);
    }
}
