//! Two schemas compared, as Confluent's registry does it: the earlier one is the original, the later one its update, and data of
//! the original must be valid for the update. Enters: two graphs. Leaves: the lines of what is not compatible.
//!
//! What is inside of one schema is walked down; at a reference the walk ends, and the pair of places that it met there is
//! compared on its own. A pair counts as compatible until a difference is found in it, then all that relied on it are looked at
//! again: so schemas may be recursive in any way, and their depth costs no stack. The work is bounded; who compares larger
//! schemas is told so.

mod array;
mod content;
mod difference;
mod matching;
mod object;
mod patterns;
mod report;
mod scalar;
mod union;
mod walk;

use super::graph::Graph;
use crate::Words;
use crate::compatibility::Policy;

/// Why data of `original` cannot be read with `update`: empty when it can.
pub(super) fn compare(original: &Graph, update: &Graph, policy: Policy, words: Words) -> Vec<String> {
    let found = walk::Walk::new(original, update, policy).run();
    report::lines(&found, words)
}
