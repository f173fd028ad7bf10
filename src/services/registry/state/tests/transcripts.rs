//! `testdata/*.txt`: a command a line, after it the answer, then `+` and the records that were written.

use ottla_schema::compatibility::Mode as Level;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Registry;
use crate::coordinator::transcripts::{check_transcripts, replay_transcript};
use crate::services::registry::error::Error;
use crate::services::registry::model::{Deleted, Format, SchemasQuery, VersionId};
use crate::services::registry::parser::Parser;
use crate::services::registry::records::Record;

const LEVEL: Level = Level::Backward;

#[test]
fn transcripts() {
    check_transcripts("src/services/registry/state/testdata", |transcript| {
        let mut registry = Registry::default();
        let parser = Parser::default();
        replay_transcript(transcript, |command| {
            if command == "new" {
                registry = Registry::default();
                return Vec::new();
            }
            let before = registry.log.len();
            let answer = run(&mut registry, &parser, command);
            let mut lines =
                vec![answer.unwrap_or_else(|error| format!("! {} {}", error.code, error.message))];
            lines.extend(registry.log[before..].iter().map(|(key, value)| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                format!("+ {} {}", text(key), value.as_deref().map_or("null".to_owned(), text))
            }));
            assert_eq!(registry.reloaded().state, registry.state, "{command}: a reload knows the same");
            lines
        })
    });
}

/// One command: a word, a subject (`-` for none), and what else it takes.
fn run(registry: &mut Registry, parser: &Parser, command: &str) -> Result<String, Error> {
    let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
    let (subject, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let optional = Some(subject).filter(|subject| *subject != "-");
    let named = if subject == "-" { String::new() } else { registry.state.subject(subject) };
    let has = |flag: &str| rest.split(' ').any(|word| word == flag);
    let (deleted, permanent, format) = (has("deleted"), has("permanent"), format_of(rest));
    let shown = Deleted::of(deleted, has("deletedOnly"));
    let version = || rest.split(' ').next().unwrap_or_default().parse::<VersionId>();
    let id = subject.parse::<i32>().unwrap_or(-1);
    let within = rest.split(' ').next().filter(|word| *word != "-").unwrap_or_default();
    match word {
        "register" => {
            let decided = registry.state.register(&named, body(rest), has("normalize"), LEVEL, parser);
            registry.write(decided).map(|answer| json(&answer))
        }
        "tags" => {
            let decided = registry.state.modify_tags(&named, version()?, body(rest), LEVEL, parser);
            registry.write(decided).map(|answer| json(&answer))
        }
        "lookup" => {
            let found = registry.state.lookup(&named, body(rest), has("normalize"), deleted, &format, parser);
            found.map(|answer| json(&answer))
        }
        "version" => {
            registry.state.version(&named, version()?, deleted, &format, parser).map(|answer| json(&answer))
        }
        "versions" => registry.state.versions(&named, shown).map(|answer| json(&answer)),
        "subjects" => Ok(json(&registry.state.subjects(subject, shown).collect::<Vec<_>>())),
        "referencedby" => registry.state.referenced_by(&named, version()?).map(|answer| json(&answer)),
        "metadata" => {
            let properties: Vec<(String, String)> = rest
                .split(' ')
                .filter_map(|pair| pair.split_once('='))
                .map(|(k, v)| (k.into(), v.into()))
                .collect();
            let found = registry.state.latest_with_metadata(&named, &properties, deleted, &format, parser);
            found.map(|answer| json(&answer))
        }
        "id" => {
            let found = registry.state.schema_by_id(id, within, has("fetchMaxId"), &format, parser);
            found.map(|answer| json(&answer))
        }
        "guid" => registry.state.schema_by_guid(subject, &format, parser).map(|answer| json(&answer)),
        "guid-ids" => Ok(json(&registry.state.ids_of_guid(subject))),
        "id-versions" => registry.state.versions_of_id(id, "", deleted).map(|answer| json(&answer)),
        "schemas" => {
            let query = SchemasQuery {
                subject_prefix: subject.to_owned(),
                aliases: has("aliases"),
                deleted,
                latest_only: has("latestOnly"),
                ..SchemasQuery::default()
            };
            let lines: Vec<String> = registry.state.schemas(&query).map(|schema| json(&schema)).collect();
            Ok(if lines.is_empty() { "none".to_owned() } else { lines.join("\n") })
        }
        "contexts" => Ok(json(&registry.state.contexts().collect::<Vec<_>>())),
        "compatibility" => {
            let against = Some(version()).filter(|_| !has("all")).transpose()?;
            let checked = registry.state.compatibility(&named, against, body(rest), false, LEVEL, parser);
            checked.map(|answer| json(&answer))
        }
        "delete" => {
            let decided = registry.state.delete_subject(&named, permanent);
            registry.write(decided).map(|answer| json(&answer))
        }
        "delete-version" => {
            let decided = registry.state.delete_version(&named, version()?, permanent);
            registry.write(decided).map(|answer| json(&answer))
        }
        "delete-context" => {
            let decided = registry.state.delete_context(subject);
            registry.write(decided).map(|()| "ok".to_owned())
        }
        "config" => {
            registry.state.config(optional, has("defaultToGlobal"), LEVEL).map(|answer| json(&answer))
        }
        "set-config" => {
            let decided = registry.state.update_config(optional, body(rest));
            registry.write(decided).map(|answer| json(&answer))
        }
        "delete-config" => {
            let decided = registry.state.delete_config(optional, LEVEL);
            registry.write(decided).map(|answer| json(&answer))
        }
        "mode" => registry.state.mode(optional, has("defaultToGlobal")).map(|answer| json(&answer)),
        "set-mode" => {
            let decided = within
                .parse()
                .and_then(|mode| registry.state.update_mode(optional, Some(mode), has("force")));
            registry.write(decided).map(|()| "ok".to_owned())
        }
        "delete-mode" => {
            let decided = registry.state.delete_mode(optional);
            registry.write(decided).map(|answer| json(&answer))
        }
        // What somebody else writes: key, value.
        "record" => {
            let (key, value) = command["record ".len()..].split_once("} ").expect("a key and a value");
            let key = format!("{key}}}");
            let value = (value != "null").then(|| value.to_owned());
            Record::decode(key.as_bytes(), value.as_deref().map(str::as_bytes)).expect("a record");
            registry.append((key.into(), value.map(Into::into)));
            Ok("ok".to_owned())
        }
        other => panic!("no command {other}"),
    }
}

/// The JSON that a command has, from the first brace on.
fn body<T: DeserializeOwned>(rest: &str) -> T {
    let start = rest.find('{').unwrap_or_else(|| panic!("{rest} has no body"));
    let mut values = serde_json::Deserializer::from_str(&rest[start..]).into_iter();
    values.next().expect("a body").unwrap_or_else(|error| panic!("{rest}: {error}"))
}

fn format_of(rest: &str) -> Format {
    let format = rest.split(' ').find_map(|word| word.strip_prefix("format="));
    let find_tags = rest.split(' ').filter_map(|word| word.strip_prefix("findTags=")).map(str::to_owned);
    Format { format: format.map(str::to_owned), find_tags: find_tags.collect() }
}

/// Without what the guids' own test and the clock say.
fn json(answer: &impl Serialize) -> String {
    let mut value = serde_json::to_value(answer).expect("JSON");
    if let Some(fields) = value.as_object_mut() {
        for name in ["guid", "ts"] {
            fields.shift_remove(name);
        }
    }
    value.to_string()
}
