//! `ottla log dump` says what Kafka's dump-log says: `log_dump/expected.txt` is that tool's standard output and exit code
//! for each line of `log_dump/cases.txt`; `log_dump/record.py` makes it anew.

use std::path::Path;
use std::process::Command;

/// The cases with what the tool said to each: lines `$ CASE`, its output, `(EXIT CODE)`.
fn expected() -> Vec<(&'static str, String)> {
    let recorded = include_str!("log_dump/expected.txt");
    let mut cases: Vec<(&str, String)> = Vec::new();
    for line in recorded.lines() {
        match (line.strip_prefix("$ --"), cases.last_mut()) {
            (Some(_), _) => cases.push((&line[2..], String::new())),
            (None, Some((_, output))) => output.extend([line, "\n"]),
            (None, None) => panic!("expected.txt does not begin with a case"),
        }
    }
    cases
}

fn dump(arguments: &str) -> String {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command/log_dump/data");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    let done = command.args(["log", "dump"]).args(arguments.split_whitespace()).current_dir(data).output();
    let done = done.expect("the binary runs");
    let mut said = String::from_utf8(done.stdout).unwrap();
    if !said.is_empty() && !said.ends_with('\n') {
        said.push('\n');
    }
    said + &format!("({})\n", done.status.code().unwrap_or(-1))
}

#[test]
fn files_are_shown_as_kafkas_tool_shows_them() {
    let cases = expected();
    let listed: Vec<&str> = include_str!("log_dump/cases.txt").lines().collect();
    assert_eq!(cases.iter().map(|(case, _)| *case).collect::<Vec<_>>(), listed, "record.py was not run");
    for (case, expected) in cases {
        let said = dump(case);
        let differs = said.lines().zip(expected.lines()).find(|(ours, theirs)| ours != theirs);
        assert!(said == expected, "{case}: {differs:?}");
    }
}

#[test]
fn a_directory_is_all_its_files_with_the_records_decoded() {
    let said = dump("__consumer_offsets-0");
    for expected in [
        "Dumping __consumer_offsets-0/00000000000000000000.index\n",
        "Dumping __consumer_offsets-0/00000000000000000018.snapshot\n",
        r#"key: {"type":"2","data":{"group":"fixture-classic-group"}}"#,
    ] {
        assert!(said.contains(expected), "{expected} is not in {said}");
    }
}
