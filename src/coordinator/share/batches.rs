//! The state of a share partition's records, as ranges of offsets.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The records `first_offset..=last_offset`, all in one state after the same number of deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateBatch {
    pub first_offset: i64,
    pub last_offset: i64,
    /// 0 available, 2 acknowledged, 4 archived.
    pub delivery_state: i8,
    pub delivery_count: i16,
}

impl StateBatch {
    /// Of two words about one record the one with more deliveries counts, then the one with the later state.
    fn rank(&self) -> (i16, i8) {
        (self.delivery_count, self.delivery_state)
    }
}

/// Both lists as one: in order, no offset twice, neighbours in the same state joined, and nothing before
/// `start_offset` (-1 keeps everything).
pub fn combine(so_far: &[StateBatch], new: &[StateBatch], start_offset: i64) -> Vec<StateBatch> {
    let mut rest: BinaryHeap<Reverse<Piece>> =
        so_far.iter().chain(new).filter_map(|batch| from_start(*batch, start_offset)).map(Reverse).collect();
    let mut combined = Vec::with_capacity(rest.len());
    let Some(Reverse(Piece(mut current))) = rest.pop() else {
        return combined;
    };
    while let Some(Reverse(Piece(next))) = rest.pop() {
        if next.first_offset > current.last_offset {
            push(&mut combined, current);
            current = next;
            continue;
        }
        let (winner, loser) = if next.rank() > current.rank() { (next, current) } else { (current, next) };
        if winner.first_offset > loser.first_offset {
            push(&mut combined, StateBatch { last_offset: winner.first_offset - 1, ..loser });
        }
        if loser.last_offset > winner.last_offset {
            rest.push(Reverse(Piece(StateBatch { first_offset: winner.last_offset + 1, ..loser })));
        }
        current = winner;
    }
    push(&mut combined, current);
    combined
}

/// What of a batch lies at or after the start; nothing of one that ends before it begins.
fn from_start(batch: StateBatch, start_offset: i64) -> Option<Piece> {
    let first_offset = batch.first_offset.max(start_offset);
    (first_offset <= batch.last_offset).then_some(Piece(StateBatch { first_offset, ..batch }))
}

fn push(combined: &mut Vec<StateBatch>, batch: StateBatch) {
    match combined.last_mut() {
        Some(last) if last.rank() == batch.rank() && last.last_offset + 1 == batch.first_offset => {
            last.last_offset = batch.last_offset;
        }
        _ => combined.push(batch),
    }
}

/// A batch in the order of first offsets.
#[derive(PartialEq, Eq)]
struct Piece(StateBatch);

impl Ord for Piece {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let key = |Piece(batch): &Piece| (batch.first_offset, batch.last_offset, batch.rank());
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Piece {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// `first-last state/count`, separated by commas.
    fn parse(text: &str) -> Vec<StateBatch> {
        let batch = |text: &str| {
            let (offsets, state) = text.trim().split_once(' ').expect("offsets and state");
            let (first, last) = offsets.split_once('-').expect("first-last");
            let (delivery_state, delivery_count) = state.split_once('/').expect("state/count");
            StateBatch {
                first_offset: first.parse().unwrap(),
                last_offset: last.parse().unwrap(),
                delivery_state: delivery_state.parse().unwrap(),
                delivery_count: delivery_count.parse().unwrap(),
            }
        };
        text.split(',').filter(|text| !text.trim().is_empty()).map(batch).collect()
    }

    #[track_caller]
    fn check(so_far: &str, new: &str, start_offset: i64, expected: &str) {
        assert_eq!(combine(&parse(so_far), &parse(new), start_offset), parse(expected), "{so_far} + {new}");
    }

    #[test]
    fn combines_as_kafka_does() {
        check("", "", -1, "");
        check("100-110 0/1", "", -1, "100-110 0/1");
        check("", "100-110 0/1", -1, "100-110 0/1");
        // The same state: overlapping and touching batches join.
        check("100-110 0/1", "105-120 0/1", -1, "100-120 0/1");
        check("100-110 0/1", "111-120 0/1", -1, "100-120 0/1");
        check("100-110 0/1", "112-120 0/1", -1, "100-110 0/1, 112-120 0/1");
        // Other states: the higher delivery count wins, then the later state.
        check("100-110 0/1", "100-110 2/1", -1, "100-110 2/1");
        check("100-110 2/1", "100-110 0/2", -1, "100-110 0/2");
        check("100-110 0/2", "100-110 2/1", -1, "100-110 0/2");
        check("100-110 0/1", "100-120 2/1", -1, "100-120 2/1");
        check("100-110 2/1", "100-120 0/1", -1, "100-110 2/1, 111-120 0/1");
        check("100-120 0/1", "105-110 2/1", -1, "100-104 0/1, 105-110 2/1, 111-120 0/1");
        check("100-120 2/1", "105-110 0/1", -1, "100-120 2/1");
        check("100-110 0/1", "105-110 4/1", -1, "100-104 0/1, 105-110 4/1");
        check("100-110 0/1", "105-120 4/1", -1, "100-104 0/1, 105-120 4/1");
        check("100-110 4/1", "105-120 0/1", -1, "100-110 4/1, 111-120 0/1");
    }

    #[test]
    fn forgets_what_lies_before_the_start() {
        check("90-99 0/1, 100-110 0/1", "", 100, "100-110 0/1");
        check("90-110 0/1", "", 100, "100-110 0/1");
        check("90-110 0/1", "120-130 2/1", 111, "120-130 2/1");
        check("90-110 0/1", "", 111, "");
    }

    #[test]
    fn agrees_with_a_look_at_each_offset() {
        let mut state = 1_u64;
        let mut below = move |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        for _ in 0..2_000 {
            let mut batches = |count: u64| -> Vec<StateBatch> {
                let mut batch = || {
                    let first_offset = below(30) as i64;
                    StateBatch {
                        first_offset,
                        last_offset: first_offset + below(8) as i64,
                        delivery_state: [0, 2, 4][below(3) as usize],
                        delivery_count: below(3) as i16,
                    }
                };
                (0..count).map(|_| batch()).collect()
            };
            let (so_far, new) = (batches(4), batches(4));
            let mut offsets: BTreeMap<i64, (i16, i8)> = BTreeMap::new();
            for batch in so_far.iter().chain(&new) {
                for offset in batch.first_offset.max(5)..=batch.last_offset {
                    let rank = offsets.entry(offset).or_insert(batch.rank());
                    *rank = (*rank).max(batch.rank());
                }
            }
            let combined = combine(&so_far, &new, 5);
            let seen: BTreeMap<i64, (i16, i8)> = combined
                .iter()
                .flat_map(|batch| {
                    (batch.first_offset..=batch.last_offset).map(|offset| (offset, batch.rank()))
                })
                .collect();
            assert_eq!(seen, offsets, "{so_far:?} + {new:?}");
            let joined = |pair: &[StateBatch]| {
                pair[0].last_offset + 1 == pair[1].first_offset && pair[0].rank() == pair[1].rank()
            };
            assert!(!combined.windows(2).any(joined), "{combined:?}");
        }
    }
}
