//! Where a `$ref` points to: into the schema's own document or a dependency's, by JSON pointer, `$id` or anchor.

use std::collections::HashMap;
use std::rc::Rc;

use serde_json::Value;

use super::draft::Draft;
use super::{text, uri};
use crate::{Dependency, InvalidSchema};

/// The longest base that an `$id` may give: each of thousands of ids has its own.
const MAX_BASE_BYTES: usize = 1024;

/// A schema within a document, with what the keywords around it say.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub(super) value: &'a Value,
    pub(super) scope: Scope,
}

#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// The URI that references are resolved against.
    pub(super) base: Rc<str>,
    pub(super) draft: Draft,
    document: usize,
}

impl Scope {
    /// The scope within `value`, which may have an id.
    pub(super) fn within(&self, value: &Value) -> Result<Self, InvalidSchema> {
        match value.get(self.draft.id_keyword()).and_then(Value::as_str) {
            Some(id) => self.with_base(&uri::resolve(&self.base, id)),
            None => Ok(self.clone()),
        }
    }

    fn with_base(&self, base: &str) -> Result<Self, InvalidSchema> {
        if base.len() > MAX_BASE_BYTES {
            return Err(InvalidSchema(format!("an id is longer than {MAX_BASE_BYTES} bytes")));
        }
        Ok(Self { base: base.into(), ..self.clone() })
    }
}

/// The schema and its dependencies, and all that has a URI in them.
#[derive(Debug)]
pub(super) struct Documents<'a> {
    roots: Vec<Place<'a>>,
    by_uri: HashMap<String, Place<'a>>,
}

/// The texts of the dependencies with their names.
pub(super) fn read_all(dependencies: &[Dependency]) -> Result<Vec<(String, Value)>, InvalidSchema> {
    let read = |of: &Dependency| {
        let value = text::read(&of.schema)
            .map_err(|InvalidSchema(error)| InvalidSchema(format!("Reference {}: {error}", of.name)))?;
        Ok((of.name.clone(), value))
    };
    dependencies.iter().map(read).collect()
}

impl<'a> Documents<'a> {
    pub(super) fn new(root: &'a Value, dependencies: &'a [(String, Value)]) -> Result<Self, InvalidSchema> {
        let draft = draft_of(root)?.unwrap_or(Draft::Draft7);
        let scope = Scope { base: "".into(), draft, document: 0 };
        let scope = scope.within(root)?;
        let mut all =
            Self { roots: vec![Place { value: root, scope: scope.clone() }], by_uri: HashMap::new() };
        all.catalogue(&all.roots[0].clone())?;
        for (index, (name, value)) in dependencies.iter().enumerate() {
            let draft = match draft_of(value).ok().flatten() {
                Some(own) if !own.is_modern() && !draft.is_modern() => own,
                _ => draft,
            };
            let outside = Scope { draft, document: index + 1, ..scope.clone() };
            let outside = outside.with_base(&uri::resolve(&scope.base, name))?;
            let place = Place { value, scope: outside.within(value)? };
            for known_as in [outside.base.as_ref(), name.as_str(), &format!("./{name}")] {
                all.register(known_as, &place);
            }
            all.roots.push(place);
            all.catalogue(&Place { value, scope: outside })?;
        }
        Ok(all)
    }

    pub(super) fn root(&self) -> &Place<'a> {
        &self.roots[0]
    }

    /// What `reference` points to from a schema in `scope`; None when nothing here is called so.
    pub(super) fn resolve(&self, reference: &str, scope: &Scope) -> Result<Option<Place<'a>>, InvalidSchema> {
        let absolute = uri::resolve(&scope.base, reference);
        if let Some(place) = self.by_uri.get(plain(&absolute)) {
            return Ok(Some(place.clone()));
        }
        let (whole, fragment) = absolute.split_once('#').unwrap_or((&absolute, ""));
        let own = Some(&self.roots[scope.document]).filter(|_| reference.starts_with('#'));
        let named = self.by_uri.get(whole).or_else(|| self.by_uri.get(uri::without_fragment(reference)));
        // Before 2019-09, `#` is the document as Confluent's registry has it, even below an id.
        let candidates = if scope.draft.is_modern() { [named, own] } else { [own, named] };
        for container in candidates.into_iter().flatten() {
            if let Some(found) = self.find(container, fragment)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn find(&self, container: &Place<'a>, fragment: &str) -> Result<Option<Place<'a>>, InvalidSchema> {
        if fragment.is_empty() {
            return Ok(Some(container.clone()));
        }
        if !fragment.starts_with('/') {
            let anchor = format!("{}#{fragment}", uri::without_fragment(&container.scope.base));
            return Ok(self.by_uri.get(&anchor).cloned());
        }
        match (walk(container, fragment)?, fragment.strip_prefix("/$defs/")) {
            // Definitions are found by either of their two names.
            (None, Some(rest)) => walk(container, &format!("/definitions/{rest}")),
            (found, _) => Ok(found),
        }
    }

    fn register(&mut self, uri: &str, place: &Place<'a>) {
        self.by_uri.entry(plain(uri).to_owned()).or_insert_with(|| place.clone());
    }

    /// Notes the ids and anchors below `place`.
    fn catalogue(&mut self, place: &Place<'a>) -> Result<(), InvalidSchema> {
        match place.value {
            Value::Object(members) => {
                let scope = place.scope.within(place.value)?;
                let inner = Place { value: place.value, scope };
                if members.get(inner.scope.draft.id_keyword()).is_some_and(Value::is_string) {
                    self.register(&inner.scope.base.clone(), &inner);
                }
                if inner.scope.draft.is_modern() {
                    for anchor in ["$anchor", "$dynamicAnchor"] {
                        if let Some(name) = members.get(anchor).and_then(Value::as_str) {
                            self.register(
                                &format!("{}#{name}", uri::without_fragment(&inner.scope.base)),
                                &inner,
                            );
                        }
                    }
                }
                for (_, value) in
                    members.iter().filter(|(name, _)| !matches!(name.as_str(), "enum" | "const"))
                {
                    self.catalogue(&Place { value, scope: inner.scope.clone() })?;
                }
            }
            Value::Array(items) => {
                for value in items {
                    self.catalogue(&Place { value, scope: place.scope.clone() })?;
                }
            }
            _ => (),
        }
        Ok(())
    }
}

fn plain(uri: &str) -> &str {
    uri.strip_suffix('#').unwrap_or(uri)
}

pub(super) fn draft_of(value: &Value) -> Result<Option<Draft>, InvalidSchema> {
    match value.get("$schema") {
        None => Ok(None),
        Some(Value::String(url)) => Ok(Draft::of_meta_schema(url)),
        Some(_) => Err(InvalidSchema("$schema is no string".to_owned())),
    }
}

/// Follows a JSON pointer.
fn walk<'a>(from: &Place<'a>, pointer: &str) -> Result<Option<Place<'a>>, InvalidSchema> {
    let mut at = from.clone();
    for token in pointer.split('/').skip(1) {
        let token = uri::decoded(token).replace("~1", "/").replace("~0", "~");
        let next = match at.value {
            Value::Object(members) => members.get(&token),
            Value::Array(items) => token.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => None,
        };
        let Some(value) = next else { return Ok(None) };
        at = Place { value, scope: at.scope.within(at.value)? };
    }
    Ok(Some(at))
}
