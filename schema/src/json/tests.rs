//! The tables: pairs of schemas with the differences between them, and texts. Apicurio's verdict and those of the libraries that
//! Confluent's registry reads with are recorded in them (integration/schemas/json); a line where it differs says why.

use serde_json::{Value, json};

use super::*;
use crate::{BACKWARD, FORWARD};

const PAIRS: &str = include_str!("../../testdata/json/pairs.jsonl");
const TEXTS: &str = include_str!("../../testdata/json/texts.jsonl");

fn rows(table: &str) -> impl Iterator<Item = Value> {
    table.lines().map(|line| serde_json::from_str(line).expect("a row is JSON"))
}

fn schema_of(row: &Value, key: &str) -> Schema {
    let mut schema = row[key].clone();
    if let Some(members) = schema.as_object_mut() {
        let url = match row["draft"].as_i64() {
            Some(draft @ 4..=7) => format!("http://json-schema.org/draft-0{draft}/schema#"),
            Some(2019) => "https://json-schema.org/draft/2019-09/schema".to_owned(),
            _ => "https://json-schema.org/draft/2020-12/schema".to_owned(),
        };
        members.insert("$schema".to_owned(), url.into());
    }
    Schema::parse(&schema.to_string(), &[]).unwrap_or_else(|error| panic!("{row}: {error}"))
}

/// `TYPE path` of a line.
fn shortened(line: &str) -> String {
    let (_, rest) = line.split_once("errorType:\"").expect(line);
    let (kind, rest) = rest.split_once('"').expect(line);
    match rest.split_once("path '").and_then(|(_, rest)| rest.split_once("' ")) {
        Some((path, _)) => format!("{kind} {path}"),
        None => kind.to_owned(),
    }
}

#[test]
fn pairs_have_confluents_verdicts() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for row in rows(PAIRS) {
        count += 1;
        let (old, new) = (schema_of(&row, "old"), schema_of(&row, "new"));
        let backward: Vec<_> =
            incompatibilities(&new, &old, Policy::Strict, BACKWARD).iter().map(|l| shortened(l)).collect();
        let forward: Vec<_> =
            incompatibilities(&old, &new, Policy::Strict, FORWARD).iter().map(|l| shortened(l)).collect();
        if row["backward"] != json!(backward) || row["forward"] != json!(forward) {
            wrong.push(format!("{row}\n  backward {backward:?}\n  forward {forward:?}"));
        }
        let found = [backward.is_empty(), forward.is_empty()].map(|is| if is { "yes" } else { "no" });
        let is_as_apicurio = row.get("apicurio").is_none_or(|recorded| *recorded == json!(found));
        if is_as_apicurio == row.get("why").is_some() {
            wrong.push(format!("{row}\n  a difference from Apicurio needs a reason, and nothing else one"));
        }
    }
    assert!(count >= 300, "{count} pairs");
    assert!(wrong.is_empty(), "{} of {count} pairs\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong with a row of texts: our error, the canonical and normalized texts that Jackson writes, and whether the libraries
/// take it for a schema, too.
fn check_text(row: &Value) -> Option<String> {
    let references = row["references"].as_object().into_iter().flatten();
    let dependencies: Vec<Dependency> = references
        .map(|(name, schema)| Dependency {
            name: name.clone(),
            schema: schema.as_str().unwrap_or_default().into(),
        })
        .collect();
    let text = row["text"].as_str().expect("a text");
    let found = match Schema::parse(text, &dependencies) {
        Err(InvalidSchema(error)) => json!({ "error": error, "loads": "no" }),
        Ok(schema) => {
            json!({ "canonical": schema.canonical(), "normalized": schema.normalized(), "loads": "yes" })
        }
    };
    let loads = if row["loads"] == "yes" { "yes" } else { "no" };
    let is_refused = found["loads"] == "no";
    let is_same = row["error"] == found["error"]
        && (is_refused
            || (row["canonical"] == found["canonical"] && row["normalized"] == found["normalized"]))
        && (found["loads"] == loads) == row.get("why").is_none();
    (!is_same).then(|| format!("{row}\n  {found}"))
}

#[test]
fn texts_are_read_and_written_as_java_does() {
    let wrong: Vec<String> = rows(TEXTS).filter_map(|row| check_text(&row)).collect();
    assert!(wrong.is_empty(), "{} rows\n{}", wrong.len(), wrong.join("\n"));
}

fn parse(schema: &Value) -> Schema {
    Schema::parse(&schema.to_string(), &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn backward(old: &Value, new: &Value) -> Vec<String> {
    incompatibilities(&parse(new), &parse(old), Policy::Strict, BACKWARD)
        .iter()
        .map(|line| shortened(line))
        .collect()
}

/// A definition that each next one refers to, in `count` of them; the last one is `last`.
fn chain(count: usize, link: impl Fn(Value) -> Value, last: &str) -> Value {
    let mut definitions: serde_json::Map<String, Value> = (0..count)
        .map(|index| (format!("d{index}"), link(json!({ "$ref": format!("#/definitions/d{}", index + 1) }))))
        .collect();
    definitions.insert(format!("d{count}"), json!({ "type": last }));
    json!({ "$ref": "#/definitions/d0", "definitions": definitions })
}

#[test]
fn long_chains_of_references_cost_no_stack() {
    let property = |next| json!({ "properties": { "a": next } });
    let (old, new) = (chain(8000, property, "string"), chain(8000, property, "number"));
    assert_eq!(backward(&old, &old), Vec::<String>::new());
    let lines = backward(&old, &new);
    assert_eq!(lines, [format!("TYPE_CHANGED #/{}", vec!["properties/a"; 8000].join("/"))]);
    let (old, new) = (chain(8000, |next| next, "string"), chain(8000, |next| next, "number"));
    assert_eq!(backward(&old, &new), ["TYPE_CHANGED #/"]);
}

#[test]
fn what_is_reached_in_countless_ways_is_told_a_bounded_number_of_times() {
    let twice = |next: Value| json!({ "properties": { "a": next, "b": next } });
    let (old, new) = (chain(60, twice, "string"), chain(60, twice, "number"));
    assert_eq!(backward(&old, &new).len(), 1000);
    let unions =
        |next: Value| json!({ "oneOf": [{ "properties": { "a": next, "b": next } }, { "type": "null" }] });
    assert_eq!(
        backward(&chain(60, unions, "string"), &chain(60, unions, "number")),
        ["COMBINED_TYPE_SUBSCHEMAS_CHANGED #/"]
    );
}

#[test]
fn comparisons_that_are_too_large_are_given_up() {
    let union = |count: usize, step: usize| {
        let part = |index: usize| json!({ "type": "string", "maxLength": 1000 + index * step });
        json!({ "anyOf": (0..count).map(part).collect::<Vec<_>>() })
    };
    assert_eq!(backward(&union(300, 1), &union(300, 2)), Vec::<String>::new());
    assert_eq!(backward(&union(3000, 1), &union(3000, 2)), ["COMPARISON_TOO_LARGE"]);
    let object = |count: usize, prefix: &str| {
        let named = |kind: &str| -> serde_json::Map<String, Value> {
            (0..count).map(|index| (format!("{kind}{index}"), json!({ "type": "string" }))).collect()
        };
        json!({ "properties": named(prefix), "patternProperties": named("^(a+)+(?!c)\\w{9}") })
    };
    assert_eq!(backward(&object(2000, "a"), &object(2000, "b"))[0], "COMPARISON_TOO_LARGE");
    let long = "n".repeat(400_000);
    let many = |kind: &str| {
        let members: serde_json::Map<String, Value> =
            (0..5000).map(|index| (format!("p{index}"), json!({ "type": kind }))).collect();
        json!({ "properties": { (&long): { "properties": members } } })
    };
    assert!(!backward(&many("string"), &many("number")).is_empty());
}

#[test]
fn ids_and_references_of_any_number_are_read() {
    let mut nested = json!({ "$id": "last", "type": "string" });
    for index in 0..50 {
        nested = json!({ "$id": format!("{}{index}", "x/".repeat(100)), "properties": { "a": nested } });
    }
    assert!(
        Schema::parse(&nested.to_string(), &[]).is_err_and(|InvalidSchema(why)| why.contains("longer than"))
    );
    let items: Vec<Value> =
        (0..10_000).map(|index| json!({ "$ref": format!("#/items/{}", index / 2) })).collect();
    assert_eq!(backward(&json!({ "items": items }), &json!({ "items": items })), Vec::<String>::new());
}

/// A line of each sentence, in full.
#[test]
fn differences_are_told_in_confluents_words() {
    let object = |properties: Value, additional: Value| json!({ "type": "object", "properties": properties, "additionalProperties": additional });
    let text = json!({ "type": "string" });
    let cases = [
        (
            json!({ "type": "string" }),
            json!({ "type": "string", "maxLength": 1 }),
            r##"{errorType:"MAX_LENGTH_ADDED", description:"The keyword at path '#/maxLength' in the new schema is not present in the old schema"}"##,
        ),
        (
            json!({ "minimum": 1 }),
            json!({ "minimum": 2 }),
            r##"{errorType:"MINIMUM_INCREASED", description:"The value at path '#/minimum' in the new schema is more than its value in the old schema"}"##,
        ),
        (
            json!({ "maximum": 2 }),
            json!({ "maximum": 1 }),
            r##"{errorType:"MAXIMUM_DECREASED", description:"The value at path '#/maximum' in the new schema is less than its value in the old schema"}"##,
        ),
        (
            json!({ "pattern": "a" }),
            json!({ "pattern": "b" }),
            r##"{errorType:"PATTERN_CHANGED", description:"The value at path '#/pattern' is different between the new and old schema"}"##,
        ),
        (
            json!({ "enum": [1, 2] }),
            json!({ "enum": [1] }),
            r##"{errorType:"ENUM_ARRAY_NARROWED", description:"An array or combined type at path '#/enum' has fewer elements in the new schema than the old schema"}"##,
        ),
        (
            json!({ "not": { "type": "number" } }),
            json!({ "not": { "type": "string" } }),
            r##"{errorType:"NOT_TYPE_EXTENDED", description:"An array or combined type at path '#/not' has more elements in the new schema than the old schema"}"##,
        ),
        (
            json!({ "type": "string" }),
            json!({ "type": "number" }),
            r##"{errorType:"TYPE_CHANGED", description:"A type at path '#/' is different between the new schema and the old schema"}"##,
        ),
        (
            object(json!({}), true.into()),
            object(json!({ "a": text }), true.into()),
            r##"{errorType:"OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL", description:"The new schema has an open content model and has a property or item at path '#/properties/a' which is missing in the old schema"}"##,
        ),
        (
            object(json!({}), false.into()),
            json!({ "type": "object", "properties": { "a": text }, "additionalProperties": false, "required": ["a"] }),
            r##"{errorType:"REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL", description:"The new schema has an unopen content model and has a required property at path '#/properties/a' which is missing in the old schema"}"##,
        ),
        (
            object(json!({ "a": text }), false.into()),
            object(json!({}), false.into()),
            r##"{errorType:"PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL", description:"The new schema has a closed content model and is missing a property or item present at path '#/properties/a' in the old schema"}"##,
        ),
        (
            object(json!({ "a": text }), json!({ "type": "number" })),
            object(json!({}), json!({ "type": "number" })),
            r##"{errorType:"PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", description:"A property or item is missing in the new schema but present at path '#/properties/a' in the old schema and is not covered by its partially open content model"}"##,
        ),
        (
            object(json!({}), json!({ "type": "number" })),
            object(json!({ "a": text }), json!({ "type": "number" })),
            r##"{errorType:"PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL", description:"The new schema has a property or item at path '#/properties/a' which is missing in the old schema and is not covered by its partially open content model"}"##,
        ),
        (
            json!({ "type": "array" }),
            json!({ "type": "array", "items": {} }),
            r##"{errorType:"SCHEMA_ADDED", description:""}"##,
        ),
    ];
    for (old, new, line) in cases {
        assert_eq!(
            incompatibilities(&parse(&new), &parse(&old), Policy::Strict, BACKWARD)
                .last()
                .map(String::as_str),
            Some(line)
        );
        let line = line.replace("new ", "X ").replace("old ", "new ").replace("X ", "old ");
        assert_eq!(
            incompatibilities(&parse(&new), &parse(&old), Policy::Strict, FORWARD).last(),
            Some(&line)
        );
    }
}

#[test]
fn the_deepest_nesting_fits_the_stack() {
    let nested = |wrap: &dyn Fn(Value) -> Value, levels: usize| {
        (0..levels).fold(json!({ "type": "string" }), |inner, _| wrap(inner))
    };
    let wraps: [&dyn Fn(Value) -> Value; 4] = [
        &|inner| json!({ "not": inner }),
        &|inner| json!({ "items": inner }),
        &|inner| json!({ "properties": { "a": inner } }),
        &|inner| json!({ "anyOf": [inner] }),
    ];
    for (index, wrap) in wraps.into_iter().enumerate() {
        let levels = if index < 2 { 126 } else { 63 };
        let schema = nested(wrap, levels);
        assert_eq!(backward(&schema, &schema), Vec::<String>::new());
        assert!(Schema::parse(&nested(wrap, levels + 2).to_string(), &[]).is_err());
    }
}

#[test]
fn a_lenient_comparison_does_not_mind_what_open_objects_take() {
    let object = |properties: Value, rest: Value| {
        let mut schema =
            json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object" });
        let members = schema.as_object_mut().expect("an object");
        members.insert("properties".to_owned(), properties);
        members.extend(rest.as_object().cloned().unwrap_or_default());
        schema
    };
    let (open, text) = (json!({}), json!({ "type": "string" }));
    let closed = json!({ "additionalProperties": false });
    let cases = [
        (object(json!({}), open.clone()), object(json!({ "a": text }), open.clone()), ""),
        (
            object(json!({}), open.clone()),
            object(json!({ "a": text }), json!({ "required": ["a"] })),
            "REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL #/properties/a",
        ),
        (
            object(json!({}), open.clone()),
            object(json!({ "a": { "default": 1, "type": "number" } }), json!({ "required": ["a"] })),
            "",
        ),
        (object(json!({}), open.clone()), object(json!({}), closed.clone()), ""),
        (object(json!({}), open.clone()), object(json!({}), json!({ "additionalProperties": text })), ""),
        (object(json!({}), open.clone()), object(json!({}), json!({ "unevaluatedProperties": false })), ""),
        (object(json!({}), open.clone()), object(json!({}), json!({ "unevaluatedProperties": text })), ""),
        (
            object(json!({ "a": text }), closed.clone()),
            object(json!({}), closed),
            "PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL #/properties/a",
        ),
        (
            object(json!({ "a": text }), open.clone()),
            object(json!({ "a": { "type": "number" } }), open),
            "TYPE_CHANGED #/properties/a",
        ),
        (
            object(json!({ "a": { "type": "number" } }), json!({ "additionalProperties": text })),
            object(json!({}), json!({ "additionalProperties": text })),
            "TYPE_CHANGED #/properties/a",
        ),
    ];
    for (old, new, expected) in cases {
        let lines = incompatibilities(&parse(&new), &parse(&old), Policy::Lenient, BACKWARD);
        let found: Vec<String> = lines.iter().map(|line| shortened(line)).collect();
        assert_eq!(found.join(" "), expected, "{old} {new}");
    }
}
