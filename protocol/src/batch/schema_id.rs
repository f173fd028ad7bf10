//! Which schemas a record says that its key and its value have, in Confluent's wire format: a magic byte and an id before the
//! data, or both in a header.

use super::varint::take_i32;
use super::{Headers, RecordView};

/// How a record names a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SchemaId {
    /// Magic byte 0: the registry's number, within a context.
    Id(i32),
    /// Magic byte 1: what the schema has in all registries.
    Guid([u8; 16]),
}

/// The two parts of a record that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    Key,
    Value,
}

/// The beginnings of a record's parts and of the headers that name their schemas: what a check may look at while the rest runs past.
#[derive(Debug, Default)]
pub struct SchemaMarks {
    key: Mark,
    value: Mark,
}

/// What one part of a record says.
#[derive(Debug, Default)]
pub struct Mark {
    payload: Prefix,
    header: Prefix,
}

/// A check of each record beyond Kafka's own.
pub trait RecordCheck: std::fmt::Debug {
    /// Whether the log may take such a record.
    fn accepts(&self, marks: &SchemaMarks) -> bool;

    /// Why it may not.
    fn reason(&self, marks: &SchemaMarks) -> String;
}

const MAGIC_ID: u8 = 0;
const MAGIC_GUID: u8 = 1;
/// Enough for an id and for the path of a message that no person would nest deeper.
const PREFIX_BYTES: usize = 64;
/// Numbers of a path to a message.
const PATH_MAX: usize = PREFIX_BYTES;

impl SchemaId {
    /// The id at the front, and what follows it. None: there is none.
    pub fn read(bytes: &[u8]) -> Option<(SchemaId, &[u8])> {
        let (&magic, rest) = bytes.split_first()?;
        match magic {
            MAGIC_ID => {
                let (id, rest) = rest.split_first_chunk()?;
                Some((SchemaId::Id(i32::from_be_bytes(*id)), rest))
            }
            MAGIC_GUID => {
                let (guid, rest) = rest.split_first_chunk()?;
                Some((SchemaId::Guid(*guid), rest))
            }
            _ => None,
        }
    }
}

/// The path to a message of a Protobuf schema, as it follows the id: places among the messages of the file, then of the message.
pub fn read_message_path(mut bytes: &[u8]) -> Option<Vec<i32>> {
    match usize::try_from(take_i32(&mut bytes).ok()?).ok()? {
        0 => Some(vec![0]),
        count if count > PATH_MAX => None,
        count => (0..count).map(|_| take_i32(&mut bytes).ok()).collect(),
    }
}

impl Part {
    pub const BOTH: [Part; 2] = [Part::Key, Part::Value];
    pub(super) const HEADER_BYTES_MAX: usize = 17;

    pub fn name(self) -> &'static str {
        match self {
            Part::Key => "key",
            Part::Value => "value",
        }
    }

    /// Which part's schema a header names.
    pub(super) fn of_header(name: &[u8]) -> Option<Part> {
        Part::BOTH.into_iter().find(|part| part.header() == name)
    }

    /// Whether a header's name may be one of these, by its length.
    pub(super) fn may_be_header(name_length: usize) -> bool {
        Part::BOTH.into_iter().any(|part| part.header().len() == name_length)
    }

    fn header(self) -> &'static [u8] {
        match self {
            Part::Key => b"__key_schema_id",
            Part::Value => b"__value_schema_id",
        }
    }
}

impl SchemaMarks {
    pub fn of(&self, part: Part) -> &Mark {
        match part {
            Part::Key => &self.key,
            Part::Value => &self.value,
        }
    }

    /// Looks at another record.
    pub(super) fn read(&mut self, record: &RecordView<'_>) {
        self.begin();
        self.payload(Part::Key).set(record.key);
        self.payload(Part::Value).set(record.value);
        self.read_headers(record.headers());
    }

    /// Forgets the record before.
    pub(super) fn begin(&mut self) {
        for part in Part::BOTH {
            self.payload(part).set(None);
            self.header(part).set(None);
        }
    }

    pub(super) fn payload(&mut self, part: Part) -> &mut Prefix {
        &mut self.of_mut(part).payload
    }

    /// Of several headers of one name the last counts.
    pub(super) fn header(&mut self, part: Part) -> &mut Prefix {
        &mut self.of_mut(part).header
    }

    fn read_headers(&mut self, headers: Headers<'_>) {
        for (name, value) in headers {
            if let Some(part) = Part::of_header(name) {
                self.header(part).set(value);
            }
        }
    }

    fn of_mut(&mut self, part: Part) -> &mut Mark {
        match part {
            Part::Key => &mut self.key,
            Part::Value => &mut self.value,
        }
    }
}

impl Mark {
    /// Whether the part is null, so that it needs no schema.
    pub fn is_null(&self) -> bool {
        self.payload.is_null()
    }

    /// Where the id is to be read: in the header, if there is one.
    pub fn bytes(&self) -> &[u8] {
        let told = if self.header.is_null() { &self.payload } else { &self.header };
        &told.bytes[..told.length]
    }
}

/// The first bytes of something.
#[derive(Debug)]
pub(super) struct Prefix {
    bytes: [u8; PREFIX_BYTES],
    length: usize,
    is_null: bool,
}

impl Default for Prefix {
    fn default() -> Self {
        Prefix { bytes: [0; PREFIX_BYTES], length: 0, is_null: true }
    }
}

impl Prefix {
    fn is_null(&self) -> bool {
        self.is_null
    }

    fn set(&mut self, whole: Option<&[u8]>) {
        self.is_null = whole.is_none();
        let whole = whole.unwrap_or_default();
        self.length = whole.len().min(PREFIX_BYTES);
        self.bytes[..self.length].copy_from_slice(&whole[..self.length]);
    }

    /// Room for the first of `length` bytes, to be written by the caller.
    pub(super) fn make_room(&mut self, length: usize) -> &mut [u8] {
        self.is_null = false;
        self.length = length.min(PREFIX_BYTES);
        &mut self.bytes[..self.length]
    }

    pub(super) fn set_null(&mut self) {
        self.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_in_both_forms() {
        let guid: [u8; 16] = std::array::from_fn(|n| n as u8);
        let with_guid = [&[1][..], &guid, &[9]].concat();
        for (bytes, expected) in [
            (&[0, 0, 0, 1, 2, 7][..], Some((SchemaId::Id(258), &[7][..]))),
            (&[0, 0xff, 0xff, 0xff, 0xff][..], Some((SchemaId::Id(-1), &[][..]))),
            (&with_guid[..], Some((SchemaId::Guid(guid), &[9][..]))),
            (&with_guid[..16], None),
            (&[0, 0, 0, 1], None),
            (&[2, 0, 0, 0, 1], None),
            (b"text", None),
            (&[], None),
        ] {
            assert_eq!(SchemaId::read(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn paths_of_messages_are_zigzag_varints() {
        for (bytes, expected) in [
            (&[0][..], Some(vec![0])),
            (&[2, 4], Some(vec![2])),
            (&[4, 2, 0, 99], Some(vec![1, 0])),
            (&[4, 2], None),
            (&[1], None),
            (&[], None),
            (&[0xfe, 0xff, 0xff, 0xff, 0x0f], None),
        ] {
            assert_eq!(read_message_path(bytes), expected, "{bytes:?}");
        }
    }
}
