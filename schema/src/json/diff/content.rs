//! What objects and arrays say of members that they do not name: open, closed, or open to some.

use super::difference::Difference;
use super::walk::{At, Walk};
use crate::json::graph::Additional;

pub(super) enum Model<'a> {
    Open,
    Covered(At<'a>),
    Closed,
}

/// The model that `additional…` and `unevaluated…` make.
pub(super) fn model<'a>(
    additional: Option<At<'a>>,
    is_closed: bool,
    unevaluated: Option<At<'a>>,
) -> Model<'a> {
    match (additional, unevaluated.filter(|at| !at.is_any())) {
        (Some(cover), _) => Model::Covered(cover),
        (None, None) if !is_closed => Model::Open,
        (None, Some(cover)) if !is_closed && !cover.is_nothing() => Model::Covered(cover),
        _ => Model::Closed,
    }
}

impl<'a> Walk<'a> {
    /// A member that has a name in one schema is covered in the other: it must be compatible with what covers it.
    pub(super) fn covered(&mut self, original: At<'a>, update: At<'a>, uncovered: &'static Difference) {
        let found = self.aside(|walk| walk.compare(original, update));
        let is_covered = found.is_empty();
        self.add(found);
        if !is_covered {
            self.note(uncovered);
        }
    }

    /// `additionalProperties` or `additionalItems`: the differences are that they went, and that they got a schema.
    pub(super) fn additional(
        &mut self,
        (original, before): (At<'a>, &'a Additional),
        (update, after): (At<'a>, &'a Additional),
        [removed, narrowed]: [&'static Difference; 2],
    ) {
        match (before, after) {
            (Additional::Closed, _) => (),
            (_, Additional::Closed) => self.note(removed),
            (_, Additional::Open) => (),
            (Additional::Open, Additional::Schema(_)) => self.note(narrowed),
            (Additional::Schema(old), Additional::Schema(new)) => {
                self.compare(original.with(*old), update.with(*new));
            }
        }
    }

    /// `unevaluatedProperties` or `unevaluatedItems`, with the same differences.
    pub(super) fn unevaluated(
        &mut self,
        original: Option<At<'a>>,
        update: Option<At<'a>>,
        [removed, narrowed]: [&'static Difference; 2],
    ) {
        match (original, update) {
            (_, None) => (),
            (Some(old), Some(_)) if old.is_nothing() => (),
            (_, Some(new)) if new.is_nothing() => self.note(removed),
            (None, Some(_)) => self.note(narrowed),
            (Some(_), Some(new)) if new.is_any() => (),
            (Some(old), Some(_)) if old.is_any() => self.note(narrowed),
            (Some(old), Some(new)) => self.compare(old, new),
        }
    }
}
