//! Holds two schemas against each other: what of the writer's can the reader not read? Confluent's rules.
//!
//! Messages of the schema itself are compared by name where they stand; those that come from an import, where a field uses
//! them. Each pair of messages is compared once, from a list of those that wait: types may refer to each other in chains as
//! long as a schema, and in as many ways.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::difference::{Difference, Kind};
use super::element::{Field, FieldType, Label, Message, OneOf, ScalarKind};
use super::normal;
use super::types::{Declared, Node, Types};

/// No more are told: the first ones say enough.
const MAX_DIFFERENCES: usize = 1000;

/// `original` wrote the data, `update` reads them.
pub fn compare<'a>(
    original: &'a Types<'a>,
    update: &'a Types<'a>,
    packages: [Option<&str>; 2],
) -> Vec<Difference> {
    let mut comparison =
        Comparison { original, update, pairs: Vec::new(), known: HashMap::new(), path: Vec::new() };
    let mut first = Vec::new();
    if packages[0] != packages[1] {
        comparison.add(&mut first, Kind::PackageChanged);
    }
    comparison.types(&mut first, [original.package, update.package], [&original.top, &update.top]);
    let mut found = vec![first];
    while found.len() <= comparison.pairs.len() {
        let (original_node, update_node) = comparison.pairs[found.len() - 1];
        comparison.path = original.local_path(original_node).into_iter().map(str::to_owned).collect();
        let mut of_pair = Vec::new();
        comparison.message(&mut of_pair, original_node, update_node);
        found.push(of_pair);
    }
    told(&found)
}

/// What was found of one pair, in order.
#[derive(Debug)]
enum Found {
    Difference(Difference),
    /// A field's type, whose own differences count here.
    Type {
        pair: usize,
        path: String,
    },
}

struct Comparison<'a> {
    original: &'a Types<'a>,
    update: &'a Types<'a>,
    pairs: Vec<(Node, Node)>,
    known: HashMap<(Node, Node), usize>,
    path: Vec<String>,
}

impl<'a> Comparison<'a> {
    /// What is declared within two scopes.
    fn types(&mut self, found: &mut Vec<Found>, scopes: [Node; 2], declared: [&[Node]; 2]) {
        let [original_types, update_types] = [self.original, self.update];
        let updated: HashSet<Node> = declared[1].iter().copied().collect();
        for original in declared[0] {
            let Some(Declared::Message(message)) = original_types.declared(*original) else {
                continue;
            };
            let name = original_types.name(*original);
            let update = update_types.within(scopes[1], name).filter(|node| updated.contains(node));
            self.path.push(name.to_owned());
            match update.map(|node| (node, update_types.declared(node))) {
                Some((node, Some(Declared::Message(_)))) => self.message(found, *original, node),
                _ if message.map_entry().is_none() => self.add(found, Kind::MessageRemoved),
                _ => {}
            }
            self.path.pop();
        }
    }

    fn message(&mut self, found: &mut Vec<Found>, original: Node, update: Node) {
        let declared = (self.original.declared(original), self.update.declared(update));
        let (Some(Declared::Message(original_message)), Some(Declared::Message(update_message))) = declared
        else {
            return;
        };
        let scopes = [original, update];
        let mut original_fields = by_tag(&original_message.fields);
        self.moved_to_oneofs(found, &mut original_fields, original_message, update_message);
        self.oneofs(found, scopes, original_message, update_message);
        self.fields(found, scopes, &original_fields, &by_tag(&update_message.fields));
        self.moved_fields(found, scopes, [original_message, update_message]);
        let nested = [self.original.nested(original), self.update.nested(update)];
        self.types(found, scopes, nested);
    }

    /// Fields that stood alone may come into a oneof one by one, and only with new ones. Takes them from `original_fields`.
    fn moved_to_oneofs(
        &mut self,
        found: &mut Vec<Found>,
        original_fields: &mut BTreeMap<i32, &Field>,
        original: &Message,
        update: &Message,
    ) {
        let in_oneofs = original.oneofs.iter().flat_map(|oneof| &oneof.fields);
        let in_oneofs: HashSet<i32> = in_oneofs.map(|field| field.tag).collect();
        for oneof in &update.oneofs {
            let (mut moved, mut existing) = (0, 0);
            for field in &oneof.fields {
                match original_fields.remove(&field.tag) {
                    Some(_) => moved += 1,
                    None => existing += usize::from(in_oneofs.contains(&field.tag)),
                }
            }
            self.path.push(oneof.name.clone());
            match moved {
                0 => {}
                1 if existing > 0 => self.add(found, Kind::FieldMovedToExistingOneof),
                1 => {}
                _ => self.add(found, Kind::MultipleFieldsMovedToOneof),
            }
            self.path.pop();
        }
    }

    fn oneofs(&mut self, found: &mut Vec<Found>, scopes: [Node; 2], original: &Message, update: &Message) {
        let updated: HashMap<&str, &OneOf> =
            update.oneofs.iter().map(|oneof| (oneof.name.as_str(), oneof)).collect();
        for oneof in &original.oneofs {
            // A oneof may go with all its fields.
            let Some(update) = updated.get(oneof.name.as_str()) else {
                continue;
            };
            let (original_fields, update_fields) = (by_tag(&oneof.fields), by_tag(&update.fields));
            self.path.push(oneof.name.clone());
            for (tag, field) in original_fields {
                self.path.push(tag.to_string());
                match update_fields.get(&tag) {
                    Some(update) => self.field(found, scopes, [field, update]),
                    None => self.add(found, Kind::OneofFieldRemoved),
                }
                self.path.pop();
            }
            self.path.pop();
        }
    }

    fn fields(
        &mut self,
        found: &mut Vec<Found>,
        scopes: [Node; 2],
        original: &BTreeMap<i32, &Field>,
        update: &BTreeMap<i32, &Field>,
    ) {
        let tags: std::collections::BTreeSet<i32> = original.keys().chain(update.keys()).copied().collect();
        for tag in tags {
            self.path.push(tag.to_string());
            match (original.get(&tag), update.get(&tag)) {
                (Some(original), Some(update)) => self.field(found, scopes, [original, update]),
                (Some(field), None) if field.label == Some(Label::Required) => {
                    self.add(found, Kind::RequiredFieldRemoved);
                }
                (None, Some(field)) if field.label == Some(Label::Required) => {
                    self.add(found, Kind::RequiredFieldAdded);
                }
                _ => {}
            }
            self.path.pop();
        }
    }

    /// What goes into a oneof, out of one or from one to another must still be what it was.
    fn moved_fields(&mut self, found: &mut Vec<Found>, scopes: [Node; 2], [original, update]: [&Message; 2]) {
        let updated = with_oneofs(update);
        for (tag, (original, from)) in with_oneofs(original) {
            if let Some((update, to)) = updated.get(&tag)
                && from != *to
            {
                self.path.push(tag.to_string());
                self.field(found, scopes, [original, update]);
                self.path.pop();
            }
        }
    }

    fn field(&mut self, found: &mut Vec<Found>, scopes: [Node; 2], fields: [&Field; 2]) {
        let types =
            [self.as_map(0, scopes, &fields[0].type_name), self.as_map(1, scopes, &fields[1].type_name)];
        match &types {
            [FieldType::Named(original), FieldType::Named(update)] => {
                self.named(found, scopes, [original, update], fields.map(|field| field.label));
            }
            [
                FieldType::Map { key: original_key, value: original_value },
                FieldType::Map { key: update_key, value: update_value },
            ] => {
                self.named(found, scopes, [original_key, update_key], [None, None]);
                self.named(found, scopes, [original_value, update_value], [None, None]);
            }
            _ => self.add(found, Kind::FieldKindChanged),
        }
    }

    fn as_map(&self, side: usize, scopes: [Node; 2], of: &FieldType) -> FieldType {
        match of {
            FieldType::Named(name) if ScalarKind::of(name).is_none() => {
                let types = self.side(side);
                let entry =
                    types.find_type(scopes[side], name).and_then(|node| normal::map_entry(types, node));
                entry.unwrap_or_else(|| of.clone())
            }
            of => of.clone(),
        }
    }

    fn named(
        &mut self,
        found: &mut Vec<Found>,
        scopes: [Node; 2],
        names: [&str; 2],
        labels: [Option<Label>; 2],
    ) {
        match [self.scalar(0, scopes, names[0]), self.scalar(1, scopes, names[1])] {
            [None, None] => self.message_type(found, scopes, names),
            [Some(original), Some(update)] if original != update => {
                self.add(found, Kind::FieldScalarKindChanged)
            }
            // The last of several strings is read as the one; packed numbers are not.
            [Some(kind), Some(_)] => {
                let are_different = labels[0].is_some() && labels[1].is_some() && labels[0] != labels[1];
                if are_different && kind != ScalarKind::StringOrBytes {
                    self.add(found, Kind::FieldNumericLabelChanged);
                }
            }
            _ => self.add(found, Kind::FieldKindChanged),
        }
    }

    /// Enums are written as numbers.
    fn scalar(&self, side: usize, scopes: [Node; 2], name: &str) -> Option<ScalarKind> {
        let types = self.side(side);
        ScalarKind::of(name).or_else(|| match types.declared(types.find_type(scopes[side], name)?)? {
            Declared::Enum => Some(ScalarKind::GeneralNumber),
            Declared::Message(_) => None,
        })
    }

    fn message_type(&mut self, found: &mut Vec<Found>, scopes: [Node; 2], names: [&str; 2]) {
        let original = self.original.find_type(scopes[0], names[0]);
        let update = self.update.find_type(scopes[1], names[1]);
        let (Some(original), Some(update)) = (original, update) else {
            if names[0] != names[1] {
                self.add(found, Kind::FieldNamedTypeChanged);
            }
            return;
        };
        if self.original.local_path(original) != self.update.local_path(update) {
            self.add(found, Kind::FieldNamedTypeChanged);
        } else if !(self.original.is_local(original) && self.update.is_local(update)) {
            let pairs = &mut self.pairs;
            // The first is that of the schemas themselves.
            let pair = *self.known.entry((original, update)).or_insert_with(|| {
                pairs.push((original, update));
                pairs.len()
            });
            found.push(Found::Type { pair, path: self.path_text() });
        }
    }

    fn side(&self, side: usize) -> &'a Types<'a> {
        match side {
            0 => self.original,
            _ => self.update,
        }
    }

    fn add(&self, found: &mut Vec<Found>, kind: Kind) {
        found.push(Found::Difference(Difference { kind, path: self.path_text() }));
    }

    fn path_text(&self) -> String {
        format!("#/{}", self.path.join("/"))
    }
}

/// Of two with one tag the later counts.
fn by_tag(fields: &[Field]) -> BTreeMap<i32, &Field> {
    fields.iter().map(|field| (field.tag, field)).collect()
}

/// All fields of a message, each with the oneof that it stands in.
fn with_oneofs(message: &Message) -> BTreeMap<i32, (&Field, Option<&str>)> {
    let alone = message.fields.iter().map(|field| (field.tag, (field, None)));
    let in_oneofs = message.oneofs.iter().flat_map(|oneof| {
        let name = oneof.name.as_str();
        oneof.fields.iter().map(move |field| (field.tag, (field, Some(name))))
    });
    alone.chain(in_oneofs).collect()
}

/// The differences in the order in which they are met on the way down from the first pair; those of a pair once.
fn told(found: &[Vec<Found>]) -> Vec<Difference> {
    let differs = differing(found);
    let mut differences = Vec::new();
    let mut is_met = vec![false; found.len()];
    let mut is_open = vec![false; found.len()];
    // A pair, how far it was told, and the field that led to it.
    let mut stack: Vec<(usize, usize, Option<&str>)> = vec![(0, 0, None)];
    (is_met[0], is_open[0]) = (true, true);
    while let Some((pair, next, path)) = stack.last_mut() {
        if differences.len() >= MAX_DIFFERENCES {
            break;
        }
        let item = found[*pair].get(*next);
        *next += 1;
        match item {
            Some(Found::Difference(difference)) => differences.push(difference.clone()),
            Some(Found::Type { pair, path }) if differs[*pair] && !is_open[*pair] => {
                if std::mem::replace(&mut is_met[*pair], true) {
                    differences.push(type_changed(path));
                } else {
                    is_open[*pair] = true;
                    stack.push((*pair, 0, Some(path)));
                }
            }
            Some(Found::Type { .. }) => {}
            None => {
                is_open[*pair] = false;
                differences.extend(path.map(type_changed));
                stack.pop();
            }
        }
    }
    differences
}

fn type_changed(path: &str) -> Difference {
    Difference { kind: Kind::FieldNamedTypeChanged, path: path.to_owned() }
}

/// Which pairs differ, themselves or in a type that they use.
fn differing(found: &[Vec<Found>]) -> Vec<bool> {
    let mut users = vec![Vec::new(); found.len()];
    let mut differs = vec![false; found.len()];
    let mut waiting = Vec::new();
    for (user, items) in found.iter().enumerate() {
        for item in items {
            match item {
                Found::Type { pair, .. } => users[*pair].push(user),
                Found::Difference(_) if !differs[user] => {
                    differs[user] = true;
                    waiting.push(user);
                }
                Found::Difference(_) => {}
            }
        }
    }
    while let Some(pair) = waiting.pop() {
        for user in &users[pair] {
            if !std::mem::replace(&mut differs[*user], true) {
                waiting.push(*user);
            }
        }
    }
    differs
}
