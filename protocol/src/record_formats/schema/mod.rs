//! The fields of Kafka's own records by name, kind and version, as static data: what a reader needs who knows no type of
//! them, and shows them to people. The table is generated (protocol/definitions); these are the types it is written in.

mod table;

pub use table::{
    CONSUMER_PROTOCOL_ASSIGNMENT, CONSUMER_PROTOCOL_SUBSCRIPTION, END_TXN_MARKER, K_RAFT_VERSION_RECORD,
    LEADER_CHANGE_MESSAGE, SNAPSHOT_FOOTER_RECORD, SNAPSHOT_HEADER_RECORD, VOTERS_RECORD,
};

use crate::shapes::Versions;

/// A message, or a struct inside one.
#[derive(Debug)]
pub struct Schema {
    pub name: &'static str,
    /// Of the whole message.
    pub versions: Versions,
    pub flexible: Versions,
    /// In the order of the definition; tagged fields are on the wire behind the others.
    pub fields: &'static [Field],
}

/// The two messages of a coordinator's record.
#[derive(Debug)]
pub struct Pair {
    pub key: &'static Schema,
    pub value: &'static Schema,
}

#[derive(Debug)]
pub struct Field {
    /// As Kafka writes it in JSON.
    pub name: &'static str,
    pub kind: Kind,
    /// The versions that have the field; for a tagged field, those that may carry its tag.
    pub versions: Versions,
    pub nullable: Versions,
    pub tag: Option<Tag>,
}

#[derive(Debug)]
pub struct Tag {
    pub number: u32,
    /// What the field is when its tag is not there.
    pub default: Default,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    Null,
    Number(i64),
    /// No bytes, no elements, the id of zeros, a struct with nothing set.
    Empty,
}

/// What a field is on the wire.
#[derive(Debug)]
pub enum Kind {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    Int64,
    Uuid,
    Float64,
    String,
    Bytes,
    Array(&'static Kind),
    Struct(&'static Schema),
}

/// The metadata record of a type.
pub fn metadata(api_key: i16) -> Option<&'static Schema> {
    find(table::METADATA, api_key).copied()
}

/// A record of `__consumer_offsets`, by the type that its key begins with.
pub fn group(key_type: i16) -> Option<&'static Pair> {
    find(table::GROUP, key_type)
}

/// A record of `__transaction_state`, by the type that its key begins with.
pub fn transaction(key_type: i16) -> Option<&'static Pair> {
    find(table::TRANSACTION, key_type)
}

/// A record of `__share_group_state`, by the type that its key begins with.
pub fn share(key_type: i16) -> Option<&'static Pair> {
    find(table::SHARE, key_type)
}

fn find<T>(table: &'static [(i16, T)], key: i16) -> Option<&'static T> {
    let at = table.binary_search_by_key(&key, |(known, _)| *known).ok()?;
    Some(&table[at].1)
}

const NONE: Versions = v(0, -1);

const fn v(min: i16, max: i16) -> Versions {
    Versions { min, max }
}

const fn field(name: &'static str, kind: Kind, versions: Versions, nullable: Versions) -> Field {
    Field { name, kind, versions, nullable, tag: None }
}

const fn tagged(
    number: u32,
    default: Default,
    name: &'static str,
    kind: Kind,
    versions: Versions,
    nullable: Versions,
) -> Field {
    Field { name, kind, versions, nullable, tag: Some(Tag { number, default }) }
}
