//! The transactions that a pass goes through, batch by batch: which batches were aborted, and which markers are still
//! needed. A marker is needed for as long as a batch of its transaction is left in the log.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap, HashSet};

use crate::aborted::AbortedTransaction;
use crate::batch_info::{BatchInfo, Marker};

#[derive(Default)]
pub(crate) struct Transactions {
    /// Aborted ones that have not begun yet, by their first offset.
    to_come: BinaryHeap<Reverse<(i64, i64, i64, i64)>>,
    /// By producer; whether one of its batches was seen.
    aborted: HashMap<i64, (AbortedTransaction, bool)>,
    /// Producers of which a batch was seen that was not aborted.
    committed: HashSet<i64>,
}

/// What a marker means to the pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MarkerUse {
    /// Its transaction has batches, and it was aborted so.
    NeededForAborted(AbortedTransaction),
    Needed,
    /// Nothing is left of its transaction: it goes once nobody can be reading it (KIP-534).
    Unneeded,
}

impl Transactions {
    /// Those that were aborted in what comes next. One that reaches into several parts may be told of with each.
    pub fn expect(&mut self, aborted: &[AbortedTransaction]) {
        let fields = |of: &AbortedTransaction| {
            Reverse((of.first_offset, of.producer_id, of.last_offset, of.last_stable_offset))
        };
        self.to_come.extend(aborted.iter().map(fields));
    }

    /// A batch of data. True when it was aborted.
    pub fn is_aborted(&mut self, batch: &BatchInfo) -> bool {
        self.begin_up_to(batch.last_offset);
        if !batch.is_transactional() {
            return false;
        }
        match self.aborted.get_mut(&batch.producer_id) {
            Some((_, has_batches)) => {
                *has_batches = true;
                true
            }
            None => {
                self.committed.insert(batch.producer_id);
                false
            }
        }
    }

    /// A control batch with its marker; other kinds of control records have none and stay.
    pub fn end(&mut self, batch: &BatchInfo, marker: Option<Marker>) -> MarkerUse {
        self.begin_up_to(batch.last_offset);
        if batch.record_count == 0 {
            return MarkerUse::Unneeded; // emptied by an earlier pass
        }
        match marker {
            None => MarkerUse::Needed,
            Some(Marker { commit: true, .. }) => match self.committed.remove(&batch.producer_id) {
                true => MarkerUse::Needed,
                false => MarkerUse::Unneeded,
            },
            Some(Marker { commit: false, .. }) => match self.aborted.remove(&batch.producer_id) {
                Some((aborted, true)) => MarkerUse::NeededForAborted(aborted),
                _ => MarkerUse::Unneeded,
            },
        }
    }

    fn begin_up_to(&mut self, offset: i64) {
        while self.to_come.peek().is_some_and(|next| next.0.0 <= offset)
            && let Some(Reverse((first_offset, producer_id, last_offset, last_stable_offset))) =
                self.to_come.pop()
        {
            let aborted = AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset };
            if let Entry::Vacant(place) = self.aborted.entry(producer_id) {
                place.insert((aborted, false));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(offset: i64, producer_id: i64, attributes: u16) -> BatchInfo {
        BatchInfo {
            base_offset: offset,
            last_offset: offset,
            size: 100,
            leader_epoch: 0,
            attributes,
            max_timestamp: 0,
            producer_id,
            producer_epoch: 0,
            base_sequence: 0,
            record_count: 1,
        }
    }

    const DATA: u16 = 0x10;
    const CONTROL: u16 = 0x30;

    #[test]
    fn a_marker_is_needed_while_its_transaction_has_batches() {
        let aborted =
            AbortedTransaction { producer_id: 1, first_offset: 10, last_offset: 14, last_stable_offset: 15 };
        let later =
            AbortedTransaction { producer_id: 1, first_offset: 20, last_offset: 21, last_stable_offset: 22 };
        let marker = |commit| Some(Marker { commit, coordinator_epoch: 0 });
        let mut seen = Transactions::default();
        seen.expect(&[later, aborted, aborted]);
        assert!(!seen.is_aborted(&batch(5, 1, DATA)), "an earlier transaction of the producer");
        assert_eq!(seen.end(&batch(6, 1, CONTROL), marker(true)), MarkerUse::Needed);
        assert!(seen.is_aborted(&batch(10, 1, DATA)));
        assert!(!seen.is_aborted(&batch(11, 2, DATA)));
        assert!(!seen.is_aborted(&batch(12, 1, 0)), "no transaction");
        seen.expect(&[aborted]); // told again with the next part
        assert_eq!(seen.end(&batch(14, 1, CONTROL), marker(false)), MarkerUse::NeededForAborted(aborted));
        assert_eq!(seen.end(&batch(15, 2, CONTROL), marker(true)), MarkerUse::Needed);
        assert_eq!(seen.end(&batch(16, 2, CONTROL), marker(true)), MarkerUse::Unneeded, "no batch since");
        assert_eq!(
            seen.end(&batch(21, 1, CONTROL), marker(false)),
            MarkerUse::Unneeded,
            "its batches are gone"
        );
        assert_eq!(seen.end(&batch(22, 3, CONTROL), marker(false)), MarkerUse::Unneeded, "it had none");
        assert_eq!(seen.end(&batch(23, -1, 0x20), None), MarkerUse::Needed, "another kind of control record");
        let emptied = BatchInfo { record_count: 0, ..batch(24, 1, CONTROL) };
        assert_eq!(seen.end(&emptied, None), MarkerUse::Unneeded);
    }
}
