//! The layering test: arrows between folders point one way (ARCHITECTURE.md).

mod documents;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder or a single file, and what its `use` lines may name: other folders of `src`, crates.
const MAY_USE: &[(&str, &[&str])] = &[
    (
        "protocol/src",
        &["anyhow", "bytes", "crc32c", "flate2", "kafka_protocol", "lz4", "lz4_flex", "snap", "uuid", "zstd"],
    ),
    ("storage/src", &["bytes", "crc32c", "ottla_protocol", "rustix", "tracing", "uuid", "xxhash_rust"]),
    ("src/config", &["bytes", "kafka_protocol", "ottla_protocol", "ottla_storage", "uuid"]),
    ("src/metadata", &["bytes", "imbl", "kafka_protocol", "ottla_protocol", "uuid"]),
    ("src/coordinator", &["bytes", "kafka_protocol", "ottla_protocol", "regex", "uuid", "xxhash_rust"]),
    (
        "src/broker",
        &[
            "bytes",
            "clock",
            "config",
            "coordinator",
            "imbl",
            "kafka_protocol",
            "metadata",
            "ottla_protocol",
            "ottla_storage",
            "tokio",
            "tracing",
            "uuid",
        ],
    ),
    (
        "src/handlers",
        &[
            "broker",
            "bytes",
            "clock",
            "config",
            "coordinator",
            "kafka_protocol",
            "metadata",
            "ottla_protocol",
            "ottla_storage",
            "tokio",
            "tracing",
            "uuid",
        ],
    ),
    ("src/accepting.rs", &["tokio", "tracing"]),
    ("src/log_dump", &["bytes", "ottla_protocol", "ottla_storage", "uuid"]),
    (
        "src/services",
        &[
            "accepting",
            "base64",
            "broker",
            "bytes",
            "clock",
            "config",
            "handlers",
            "http_body_util",
            "hyper",
            "hyper_util",
            "imbl",
            "md5",
            "ottla_protocol",
            "ottla_schema",
            "percent_encoding",
            "serde",
            "serde_json",
            "tokio",
            "tokio_rustls",
            "tracing",
            "uuid",
        ],
    ),
    (
        "src/server",
        &["accepting", "broker", "bytes", "config", "handlers", "ottla_protocol", "tokio", "tracing"],
    ),
];

/// Single files that may use more than their folder, each with its reason.
const EXCEPTIONS: &[(&str, &[&str])] = &[
    // The coordinators' only IO.
    ("src/coordinator/runtime", &["clock", "tokio", "tracing"]),
    // Its tests are transcripts and simulations, as the coordinators' are.
    ("src/services/registry/state/tests", &["coordinator"]),
];

/// What only some places may name.
const ONLY_IN: &[(&str, &[&str])] = &[
    // `ottla health` is a client of its own.
    ("tokio::net", &["src/accepting.rs", "src/server", "src/services/http", "src/health.rs"]),
    ("SystemTime::now", &["src/clock.rs"]),
];

#[test]
fn arrows_point_one_way() {
    let mut wrong = Vec::new();
    for (folder, allowed) in MAY_USE {
        for file in rust_files(Path::new(folder)) {
            let name = file.display().to_string();
            let more = EXCEPTIONS
                .iter()
                .filter(|(prefix, _)| name.starts_with(prefix))
                .flat_map(|(_, more)| more.iter());
            let allowed: Vec<&str> = allowed.iter().chain(more).copied().collect();
            for (line, target) in uses(&file, folder) {
                if !allowed.contains(&target.as_str()) {
                    wrong.push(format!("{name}:{line} uses {target}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "not in the table of tests/structure/main.rs:\n{}", wrong.join("\n"));
}

#[test]
fn what_belongs_to_one_place_is_named_nowhere_else() {
    let mut wrong = Vec::new();
    for (name, homes) in ONLY_IN {
        for file in
            ["src", "protocol/src", "storage/src"].iter().flat_map(|folder| rust_files(Path::new(folder)))
        {
            let path = file.display().to_string();
            if !homes.iter().any(|home| path.starts_with(home)) && without_comments(&file).contains(name) {
                wrong.push(format!("{path} names {name}, which belongs to {}", homes.join(", ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_folder_opens_with_what_enters_and_leaves() {
    for (folder, _) in MAY_USE {
        let folder_of = |file| Path::new(folder).join(file);
        let opening = [PathBuf::from(folder), folder_of("lib.rs"), folder_of("mod.rs")]
            .iter()
            .find_map(|file| fs::read_to_string(file).ok());
        let opening = opening.unwrap_or_else(|| panic!("{folder} has no lib.rs or mod.rs"));
        let map: Vec<&str> = opening.lines().take_while(|line| line.starts_with("//!")).collect();
        let map = map.join("\n");
        assert!(
            map.contains("Enters") && map.contains("eaves"),
            "{folder} does not say what enters and leaves"
        );
    }
}

/// The foreign crates and folders that a file's code names, outside its tests, with the line of each.
fn uses(file: &Path, folder: &str) -> Vec<(usize, String)> {
    let own = folder.strip_prefix("src/");
    let text = without_comments(file);
    let mut found = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        if line.starts_with("#[cfg(test)]") {
            break;
        }
        let line = line.trim_start();
        let Some(path) = line.strip_prefix("use ").or_else(|| line.strip_prefix("pub use ")) else {
            if let (Some(_), Some((_, rest))) = (own, line.split_once("crate::")) {
                found.entry(first_name(rest)).or_insert(at + 1);
            }
            continue;
        };
        match path.split_once("::") {
            Some(("std" | "core" | "self" | "super" | "alloc", _)) => {}
            // Within a library, `crate::` is the library itself.
            Some(("crate", _)) if own.is_none() => {}
            Some(("crate", rest)) => {
                found.entry(first_name(rest)).or_insert(at + 1);
            }
            // A path to a module or type that is in scope already.
            Some((root, _)) if is_local(&text, root) => {}
            Some((root, _)) => {
                found.entry(root.to_string()).or_insert(at + 1);
            }
            None => {}
        }
    }
    found
        .into_iter()
        .filter(|(name, _)| Some(name.as_str()) != own)
        .map(|(name, line)| (line, name))
        .collect()
}

fn first_name(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn is_local(text: &str, root: &str) -> bool {
    root.starts_with(char::is_uppercase)
        || text.contains(&format!("mod {root};"))
        || text.contains(&format!("mod {root} {{"))
}

fn without_comments(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.lines().map(|line| line.find("//").map_or(line, |at| &line[..at])).collect::<Vec<_>>().join("\n")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    if folder.is_file() {
        return vec![folder.to_owned()];
    }
    let mut files = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return files };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
