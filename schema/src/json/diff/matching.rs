//! The largest set of pairs that share no member, and the bound on all work.

use std::collections::VecDeque;

/// Steps that may be taken. Once one is refused, all are.
#[derive(Debug)]
pub(super) struct Budget {
    left: usize,
    is_spent: bool,
}

impl Budget {
    pub(super) fn new(steps: usize) -> Self {
        Self { left: steps, is_spent: false }
    }

    pub(super) fn spend(&mut self, steps: usize) -> bool {
        match self.left.checked_sub(steps) {
            Some(left) if !self.is_spent => self.left = left,
            _ => self.is_spent = true,
        }
        !self.is_spent
    }

    pub(super) fn is_spent(&self) -> bool {
        self.is_spent
    }
}

/// How many of the left ones can each have a right one of their own, when `edges` has for each of them those that go with it.
/// None when the budget does not suffice.
pub(super) fn maximum_matching(edges: &[Vec<usize>], right_len: usize, budget: &mut Budget) -> Option<usize> {
    let mut left_of = vec![None; right_len];
    let mut size = 0;
    for start in 0..edges.len() {
        if let Some(end) = find_way(start, edges, &left_of, budget)? {
            apply(end, &mut left_of);
            size += 1;
        }
    }
    Some(size)
}

/// From a right one that is free back to the left one that wants a partner: each step is a right one and its new left one.
type Way = Vec<(usize, usize)>;

fn find_way(
    start: usize,
    edges: &[Vec<usize>],
    left_of: &[Option<usize>],
    budget: &mut Budget,
) -> Option<Option<Way>> {
    let mut came_from: Vec<Option<usize>> = vec![None; left_of.len()];
    let mut waiting = VecDeque::from([start]);
    let mut right_of_left = vec![None; edges.len()];
    while let Some(left) = waiting.pop_front() {
        for &right in &edges[left] {
            if !budget.spend(1) {
                return None;
            }
            if came_from[right].is_some() {
                continue;
            }
            came_from[right] = Some(left);
            match left_of[right] {
                Some(next) => {
                    right_of_left[next] = Some(right);
                    waiting.push_back(next);
                }
                None => return Some(Some(trace(right, &came_from, &right_of_left))),
            }
        }
    }
    Some(None)
}

fn trace(end: usize, came_from: &[Option<usize>], right_of_left: &[Option<usize>]) -> Way {
    let mut way = Vec::new();
    let mut right = Some(end);
    while let Some((at, left)) = right.and_then(|at| came_from[at].map(|left| (at, left))) {
        way.push((at, left));
        right = right_of_left[left];
    }
    way
}

fn apply(way: Way, left_of: &mut [Option<usize>]) {
    for (right, left) in way {
        left_of[right] = Some(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matchings_are_the_largest() {
        let cases: [(&[&[usize]], usize, usize); 7] = [
            (&[], 0, 0),
            (&[&[0, 1], &[0]], 2, 2),
            (&[&[0], &[0]], 2, 1),
            (&[&[0, 1], &[0, 2], &[0]], 3, 3),
            (&[&[], &[1], &[1, 0]], 2, 2),
            (&[&[0, 1, 2], &[0, 1], &[0], &[2, 3]], 4, 4),
            (&[&[1], &[1], &[1], &[0, 1]], 2, 2),
        ];
        for (edges, right_len, expected) in cases {
            let edges: Vec<Vec<usize>> = edges.iter().map(|of| of.to_vec()).collect();
            let found = maximum_matching(&edges, right_len, &mut Budget::new(1000));
            assert_eq!(found, Some(expected), "{edges:?}");
        }
    }

    #[test]
    fn a_matching_stops_when_the_budget_is_spent() {
        let edges = vec![(0..1000).collect::<Vec<_>>(); 1000];
        assert_eq!(maximum_matching(&edges, 1000, &mut Budget::new(100)), None);
    }
}
