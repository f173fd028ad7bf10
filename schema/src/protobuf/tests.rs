use serde_json::{Value, json};

use super::*;
use crate::{BACKWARD, FORWARD};

/// One case in each line. What Wire and Apicurio say of them was recorded (integration/schemas/protobuf).
fn table(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn imports(case: &Value, imports: &str) -> Vec<Dependency> {
    let imports = case[imports].as_object().into_iter().flatten();
    let dependency = |(name, schema): (&String, &Value)| Dependency {
        name: name.clone(),
        schema: schema.as_str().expect("an import").to_owned(),
    };
    imports.map(dependency).collect()
}

fn schema(case: &Value, text: &str, of_imports: &str) -> Schema {
    let text = case[text].as_str().expect("a schema");
    let schema = Schema::parse(text, &imports(case, of_imports));
    schema.unwrap_or_else(|error| panic!("{}: {error}\n{text}", case["name"]))
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
    let pairs = table(include_str!("../../testdata/protobuf/pairs.jsonl"));
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

/// Apicurio's rules are others; wherever its verdict is another, the table says why Confluent's is right.
#[test]
fn what_differs_from_apicurio_is_judged() {
    for pair in table(include_str!("../../testdata/protobuf/pairs.jsonl")) {
        let is_empty = |of: &str| pair[of].as_array().expect("a list").is_empty();
        assert_eq!(
            is_empty("differences") != is_empty("apicurio"),
            pair["why"].is_string(),
            "{}",
            pair["name"]
        );
    }
}

#[test]
fn texts() {
    let mut wrong = Vec::new();
    for case in table(include_str!("../../testdata/protobuf/texts.jsonl")) {
        let text = case["text"].as_str().expect("a text");
        let told = match Schema::parse(text, &imports(&case, "dependencies")) {
            Ok(schema) => json!({ "canonical": schema.canonical(), "normalized": schema.normalized() }),
            Err(error) => json!({ "error": error.0 }),
        };
        for part in ["canonical", "normalized", "error"] {
            if told[part] != case[part] {
                wrong.push(format!(
                    "{}: {part}\n{}\n-- not\n{}",
                    case["name"],
                    shown(&told[part]),
                    shown(&case[part])
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each line is spelled as Wire spells it. Where they stand differs: Wire keeps the order of the text, and has comments.
#[test]
fn lines_are_those_of_wire() {
    let mut compared = 0;
    for case in table(include_str!("../../testdata/protobuf/texts.jsonl")) {
        let Some(wire) = case["wire"].as_str().filter(|_| case["why"].is_null() && case["error"].is_null())
        else {
            continue;
        };
        let ours = schema(&case, "text", "dependencies").canonical();
        assert_eq!(lines(&ours), lines(wire), "{}", case["name"]);
        let again = Schema::parse(wire, &imports(&case, "dependencies")).expect("what Wire writes");
        assert_eq!(again.canonical(), ours, "{}", case["name"]);
        compared += 1;
    }
    assert!(compared > 40, "{compared}");
}

/// What Wire does not read is not read here either.
#[test]
fn errors_are_where_wire_has_them() {
    for case in table(include_str!("../../testdata/protobuf/texts.jsonl")) {
        let is_error = case["error"].as_str().is_some_and(|error| error.starts_with("Could not parse"));
        let as_wire = is_error == case["wire_error"].is_string();
        assert!(as_wire != case["why"].is_string() || case["wire"].is_string(), "{}", case["name"]);
    }
}

fn lines(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    let mut lines: Vec<&str> = lines.collect();
    lines.sort_unstable();
    lines
}

/// What is stored is read again, as the same schema.
#[test]
fn texts_stay_as_they_are() {
    for case in table(include_str!("../../testdata/protobuf/texts.jsonl")) {
        let (Some(canonical), Some(normalized)) = (case["canonical"].as_str(), case["normalized"].as_str())
        else {
            continue;
        };
        let again = |text| Schema::parse(text, &imports(&case, "dependencies")).expect("what was written");
        assert_eq!(again(canonical).canonical(), canonical, "{}", case["name"]);
        assert_eq!(again(canonical).normalized(), normalized, "{}", case["name"]);
        assert_eq!(again(normalized).normalized(), normalized, "{}", case["name"]);
        assert_eq!(told(&again(normalized), &again(canonical)), Vec::<String>::new(), "{}", case["name"]);
    }
}

#[test]
fn extensions_can_be_left_out() {
    let text = "syntax = \"proto3\";\nimport \"google/protobuf/descriptor.proto\";\nextend google.protobuf.FieldOptions {\n  \
                string text = 50000;\n}\nmessage M {\n  int32 a = 1 [(text) = \"x\", deprecated = true, \
                (confluent.field_meta).doc = \"d\"];\n}\n";
    let schema = Schema::parse(text, &[]).expect("a schema");
    let expected = "syntax = \"proto3\";\n\nimport \"google/protobuf/descriptor.proto\";\n\nmessage M {\n  int32 a = 1 \
                    [\n    deprecated = true,\n    (confluent.field_meta).doc = \"d\"\n  ];\n}\n";
    assert_eq!(schema.formatted("ignore_extensions").as_deref(), Ok(expected));
    assert_eq!(schema.formatted("no such format"), Ok(schema.canonical()));
}

fn shown(value: &Value) -> &str {
    value.as_str().unwrap_or("(nothing)")
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

/// protoc's descriptor of a text is the same schema, and so is the descriptor that is made here.
#[test]
fn descriptors() {
    let mut compared = 0;
    for case in table(include_str!("../../testdata/protobuf/texts.jsonl")) {
        let Some(protoc) = case["descriptor"].as_str() else {
            continue;
        };
        let of_text = schema(&case, "text", "dependencies");
        // A descriptor has a group as a message and a field, which Confluent's registry takes it for.
        if of_text.canonical().contains("group ") {
            continue;
        }
        let imports = imports(&case, "dependencies");
        let of_protoc = Schema::parse(protoc, &imports).expect("a descriptor");
        let serialized = of_text.formatted("serialized").expect("a descriptor");
        let of_ours = Schema::parse(&serialized, &imports).expect("a descriptor");
        for of_descriptor in [&of_protoc, &of_ours] {
            assert_eq!(told(&of_text, of_descriptor), Vec::<String>::new(), "{}", case["name"]);
            assert_eq!(told(of_descriptor, &of_text), Vec::<String>::new(), "{}", case["name"]);
        }
        assert_eq!(of_ours.normalized(), of_protoc.normalized(), "{}", case["name"]);
        // Custom options are lost on the way, as at Confluent's.
        let is_plain = of_text.canonical() == of_text.formatted("ignore_extensions").expect("a text");
        if is_plain {
            assert_eq!(of_protoc.normalized(), of_text.normalized(), "{}", case["name"]);
        }
        compared += usize::from(is_plain);
    }
    assert!(compared > 20, "{compared}");
}
