//! Tags of records and fields, as Confluent's `AvroSchema` finds and changes them: found by walking the graph, changed in the text.

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use serde_json::{Map, Value};

use super::graph::{Field, Graph, Id, Kind};
use super::text;
use crate::InvalidSchema;
use crate::tags::{Change, Entity, EntityKind, Found, KEY, Tagged, listed, no_match, put};

/// What the walk comes to next.
enum Step<'a> {
    Node(Id),
    /// With the path of its record.
    Field(Rc<str>, &'a Field),
}

pub fn entities(graph: &Graph, root: Id) -> Vec<Tagged> {
    let mut found = Found::default();
    let mut visited = HashSet::new();
    // Records may refer to each other in chains of any length: no recursion. What comes first is on top.
    let mut steps = vec![Step::Node(root)];
    while let Some(step) = steps.pop() {
        let id = match step {
            Step::Node(id) => id,
            Step::Field(record, field) => {
                let tags = listed(field.properties.get(KEY));
                found.add(EntityKind::Field, tags, || format!("{record}.{}", field.name));
                field.schema
            }
        };
        let node = graph.node(id);
        match &node.kind {
            Kind::Array(part) | Kind::Map(part) => steps.push(Step::Node(*part)),
            Kind::Union(branches) => steps.extend(branches.iter().rev().map(|id| Step::Node(*id))),
            Kind::Record(record) if visited.insert(id) => {
                let name: Rc<str> = record.named.name.full().into();
                found.add(EntityKind::Record, listed(node.properties.get(KEY)), || name.to_string());
                let fields = record.fields.iter().rev();
                steps.extend(fields.map(|field| Step::Field(Rc::clone(&name), field)));
            }
            _ => {}
        }
    }
    found.tagged()
}

/// A change and where its entity is.
struct Target<'a> {
    change: &'a Change<'a>,
    /// Empty is any.
    namespace: &'a str,
    record: &'a str,
    /// None: it is the record itself.
    field: Option<&'a str>,
}

pub fn changed(canonical: &str, changes: &[Change<'_>]) -> Result<String, InvalidSchema> {
    let mut targets: HashMap<&str, Vec<Target<'_>>> = HashMap::new();
    for change in changes {
        let target = target(change).ok_or_else(|| no_match(change.entity))?;
        targets.entry(target.record).or_default().push(target);
    }
    let mut schema = text::read(canonical)?;
    let mut waiting: VecDeque<(&mut Value, Rc<str>)> = VecDeque::from([(&mut schema, "".into())]);
    // The nearest to the top counts: one level after the other.
    while let Some((value, outer)) = waiting.pop_front() {
        match value {
            Value::Array(parts) => waiting.extend(parts.iter_mut().map(|part| (part, Rc::clone(&outer)))),
            Value::Object(object) => {
                let namespace = object.get("namespace").and_then(Value::as_str).map_or(outer, Rc::from);
                let part = match object.get("type").and_then(Value::as_str) {
                    Some("record") => {
                        change_record(object, &namespace, &mut targets);
                        "fields"
                    }
                    Some("array") => "items",
                    Some("map") => "values",
                    _ => "type",
                };
                waiting.extend(object.get_mut(part).map(|part| (part, namespace)));
            }
            _ => {}
        }
    }
    let left: HashSet<&Entity> = targets.values().flatten().map(|target| target.change.entity).collect();
    match changes.iter().find(|change| left.contains(change.entity)) {
        Some(change) => Err(no_match(change.entity)),
        None => Ok(text::to_string(&schema)),
    }
}

fn target<'a>(change: &'a Change<'a>) -> Option<Target<'a>> {
    let path = change.entity.path.as_str();
    let (full, field) = match change.entity.kind {
        EntityKind::Record => (path, None),
        EntityKind::Field => path.rsplit_once('.').map(|(full, field)| (full, Some(field)))?,
    };
    let (namespace, record) = full.rsplit_once('.').unwrap_or(("", full));
    Some(Target { change, namespace, record, field })
}

/// Makes the changes to this record and its fields, and forgets them.
fn change_record(
    record: &mut Map<String, Value>,
    namespace: &str,
    targets: &mut HashMap<&str, Vec<Target<'_>>>,
) {
    let Some(named) = record.get("name").and_then(Value::as_str).and_then(|name| targets.get_mut(name))
    else {
        return;
    };
    let is_meant = |target: &Target<'_>| target.namespace.is_empty() || target.namespace == namespace;
    let (meant, others) = std::mem::take(named).into_iter().partition(is_meant);
    *named = others;
    let meant: Vec<Target<'_>> = meant;
    let mut of_fields: HashMap<&str, Vec<Target<'_>>> = HashMap::new();
    for target in meant {
        match target.field {
            None => put(record, target.change),
            Some(field) => of_fields.entry(field).or_default().push(target),
        }
    }
    let fields = record.get_mut("fields").and_then(Value::as_array_mut);
    for field in fields.into_iter().flatten().filter_map(Value::as_object_mut) {
        let name = field.get("name").and_then(Value::as_str);
        let targets = name.and_then(|name| of_fields.remove(name));
        targets.into_iter().flatten().for_each(|target| put(field, target.change));
    }
    named.extend(of_fields.into_values().flatten());
}
