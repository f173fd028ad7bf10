//! `allOf`, `anyOf`, `oneOf` and whatever counts as one.

use std::collections::HashSet;

use super::difference::*;
use super::matching::maximum_matching;
use super::walk::{At, Walk};
use crate::json::graph::{Criterion, NodeId, Union};

impl<'a> Walk<'a> {
    pub(super) fn unions(
        &mut self,
        (original, before): (At<'a>, &'a Union),
        (update, after): (At<'a>, &'a Union),
    ) {
        if !may_follow(before, after) {
            return self.note(&COMBINED_TYPE_CHANGED);
        }
        let (old, new) = (distinct(&before.parts), distinct(&after.parts));
        if old.len() < new.len() && after.criterion == Criterion::All {
            self.note(&PRODUCT_TYPE_EXTENDED);
        }
        if old.len() > new.len() && before.criterion != Criterion::All {
            self.note(&SUM_TYPE_NARROWED);
        }
        let mut edges = Vec::with_capacity(old.len());
        for &part in &old {
            let fits = |&index: &usize| self.is_compatible(original.with(part), update.with(new[index]));
            edges.push((0..new.len()).filter(fits).collect::<Vec<_>>());
            if self.budget.is_spent() {
                return;
            }
        }
        let size = maximum_matching(&edges, new.len(), &mut self.budget);
        if size.is_some_and(|size| size < old.len().min(new.len())) {
            self.note(&COMBINED_TYPE_SUBSCHEMAS_CHANGED);
        }
    }

    /// Whether a schema that is no union may become this one.
    pub(super) fn is_part(&mut self, original: At<'a>, (update, after): (At<'a>, &'a Union)) -> bool {
        let is_one_of_many = after.criterion != Criterion::All || is_single(after);
        is_one_of_many && after.parts.iter().any(|&part| self.is_compatible(original, update.with(part)))
    }

    /// Whether this union may become a schema that is none.
    pub(super) fn has_part(&mut self, (original, before): (At<'a>, &'a Union), update: At<'a>) -> bool {
        let holds_in_all = before.criterion == Criterion::All || is_single(before);
        holds_in_all && before.parts.iter().any(|&part| self.is_compatible(original.with(part), update))
    }
}

fn is_single(union: &Union) -> bool {
    union.parts.len() == 1
}

/// Whether a union may become one of another sort.
fn may_follow(before: &Union, after: &Union) -> bool {
    before.criterion == after.criterion
        || after.criterion == Criterion::Any
        || (is_single(before) && (is_single(after) || after.criterion == Criterion::One))
        || (is_single(after) && before.criterion == Criterion::All)
}

/// Parts that say the same count once.
fn distinct(parts: &[NodeId]) -> Vec<NodeId> {
    let mut seen = HashSet::new();
    parts.iter().copied().filter(|part| seen.insert(*part)).collect()
}
