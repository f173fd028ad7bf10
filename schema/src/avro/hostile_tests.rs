//! Texts that are made to hurt: each is answered soon, with little stack and little memory.

use std::fmt::Write;

use super::*;
use crate::{BACKWARD, MAX_SCHEMA_BYTES};

fn parse(text: &str) -> Schema {
    Schema::parse(text, &[]).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> String {
    match Schema::parse(text, &[]) {
        Ok(_) => panic!("it was accepted"),
        Err(InvalidSchema(why)) => why.chars().take(200).collect(),
    }
}

fn lines(reader: &str, writer: &str) -> Vec<String> {
    incompatibilities(&parse(reader), &parse(writer), BACKWARD)
}

fn nested(open: &str, middle: &str, close: &str, levels: usize) -> String {
    format!("{}{middle}{}", open.repeat(levels), close.repeat(levels))
}

/// A union of records, each made by `record` from its number.
fn records(count: usize, record: impl Fn(usize) -> String) -> String {
    let all: Vec<String> = (0..count).map(record).collect();
    format!("[{}]", all.join(","))
}

fn record(name: impl std::fmt::Display, fields: &str) -> String {
    format!(r#"{{"type":"record","name":"{name}","fields":[{fields}]}}"#)
}

fn field(name: &str, kind: impl std::fmt::Display) -> String {
    format!(r#"{{"name":"{name}","type":"{kind}"}}"#)
}

#[test]
fn nesting_has_an_end() {
    for (open, close) in [("[", "]"), (r#"{"type":"array","items":"#, "}"), (r#"{"a":"#, "}"), ("[", "")] {
        for levels in [200, 20_000] {
            let why = refused(&nested(open, "1", close, levels));
            assert!(why.contains("recursion limit"), "{why}");
        }
    }
    let deep = parse(&nested(r#"{"type":"array","items":"#, r#""int""#, "}", 126));
    assert_eq!(parse(&deep.canonical()).canonical(), deep.canonical());
    assert_eq!(deep.normalized(), deep.canonical());
    let other = parse(&nested(r#"{"type":"array","items":"#, r#""string""#, "}", 126));
    assert_eq!(incompatibilities(&deep, &other, BACKWARD).len(), 1);
}

/// Records one after the other in the text are one within the other once each is written where it is first used.
#[test]
fn a_text_that_cannot_be_read_back_is_refused() {
    let chain = |count: usize| {
        records(count, |number| {
            record(format!("R{number}"), &field("next", format!("R{}", (number + 1) % count)))
        })
    };
    let short = parse(&chain(30));
    assert_eq!(parse(&short.canonical()).canonical(), short.canonical());
    assert!(refused(&chain(5_000)).contains("deeper than"));
}

#[test]
fn a_namespace_that_all_inherit_is_short() {
    let fields: Vec<String> = (0..5_000)
        .map(|number| {
            format!(r#"{{"name":"a{number}","type":{{"type":"fixed","name":"F{number}","size":1}}}}"#)
        })
        .collect();
    let text = format!(
        r#"{{"type":"record","name":"R","namespace":"{}","fields":[{}]}}"#,
        "n".repeat(MAX_SCHEMA_BYTES / 2),
        fields.join(",")
    );
    assert!(refused(&text).contains("longer than"));
    assert!(
        refused(&format!(r#"{{"type":"fixed","size":1,"name":"{}"}}"#, "n".repeat(2_000)))
            .contains("longer than")
    );
}

/// A reference to a type that is named like one of Avro's has to be written in full: six bytes become a thousand.
#[test]
fn a_text_does_not_grow_without_end() {
    let mut fields = String::from(r#"{"name":"f","type":{"type":"fixed","name":"map","size":1}}"#);
    for number in 0..30_000 {
        write!(fields, r#",{{"name":"f{number}","type":"map"}}"#).expect("a string takes it");
    }
    let text =
        format!(r#"{{"type":"record","name":"R","namespace":"{}","fields":[{fields}]}}"#, "n".repeat(1_000));
    assert!(refused(&text).contains("longer than"));
}

#[test]
fn cycles_of_different_lengths_meet_often_but_not_for_ever() {
    let cycle = |length: usize, kind: &str| {
        records(length, |number| {
            let next = field("next", format!("R{}", (number + 1) % length));
            record(format!("R{number}"), &format!("{next},{}", field("value", kind)))
        })
    };
    let text = lines(&cycle(29, "int"), &cycle(31, "int"));
    assert!(text.len() <= 1_000, "{} lines", text.len());
    let text = lines(&cycle(29, "int"), &cycle(31, "string"));
    assert!((1..=1_000).contains(&text.len()), "{} lines", text.len());
}

/// Each record has the next one twice, so that a mismatch at the end is at two to the power of thirty places.
#[test]
fn one_mismatch_at_many_places_is_not_told_everywhere() {
    let doubled = |end: &str| {
        records(31, |number| match number {
            0 => record("R0", &field("end", end)),
            _ => {
                let next = format!("R{}", number - 1);
                record(format!("R{number}"), &format!("{},{}", field("one", &next), field("two", &next)))
            }
        })
    };
    let in_a_record = |records: String| {
        record("Top", &format!(r#"{{"name":"all","type":{records}}},{}"#, field("top", "R30")))
    };
    let text = lines(&in_a_record(doubled("int")), &in_a_record(doubled("string")));
    assert!((1..=1_000).contains(&text.len()), "{} lines", text.len());
}

#[test]
fn wide_unions_are_compared_soon() {
    let wide = |count: usize, kind: &str| {
        records(count, |number| {
            record(format!("Event{number}"), &format!("{},{}", field("id", kind), field("at", "long")))
        })
    };
    assert!(lines(&wide(600, "long"), &wide(600, "int")).is_empty());
    let text = lines(&wide(1_500, "int"), &wide(1_500, "string"));
    assert!(text[0].starts_with("Unexpected exception during compatibility check: more than"), "{}", text[0]);
}

#[test]
fn defaults_of_recursive_types_end() {
    let twice = r#"{"name":"a","type":"R","default":{}},{"name":"b","type":"R","default":{}}"#;
    assert!(parse(&record("R", twice)).check_defaults().is_err());
    let union =
        r#"{"name":"a","type":["R","null"],"default":{}},{"name":"b","type":["R","null"],"default":{}}"#;
    assert!(parse(&record("R", union)).check_defaults().is_err());
}

#[test]
fn long_lists_are_read_in_time() {
    let list =
        |count: usize, item: &dyn Fn(usize) -> String| (0..count).map(item).collect::<Vec<_>>().join(",");
    let aliases = list(90_000, &|number| format!(r#""a{number:x}""#));
    let space = "n".repeat(1_000);
    let named =
        format!(r#"{{"type":"fixed","name":"F","namespace":"{space}","size":1,"aliases":[{aliases}]}}"#);
    assert!(parse(&named).normalized().len() < 2 * MAX_SCHEMA_BYTES);
    let symbols = list(90_000, &|number| format!(r#""s{number:x}""#));
    let of = format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]}}"#);
    let text = lines(r#"{"type":"enum","name":"E","symbols":["A"]}"#, &of);
    assert_eq!(text.len(), 1);
    let digits = "9".repeat(MAX_SCHEMA_BYTES - 200);
    parse(&format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":"double","default":{digits}e5}}]}}"#
    ))
    .normalized();
    assert!(refused(&format!(r#""int" {}"#, "/*".repeat(200_000))).contains("dangling"));
}
