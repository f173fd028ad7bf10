//! What was found, as the lines of an answer.

use std::collections::{HashMap, HashSet};

use super::difference::Difference;
use crate::Words;
use crate::json::graph::NodeId;

/// Beyond these an answer says no more.
const MAX_LINES: usize = 1000;
const MAX_BYTES: usize = 1 << 20;
/// How often a pair of places is gone into: the same one may be referred to from everywhere.
const MAX_VISITS: usize = 10_000;

/// Two places that references lead to. Reversed: the first is of the update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    pub(super) is_reversed: bool,
    pub(super) original: NodeId,
    pub(super) update: NodeId,
}

pub(super) struct Found {
    /// Below the pair's places; empty when it is about themselves.
    pub(super) path: String,
    pub(super) what: What,
}

pub(super) enum What {
    Difference(&'static Difference),
    /// All that is not compatible in another pair.
    Reference(Pair),
}

impl Found {
    pub(super) const OVERHEAD_BYTES: usize = size_of::<Self>();

    pub(super) fn bytes(&self) -> usize {
        self.path.len() + Self::OVERHEAD_BYTES
    }
}

pub(super) struct Outcome {
    pub(super) root: Pair,
    pub(super) is_cut_short: bool,
    pub(super) incompatible: HashMap<Pair, Vec<Found>>,
}

/// A pair that is gone into: how far, and how long the path was before.
struct Level {
    pair: Pair,
    next: usize,
    mark: usize,
}

pub(super) fn lines(outcome: &Outcome, words: Words) -> Vec<String> {
    let mut lines = Vec::new();
    if outcome.is_cut_short {
        lines.push(too_large(words));
    }
    let Some(_) = outcome.incompatible.get(&outcome.root) else { return lines };
    let (mut bytes, mut visits) = (0, 0);
    let mut path = String::new();
    let mut levels = vec![Level { pair: outcome.root, next: 0, mark: 0 }];
    let mut open = HashSet::from([outcome.root]);
    while let Some(level) = levels.last_mut() {
        let found = outcome.incompatible.get(&level.pair).and_then(|found| found.get(level.next));
        let Some(found) = found.filter(|_| lines.len() < MAX_LINES && bytes < MAX_BYTES) else {
            path.truncate(level.mark);
            open.remove(&level.pair);
            levels.pop();
            continue;
        };
        level.next += 1;
        let mark = path.len();
        if !path.is_empty() && !found.path.is_empty() {
            path.push('/');
        }
        path.push_str(&found.path);
        match found.what {
            What::Reference(pair) if visits < MAX_VISITS && open.insert(pair) => {
                visits += 1;
                levels.push(Level { pair, next: 0, mark });
                continue;
            }
            What::Reference(_) => (),
            What::Difference(difference) => {
                lines.push(difference.line(&format!("#/{path}"), words));
                bytes += path.len();
            }
        }
        path.truncate(mark);
    }
    if lines.is_empty() {
        lines.push(too_large(words));
    }
    lines
}

fn too_large(Words { reader, writer }: Words) -> String {
    format!(
        "{{errorType:\"COMPARISON_TOO_LARGE\", description:\"The {reader} schema and the {writer} schema are too large to \
         be compared in full\"}}"
    )
}
