//! Many operations at random, a model that knows what must hold, and crashes between them.

use std::collections::{BTreeMap, BTreeSet};

use ottla_schema::compatibility::Mode as Level;

use super::Registry;
use crate::coordinator::chance::{Chance, for_each_seed};
use crate::services::registry::model::{
    Deleted, Format, Mode, RegisterSchemaRequest, Schema, SchemaReference, VersionId,
};
use crate::services::registry::parser::Parser;

const SUBJECTS: [&str; 5] = ["a", "b", "c", ":.x:a", ":.x:d"];
const SCHEMAS: u64 = 6;
const STEPS: u64 = 100;

#[test]
fn nothing_acknowledged_is_lost_and_no_id_is_another_schemas() {
    for_each_seed(20, simulate);
}

/// What was acknowledged.
#[derive(Default)]
struct Model {
    /// What an id stands for in its context, for ever.
    said: BTreeMap<(bool, i32), String>,
    ids: BTreeMap<(bool, String), i32>,
    /// Versions that are there, and whether they are deleted.
    versions: BTreeMap<(&'static str, i32), (i32, bool)>,
}

fn simulate(seed: u64) {
    let mut chance = Chance::new(seed);
    let (mut registry, parser, mut model) = (Registry::default(), Parser::default(), Model::default());
    for _ in 0..STEPS {
        let subject = SUBJECTS[chance.index(SUBJECTS.len())];
        match chance.below(10) {
            0..=4 => register(&mut registry, &parser, &mut model, subject, chance.below(SCHEMAS)),
            5 => delete_version(&mut registry, &mut model, subject, &mut chance),
            6 => delete_subject(&mut registry, &mut model, subject, chance.one_in(2)),
            7 if chance.one_in(4) => toggle_read_only(&mut registry, &parser, subject),
            // A crash, and a start.
            _ => registry = registry.reloaded(),
        }
        assert_eq!(registry.reloaded().state, registry.state);
        check(&registry, &parser, &model);
    }
}

fn request(number: u64) -> RegisterSchemaRequest {
    // Every third refers to the first version of a subject, which then must stay.
    let references = (number % 3 == 2)
        .then(|| vec![SchemaReference { name: "R".to_owned(), subject: "a".to_owned(), version: 1 }]);
    RegisterSchemaRequest {
        schema: Some(format!(r#"{{"type":"enum","name":"E","symbols":["S{number}"]}}"#)),
        references,
        ..RegisterSchemaRequest::default()
    }
}

fn register(registry: &mut Registry, parser: &Parser, model: &mut Model, subject: &'static str, number: u64) {
    let text = request(number).schema.unwrap_or_default();
    let decided = registry.state.register(subject, request(number), false, Level::None, parser);
    let Ok(Schema { id: Some(id), version: Some(version), .. }) = registry.write(decided) else { return };
    let context = subject.starts_with(':');
    let said = model.said.entry((context, id)).or_insert_with(|| text.clone());
    assert_eq!(*said, text, "id {id} is another schema's");
    let before = model.ids.insert((context, text.clone()), id);
    let mut held = model.versions.iter().filter(|((of, _), _)| of.starts_with(':') == context);
    let is_there = before.is_some_and(|before| held.any(|(_, (held, _))| *held == before));
    assert!(!is_there || before == Some(id), "{text} has two ids");
    if !model.versions.contains_key(&(subject, version)) {
        let newest =
            model.versions.keys().filter(|(of, _)| *of == subject).map(|(_, version)| *version).max();
        assert_eq!(version, newest.unwrap_or(0) + 1);
        // Deleted versions with the same schema make room, but for those that others refer to.
        let referred = referred(model, context);
        model.versions.retain(|(of, number), (held, deleted)| {
            !(*of == subject && *held == id && *deleted)
                || (referred && *of == referred_subject(context) && *number == 1)
        });
    }
    model.versions.insert((subject, version), (id, false));
}

fn delete_version(registry: &mut Registry, model: &mut Model, subject: &'static str, chance: &mut Chance) {
    let versions: Vec<i32> =
        model.versions.keys().filter(|(of, _)| *of == subject).map(|(_, version)| *version).collect();
    if versions.is_empty() {
        return;
    }
    let (version, permanent) = (versions[chance.index(versions.len())], chance.one_in(2));
    let decided = registry.state.delete_version(subject, VersionId::Number(version), permanent);
    if registry.write(decided).is_ok() {
        match permanent {
            true => drop(model.versions.remove(&(subject, version))),
            false => {
                model
                    .versions
                    .entry((subject, version))
                    .and_modify(|(_, deleted)| *deleted = true)
                    .or_default()
                    .1 = true
            }
        }
    }
}

fn delete_subject(registry: &mut Registry, model: &mut Model, subject: &'static str, permanent: bool) {
    let decided = registry.state.delete_subject(subject, permanent);
    if registry.write(decided).is_ok() {
        match permanent {
            true => model.versions.retain(|(of, _), _| *of != subject),
            false => {
                let own = model.versions.iter_mut().filter(|((of, _), _)| *of == subject);
                own.for_each(|(_, (_, deleted))| *deleted = true);
            }
        }
    }
}

fn toggle_read_only(registry: &mut Registry, parser: &Parser, subject: &str) {
    let is_read_only = registry.state.mode_in_scope(Some(subject)) == Mode::ReadOnly;
    let mode = if is_read_only { Mode::ReadWrite } else { Mode::ReadOnly };
    let decided = registry.state.update_mode(Some(subject), Some(mode), false);
    registry.write(decided).expect("modes may change");
    let mut new = request(0);
    new.schema = Some(r#""bytes""#.to_owned());
    if mode == Mode::ReadOnly {
        let refused = registry.state.register(subject, new, false, Level::None, parser);
        assert_eq!(refused.expect_err("it is read-only").code, 42205);
    }
}

fn check(registry: &Registry, parser: &Parser, model: &Model) {
    let state = &registry.state;
    let mut subjects = BTreeSet::new();
    for ((subject, version), (id, deleted)) in &model.versions {
        subjects.insert(subject.to_string());
        let found = state
            .version(subject, VersionId::Number(*version), true, &Format::default(), parser)
            .unwrap_or_else(|error| panic!("{subject} {version}: {error}"));
        assert_eq!((found.id, found.deleted), (Some(*id), Some(*deleted)), "{subject} {version}");
        assert_eq!(found.schema.as_ref(), model.said.get(&(subject.starts_with(':'), *id)));
        assert!(state.holds(subject, *id), "{subject} {version}");
    }
    let listed: BTreeSet<String> = state.subjects(":*:", Deleted::Included).collect();
    assert_eq!(listed, subjects);
    // What a schema that is not deleted refers to is there.
    for ((subject, _), (id, deleted)) in &model.versions {
        let context = subject.starts_with(':');
        if !deleted && refers(model, context, *id) {
            let of = referred_subject(context);
            assert!(model.versions.contains_key(&(of, 1)), "{subject} refers to {of}");
        }
    }
}

fn refers(model: &Model, context: bool, id: i32) -> bool {
    model.said.get(&(context, id)).is_some_and(|text| text.contains("S2") || text.contains("S5"))
}

/// Whether a version that is not deleted refers to the one that can be referred to.
fn referred(model: &Model, context: bool) -> bool {
    model.versions.iter().any(|((of, _), (id, deleted))| {
        of.starts_with(':') == context && !deleted && refers(model, context, *id)
    })
}

fn referred_subject(context: bool) -> &'static str {
    if context { ":.x:a" } else { "a" }
}
