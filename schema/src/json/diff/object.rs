//! Objects: what a property may be depends on whether the object is open, closed, or open to some.

use super::content::{Model, model};
use super::difference::*;
use super::walk::{At, Walk};
use crate::json::graph::{Additional, ObjectRule};

/// An object's rules and where they stand.
type Side<'a> = (At<'a>, &'a ObjectRule);

impl<'a> Walk<'a> {
    pub(super) fn objects(&mut self, original: Side<'a>, update: Side<'a>) {
        self.enter("required", |walk| walk.required(original.1, update));
        self.enter("properties", |walk| walk.properties(original, update));
        self.enter("dependencies", |walk| walk.dependencies(original, update));
        self.enter("additionalProperties", |walk| {
            let differences = [&ADDITIONAL_PROPERTIES_REMOVED, &ADDITIONAL_PROPERTIES_NARROWED];
            walk.additional(
                (original.0, &original.1.additional),
                (update.0, &update.1.additional),
                differences,
            );
        });
        self.enter("unevaluatedProperties", |walk| {
            let differences = [&UNEVALUATED_PROPERTIES_REMOVED, &UNEVALUATED_PROPERTIES_NARROWED];
            let of = |(at, rule): Side<'a>| rule.unevaluated.map(|id| at.with(id));
            walk.unevaluated(of(original), of(update), differences);
        });
        let (before, after) = (original.1, update.1);
        let differences = [&MAX_PROPERTIES_ADDED, &MAX_PROPERTIES_DECREASED];
        self.upper_limit("maxProperties", before.max_properties, after.max_properties, differences);
        let differences = [&MIN_PROPERTIES_ADDED, &MIN_PROPERTIES_INCREASED];
        self.lower_limit("minProperties", before.min_properties, after.min_properties, differences);
    }

    fn required(&mut self, before: &ObjectRule, (update, after): Side<'a>) {
        for name in after.required.iter().filter(|name| !before.required.contains(*name)) {
            let property = before.properties.get(name).and_then(|_| after.properties.get(name));
            if property.is_some_and(|&id| !update.with(id).node().has_default) {
                self.note_at(name, &REQUIRED_ATTRIBUTE_ADDED);
            }
        }
    }

    fn properties(&mut self, (original, before): Side<'a>, (update, after): Side<'a>) {
        for (name, &old) in &before.properties {
            self.enter(name, |walk| match after.properties.get(name) {
                Some(&new) => walk.compare(original.with(old), update.with(new)),
                None => walk.removed_property(name, original.with(old), (update, after)),
            });
        }
        for (name, &new) in after.properties.iter().filter(|(name, _)| !before.properties.contains_key(*name))
        {
            let is_required = after.required.contains(name);
            self.enter(name, |walk| {
                walk.added_property(name, (original, before), update.with(new), is_required);
            });
        }
    }

    /// What the update makes of the property decides.
    fn removed_property(&mut self, name: &str, old: At<'a>, update: Side<'a>) {
        match self.model(update, name) {
            Model::Open => (),
            Model::Covered(cover) => {
                self.covered(old, cover, &PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL);
            }
            Model::Closed if old.is_nothing() => (),
            Model::Closed => self.note(&PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL),
        }
    }

    /// What the original made of the property decides: in an open one its data may have had anything there.
    fn added_property(&mut self, name: &str, original: Side<'a>, new: At<'a>, is_required: bool) {
        let has_default = new.node().has_default;
        let model = self.model(original, name);
        if matches!(model, Model::Open) {
            match (is_required, has_default) {
                _ if new.is_any() => (),
                (false, _) => self.note(&OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL),
                (true, false) => self.note(&REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL),
                (true, true) => self.note(&REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL),
            }
            return;
        }
        if let Model::Covered(cover) = model {
            self.covered(cover, new, &PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL);
        }
        if is_required && !has_default {
            self.note(&REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL);
        }
    }

    fn model(&mut self, (at, rule): Side<'a>, name: &str) -> Model<'a> {
        for (pattern, id) in &rule.patterns {
            if self.patterns.find(pattern, name, &mut self.budget) {
                return Model::Covered(at.with(*id));
            }
        }
        let unevaluated = rule.unevaluated.map(|id| at.with(id));
        // With patterns an object is not open, whatever else it says.
        let is_closed = rule.additional == Additional::Closed;
        match model(rule.additional.schema().map(|id| at.with(id)), is_closed, unevaluated) {
            Model::Open if !rule.patterns.is_empty() => Model::Closed,
            model => model,
        }
    }

    fn dependencies(&mut self, (original, before): Side<'a>, (update, after): Side<'a>) {
        for (name, new) in &after.property_dependencies {
            match before.property_dependencies.get(name) {
                None => self.note_at(name, &DEPENDENCY_ARRAY_ADDED),
                Some(old) if new.is_subset(old) => (),
                Some(old) if old.is_subset(new) => self.note_at(name, &DEPENDENCY_ARRAY_EXTENDED),
                Some(_) => self.note_at(name, &DEPENDENCY_ARRAY_CHANGED),
            }
        }
        for (name, &new) in &after.schema_dependencies {
            let old = before.schema_dependencies.get(name).map(|&id| original.with(id));
            self.enter(name, |walk| {
                walk.compare_optional(old, Some(update.with(new)), &DEPENDENCY_SCHEMA_ADDED);
            });
        }
    }
}
