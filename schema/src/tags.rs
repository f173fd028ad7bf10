//! Tags that stand in a schema: `confluent:tags` of Avro and JSON Schema, `(confluent.message_meta).tags` and
//! `(confluent.field_meta).tags` of Protobuf.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::InvalidSchema;

/// What may have tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntityKind {
    /// An Avro record, an object of a JSON Schema, a Protobuf message.
    Record,
    Field,
}

/// What has tags, by its path: `com.example.Order.id` (Avro), `object.id` (JSON Schema), `Order.id` (Protobuf).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entity {
    pub path: String,
    pub kind: EntityKind,
}

/// An entity and tags of it, in their order, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged {
    pub entity: Entity,
    pub tags: Vec<String>,
}

/// What is to become of an entity's tags: these are added, then those are taken away.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub(crate) entity: &'a Entity,
    add: Vec<&'a str>,
    remove: HashSet<&'a str>,
}

/// All paths of one schema together: each names all that is around its entity. Entities beyond that are not told.
const MAX_PATHS_BYTES: usize = 4 << 20;
/// Entities whose tags are changed at once.
const MAX_CHANGES: usize = 4_000;
/// No path is longer that leads to an entity whose tags are changed.
const MAX_PATH_BYTES: usize = 4 << 10;

/// Entities as they are found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    tagged: Vec<Tagged>,
    bytes: usize,
}

impl Found {
    pub(crate) fn add(&mut self, kind: EntityKind, tags: Vec<String>, path: impl FnOnce() -> String) {
        if tags.is_empty() || self.bytes > MAX_PATHS_BYTES {
            return;
        }
        let path = path();
        self.bytes += path.len();
        self.tagged.push(Tagged { entity: Entity { path, kind }, tags });
    }

    pub(crate) fn tagged(self) -> Vec<Tagged> {
        self.tagged
    }
}

/// One change for each entity, in the order in which they are named first.
pub(crate) fn changes<'a>(add: &'a [Tagged], remove: &'a [Tagged]) -> Result<Vec<Change<'a>>, InvalidSchema> {
    let mut changes: Vec<Change<'a>> = Vec::new();
    let mut places = HashMap::new();
    for entity in add.iter().chain(remove).map(|tagged| &tagged.entity) {
        places.entry(entity).or_insert_with(|| {
            changes.push(Change { entity, add: Vec::new(), remove: HashSet::new() });
            changes.len() - 1
        });
    }
    if changes.len() > MAX_CHANGES {
        return Err(InvalidSchema(format!("Tags of more than {MAX_CHANGES} entities are changed")));
    }
    if let Some(change) = changes.iter().find(|change| change.entity.path.len() > MAX_PATH_BYTES) {
        return Err(no_match(change.entity));
    }
    for Tagged { entity, tags } in add {
        changes[places[entity]].add.extend(tags.iter().map(String::as_str));
    }
    for Tagged { entity, tags } in remove {
        changes[places[entity]].remove.extend(tags.iter().map(String::as_str));
    }
    Ok(changes)
}

impl Change<'_> {
    /// What becomes of these tags.
    pub(crate) fn apply(&self, tags: Vec<String>) -> Vec<String> {
        let added = self.add.iter().map(|tag| (*tag).to_owned());
        let all = distinct(tags.into_iter().chain(added));
        all.into_iter().filter(|tag| !self.remove.contains(tag.as_str())).collect()
    }
}

pub(crate) fn no_match(Entity { path, .. }: &Entity) -> InvalidSchema {
    InvalidSchema(format!("No matching path '{path}' found in the schema"))
}

pub(crate) fn distinct(tags: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut known = HashSet::new();
    tags.into_iter().filter(|tag| known.insert(tag.clone())).collect()
}

/// The tags that a `confluent:tags` lists; none when it is no list.
pub(crate) fn listed(tags: Option<&Value>) -> Vec<String> {
    let Some(Value::Array(tags)) = tags else { return Vec::new() };
    distinct(tags.iter().map(|tag| tag.as_str().map_or_else(|| tag.to_string(), str::to_owned)))
}

/// `confluent:tags` of a part of a JSON document.
pub(crate) const KEY: &str = "confluent:tags";

/// Puts an entity's tags into its part of a JSON document.
pub(crate) fn put(part: &mut Map<String, Value>, change: &Change<'_>) {
    let tags = change.apply(listed(part.get(KEY)));
    match tags.is_empty() {
        true => drop(part.shift_remove(KEY)),
        false => drop(part.insert(KEY.to_owned(), tags.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dependency, ParsedSchema, SchemaType};

    /// A line of `testdata/tags.jsonl`: a schema (and what it refers to), its fields, what has tags in it, and changes with the
    /// text or the error that they lead to. An entity is its path, a record's with `()` after it.
    fn check(line: &Value) {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let dependencies = line["dependencies"].as_object().into_iter().flatten();
        let dependencies: Vec<Dependency> = dependencies
            .map(|(name, schema)| Dependency { name: name.clone(), schema: text(schema) })
            .collect();
        let schema_type = line["type"].as_str().expect("a type").parse().expect("a type");
        let schema = text(&line["schema"]);
        let schema = ParsedSchema::parse(schema_type, &schema, &dependencies)
            .unwrap_or_else(|error| panic!("{error}: {line}"));
        if let Some(fields) = line.get("fields") {
            let fields: HashSet<String> = listed(Some(fields)).into_iter().collect();
            assert_eq!(schema.top_level_fields(), fields, "{line}");
        }
        let bad_name = schema.check_field_names().err().map(|error| error.0);
        assert_eq!(bad_name.as_deref(), line.get("bad_name").and_then(Value::as_str), "{line}");
        if let Some(expected) = line.get("tagged") {
            assert_eq!(schema.tagged_entities(), tagged(expected), "{line}");
        }
        let changed = schema.with_tags(&tagged(&line["add"]), &tagged(&line["remove"]));
        match line.get("error") {
            Some(error) => assert_eq!(changed.unwrap_err().0, text(error), "{line}"),
            None if line.get("changed").is_none() => {}
            None => {
                let changed = changed.unwrap_or_else(|error| panic!("{error}: {line}"));
                assert_eq!(changed, text(&line["changed"]), "{line}");
                let read = ParsedSchema::parse(schema_type, &changed, &dependencies);
                assert_eq!(read.expect("a schema").canonical(), changed, "{line}");
            }
        }
    }

    fn tagged(entities: &Value) -> Vec<Tagged> {
        let entity = |(path, tags): (&String, &Value)| {
            let (path, kind) = match path.strip_suffix("()") {
                Some(path) => (path, EntityKind::Record),
                None => (path.as_str(), EntityKind::Field),
            };
            Tagged { entity: Entity { path: path.to_owned(), kind }, tags: listed(Some(tags)) }
        };
        entities.as_object().into_iter().flatten().map(entity).collect()
    }

    #[test]
    fn tags_are_found_and_changed() {
        for line in include_str!("../testdata/tags.jsonl").lines() {
            check(&serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
        }
    }

    /// Long chains, long paths and many of them.
    #[test]
    fn hostile_schemas_and_changes_end() {
        let record = |n: usize| {
            let next = if n > 0 { format!("R{}", n - 1) } else { "int".to_owned() };
            format!(
                r#"{{"type":"record","name":"R{n}","fields":[{{"name":"f","type":"{next}","{KEY}":["T"]}}]}}"#
            )
        };
        let parse = |text: &str, dependencies: &[Dependency]| {
            ParsedSchema::parse(SchemaType::Avro, text, dependencies).expect("a schema")
        };
        let records: Vec<String> = (0..5_000).map(record).collect();
        let avro = parse(&format!("[{}]", records.join(",")), &[]);
        let entities = avro.tagged_entities();
        assert_eq!(entities.len(), 5_000);
        assert!(avro.with_tags(&entities, &[]).is_err(), "more than {MAX_CHANGES} at once");
        assert!(avro.with_tags(&[], &entities[..1_000]).is_ok());
        let chain: Vec<Dependency> =
            records.into_iter().map(|schema| Dependency { name: String::new(), schema }).collect();
        assert_eq!(parse(&record(5_000), &chain).tagged_entities().len(), 5_001);
        let deep = format!("{}{{}}{}", r#"{"not":"#.repeat(100), "}".repeat(100));
        let json = ParsedSchema::parse(SchemaType::Json, &deep, &[]).unwrap();
        assert!(json.tagged_entities().is_empty());
        for path in
            ["anyof.0.".repeat(500), "object.".repeat(500), "x".repeat(MAX_PATH_BYTES + 1), String::new()]
        {
            let entity = Entity { path, kind: EntityKind::Field };
            let tags = [Tagged { entity, tags: vec!["T".to_owned()] }];
            assert!(json.with_tags(&tags, &[]).is_err());
            assert!(avro.with_tags(&tags, &[]).is_err());
        }
    }
}
