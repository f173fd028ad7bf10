//! Aborted transactions: what read-committed consumers leave out. Their entries in a `.txnindex`, and which of them a
//! reader has to know.

/// Bytes of an entry: version 0, producer, first and last offset, last stable offset.
pub(crate) const ENTRY_BYTES: usize = 34;

/// A transaction that was aborted, as the `.txnindex` keeps it and Fetch tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
    /// Of its marker.
    pub last_offset: i64,
    /// As it was when the marker was written.
    pub last_stable_offset: i64,
}

impl AbortedTransaction {
    pub(crate) fn encode(&self) -> [u8; ENTRY_BYTES] {
        let fields = [self.producer_id, self.first_offset, self.last_offset, self.last_stable_offset];
        let mut entry = [0; ENTRY_BYTES];
        for (at, field) in fields.iter().enumerate() {
            entry[2 + at * 8..][..8].copy_from_slice(&field.to_be_bytes());
        }
        entry
    }

    /// Nothing for what no log can have written: another version, or a marker before its records.
    fn decode(entry: &[u8; ENTRY_BYTES]) -> Option<Self> {
        let (version, aborted) = Self::unchecked(entry);
        let is_sane = aborted.producer_id >= 0
            && aborted.first_offset >= 0
            && aborted.first_offset < aborted.last_offset;
        (version == 0 && is_sane).then_some(aborted)
    }

    /// An entry as it lies in the file, after its version.
    pub(crate) fn unchecked(entry: &[u8; ENTRY_BYTES]) -> (i16, Self) {
        let field = |at: usize| entry[at..at + 8].iter().fold(0i64, |n, byte| n << 8 | i64::from(*byte));
        let aborted = Self {
            producer_id: field(2),
            first_offset: field(10),
            last_offset: field(18),
            last_stable_offset: field(26),
        };
        (i16::from_be_bytes([entry[0], entry[1]]), aborted)
    }
}

/// The entries of a file, as far as they can be right: in the order of their markers, none before `base_offset`.
pub(crate) fn sane_prefix(file: &[u8], base_offset: i64) -> Vec<AbortedTransaction> {
    let mut sane: Vec<AbortedTransaction> = Vec::new();
    for entry in file.as_chunks::<ENTRY_BYTES>().0 {
        let after = sane.last().map_or(base_offset - 1, |last| last.last_offset);
        match AbortedTransaction::decode(entry) {
            Some(aborted) if aborted.last_offset > after => sane.push(aborted),
            _ => break,
        }
    }
    sane
}

/// Adds those that a reader of `from` up to `upper_offset` has to know, as Kafka chooses them. True when no later entry
/// can be one of them.
pub(crate) fn select(
    entries: &[AbortedTransaction],
    from: i64,
    upper_offset: i64,
    selected: &mut Vec<AbortedTransaction>,
) -> bool {
    let first = entries.partition_point(|aborted| aborted.last_offset < from);
    for aborted in &entries[first..] {
        if aborted.first_offset < upper_offset {
            selected.push(*aborted);
        }
        if aborted.last_stable_offset >= upper_offset {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted(first_offset: i64, last_offset: i64, last_stable_offset: i64) -> AbortedTransaction {
        AbortedTransaction { producer_id: 7, first_offset, last_offset, last_stable_offset }
    }

    #[test]
    fn an_entry_is_as_kafka_writes_it() {
        let entry = aborted(1, 2, 3).encode();
        let expected = [
            0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0,
            0, 3,
        ];
        assert_eq!(entry, expected);
    }

    #[test]
    fn what_is_torn_or_out_of_order_ends_the_file() {
        let whole = [aborted(10, 12, 13).encode(), aborted(11, 15, 16).encode()].concat();
        let both = vec![aborted(10, 12, 13), aborted(11, 15, 16)];
        assert_eq!(sane_prefix(&whole, 0), both);
        assert_eq!(sane_prefix(&whole[..50], 0), both[..1]);
        assert_eq!(sane_prefix(&whole, 13), []);
        assert_eq!(sane_prefix(&[whole.as_slice(), &[0; ENTRY_BYTES]].concat(), 0), both);
        assert_eq!(sane_prefix(&[whole.as_slice(), &whole].concat(), 0), both);
    }

    #[test]
    fn a_reader_is_told_of_what_reaches_into_its_range() {
        let entries = [aborted(1, 5, 2), aborted(2, 8, 9), aborted(10, 12, 11), aborted(11, 14, 15)];
        for (from, upper_offset, expected, is_complete) in [
            (0, 20, &entries[..], false),
            (6, 20, &entries[1..], false),
            (0, 2, &entries[..1], true),
            (0, 9, &entries[..2], true),
            (13, 14, &entries[3..], true),
            (15, 20, &[], false),
        ] {
            let mut selected = Vec::new();
            assert_eq!(
                select(&entries, from, upper_offset, &mut selected),
                is_complete,
                "{from}..{upper_offset}"
            );
            assert_eq!(selected, expected, "{from}..{upper_offset}");
        }
    }
}
