//! The tables were answered by Java Avro 1.12 (integration/schemas/avro), their normalized texts by Confluent's own function.

use serde_json::Value;

use super::*;
use crate::{BACKWARD, FORWARD, Words};

const PAIRS: &str = include_str!("../../testdata/avro/pairs.jsonl");
const TEXTS: &str = include_str!("../../testdata/avro/texts.jsonl");

fn cases(table: &str) -> impl Iterator<Item = Value> {
    table.lines().map(|line| serde_json::from_str(line).expect("a case is JSON"))
}

fn parse(text: &str) -> Schema {
    Schema::parse(text, &[]).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// `TYPE path message` of a line in Confluent's words.
fn shortened(line: &str) -> String {
    let between = |start: &str, end: &str| {
        let (_, rest) = line.rsplit_once(start)?;
        Some(rest.split_once(end)?.0)
    };
    match (between("{errorType:'", "'"), between("path '", "'"), between("additionalInfo:'", "'}")) {
        (Some(kind), Some(path), Some(info)) => format!("{kind} {path} {info}"),
        _ => line.replace("Unexpected exception during compatibility check:", "!"),
    }
}

fn check_verdict(case: &Value, reader: &str, writer: &str, words: Words, recorded: &str) -> Option<String> {
    let schema = |key: &str| parse(&case[key].to_string());
    let found: Vec<String> = incompatibilities(&schema(reader), &schema(writer), words)
        .iter()
        .map(|line| shortened(line))
        .collect();
    let recorded: Vec<&str> =
        case[recorded].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    (found != recorded).then(|| {
        format!("reader {}\nwriter {}\nJava   {recorded:?}\nhere   {found:?}\n", case[reader], case[writer])
    })
}

#[test]
fn pairs_have_javas_verdicts() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in cases(PAIRS) {
        count += 1;
        wrong.extend(check_verdict(&case, "new", "old", BACKWARD, "backward"));
        wrong.extend(check_verdict(&case, "old", "new", FORWARD, "forward"));
    }
    assert!(count >= 300, "{count} pairs");
    assert!(wrong.is_empty(), "{} of {count} pairs\n{}", wrong.len(), wrong.join("\n"));
}

fn check_text(case: &Value) -> Vec<String> {
    let text = case["text"].as_str().expect("a text");
    let dependencies: Vec<Dependency> = case["dependencies"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|schema| Dependency {
            name: String::new(),
            schema: schema.as_str().unwrap_or_default().to_owned(),
        })
        .collect();
    let mut wrong = Vec::new();
    let mut expect = |what: &str, found: Option<String>| {
        let recorded = case.get(what).and_then(Value::as_str).map(str::to_owned);
        if found != recorded {
            wrong.push(format!("{what} of {case}\nJava {recorded:?}\nhere {found:?}\n"));
        }
    };
    match Schema::parse(text, &dependencies) {
        Err(InvalidSchema(why)) => {
            expect("canonical", None);
            // Of mistakes in JSON, and of its own mistakes, Java tells in other words.
            let is_javas = case["error"].as_str().is_some_and(|recorded| {
                ["com.fasterxml.", "Cannot invoke", "Unknown schema"]
                    .iter()
                    .any(|start| recorded.starts_with(start))
            });
            if !is_javas {
                expect("error", Some(why));
            }
        }
        Ok(schema) => {
            expect("error", None);
            expect("canonical", Some(schema.canonical()));
            expect("parsing_form", Some(schema.parsing_form()));
            expect("crc", Some(format!("{:016x}", crc_64_avro(&schema.parsing_form()))));
            expect("bad_default", schema.check_defaults().err().map(|InvalidSchema(why)| why));
            if !dependencies.is_empty() {
                expect("resolved", schema.formatted("resolved").ok());
            }
            if case.get("normalized").is_some() {
                expect("normalized", Some(schema.normalized()));
            }
        }
    }
    wrong
}

#[test]
fn texts_are_read_and_written_as_java_does() {
    let wrong: Vec<String> = cases(TEXTS).flat_map(|case| check_text(&case)).collect();
    assert!(wrong.is_empty(), "{} differences\n{}", wrong.len(), wrong.join("\n"));
}

/// What a text of its own is told in full: each kind of mismatch, in both directions.
#[test]
fn mismatches_are_told_in_confluents_words() {
    let record = |fields: &str| format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#);
    let a_and = |kind: &str| record(&format!(r#"{{"name":"a","type":{kind}}}"#));
    let fixed = |size: u8| a_and(&format!(r#"{{"type":"fixed","name":"F","size":{size}}}"#));
    let symbols = |symbols: &str| a_and(&format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]}}"#));
    let cases = [
        (
            a_and(r#""int""#),
            a_and(r#""string""#),
            "{errorType:'TYPE_MISMATCH', description:'The type (path '/fields/0/type') of a field in the new schema does not match with the old schema', additionalInfo:'reader type: INT not compatible with writer type: STRING'}",
        ),
        (
            record(r#"{"name":"a","type":"int"}"#),
            record(""),
            "{errorType:'READER_FIELD_MISSING_DEFAULT_VALUE', description:'The field 'a' at path '/fields/0' in the new schema has no default value and is missing in the old schema', additionalInfo:'a'}",
        ),
        (
            fixed(4),
            fixed(8),
            "{errorType:'FIXED_SIZE_MISMATCH', description:'The size of FIXED type field at path '/fields/0/type/size' in the new schema does not match with the old schema', additionalInfo:'expected: 8, found: 4'}",
        ),
        (
            symbols(r#""A""#),
            symbols(r#""C","A","B""#),
            "{errorType:'MISSING_ENUM_SYMBOLS', description:'The new schema is missing enum symbols '[B, C]' at path '/fields/0/type/symbols' in the old schema', additionalInfo:'[B, C]'}",
        ),
        (
            a_and(r#"["null","int"]"#),
            a_and(r#"["null","string"]"#),
            "{errorType:'MISSING_UNION_BRANCH', description:'The new schema is missing a type inside a union field at path '/fields/0/type/1' in the old schema', additionalInfo:'reader union lacking writer type: STRING'}",
        ),
        (
            r#"{"type":"fixed","name":"n.F","size":1}"#.to_owned(),
            r#"{"type":"fixed","name":"m.G","size":1}"#.to_owned(),
            "{errorType:'NAME_MISMATCH', description:'The name of the schema has changed (path '/name')', additionalInfo:'expected: m.G'}",
        ),
    ];
    for (reader, writer, line) in cases {
        assert_eq!(incompatibilities(&parse(&reader), &parse(&writer), BACKWARD), [line]);
        let line = line.replace("new schema", "X schema").replace("old schema", "new schema");
        let line = line.replace("X schema", "old schema");
        assert_eq!(incompatibilities(&parse(&reader), &parse(&writer), FORWARD), [line]);
    }
}

/// The examples of the specification.
#[test]
fn digests_are_those_of_the_specification() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&md5("\"int\"")), "ef524ea1b91e73173d938ade36c1db32");
    assert_eq!(hex(&sha_256("\"int\"")), "3f2b87a9fe7cc9b13835598c3981cd45e3e355309e5090aa0933d7becb6fba45");
}
