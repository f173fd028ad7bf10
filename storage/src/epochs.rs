//! Which leader epoch began at which offset: the content of `leader-epoch-checkpoint`, and what OffsetForLeaderEpoch asks.

use crate::error::StorageError;

/// "There is none" in answers about epochs and their offsets.
const UNDEFINED: (i32, i64) = (-1, -1);

/// Ascending in both columns.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Epochs(Vec<(i32, i64)>);

impl Epochs {
    /// A batch of `epoch` was written at `offset`. True when the epoch is new.
    pub fn assign(&mut self, epoch: i32, offset: i64) -> bool {
        let is_new = epoch >= 0 && self.latest().is_none_or(|latest| latest < epoch);
        if is_new {
            self.0.push((epoch, offset));
        }
        is_new
    }

    pub fn latest(&self) -> Option<i32> {
        self.0.last().map(|(epoch, _)| *epoch)
    }

    /// The epoch that wrote `offset`.
    pub fn at(&self, offset: i64) -> Option<i32> {
        let after = self.0.partition_point(|(_, start)| *start <= offset);
        after.checked_sub(1).map(|at| self.0[at].0)
    }

    /// The largest epoch up to the one asked for, and where it ends (KIP-101, KIP-279); -1 and -1 when the log knows
    /// nothing that new.
    pub fn end_offset_for(&self, epoch: i32, log_end: i64) -> (i32, i64) {
        if epoch < 0 {
            return UNDEFINED;
        }
        if self.latest() == Some(epoch) {
            return (epoch, log_end);
        }
        let higher = self.0.partition_point(|(known, _)| *known <= epoch);
        match (higher.checked_sub(1).map(|at| self.0[at].0), self.0.get(higher)) {
            (_, None) => UNDEFINED,
            (None, Some((_, start))) => (epoch, *start),
            (Some(floor), Some((_, start))) => (floor, *start),
        }
    }

    /// The log now ends at `end`. True when something changed.
    pub fn truncate_from_end(&mut self, end: i64) -> bool {
        let before = self.0.len();
        self.0.retain(|(_, start)| *start < end);
        self.0.len() != before
    }

    /// The log now starts at `start`. True when something changed.
    pub fn truncate_from_start(&mut self, start: i64) -> bool {
        let passed = self.0.partition_point(|(_, first)| *first <= start);
        let Some(current) = passed.checked_sub(1) else { return false };
        if current == 0 && self.0[0].1 == start {
            return false;
        }
        self.0.drain(..current);
        self.0[0].1 = start;
        true
    }

    /// The text of `leader-epoch-checkpoint`: version, count, one line for each.
    pub fn encode(&self) -> String {
        let mut text = format!("0\n{}\n", self.0.len());
        for (epoch, start) in &self.0 {
            text.push_str(&format!("{epoch} {start}\n"));
        }
        text
    }

    pub fn decode(text: &str) -> Result<Self, StorageError> {
        let bad = || StorageError::corrupt("leader-epoch-checkpoint");
        let mut lines = text.lines();
        if lines.next() != Some("0") {
            return Err(bad());
        }
        let count: usize = lines.next().and_then(|line| line.parse().ok()).ok_or_else(bad)?;
        let mut epochs = Self::default();
        for line in lines {
            let (epoch, start) = line.split_once(' ').ok_or_else(bad)?;
            epochs.0.push((epoch.parse().map_err(|_| bad())?, start.parse().map_err(|_| bad())?));
        }
        if epochs.0.len() != count || !epochs.0.is_sorted() {
            return Err(bad());
        }
        Ok(epochs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_offsets_are_as_kafka_answers_them() {
        let epochs = Epochs(vec![(2, 10), (4, 20), (7, 30)]);
        for (asked, expected) in [
            (-1, (-1, -1)),
            (0, (0, 10)),
            (2, (2, 20)),
            (3, (2, 20)),
            (4, (4, 30)),
            (6, (4, 30)),
            (7, (7, 99)),
            (8, (-1, -1)),
        ] {
            assert_eq!(epochs.end_offset_for(asked, 99), expected, "epoch {asked}");
        }
        assert_eq!(Epochs::default().end_offset_for(0, 5), (-1, -1));
    }

    #[test]
    fn truncation_keeps_the_epoch_that_holds_the_new_start() {
        let mut epochs = Epochs(vec![(2, 10), (4, 20), (7, 30)]);
        assert!(epochs.truncate_from_start(25));
        assert_eq!(epochs, Epochs(vec![(4, 25), (7, 30)]));
        assert!(!epochs.truncate_from_start(25));
        assert!(epochs.truncate_from_end(30));
        assert_eq!(epochs, Epochs(vec![(4, 25)]));
        assert_eq!(Epochs::decode(&epochs.encode()).unwrap(), epochs);
    }

    #[test]
    fn a_damaged_file_is_refused() {
        for text in ["", "1\n0\n", "0\n2\n0 0\n", "0\n1\nx 0\n", "0\n2\n3 0\n1 5\n"] {
            assert!(Epochs::decode(text).is_err(), "{text:?}");
        }
    }
}
