//! Arrays: lists of one kind of item, and tuples, which are open, closed, or open to some.

use super::content::{self, Model};
use super::difference::*;
use super::walk::{At, Walk};
use crate::json::graph::{Additional, ArrayRule};

type Side<'a> = (At<'a>, &'a ArrayRule);

impl<'a> Walk<'a> {
    pub(super) fn arrays(&mut self, original: Side<'a>, update: Side<'a>) {
        let all_items = |(at, rule): Side<'a>| rule.all_items.map(|id| at.with(id));
        self.enter("items", |walk| {
            walk.compare_optional(all_items(original), all_items(update), &SCHEMA_ADDED);
        });
        self.tuples(original, update);
        self.enter("additionalItems", |walk| {
            let differences = [&ADDITIONAL_ITEMS_REMOVED, &ADDITIONAL_ITEMS_NARROWED];
            walk.additional(
                (original.0, &original.1.additional),
                (update.0, &update.1.additional),
                differences,
            );
        });
        self.enter("unevaluatedItems", |walk| {
            let differences = [&UNEVALUATED_ITEMS_REMOVED, &UNEVALUATED_ITEMS_NARROWED];
            let of = |(at, rule): Side<'a>| rule.unevaluated.map(|id| at.with(id));
            walk.unevaluated(of(original), of(update), differences);
        });
        self.counts(original.1, update.1);
    }

    fn counts(&mut self, before: &ArrayRule, after: &ArrayRule) {
        self.upper_limit(
            "maxItems",
            before.max_items,
            after.max_items,
            [&MAX_ITEMS_ADDED, &MAX_ITEMS_DECREASED],
        );
        self.lower_limit(
            "minItems",
            before.min_items,
            after.min_items,
            [&MIN_ITEMS_ADDED, &MIN_ITEMS_INCREASED],
        );
        if !before.has_unique_items && after.has_unique_items {
            self.note_at("uniqueItems", &UNIQUE_ITEMS_ADDED);
        }
        let differences = [&MAX_CONTAINS_ADDED, &MAX_CONTAINS_DECREASED];
        self.upper_limit("maxContains", before.max_contains, after.max_contains, differences);
        let differences = [&MIN_CONTAINS_ADDED, &MIN_CONTAINS_INCREASED];
        self.lower_limit("minContains", before.min_contains, after.min_contains, differences);
    }

    fn tuples(&mut self, original: Side<'a>, update: Side<'a>) {
        let (before, after) = (&original.1.tuple, &update.1.tuple);
        for index in 0..before.len().max(after.len()) {
            self.enter(&format!("items/{index}"), |walk| {
                let old = before.get(index).map(|&id| original.0.with(id));
                let new = after.get(index).map(|&id| update.0.with(id));
                match (old, new) {
                    (Some(old), Some(new)) => walk.compare(old, new),
                    (Some(old), None) => walk.removed_item(old, update),
                    (None, Some(new)) => walk.added_item(original, new),
                    (None, None) => (),
                }
            });
        }
    }

    fn removed_item(&mut self, old: At<'a>, update: Side<'a>) {
        match model(update) {
            Model::Open => (),
            Model::Covered(cover) => {
                self.covered(old, cover, &ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL);
            }
            Model::Closed if old.is_nothing() => (),
            Model::Closed => self.note(&ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL),
        }
    }

    fn added_item(&mut self, original: Side<'a>, new: At<'a>) {
        match model(original) {
            Model::Open if new.is_any() => (),
            Model::Open => self.note(&ITEM_ADDED_TO_OPEN_CONTENT_MODEL),
            Model::Covered(cover) => {
                self.covered(cover, new, &ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL);
            }
            Model::Closed => (),
        }
    }
}

fn model<'a>((at, rule): Side<'a>) -> Model<'a> {
    let additional = rule.additional.schema().map(|id| at.with(id));
    let is_closed = rule.additional == Additional::Closed;
    content::model(additional, is_closed, rule.unevaluated.map(|id| at.with(id)))
}
