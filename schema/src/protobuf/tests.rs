use serde_json::Value;

use super::*;
use crate::{BACKWARD, FORWARD};

fn table(text: &str) -> Vec<Value> {
    serde_json::from_str(text).expect("a table")
}

fn schema(case: &Value, text: &str, imports: &str) -> Schema {
    let imports = case[imports].as_object().into_iter().flatten().map(|(name, schema)| Dependency {
        name: name.clone(),
        schema: schema.as_str().expect("an import").to_owned(),
    });
    let imports: Vec<Dependency> = imports.collect();
    let text = case[text].as_str().expect("a schema");
    Schema::parse(text, &imports).unwrap_or_else(|error| panic!("{}: {error}\n{text}", case["name"]))
}

/// Kind and path of each line.
fn told(reader: &Schema, writer: &Schema) -> Vec<String> {
    let lines = incompatibilities(reader, writer, BACKWARD);
    let kind_and_path = |line: &String| {
        let kind = line.split('"').nth(1)?;
        let path = line.split('\'').nth(1)?;
        Some(format!("{kind} {path}"))
    };
    lines.iter().map(|line| kind_and_path(line).unwrap_or_else(|| panic!("{line}"))).collect()
}

#[test]
fn pairs() {
    let pairs = table(include_str!("../../testdata/protobuf/pairs.json"));
    assert!(pairs.len() >= 300, "{} pairs", pairs.len());
    let mut wrong = Vec::new();
    for pair in &pairs {
        let (old, new) = (schema(pair, "old", "old_imports"), schema(pair, "new", "new_imports"));
        let expected: Vec<&str> =
            pair["differences"].as_array().expect("a list").iter().flat_map(Value::as_str).collect();
        let told = told(&new, &old);
        if told != expected {
            wrong.push(format!("{}\n  expected {expected:?}\n  told {told:?}", pair["name"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn lines_say_which_schema_is_new() {
    let text = |field: &str| format!("syntax = \"proto3\";\nmessage M {{\n  {field} f = 1;\n}}\n");
    let parse = |text: &str| Schema::parse(text, &[]).expect("a schema");
    let (old, new) = (parse(&text("int32")), parse(&text("string")));
    let line = |reader: &str, writer: &str| {
        format!(
            "{{errorType:\"FIELD_SCALAR_KIND_CHANGED\", description:\"The kind of a SCALAR field at path '#/M/1' in the \
             {reader} schema does not match its kind in the {writer} schema\"}}"
        )
    };
    assert_eq!(incompatibilities(&new, &old, BACKWARD), [line("new", "old")]);
    assert_eq!(incompatibilities(&old, &new, FORWARD), [line("old", "new")]);
}
