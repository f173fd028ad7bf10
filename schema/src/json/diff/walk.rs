//! The comparison of two nodes, and of the pairs that references lead to.

use std::collections::HashMap;
use std::mem;

use super::difference::{Difference, NOT_TYPE_EXTENDED, TYPE_CHANGED};
use super::matching::Budget;
use super::patterns::Patterns;
use super::report::{Found, Outcome, Pair, What};
use crate::compatibility::Policy;
use crate::json::graph::{Graph, Kind, Node, NodeId};

/// How many pairs of nodes are looked at.
const MAX_STEPS: usize = 2_000_000;
/// How much is kept of the differences of one pair of places, and of all: whether there are some is known in any case.
const MAX_PAIR_BYTES: usize = 1 << 18;
const MAX_BYTES: usize = 1 << 23;

/// A node of one of the two schemas.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) graph: &'a Graph,
    pub(super) id: NodeId,
    /// Below a `not` the two change their roles.
    is_of_update: bool,
}

impl<'a> At<'a> {
    pub(super) fn with(self, id: NodeId) -> Self {
        Self { id, ..self }
    }

    pub(super) fn node(self) -> &'a Node {
        self.graph.node(self.id)
    }

    pub(super) fn kind(self) -> &'a Kind {
        &self.node().kind
    }

    pub(super) fn is_any(self) -> bool {
        matches!(self.kind(), Kind::Any)
    }

    pub(super) fn is_nothing(self) -> bool {
        matches!(self.kind(), Kind::Nothing)
    }
}

pub(super) struct Walk<'a> {
    original: &'a Graph,
    update: &'a Graph,
    policy: Policy,
    pairs: HashMap<Pair, State>,
    /// Those that nobody has looked at, and those to look at again.
    fresh: Vec<Pair>,
    again: Vec<Pair>,
    /// The one that is looked at.
    current: Pair,
    path: String,
    found: Findings,
    kept_bytes: usize,
    /// How many comparisons are under way whose differences nobody wants to see.
    quiet: usize,
    pub(super) patterns: Patterns,
    pub(super) budget: Budget,
}

#[derive(Default)]
struct State {
    is_incompatible: bool,
    is_queued_again: bool,
    found: Vec<Found>,
    /// The pairs that came here by a reference.
    dependents: Vec<Pair>,
}

/// The differences of one pair of places, relative to them.
#[derive(Default)]
pub(super) struct Findings {
    count: usize,
    bytes: usize,
    kept: Vec<Found>,
}

impl Findings {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl<'a> Walk<'a> {
    pub(super) fn new(original: &'a Graph, update: &'a Graph, policy: Policy) -> Self {
        let root = Pair { is_reversed: false, original: original.root(), update: update.root() };
        Self {
            original,
            update,
            policy,
            pairs: HashMap::from([(root, State::default())]),
            fresh: vec![root],
            again: Vec::new(),
            current: root,
            path: String::new(),
            found: Findings::default(),
            kept_bytes: 0,
            quiet: 0,
            patterns: Patterns::default(),
            budget: Budget::new(MAX_STEPS),
        }
    }

    pub(super) fn run(mut self) -> Outcome {
        let root = self.current;
        loop {
            while let Some(pair) = self.fresh.pop() {
                self.look_at(pair);
            }
            if self.again.is_empty() || self.budget.is_spent() {
                break;
            }
            for pair in mem::take(&mut self.again) {
                if let Some(state) = self.pairs.get_mut(&pair) {
                    state.is_queued_again = false;
                }
                self.look_at(pair);
            }
        }
        let incompatible = self.pairs.into_iter().filter(|(_, state)| state.is_incompatible);
        Outcome {
            root,
            is_cut_short: self.budget.is_spent(),
            incompatible: incompatible.map(|(pair, state)| (pair, state.found)).collect(),
        }
    }

    fn look_at(&mut self, pair: Pair) {
        self.current = pair;
        let (original, update) = match pair.is_reversed {
            false => (self.original, self.update),
            true => (self.update, self.original),
        };
        let original = At { graph: original, id: pair.original, is_of_update: pair.is_reversed };
        let update = At { graph: update, id: pair.update, is_of_update: !pair.is_reversed };
        self.compare_in_place(original, update);
        let found = mem::take(&mut self.found);
        let state = self.pairs.entry(pair).or_default();
        let freed = state.found.iter().map(Found::bytes).sum::<usize>();
        self.kept_bytes = self.kept_bytes.saturating_sub(freed);
        let is_news = !found.is_empty() && !mem::replace(&mut state.is_incompatible, !found.is_empty());
        state.found = found.kept;
        self.kept_bytes += found.bytes;
        if self.kept_bytes > MAX_BYTES {
            self.kept_bytes -= found.bytes;
            state.found.clear();
        }
        if is_news {
            for dependent in state.dependents.clone() {
                let state = self.pairs.entry(dependent).or_default();
                if !mem::replace(&mut state.is_queued_again, true) {
                    self.again.push(dependent);
                }
            }
        }
    }

    /// Notes what is not compatible between two schemas.
    pub(super) fn compare(&mut self, original: At<'a>, update: At<'a>) {
        if !self.budget.spend(1) || (self.quiet > 0 && !self.found.is_empty()) {
            return;
        }
        match (original.graph.referred(original.id), update.graph.referred(update.id)) {
            (None, None) => self.compare_in_place(original, update),
            (left, right) => self.refer(Pair {
                is_reversed: original.is_of_update,
                original: left.unwrap_or(original.id),
                update: right.unwrap_or(update.id),
            }),
        }
    }

    /// One of two schemas may be missing.
    pub(super) fn compare_optional(
        &mut self,
        original: Option<At<'a>>,
        update: Option<At<'a>>,
        added: &'static Difference,
    ) {
        match (original, update) {
            (Some(original), Some(update)) => self.compare(original, update),
            (None, Some(_)) => self.note(added),
            (_, None) => (),
        }
    }

    /// Whether data of `original` is valid for `update`, without a word of what is not.
    pub(super) fn is_compatible(&mut self, original: At<'a>, update: At<'a>) -> bool {
        self.quiet += 1;
        let found = self.aside(|walk| walk.compare(original, update));
        self.quiet -= 1;
        found.is_empty()
    }

    /// What `compare` finds, apart from the rest.
    pub(super) fn aside(&mut self, compare: impl FnOnce(&mut Self)) -> Findings {
        let outer = mem::take(&mut self.found);
        compare(self);
        mem::replace(&mut self.found, outer)
    }

    pub(super) fn add(&mut self, findings: Findings) {
        self.found.count += findings.count;
        if self.found.bytes + findings.bytes <= MAX_PAIR_BYTES {
            self.found.bytes += findings.bytes;
            self.found.kept.extend(findings.kept);
        }
    }

    /// Goes a step down, `segment` being the name of it.
    pub(super) fn enter(&mut self, segment: &str, compare: impl FnOnce(&mut Self)) {
        let mark = self.path.len();
        if mark > 0 {
            self.path.push('/');
        }
        self.path.push_str(segment);
        compare(self);
        self.path.truncate(mark);
    }

    pub(super) fn note(&mut self, difference: &'static Difference) {
        if !difference.is_tolerated(self.policy) {
            self.note_what(What::Difference(difference));
        }
    }

    pub(super) fn note_at(&mut self, keyword: &str, difference: &'static Difference) {
        self.enter(keyword, |walk| walk.note(difference));
    }

    fn note_what(&mut self, what: What) {
        self.found.count += 1;
        let bytes = self.path.len() + Found::OVERHEAD_BYTES;
        if self.quiet == 0 && self.found.bytes + bytes <= MAX_PAIR_BYTES {
            self.found.bytes += bytes;
            self.found.kept.push(Found { path: self.path.clone(), what });
        }
    }

    fn refer(&mut self, pair: Pair) {
        let fresh = &mut self.fresh;
        let state = self.pairs.entry(pair).or_insert_with(|| {
            fresh.push(pair);
            State::default()
        });
        if state.dependents.last() != Some(&self.current) {
            state.dependents.push(self.current);
        }
        if state.is_incompatible {
            self.note_what(What::Reference(pair));
        }
    }

    fn compare_in_place(&mut self, original: At<'a>, update: At<'a>) {
        match (original.kind(), update.kind()) {
            (Kind::Any | Kind::Nothing, Kind::Any) | (Kind::Nothing, Kind::Nothing) => (),
            (Kind::Boolean, Kind::Boolean) | (Kind::Null, Kind::Null) => (),
            (Kind::Conditional(_), Kind::Conditional(_)) => (),
            (Kind::String(before), Kind::String(after)) => self.strings(before, after),
            (Kind::Number(before), Kind::Number(after)) => self.numbers(before, after),
            (Kind::Enum(before), Kind::Enum(after)) => self.enums(before, after),
            (Kind::Const(before), Kind::Const(after)) => self.constants(before, after),
            (Kind::Object(before), Kind::Object(after)) => self.objects((original, before), (update, after)),
            (Kind::Array(before), Kind::Array(after)) => self.arrays((original, before), (update, after)),
            (Kind::Union(before), Kind::Union(after)) => self.unions((original, before), (update, after)),
            (Kind::Not(before), Kind::Not(after)) => {
                // What must not match is compared the other way round.
                if !self.is_compatible(update.with(*after), original.with(*before)) {
                    self.note_at("not", &NOT_TYPE_EXTENDED);
                }
            }
            (_, Kind::Union(after)) if self.is_part(original, (update, after)) => (),
            (Kind::Union(before), _) if self.has_part((original, before), update) => (),
            _ => self.other_kinds(original, update),
        }
    }

    fn other_kinds(&mut self, original: At<'a>, update: At<'a>) {
        let are_connect_bytes = original.node().is_connect_bytes && update.node().is_connect_bytes;
        if !original.is_nothing() && !update.is_any() && !are_connect_bytes {
            self.note(&TYPE_CHANGED);
        }
    }
}
