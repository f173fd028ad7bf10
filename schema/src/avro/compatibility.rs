//! Whether what one schema wrote can be read with another: Java's `SchemaCompatibility`, in the order and the words of Confluent's
//! registry.
//!
//! Every pair of types is looked at once. A pair that is met again while it is looked at is taken for compatible, which ends recursion.
//! What a pair has against it is told wherever it is met, at the place where it was met first: so does Java, and clients see it.
//! A branch of a union is tried without asking why it does not fit, but to its end: what it meets on the way counts as met.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use super::Schema;
use super::graph::{Enum, Field, Graph, Id, Kind, Named, Node, Primitive, Record};
use super::parser::describe_field;
use super::write::{self, Style};
use crate::jackson::java_order;
use crate::{InvalidSchema, Words};

/// How deep types may be within types.
const MAX_DEPTH: usize = 256;
/// Pairs of types that are remembered.
const MAX_PAIRS: usize = 250_000;
/// Fields, branches, symbols and aliases that are looked at.
const MAX_STEPS: usize = 10_000_000;
/// Lines, and how often one may be told again.
const MAX_LINES: usize = 1_000;
const MAX_REPEATED: usize = 100_000;
/// No line is begun after so many bytes.
const MAX_TEXT_BYTES: usize = 1 << 20;

/// Why `reader` cannot read what was written with `writer`.
pub fn incompatibilities(reader: &Schema, writer: &Schema, words: Words) -> Vec<String> {
    let (reader, writer) = (&reader.understood, &writer.understood);
    let mut checker = Checker::new(&reader.graph, &writer.graph);
    let lines = match checker.check(Step::Root, reader.root, writer.root) {
        Ok(Outcome::Compatible) => return Vec::new(),
        Ok(Outcome::Incompatible(lines)) => lines,
        Err(InvalidSchema(why)) => {
            return vec![format!("Unexpected exception during compatibility check: {why}")];
        }
    };
    let mut texts: Vec<String> = Vec::new();
    let mut bytes = 0;
    for line in lines.iter() {
        texts.push(line.text(&reader.graph, &writer.graph, words));
        bytes += texts.last().map_or(0, String::len);
        if bytes > MAX_TEXT_BYTES {
            break;
        }
    }
    texts
}

/// One incompatibility. Its message is made when it is told.
#[derive(Debug)]
struct Line {
    path: Rc<[Step]>,
    kind: Mismatch,
}

#[derive(Debug, Clone, Copy)]
enum Mismatch {
    Name { writer: Id },
    FixedSize { reader: i32, writer: i32 },
    Symbols { reader: Id, writer: Id },
    NoDefault { reader: Id, field: usize },
    Type { reader: Id, writer: Id },
    Branch { writer: Id },
}

/// A part of the way from the top to where something is.
#[derive(Debug, Clone, Copy)]
enum Step {
    Root,
    Key(&'static str),
    Index(usize),
}

#[derive(Debug, Clone)]
enum Outcome {
    Compatible,
    Incompatible(Rc<[Rc<Line>]>),
}

#[derive(Debug, Clone)]
enum Memory {
    InProgress,
    Known(Outcome),
    /// It is incompatible; why would be said from here.
    Tried(Rc<[Step]>),
}

struct Checker<'a> {
    reader: &'a Graph,
    writer: &'a Graph,
    memory: HashMap<(Id, Id), Memory>,
    path: Vec<Step>,
    /// Above zero nobody asks why.
    trying: usize,
    depth: usize,
    steps: usize,
    lines: usize,
    repeated: usize,
}

impl<'a> Checker<'a> {
    fn new(reader: &'a Graph, writer: &'a Graph) -> Self {
        Self {
            reader,
            writer,
            memory: HashMap::new(),
            path: Vec::new(),
            trying: 0,
            depth: 0,
            steps: 0,
            lines: 0,
            repeated: 0,
        }
    }

    fn check(&mut self, step: Step, reader: Id, writer: Id) -> Result<Outcome, InvalidSchema> {
        self.path.push(step);
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(InvalidSchema(format!("types are more than {MAX_DEPTH} levels deep")));
        }
        let outcome = self.remembered(reader, writer)?;
        self.depth -= 1;
        self.path.pop();
        Ok(outcome)
    }

    fn remembered(&mut self, reader: Id, writer: Id) -> Result<Outcome, InvalidSchema> {
        // What has no name is met once, with whatever is above it.
        if self.reader.node(reader).named().is_none() && self.writer.node(writer).named().is_none() {
            return self.compare(reader, writer);
        }
        let pair = (reader, writer);
        let path = match self.memory.get(&pair) {
            Some(Memory::InProgress) => return Ok(Outcome::Compatible),
            Some(Memory::Known(outcome)) => return Ok(outcome.clone()),
            Some(Memory::Tried(_)) if self.is_trying() => return Ok(Outcome::Incompatible(Rc::new([]))),
            Some(Memory::Tried(path)) => Some(path.to_vec()),
            None => None,
        };
        if self.memory.len() >= MAX_PAIRS {
            return Err(InvalidSchema(format!("more than {MAX_PAIRS} pairs of types")));
        }
        self.memory.insert(pair, Memory::InProgress);
        let outcome = match path {
            None => self.compare(reader, writer)?,
            Some(path) => {
                let here = std::mem::replace(&mut self.path, path);
                let outcome = self.compare(reader, writer)?;
                self.path = here;
                outcome
            }
        };
        let memory = match &outcome {
            Outcome::Incompatible(_) if self.is_trying() => Memory::Tried(self.path.as_slice().into()),
            outcome => Memory::Known(outcome.clone()),
        };
        self.memory.insert(pair, memory);
        Ok(outcome)
    }

    /// The same without a place of its own, and without a reason.
    fn fits(&mut self, reader: Id, writer: Id) -> Result<bool, InvalidSchema> {
        let here = std::mem::take(&mut self.path);
        self.trying += 1;
        let outcome = self.check(Step::Root, reader, writer)?;
        self.trying -= 1;
        self.path = here;
        Ok(matches!(outcome, Outcome::Compatible))
    }

    fn is_trying(&self) -> bool {
        self.trying > 0 || self.has_enough()
    }

    /// So much was found that more would not be told.
    fn has_enough(&self) -> bool {
        self.lines >= MAX_LINES || self.repeated >= MAX_REPEATED
    }

    fn compare(&mut self, reader: Id, writer: Id) -> Result<Outcome, InvalidSchema> {
        let (old, new) = (self.writer.node(writer), self.reader.node(reader));
        let mut found = Found::default();
        match (&new.kind, &old.kind) {
            (Kind::Primitive(new), Kind::Primitive(old)) if is_promoted(*old, *new) => {}
            (Kind::Array(new), Kind::Array(old)) => {
                found.merge(self.check(Step::Key("items"), *new, *old)?);
            }
            (Kind::Map(new), Kind::Map(old)) => {
                found.merge(self.check(Step::Key("values"), *new, *old)?);
            }
            (Kind::Fixed(new), Kind::Fixed(old)) => {
                self.names(&new.named, &old.named, writer, &mut found)?;
                if new.size != old.size {
                    let kind = Mismatch::FixedSize { reader: new.size, writer: old.size };
                    found.add(self.line(&[Step::Key("size")], kind));
                }
            }
            (Kind::Enum(new), Kind::Enum(old)) => {
                self.names(&new.named, &old.named, writer, &mut found)?;
                self.step(new.symbols.len() + old.symbols.len())?;
                if new.default.is_none() && !missing_symbols(new, old).is_empty() {
                    found.add(self.line(&[Step::Key("symbols")], Mismatch::Symbols { reader, writer }));
                }
            }
            (Kind::Record(new), Kind::Record(old)) => {
                self.names(&new.named, &old.named, writer, &mut found)?;
                self.fields(reader, new, writer, old, &mut found)?;
            }
            (Kind::Union(_), Kind::Union(branches)) => {
                for (index, branch) in branches.iter().enumerate() {
                    if !found.is_enough(self) && !self.fits(reader, *branch)? {
                        found.add(self.line(&[Step::Index(index)], Mismatch::Branch { writer: *branch }));
                    }
                }
            }
            (_, Kind::Union(branches)) => {
                for (index, branch) in branches.iter().enumerate() {
                    if !found.is_enough(self) {
                        found.merge(self.check(Step::Index(index), reader, *branch)?);
                    }
                }
            }
            (Kind::Union(branches), _) => {
                for branch in branches {
                    self.step(1)?;
                    if self.fits(*branch, writer)? {
                        return Ok(Outcome::Compatible);
                    }
                }
                found.add(self.line(&[], Mismatch::Branch { writer }));
            }
            _ => found.add(self.line(&[], Mismatch::Type { reader, writer })),
        }
        self.repeated += found.lines.len();
        Ok(found.outcome())
    }

    /// A type may have another namespace, or a name that the reader has as an alias.
    fn names(
        &mut self,
        new: &Named,
        old: &Named,
        writer: Id,
        found: &mut Found,
    ) -> Result<(), InvalidSchema> {
        if new.name.short == old.name.short {
            return Ok(());
        }
        self.step(new.aliases.len())?;
        let full = old.name.full();
        let is_alias = new.aliases.iter().any(|alias| match (&alias.space, &new.name.space) {
            // Java has it with a dot before it, which no name has.
            (None, Some(_)) => false,
            _ => alias.is_full(&full),
        });
        if !is_alias {
            found.add(self.line(&[Step::Key("name")], Mismatch::Name { writer }));
        }
        Ok(())
    }

    fn fields(
        &mut self,
        reader: Id,
        new: &Record,
        writer: Id,
        old: &Record,
        found: &mut Found,
    ) -> Result<(), InvalidSchema> {
        self.path.push(Step::Key("fields"));
        for (index, field) in new.fields.iter().enumerate() {
            if found.is_enough(self) {
                break;
            }
            self.step(1 + field.aliases.len())?;
            self.path.push(Step::Index(index));
            let written = self.written_field(field, index, writer, old)?;
            let kind = self.reader.node(field.schema);
            match written {
                Some(written) => found.merge(self.check(Step::Key("type"), field.schema, written)?),
                None if field.default.is_some() => {}
                // Java compares such a field with the record that does not have it.
                None if has_default_symbol(kind) => {
                    found.merge(self.check(Step::Key("type"), field.schema, writer)?);
                }
                None => found.add(self.line(&[], Mismatch::NoDefault { reader, field: index })),
            }
            self.path.pop();
        }
        self.path.pop();
        Ok(())
    }

    /// The type of the writer's field that a reader's field has its value from.
    fn written_field(
        &self,
        field: &Field,
        index: usize,
        writer: Id,
        old: &Record,
    ) -> Result<Option<Id>, InvalidSchema> {
        let names = std::iter::once(&field.name).chain(&field.aliases);
        let mut written = names.filter_map(|name| old.by_name.get(name));
        match (written.next(), written.next()) {
            (None, _) => Ok(None),
            (Some(at), None) => Ok(Some(old.fields[*at].schema)),
            (Some(_), Some(_)) => Err(InvalidSchema(format!(
                "Reader record field {} matches multiple fields in writer record schema {}",
                describe_field(self.reader, field, index),
                write::text(self.writer, writer, &[], Style::Canonical)?
            ))),
        }
    }

    fn line(&mut self, last: &[Step], kind: Mismatch) -> Option<Rc<Line>> {
        if self.is_trying() {
            return None;
        }
        self.lines += 1;
        let path = self.path.iter().chain(last).copied().collect();
        Some(Rc::new(Line { path, kind }))
    }

    fn step(&mut self, steps: usize) -> Result<(), InvalidSchema> {
        self.steps += steps;
        match self.steps > MAX_STEPS {
            true => Err(InvalidSchema(format!("more than {MAX_STEPS} steps"))),
            false => Ok(()),
        }
    }
}

/// What a pair has against it so far.
#[derive(Debug, Default)]
struct Found {
    is_incompatible: bool,
    lines: Vec<Rc<Line>>,
}

impl Found {
    fn add(&mut self, line: Option<Rc<Line>>) {
        self.is_incompatible = true;
        self.lines.extend(line);
    }

    fn merge(&mut self, outcome: Outcome) {
        if let Outcome::Incompatible(lines) = outcome {
            self.is_incompatible = true;
            let room = MAX_LINES.saturating_sub(self.lines.len());
            self.lines.extend(lines.iter().take(room).cloned());
        }
    }

    fn is_enough(&self, checker: &Checker<'_>) -> bool {
        self.is_incompatible && checker.has_enough()
    }

    fn outcome(self) -> Outcome {
        match self.is_incompatible {
            true => Outcome::Incompatible(self.lines.into()),
            false => Outcome::Compatible,
        }
    }
}

fn is_promoted(written: Primitive, read: Primitive) -> bool {
    use Primitive::{Bytes, Double, Float, Int, Long, String};
    written == read
        || matches!(
            (written, read),
            (Int, Long | Float | Double)
                | (Long, Float | Double)
                | (Float, Double)
                | (String, Bytes)
                | (Bytes, String)
        )
}

fn has_default_symbol(node: &Node) -> bool {
    matches!(&node.kind, Kind::Enum(of) if of.default.is_some())
}

/// Sorted as Java sorts strings.
fn missing_symbols<'s>(new: &Enum, old: &'s Enum) -> Vec<&'s str> {
    let known: HashSet<&str> = new.symbols.iter().map(String::as_str).collect();
    let missing: BTreeSet<&str> =
        old.symbols.iter().map(String::as_str).filter(|symbol| !known.contains(symbol)).collect();
    let mut missing: Vec<&str> = missing.into_iter().collect();
    missing.sort_by(|one, other| java_order(one, other));
    missing
}

impl Line {
    fn text(&self, reader: &Graph, writer: &Graph, words: Words) -> String {
        let path = self.location();
        let Words { reader: new, writer: old } = words;
        let (name, description, info) = match self.kind {
            Mismatch::Name { writer: id } => (
                "NAME_MISMATCH",
                format!("The name of the schema has changed (path '{path}')"),
                format!("expected: {}", writer.node(id).branch_name()),
            ),
            Mismatch::FixedSize { reader, writer } => (
                "FIXED_SIZE_MISMATCH",
                format!(
                    "The size of FIXED type field at path '{path}' in the {new} schema does not match with the {old} schema"
                ),
                format!("expected: {writer}, found: {reader}"),
            ),
            Mismatch::Symbols { reader: read, writer: written } => {
                let missing = match (&reader.node(read).kind, &writer.node(written).kind) {
                    (Kind::Enum(new), Kind::Enum(old)) => {
                        format!("[{}]", missing_symbols(new, old).join(", "))
                    }
                    _ => String::new(),
                };
                (
                    "MISSING_ENUM_SYMBOLS",
                    format!(
                        "The {new} schema is missing enum symbols '{missing}' at path '{path}' in the {old} schema"
                    ),
                    missing,
                )
            }
            Mismatch::NoDefault { reader: id, field } => {
                let name = match &reader.node(id).kind {
                    Kind::Record(record) => record.fields[field].name.clone(),
                    _ => String::new(),
                };
                (
                    "READER_FIELD_MISSING_DEFAULT_VALUE",
                    format!(
                        "The field '{name}' at path '{path}' in the {new} schema has no default value and is missing in the {old} schema"
                    ),
                    name,
                )
            }
            Mismatch::Type { reader: read, writer: written } => (
                "TYPE_MISMATCH",
                format!(
                    "The type (path '{path}') of a field in the {new} schema does not match with the {old} schema"
                ),
                format!(
                    "reader type: {} not compatible with writer type: {}",
                    reader.node(read).type_name().to_uppercase(),
                    writer.node(written).type_name().to_uppercase()
                ),
            ),
            Mismatch::Branch { writer: id } => (
                "MISSING_UNION_BRANCH",
                format!(
                    "The {new} schema is missing a type inside a union field at path '{path}' in the {old} schema"
                ),
                format!("reader union lacking writer type: {}", writer.node(id).type_name().to_uppercase()),
            ),
        };
        format!("{{errorType:'{name}', description:'{description}', additionalInfo:'{info}'}}")
    }

    /// A JSON pointer; the root is no part of it.
    fn location(&self) -> String {
        let steps: Vec<String> = self.path.iter().skip(1).map(ToString::to_string).collect();
        format!("/{}", steps.join("/"))
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Key(key) => f.write_str(key),
            Self::Index(index) => write!(f, "{index}"),
        }
    }
}
