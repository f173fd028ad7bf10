//! Tags of objects and properties, as Confluent's `JsonSchema` finds and changes them. Paths go by what the library that it reads
//! with makes of the keywords: `object`, `array`, `anyof.0`, `allof.1.conditional.then`. A `$ref` is not followed.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::documents::draft_of;
use super::draft::Draft;
use super::parts::{Kind, Part};
use crate::InvalidSchema;
use crate::tags::{Change, EntityKind, Found, KEY, Tagged, listed, no_match, put};

/// Whether it is about objects and nothing else.
pub(super) fn is_object(schema: &Value) -> bool {
    matches!(Part::of(schema, draft(schema)).kind, Kind::Object)
}

fn draft(schema: &Value) -> Draft {
    draft_of(schema).ok().flatten().unwrap_or(Draft::Draft7)
}

pub(super) fn entities(schema: &Value) -> Vec<Tagged> {
    let draft = draft(schema);
    let mut walk = Walk { draft, path: String::new(), found: Found::default() };
    walk.part(&Part::of(schema, draft), Within::Anything);
    walk.found.tagged()
}

/// Tags of a property's object are the property's.
#[derive(Clone, Copy, PartialEq)]
enum Within {
    Field,
    Anything,
}

/// As deep as the text is, which has its limit.
struct Walk {
    draft: Draft,
    path: String,
    found: Found,
}

impl Walk {
    fn part(&mut self, part: &Part<'_>, within: Within) {
        match &part.kind {
            Kind::Combined(criterion, parts) => {
                for (index, part) in parts.iter().enumerate() {
                    let step = format!("{}.{index}.", criterion.name());
                    self.below(&step, |walk| walk.part(part, Within::Anything));
                }
            }
            Kind::Array => self.child(part.get("items"), "array."),
            Kind::Not => self.child(part.get("not"), "not."),
            Kind::Conditional => {
                for branch in ["if", "then", "else"] {
                    self.child(part.get(branch), &format!("conditional.{branch}."));
                }
            }
            Kind::Object => self.below("object", |walk| walk.object(part, within)),
            _ => {}
        }
    }

    fn child(&mut self, value: Option<&Value>, step: &str) {
        if let Some(value) = value.filter(|value| value.is_object()) {
            self.below(step, |walk| walk.part(&Part::of(value, walk.draft), Within::Anything));
        }
    }

    fn object(&mut self, part: &Part<'_>, within: Within) {
        if part.is_whole && within == Within::Anything {
            self.found.add(EntityKind::Record, listed(part.get(KEY)), || self.path.clone());
        }
        let properties = part.get("properties").and_then(Value::as_object);
        for (name, value) in properties.into_iter().flatten() {
            self.below(&format!(".{name}"), |walk| {
                walk.found.add(EntityKind::Field, listed(value.get(KEY)), || walk.path.clone());
                walk.below(".", |walk| walk.part(&Part::of(value, walk.draft), Within::Field));
            });
        }
        let definitions = ["definitions", "$defs"].into_iter().filter(|keyword| {
            // What an older draft does not know stays unread.
            part.is_whole && (*keyword == "definitions" || self.draft.is_modern())
        });
        for keyword in definitions.collect::<Vec<_>>() {
            let definitions = part.get(keyword).and_then(Value::as_object);
            for (name, value) in definitions.into_iter().flatten() {
                self.child(Some(value), &format!(".{keyword}.{name}."));
            }
        }
    }

    fn below(&mut self, step: &str, walk: impl FnOnce(&mut Self)) {
        let mark = self.path.len();
        self.path.push_str(step);
        walk(self);
        self.path.truncate(mark);
    }
}

pub(super) fn change(schema: &mut Value, changes: &[Change<'_>]) -> Result<(), InvalidSchema> {
    // Confluent's registry sorts alternatives as draft 7 sees them, whatever draft they are of.
    let mut orders = Orders::new();
    for change in changes {
        let entity = find(schema, change, &mut orders);
        put(entity.ok_or_else(|| no_match(change.entity))?, change);
    }
    Ok(())
}

/// The order of alternatives, by where their list is.
type Orders = HashMap<*const Value, Vec<usize>>;

/// Goes down step by step: a path may be longer than the schema is deep.
fn find<'a>(
    schema: &'a mut Value,
    change: &Change<'_>,
    orders: &mut Orders,
) -> Option<&'a mut Map<String, Value>> {
    let mut at = schema;
    let mut steps = change.entity.path.split('.').peekable();
    loop {
        match steps.next()? {
            "object" => {
                let place = match (steps.peek(), change.entity.kind) {
                    (None, EntityKind::Record) => return at.as_object_mut(),
                    (None, EntityKind::Field) => return None,
                    (Some(keyword @ (&"definitions" | &"$defs")), _) => {
                        let keyword = *keyword;
                        steps.next();
                        keyword
                    }
                    (Some(_), _) => "properties",
                };
                at = named(at.get_mut(place)?, &mut steps)?;
                if steps.peek().is_none() {
                    return at.as_object_mut();
                }
            }
            "array" => at = at.get_mut("items")?,
            "not" => at = at.get_mut("not")?,
            "anyof" if at.get("anyOf").is_some() => at = alternative(at, "anyOf", steps.next()?, orders)?,
            "allof" if at.get("allOf").is_some() => at = alternative(at, "allOf", steps.next()?, orders)?,
            "oneof" => at = alternative(at, "oneOf", steps.next()?, orders)?,
            // Keywords or types side by side: their parts stand in the same place.
            "anyof" => drop(steps.next()?),
            "allof" => {
                steps.next()?;
                if steps.next_if_eq(&"conditional").is_some() {
                    at = at.get_mut(steps.next()?)?;
                }
            }
            // A condition with nothing beside it.
            "conditional" => at = at.get_mut(steps.next()?)?,
            _ => return None,
        }
    }
}

/// A member whose name may have points in it.
fn named<'a, 's>(
    members: &'a mut Value,
    steps: &mut std::iter::Peekable<impl Iterator<Item = &'s str>>,
) -> Option<&'a mut Value> {
    let members = members.as_object_mut()?;
    let mut name = steps.next()?.to_owned();
    while !members.contains_key(&name) {
        name.push('.');
        name.push_str(steps.next()?);
        if name.len() > MAX_NAME_BYTES {
            return None;
        }
    }
    members.get_mut(&name)
}

/// Of a property that a path leads to.
const MAX_NAME_BYTES: usize = 1024;

fn alternative<'a>(
    of: &'a mut Value,
    keyword: &str,
    index: &str,
    orders: &mut Orders,
) -> Option<&'a mut Value> {
    let values = of.get_mut(keyword)?.as_array_mut()?;
    let order = orders.entry(values.as_ptr()).or_insert_with(|| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by_cached_key(|at| Part::of(&values[*at], Draft::Draft7).key());
        order
    });
    let index: usize = index.parse().ok()?;
    values.get_mut(*order.get(index)?)
}
