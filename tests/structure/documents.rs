//! What the documents say in tables is what the code does.

use std::collections::BTreeMap;

use ottla::handlers;

/// Rows `| 0 | Produce | 3-13 (a note) |` of COMPATIBILITY.md, by key.
fn documented() -> BTreeMap<i16, (String, String)> {
    let text = include_str!("../../COMPATIBILITY.md");
    text.lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let versions = cells.get(3)?.split(' ').next()?.to_owned();
            Some((cells.get(1)?.parse().ok()?, ((*cells.get(2)?).to_owned(), versions)))
        })
        .collect()
}

#[test]
fn compatibility_lists_the_apis_that_are_served() {
    let served: BTreeMap<i16, (String, String)> = handlers::all()
        .iter()
        .map(|api| {
            let name = api.name.trim_end_matches("Request").to_owned();
            (api.key, (name, format!("{}-{}", api.versions.start(), api.versions.end())))
        })
        .collect();
    assert_eq!(documented(), served);
}

#[test]
fn compatibility_lists_the_defaults_that_differ() {
    let text = include_str!("../../COMPATIBILITY.md");
    for (key, value, why) in ottla::config::keys::OTTLA_DEFAULTS {
        let row = format!("| `{key}` | `{value}` | {why} |");
        assert!(text.contains(&row), "COMPATIBILITY.md lacks: {row}");
    }
}

#[test]
fn compatibility_lists_the_paths_that_are_served() {
    let mut served: Vec<(&str, Vec<&str>)> = Vec::new();
    for (method, path) in ottla::services::registry::rest::paths() {
        match served.iter_mut().find(|(of, _)| *of == path) {
            Some((_, methods)) => methods.push(method),
            None => served.push((path, vec![method])),
        }
    }
    let rows: String =
        served.iter().map(|(path, methods)| format!("| `{path}` | {} |\n", methods.join(", "))).collect();
    assert!(include_str!("../../COMPATIBILITY.md").contains(&rows), "COMPATIBILITY.md lacks:\n{rows}");
}
