//! The keywords of a schema, checked, become nodes of a graph.
//!
//! Up to draft 7 Confluent's registry reads with one library, from 2019-09 on with another whose schemas it brings into the form
//! of the first. What is here is what comes out in the end; where the two differ, `Draft::is_modern` decides.

mod containers;
mod keywords;

use std::collections::HashMap;

use serde_json::{Map, Value};

pub(super) use self::keywords::{ARRAY_KEYWORDS, NUMBER_KEYWORDS, OBJECT_KEYWORDS};

use self::keywords::{Keywords, kind_of_type, label};
use super::documents::{Documents, Place, Scope, read_all};
use super::draft::Draft;
use super::graph::{
    ArrayRule, Criterion, Graph, Growing, Kind, Node, NodeId, NumberRule, ObjectRule, StringRule, Target,
    Union, comparable,
};
use super::uri;
use crate::{Dependency, InvalidSchema};

/// Reads the rules of `root`.
pub(super) fn build(root: &Value, dependencies: &[Dependency]) -> Result<Graph, InvalidSchema> {
    if !root.is_object() && !root.is_boolean() {
        let found = keywords::type_name(root);
        return Err(invalid(&format!("expected an object or boolean at the root, found {found}")));
    }
    let dependencies = read_all(dependencies)?;
    let documents = Documents::new(root, &dependencies)?;
    let mut builder = Builder {
        documents: &documents,
        graph: Growing::default(),
        targets: HashMap::new(),
        queue: Vec::new(),
        path: String::new(),
    };
    builder.target("#", documents.root().clone());
    match builder.run() {
        Ok(()) => Ok(builder.graph.finish()),
        Err(InvalidSchema(why)) => Err(invalid(&format!("{}: {why}", builder.path))),
    }
}

fn invalid(why: &str) -> InvalidSchema {
    InvalidSchema(why.to_owned())
}

struct Builder<'a> {
    documents: &'a Documents<'a>,
    graph: Growing,
    /// The places that were referred to, by the address of what is there.
    targets: HashMap<*const Value, Target>,
    queue: Vec<(Target, String, Place<'a>)>,
    /// What is read. After a mistake it stays where that is.
    path: String,
}

/// The keywords of one schema, by the kind of values that they are about.
#[derive(Default)]
struct Rules {
    string: Option<StringRule>,
    number: Option<NumberRule>,
    array: Option<Box<ArrayRule>>,
    object: Option<Box<ObjectRule>>,
}

impl<'a> Builder<'a> {
    fn run(&mut self) -> Result<(), InvalidSchema> {
        while let Some((target, name, place)) = self.queue.pop() {
            self.path = name;
            let node = self.schema(place.value, &place.scope)?;
            self.graph.resolve(target, node);
        }
        Ok(())
    }

    /// A place to be read later, known by the first name that it is referred to by: so a schema may refer to itself.
    fn target(&mut self, name: &str, place: Place<'a>) -> Target {
        let address: *const Value = place.value;
        if let Some(&known) = self.targets.get(&address) {
            return known;
        }
        let target = self.graph.add_target();
        self.targets.insert(address, target);
        self.queue.push((target, name.to_owned(), place));
        target
    }

    fn child(&mut self, segments: &[&str], value: &'a Value, scope: &Scope) -> Result<NodeId, InvalidSchema> {
        let mark = self.path.len();
        for segment in segments {
            self.path.push('/');
            self.path.push_str(segment);
        }
        let node = self.schema(value, scope)?;
        self.path.truncate(mark);
        Ok(node)
    }

    fn schema(&mut self, value: &'a Value, outer: &Scope) -> Result<NodeId, InvalidSchema> {
        let node = match value {
            // It allows what `{}` does, but in a union it is another alternative.
            Value::Bool(true) => Node { label: 1, ..Node::from(Kind::Any) },
            Value::Bool(false) => Node::from(Kind::Nothing),
            Value::Object(members) => self.object_schema(members, &outer.within(value)?)?,
            other => {
                return Err(invalid(&format!("expected a schema, found {}", keywords::type_name(other))));
            }
        };
        Ok(self.graph.add(node))
    }

    fn object_schema(
        &mut self,
        members: &'a Map<String, Value>,
        scope: &Scope,
    ) -> Result<Node, InvalidSchema> {
        let is_modern = scope.draft.is_modern();
        let keywords = Keywords { members, draft: scope.draft };
        keywords.string("title")?;
        keywords.string("description")?;
        if !is_modern {
            keywords.string(scope.draft.id_keyword())?;
        }
        let kind = match keywords.string("$ref")? {
            Some(reference) if !is_modern => self.reference(reference, scope)?,
            _ => {
                let mut kinds = self.free_kinds(&keywords, scope)?;
                let mut rules = self.rules(&keywords, scope)?;
                kinds.extend(self.typed_kind(&keywords, &mut rules)?);
                kinds.extend(rules.string.map(Kind::String));
                kinds.extend(rules.number.map(Kind::Number));
                kinds.extend(rules.array.map(Kind::Array));
                kinds.extend(rules.object.map(Kind::Object));
                self.all_of(kinds)
            }
        };
        if is_modern && let Some(definitions) = keywords.object("$defs")? {
            // Nobody may refer to them: a wrong one is an error all the same.
            for (name, value) in definitions {
                self.child(&["$defs", name], value, scope)?;
            }
        }
        Ok(Node {
            kind,
            has_default: members.get("default").is_some_and(|value| !is_modern || !value.is_null()),
            is_connect_bytes: members.get("connect.type").and_then(Value::as_str) == Some("bytes"),
            label: label(members, scope.draft),
        })
    }

    /// Kinds side by side: all of them hold.
    fn all_of(&mut self, mut kinds: Vec<Kind>) -> Kind {
        if kinds.len() > 1 {
            let parts = kinds.into_iter().map(|kind| self.graph.add(Node::from(kind))).collect();
            return Kind::Union(Union { criterion: Criterion::All, parts, is_implied: true });
        }
        kinds.pop().unwrap_or(Kind::Any)
    }

    /// The kinds of keywords that are about any value.
    fn free_kinds(&mut self, keywords: &Keywords<'a>, scope: &Scope) -> Result<Vec<Kind>, InvalidSchema> {
        let mut kinds = Vec::new();
        if scope.draft.is_modern() {
            for keyword in ["$ref", "$dynamicRef"] {
                if let Some(reference) = keywords.string(keyword)? {
                    kinds.push(self.reference(reference, scope)?);
                }
            }
        }
        if let Some(values) = keywords.array("enum")? {
            kinds.push(Kind::Enum(values.iter().map(comparable).collect()));
        }
        for (keyword, criterion) in Criterion::KEYWORDS {
            if let Some(values) = keywords.array(keyword)? {
                kinds.push(self.union(keyword, criterion, values, scope)?);
            }
        }
        if let Some(not) = keywords.get("not") {
            kinds.push(Kind::Not(self.child(&["not"], not, scope)?));
        }
        if let Some(value) = keywords.get("const").filter(|_| scope.draft != Draft::Draft4) {
            kinds.push(Kind::Const(comparable(value)));
        }
        let has_condition = match scope.draft.is_modern() {
            true => keywords.get("if").is_some(),
            false => scope.draft == Draft::Draft7 && keywords.has_any(&["if", "then", "else"]),
        };
        if has_condition {
            let branches = ["if", "then", "else"].map(|keyword| self.optional(keyword, keywords, scope));
            kinds.push(Kind::Conditional(branches.into_iter().collect::<Result<_, _>>()?));
        }
        Ok(kinds)
    }

    fn union(
        &mut self,
        keyword: &str,
        criterion: Criterion,
        values: &'a [Value],
        scope: &Scope,
    ) -> Result<Kind, InvalidSchema> {
        let mut parts = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let part = self.child(&[keyword, &index.to_string()], value, scope)?;
            match &self.graph.node(part).kind {
                // Confluent's translation of newer drafts takes such a part for several, in `anyOf` and `oneOf` as well.
                Kind::Union(inner) if scope.draft.is_modern() && inner.is_implied => {
                    parts.extend(inner.parts.iter().copied());
                }
                _ => parts.push(part),
            }
        }
        Ok(Kind::Union(Union { criterion, parts, is_implied: false }))
    }

    fn reference(&mut self, reference: &str, scope: &Scope) -> Result<Kind, InvalidSchema> {
        if let Some(place) = self.documents.resolve(reference, scope)? {
            return Ok(Kind::Reference(self.target(reference, place)));
        }
        let absolute = uri::resolve(&scope.base, reference);
        match absolute.contains("//json-schema.org/draft") || Draft::of_meta_schema(&absolute).is_some() {
            true => Ok(Kind::Any),
            false => Err(invalid(&format!("the reference {reference} cannot be resolved"))),
        }
    }

    /// What `type` says, with the rules for the types that it names taken out of `rules`.
    fn typed_kind(
        &mut self,
        keywords: &Keywords<'a>,
        rules: &mut Rules,
    ) -> Result<Option<Kind>, InvalidSchema> {
        match keywords.get("type") {
            None => Ok(None),
            Some(Value::String(name)) => {
                let kind = kind_of_type(name, rules)?;
                rules.forget(name);
                Ok(Some(kind))
            }
            Some(Value::Array(names)) => {
                let mut parts = Vec::with_capacity(names.len());
                let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
                for name in &names {
                    let kind = kind_of_type(name, rules)?;
                    parts.push(self.graph.add(Node::from(kind)));
                }
                if names.len() != keywords.array("type")?.map_or(0, <[Value]>::len) {
                    return Err(invalid("a type is no string"));
                }
                names.iter().for_each(|name| rules.forget(name));
                Ok(Some(Kind::Union(Union { criterion: Criterion::Any, parts, is_implied: false })))
            }
            Some(other) => Err(invalid(&format!(
                "type: expected a string or array, found {}",
                keywords::type_name(other)
            ))),
        }
    }

    fn rules(&mut self, keywords: &Keywords<'a>, scope: &Scope) -> Result<Rules, InvalidSchema> {
        Ok(Rules {
            string: keywords.string_rule()?,
            number: keywords.number_rule()?,
            array: self.array_rule(keywords, scope)?,
            object: self.object_rule(keywords, scope)?,
        })
    }

    fn optional(
        &mut self,
        keyword: &str,
        keywords: &Keywords<'a>,
        scope: &Scope,
    ) -> Result<Option<NodeId>, InvalidSchema> {
        keywords.get(keyword).map(|value| self.child(&[keyword], value, scope)).transpose()
    }
}
