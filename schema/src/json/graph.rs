//! The rules of a schema, whatever its draft: nodes that name each other by number, so that what is recursive is no riddle.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

/// A node of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct NodeId(u32);

/// The place that a reference points to: its node is known when all are built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Target(u32);

/// A schema's nodes. Two nodes that say the same are one.
#[derive(Debug, Clone, Default)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    targets: Vec<NodeId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) has_default: bool,
    /// Kafka Connect says that this stands for bytes, whatever its type is.
    pub(super) is_connect_bytes: bool,
    /// A hash of title, description and all that is no rule: in a union, alternatives that differ in these are two.
    pub(super) label: u64,
}

/// What Confluent's registry, after the library that it uses, takes for one kind of schema; keywords of several kinds side by
/// side are a union of all (`allOf`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// `{}` or `true`.
    Any,
    /// `false`.
    Nothing,
    Boolean,
    Null,
    String(StringRule),
    Number(NumberRule),
    Array(Box<ArrayRule>),
    Object(Box<ObjectRule>),
    Enum(BTreeSet<String>),
    Const(String),
    Not(NodeId),
    /// `if`, `then`, `else`: two of them count as the same.
    Conditional(Vec<Option<NodeId>>),
    Union(Union),
    Reference(Target),
}

/// `allOf`, `anyOf`, `oneOf`, a list of types, or keywords of several kinds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Union {
    pub(super) criterion: Criterion,
    pub(super) parts: Vec<NodeId>,
    /// Nobody wrote `allOf`: it came from keywords side by side.
    pub(super) is_implied: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Criterion {
    All,
    Any,
    One,
}

impl Criterion {
    /// The keywords that list alternatives.
    pub(super) const KEYWORDS: [(&str, Self); 3] =
        [("allOf", Self::All), ("anyOf", Self::Any), ("oneOf", Self::One)];

    /// As it stands in paths.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::All => "allof",
            Self::Any => "anyof",
            Self::One => "oneof",
        }
    }
}

/// Numbers of the JSON text as it was written.
///
/// `is_typed` of this rule and the next ones: `type` says so, and other values are not valid. Nothing compares that, but in a union,
/// alternatives that differ in it are two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct NumberRule {
    pub(super) is_typed: bool,
    pub(super) requires_integer: bool,
    pub(super) minimum: Option<String>,
    pub(super) maximum: Option<String>,
    pub(super) exclusive_minimum: Option<String>,
    pub(super) exclusive_maximum: Option<String>,
    pub(super) multiple_of: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct StringRule {
    pub(super) is_typed: bool,
    pub(super) min_length: Option<i64>,
    pub(super) max_length: Option<i64>,
    pub(super) pattern: Option<String>,
}

/// `additionalProperties` or `additionalItems`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) enum Additional {
    #[default]
    Open,
    Closed,
    Schema(NodeId),
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct ArrayRule {
    pub(super) is_typed: bool,
    pub(super) all_items: Option<NodeId>,
    pub(super) tuple: Vec<NodeId>,
    pub(super) additional: Additional,
    pub(super) unevaluated: Option<NodeId>,
    pub(super) contains: Option<NodeId>,
    pub(super) min_contains: Option<i64>,
    pub(super) max_contains: Option<i64>,
    pub(super) min_items: Option<i64>,
    pub(super) max_items: Option<i64>,
    pub(super) has_unique_items: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct ObjectRule {
    pub(super) is_typed: bool,
    pub(super) properties: BTreeMap<String, NodeId>,
    pub(super) required: BTreeSet<String>,
    pub(super) patterns: Vec<(String, NodeId)>,
    pub(super) additional: Additional,
    pub(super) unevaluated: Option<NodeId>,
    pub(super) names: Option<NodeId>,
    pub(super) property_dependencies: BTreeMap<String, BTreeSet<String>>,
    pub(super) schema_dependencies: BTreeMap<String, NodeId>,
    pub(super) min_properties: Option<i64>,
    pub(super) max_properties: Option<i64>,
}

impl Additional {
    pub(super) fn schema(&self) -> Option<NodeId> {
        match self {
            Self::Schema(id) => Some(*id),
            _ => None,
        }
    }
}

impl From<Kind> for Node {
    fn from(kind: Kind) -> Self {
        Self { kind, has_default: false, is_connect_bytes: false, label: 0 }
    }
}

impl Graph {
    pub(super) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    pub(super) fn kind(&self, id: NodeId) -> &Kind {
        &self.node(id).kind
    }

    /// The root is the first place of all.
    pub(super) fn root(&self) -> NodeId {
        self.targets[0]
    }

    /// What a reference stands for, which is no reference; None for any other node.
    pub(super) fn referred(&self, id: NodeId) -> Option<NodeId> {
        match self.kind(id) {
            Kind::Reference(target) => Some(self.targets[target.0 as usize]),
            _ => None,
        }
    }
}

/// A graph that grows.
#[derive(Default)]
pub(super) struct Growing {
    graph: Graph,
    known: HashMap<Node, NodeId>,
}

impl Growing {
    pub(super) fn add(&mut self, node: Node) -> NodeId {
        if let Some(&id) = self.known.get(&node) {
            return id;
        }
        let id = NodeId(self.graph.nodes.len() as u32);
        self.graph.nodes.push(node.clone());
        self.known.insert(node, id);
        id
    }

    pub(super) fn node(&self, id: NodeId) -> &Node {
        self.graph.node(id)
    }

    /// The next place, whose node comes with `resolve`.
    pub(super) fn add_target(&mut self) -> Target {
        let target = Target(self.graph.targets.len() as u32);
        self.graph.targets.push(NodeId(0));
        target
    }

    pub(super) fn resolve(&mut self, target: Target, node: NodeId) {
        self.graph.targets[target.0 as usize] = node;
    }

    /// The graph, in which a place that only refers to another is that other. Places that go round in a circle allow anything.
    pub(super) fn finish(mut self) -> Graph {
        let any = self.add(Node::from(Kind::Any));
        let mut is_final = vec![false; self.graph.targets.len()];
        for start in 0..is_final.len() {
            let mut way = Vec::new();
            let mut at = start;
            let end = loop {
                if is_final[at] {
                    break self.graph.targets[at];
                }
                is_final[at] = true;
                way.push(at);
                let node = self.graph.targets[at];
                match *self.graph.kind(node) {
                    Kind::Reference(next) => {
                        self.graph.targets[at] = any;
                        at = next.0 as usize;
                    }
                    _ => break node,
                }
            };
            way.into_iter().for_each(|place| self.graph.targets[place] = end);
        }
        self.graph
    }
}

/// A value of an `enum` or `const`, so that two are the same when Confluent's registry takes them for the same: the order of keys
/// does not count, `1` and `1.0` differ.
pub(super) fn comparable(value: &Value) -> String {
    super::text::write_sorted(value)
}
