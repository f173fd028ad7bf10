//! Names: what a file and all that it imports declare, as a tree from the packages down, and the looking up of a name from
//! a scope outwards. A lookup costs a step for each scope and not a copy of its name.

use std::cell::OnceCell;
use std::collections::{HashMap, HashSet};

use super::element::{Extend, Field, File, Message, Type};
use crate::InvalidSchema;

/// No full name is longer: normalized text has one wherever a type is used.
const MAX_FULL_NAME_BYTES: usize = 512;

/// A place in the tree: a package, a message, an enum or an extension.
pub type Node = usize;

/// Above all packages.
pub const ROOT: Node = 0;

pub struct Types<'a> {
    nodes: Vec<Entry<'a>>,
    children: HashMap<(Node, &'a str), Node>,
    /// The package of the schema itself.
    pub package: Node,
    /// What the schema itself declares.
    pub top: Vec<Node>,
}

struct Entry<'a> {
    parent: Node,
    name: &'a str,
    declared: Option<Declared<'a>>,
    extension: Option<&'a Field>,
    /// The messages and enums within a message.
    nested: Vec<Node>,
    package: Node,
    is_local: bool,
    full_name: OnceCell<String>,
}

#[derive(Debug, Clone, Copy)]
pub enum Declared<'a> {
    Message(&'a Message),
    Enum,
}

/// Where the types of a file go.
#[derive(Clone, Copy)]
struct Place {
    package: Node,
    is_local: bool,
}

impl<'a> Types<'a> {
    /// `imports` come before what imports them, so that the schema's own types win.
    pub fn new(schema: &'a File, imports: &[&'a File]) -> Self {
        let root = Entry::new(ROOT, "", Place { package: ROOT, is_local: false });
        let mut types = Self { nodes: vec![root], children: HashMap::new(), package: ROOT, top: Vec::new() };
        for import in imports {
            types.add_file(import, false);
        }
        (types.package, types.top) = types.add_file(schema, true);
        types
    }

    fn add_file(&mut self, file: &'a File, is_local: bool) -> (Node, Vec<Node>) {
        let mut package = ROOT;
        for part in file.package.iter().flat_map(|package| package.split('.')) {
            package = self.child(package, part, Place { package: ROOT, is_local });
        }
        let place = Place { package, is_local };
        self.add_extensions(package, &file.extends, place);
        (package, self.add_types(package, &file.types, place))
    }

    fn add_types(&mut self, parent: Node, types: &'a [Type], place: Place) -> Vec<Node> {
        let (mut added, mut known) = (Vec::new(), HashSet::new());
        for declared in types {
            let (name, declared) = match declared {
                Type::Message(message) => (&message.name, Declared::Message(message)),
                Type::Enum(of) => (&of.name, Declared::Enum),
            };
            let node = self.child(parent, name, place);
            // Of two with one name the later counts.
            let entry = &mut self.nodes[node];
            (entry.declared, entry.package, entry.is_local) = (Some(declared), place.package, place.is_local);
            if known.insert(node) {
                added.push(node);
            }
            self.nodes[node].nested = match declared {
                Declared::Message(message) => {
                    self.add_extensions(node, &message.extends, place);
                    self.add_types(node, &message.types, place)
                }
                Declared::Enum => Vec::new(),
            };
        }
        added
    }

    fn add_extensions(&mut self, parent: Node, extends: &'a [Extend], place: Place) {
        for field in extends.iter().flat_map(|extend| &extend.fields) {
            let node = self.child(parent, &field.name, place);
            self.nodes[node].extension = Some(field);
        }
    }

    fn child(&mut self, parent: Node, name: &'a str, place: Place) -> Node {
        *self.children.entry((parent, name)).or_insert_with(|| {
            self.nodes.push(Entry::new(parent, name, place));
            self.nodes.len() - 1
        })
    }

    pub fn declared(&self, node: Node) -> Option<Declared<'a>> {
        self.nodes[node].declared
    }

    pub fn extension(&self, node: Node) -> Option<&'a Field> {
        self.nodes[node].extension
    }

    pub fn nested(&self, node: Node) -> &[Node] {
        &self.nodes[node].nested
    }

    pub fn name(&self, node: Node) -> &'a str {
        self.nodes[node].name
    }

    /// Whether the schema itself declares it, and no import.
    pub fn is_local(&self, node: Node) -> bool {
        self.nodes[node].is_local
    }

    /// A type's place by the name it has in its scope.
    pub fn within(&self, scope: Node, name: &str) -> Option<Node> {
        self.children.get(&(scope, name)).copied()
    }

    /// The type that is meant by a name in a scope.
    pub fn find_type(&self, scope: Node, name: &str) -> Option<Node> {
        self.find(scope, name, |entry| entry.declared.is_some())
    }

    pub fn find_extension(&self, scope: Node, name: &str) -> Option<Node> {
        self.find(scope, name, |entry| entry.extension.is_some())
    }

    fn find(&self, scope: Node, name: &str, is_it: impl Fn(&Entry<'a>) -> bool) -> Option<Node> {
        let found = |from, name: &str| {
            let mut node = from;
            for part in name.split('.') {
                node = self.within(node, part)?;
            }
            is_it(&self.nodes[node]).then_some(node)
        };
        if let Some(full_name) = name.strip_prefix('.') {
            return found(ROOT, full_name);
        }
        let mut scope = scope;
        loop {
            if let Some(node) = found(scope, name) {
                return Some(node);
            }
            if scope == ROOT {
                return None;
            }
            scope = self.nodes[scope].parent;
        }
    }

    /// The names from the package (which does not belong to them) down to this type.
    pub fn local_path(&self, node: Node) -> Vec<&'a str> {
        self.path(node, self.nodes[node].package)
    }

    pub fn full_name(&self, node: Node) -> &str {
        self.nodes[node].full_name.get_or_init(|| self.path(node, ROOT).join("."))
    }

    fn path(&self, node: Node, above: Node) -> Vec<&'a str> {
        let mut path = Vec::new();
        let mut at = node;
        while at != above && at != ROOT {
            path.push(self.nodes[at].name);
            at = self.nodes[at].parent;
        }
        path.reverse();
        path
    }

    /// That no name is so long that what is derived from it gets out of hand.
    pub fn check_lengths(&self) -> Result<(), InvalidSchema> {
        // Parents come before their children.
        let mut lengths = vec![0; self.nodes.len()];
        for (node, entry) in self.nodes.iter().enumerate().skip(1) {
            lengths[node] = lengths[entry.parent] + entry.name.len() + 1;
            if lengths[node] > MAX_FULL_NAME_BYTES {
                return Err(InvalidSchema(format!("A full name is longer than {MAX_FULL_NAME_BYTES} bytes")));
            }
        }
        Ok(())
    }
}

impl<'a> Entry<'a> {
    fn new(parent: Node, name: &'a str, place: Place) -> Self {
        Self {
            parent,
            name,
            declared: None,
            extension: None,
            nested: Vec::new(),
            package: place.package,
            is_local: place.is_local,
            full_name: OnceCell::new(),
        }
    }
}
