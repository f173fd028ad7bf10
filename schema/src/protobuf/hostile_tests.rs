//! What a client may send to take memory, time or the stack: it is answered, and soon.

use std::time::{Duration, Instant};

use super::*;
use crate::BACKWARD;

/// A slow machine without optimization has this long; what grows with the square of the text has not.
const SOON: Duration = Duration::from_secs(20);

#[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
fn check_soon<T>(what: &str, of: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let answer = of();
    assert!(begun.elapsed() < SOON, "{what}: {:?}", begun.elapsed());
    answer
}

fn repeated(text: &str) -> String {
    text.repeat(MAX_SCHEMA_BYTES / 4 / text.len())
}

fn numbered(part: impl Fn(usize) -> String) -> String {
    let mut text = "syntax = \"proto3\";\n".to_owned();
    for number in 1.. {
        let part = part(number);
        if text.len() + part.len() > MAX_SCHEMA_BYTES / 4 {
            return text;
        }
        text.push_str(&part);
    }
    text
}

#[test]
fn nonsense() {
    let begins = [
        "",
        "syntax = \"proto3\";\n",
        "message M {",
        "option a = {",
        "message M { int32 a = 1 [",
        "option a = [",
    ];
    let goes_on = [
        "{",
        "[",
        "(",
        "\"",
        "'",
        "/*",
        "//",
        "/",
        "a",
        "a ",
        "a.",
        ".",
        "a{",
        "a:{",
        "a {",
        "[[",
        "{[",
        "message a {",
        "option",
        "option (",
        "map<",
        "map<map<",
        "oneof a {",
        "group a = 1 {",
        "optional group a = 1 {",
        "required group a = 1 {",
        "repeated group a = 1 {",
        "reserved ",
        "reserved 1,",
        "extend a {",
        "rpc",
        "1",
        "-",
        "\\",
        "\u{0}",
        "é",
        "=",
        ";",
        "syntax = \"proto3\";",
        "import \"",
        "\"a\" ",
        "\\x",
    ];
    for begin in begins {
        for goes_on in goes_on {
            let text = format!("{begin}{}", repeated(goes_on));
            // Some of it is a schema.
            let _ = check_soon(&format!("{begin}{goes_on}"), || Schema::parse(&text, &[]));
        }
    }
}

#[test]
fn deep() {
    let nested = |depth| {
        let opened: String = (0..depth).map(|number| format!("message M{number} {{ ")).collect();
        format!("syntax = \"proto3\";\n{opened}{}", "}".repeat(depth))
    };
    let schema = Schema::parse(&nested(parser::MAX_DEPTH), &[]).expect("as deep as it may be");
    assert!(schema.formatted("serialized").is_ok());
    assert!(Schema::parse(&nested(parser::MAX_DEPTH + 1), &[]).is_err());
    let values = |depth| format!("option a = {}1{};", "[".repeat(depth), "]".repeat(depth));
    assert!(Schema::parse(&values(30), &[]).is_ok());
    assert!(Schema::parse(&values(40), &[]).is_err());
    let named =
        |depth| format!("option (a){} = {}1{};", ".b".repeat(depth), "[".repeat(depth), "]".repeat(depth));
    assert!(Schema::parse(&named(15), &[]).is_ok());
    assert!(Schema::parse(&named(20), &[]).is_err());
}

/// Names that are long, in scopes that are deep, used everywhere.
#[test]
fn names() {
    let long = "n".repeat(500);
    let too_long = format!("message {long} {{ message {long} {{}} }}");
    assert!(Schema::parse(&too_long, &[]).is_err());
    let used = format!("message {long} {{\n{}}}", repeated("a b=1;"));
    assert!(check_soon("unknown type", || Schema::parse(&used, &[])).is_err());
    let package = vec!["a"; 60].join(".");
    let text = format!(
        "syntax = \"proto3\";package {package};message b {{}} message M {{ {} }}",
        repeated("b c=1;")
    );
    let schema = check_soon("a name in many scopes", || Schema::parse(&text, &[]));
    assert!(schema.is_err() || schema.is_ok_and(|schema| schema.normalized().len() <= MAX_SCHEMA_BYTES));
    let package = vec!["a"; 10_000].join(".");
    assert!(Schema::parse(&format!("package {package};"), &[]).is_err());
}

/// Types that use each other in a chain, in cycles and in ever more ways.
#[test]
fn chains_of_types() {
    let chain = |last: &str| {
        numbered(|number| format!("message M{number} {{ M{0} a = 1; M{0} b = 2; }}\n", number + 1))
            .rsplit_once("message")
            .map(|(all, _)| all.to_owned())
            .map(|all| {
                let next = all.matches("message").count() + 1;
                format!("{all}message M{next} {{ M1 a = 1; {last} b = 2; }}\n")
            })
            .unwrap_or_default()
    };
    let user = "syntax = \"proto3\";\nimport \"n.proto\";\nmessage User { M1 m = 1; }\n";
    let schema = |last: &str| {
        let imports = [Dependency { name: "n.proto".to_owned(), schema: chain(last) }];
        Schema::parse(user, &imports).expect("a schema")
    };
    check_soon("a chain", || {
        let (old, new) = (schema("int32"), schema("string"));
        let lines = incompatibilities(&new, &old, BACKWARD);
        assert_eq!(lines.len(), 1000);
        assert!(incompatibilities(&old, &old, BACKWARD).is_empty());
    });
}

#[test]
fn many() {
    let texts = [
        numbered(|number| format!("message M{number} {{}}\n")),
        numbered(|number| format!("enum E{number} {{ C{number} = 0; }}\n")),
        format!(
            "{}}}",
            numbered(|number| match number {
                1 => "message M {\n".to_owned(),
                number => format!("int32 f{number} = {number};\n"),
            })
        ),
        format!(
            "{}}}",
            numbered(|number| match number {
                1 => "message M {\n".to_owned(),
                number => format!("oneof o{number} {{ int32 f{number} = {number}; }}\n"),
            })
        ),
        numbered(|number| format!("option (o).a{number} = {number};\n")),
        numbered(|number| format!("extend google.protobuf.FileOptions {{ int32 e{number} = {number}; }}\n")),
        format!("option (confluent.file_meta) = {{ {} }};", "tags: \"a\" ".repeat(100_000)),
        numbered(|number| format!("option (confluent.file_meta).tags = \"{number}\";\n")),
        format!("message M {{ reserved {} 1; }}", "1, ".repeat(60_000)),
        numbered(|number| format!("import \"{number}.proto\";\n")),
    ];
    for text in texts {
        check_soon(&text[..60], || {
            let schema = Schema::parse(&text, &[]).expect("a schema");
            assert!(schema.canonical().len() <= MAX_SCHEMA_BYTES);
            let _ = schema.formatted("serialized");
            let nothing = Schema::parse("", &[]).expect("a schema");
            assert!(incompatibilities(&schema, &schema, BACKWARD).is_empty());
            assert!(incompatibilities(&nothing, &schema, BACKWARD).len() <= 1000);
        });
    }
}

/// Descriptors whose bytes are anything.
#[test]
fn descriptors() {
    let text = "syntax = \"proto3\";\nmessage M { message N { int32 a = 1; } N n = 1; map<string, N> m = 2; oneof x { int32 b = 3; } }";
    let schema = Schema::parse(text, &[]).expect("a schema");
    let bytes = STANDARD.decode(schema.formatted("serialized").expect("a descriptor")).expect("base64");
    for at in 0..bytes.len() {
        for byte in [0, 1, 8, 0x0a, 0x12, 0x22, 0x7f, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            // Whatever is read can be written and read again.
            if let Ok(schema) = Schema::parse(&STANDARD.encode(&bytes), &[]) {
                assert!(Schema::parse(&schema.canonical(), &[]).is_ok(), "{}", schema.canonical());
                let _ = schema.formatted("serialized");
            }
        }
        let _ = Schema::parse(&STANDARD.encode(&bytes[..at]), &[]);
    }
    let mut nested = Vec::new();
    for _ in 0..10_000 {
        let length = nested.len();
        let mut outer = vec![0x1a];
        prost::encode_length_delimiter(length, &mut outer).expect("room");
        outer.append(&mut nested);
        nested = outer;
    }
    nested[0] = 0x22;
    assert!(Schema::parse(&STANDARD.encode(&nested), &[]).is_err());
}
