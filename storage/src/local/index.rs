//! The two indexes beside a segment: `.index` (offset to position) and `.timeindex` (timestamp to offset). Entries of
//! 8 and 12 bytes, big-endian, offsets relative to the segment's base. They are hints: batches tell the rest.

use std::io;

use super::disk::DiskFile;

/// At most this much of an index is read at once while searching.
const WINDOW_ENTRIES: u32 = 512;

/// One kind of index: `N` bytes an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Index<const N: usize> {
    pub entries: u32,
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
    pub fn append(&mut self, file: &dyn DiskFile, entry: [u8; N]) -> io::Result<()> {
        file.write_at(&entry, u64::from(self.entries) * N as u64)?;
        self.entries += 1;
        Ok(())
    }

    /// Whether an index file of `max_bytes` (segment.index.bytes) has no room for another entry.
    pub fn is_full(&self, max_bytes: u32) -> bool {
        self.entries >= max_bytes / N as u32
    }

    pub fn get(&self, file: &dyn DiskFile, at: u32) -> io::Result<[u8; N]> {
        let mut entry = [0; N];
        match file.read_at(&mut entry, u64::from(at) * N as u64)? {
            read if read == N => Ok(entry),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    pub fn last(&self, file: &dyn DiskFile) -> io::Result<Option<[u8; N]>> {
        self.entries.checked_sub(1).map(|at| self.get(file, at)).transpose()
    }

    /// The last entry that `is_before` holds for; entries are sorted by it.
    pub fn last_where(
        &self,
        file: &dyn DiskFile,
        is_before: impl Fn([u8; N]) -> bool,
    ) -> io::Result<Option<[u8; N]>> {
        let (mut low, mut high) = (0, self.entries); // the first entry that is not before lies in low..=high
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
