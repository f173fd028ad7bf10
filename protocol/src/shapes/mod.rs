//! Enters: nothing. Leaves: what each request body looks like on the wire, per version, as static data.
//! May use: nothing. The table is generated (protocol/definitions); these are the types it is written in.

mod requests;

pub use requests::REQUESTS;

/// A range of message versions, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub min: i16,
    pub max: i16,
}

impl Versions {
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }
}

/// One message: which versions exist, from which on it is flexible (KIP-482), and its body.
#[derive(Debug)]
pub struct Message {
    pub name: &'static str,
    pub api_key: i16,
    pub versions: Versions,
    pub flexible: Versions,
    pub body: Shape,
}

/// The fields of a message or of a struct inside it.
#[derive(Debug)]
pub struct Shape {
    /// About how many bytes one decoded instance takes, without what its arrays and strings point to.
    pub memory: u32,
    pub fields: &'static [Field],
}

#[derive(Debug)]
pub struct Field {
    pub name: &'static str,
    pub kind: Kind,
    /// The versions that have the field; for a tagged field, those that may carry its tag.
    pub versions: Versions,
    pub nullable: Versions,
    pub tag: Option<u32>,
}

/// What a field is on the wire. The shapes form a tree, so that a walk over them nests no deeper than they do.
#[derive(Debug)]
pub enum Kind {
    /// So many bytes, always.
    Fixed(usize),
    String,
    /// Bytes and records: both are only a length and what follows.
    Bytes,
    Array(&'static Kind),
    Struct(&'static Shape),
}

/// The request of an api key, or `None` for a key that no client listener takes.
pub fn request(api_key: i16) -> Option<&'static Message> {
    let at = REQUESTS.binary_search_by_key(&api_key, |message| message.api_key).ok()?;
    Some(REQUESTS[at])
}

const NONE: Versions = v(0, -1);

const fn v(min: i16, max: i16) -> Versions {
    Versions { min, max }
}

const fn field(name: &'static str, kind: Kind, versions: Versions, nullable: Versions) -> Field {
    Field { name, kind, versions, nullable, tag: None }
}

const fn tagged(tag: u32, name: &'static str, kind: Kind, versions: Versions, nullable: Versions) -> Field {
    Field { name, kind, versions, nullable, tag: Some(tag) }
}
