//! The Parsing Canonical Form of the specification, and the fingerprints that are taken of it.

use std::collections::HashSet;

use md5::{Digest, Md5};
use sha2::Sha256;

use super::graph::{Graph, Id, Kind};

/// The polynomial of CRC-64-AVRO, which is also the fingerprint of nothing.
const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

/// CRC-64-AVRO, which the single-object encoding has in its header.
pub fn crc_64_avro(text: &str) -> u64 {
    const TABLE: [u64; 256] = table();
    text.bytes().fold(EMPTY, |crc, byte| (crc >> 8) ^ TABLE[usize::from(crc as u8 ^ byte)])
}

const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut entry = index as u64;
        let mut bit = 0;
        while bit < 8 {
            entry = (entry >> 1) ^ (EMPTY & (entry & 1).wrapping_neg());
            bit += 1;
        }
        table[index] = entry;
        index += 1;
    }
    table
}

pub fn md5(text: &str) -> [u8; 16] {
    Md5::digest(text).into()
}

pub fn sha_256(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

pub fn parsing_form(graph: &Graph, root: Id) -> String {
    let mut form = Form { graph, out: String::new(), known: HashSet::new() };
    form.schema(root);
    form.out
}

struct Form<'a> {
    graph: &'a Graph,
    out: String,
    known: HashSet<String>,
}

impl Form<'_> {
    fn schema(&mut self, id: Id) {
        let graph = self.graph;
        let node = graph.node(id);
        if let Some(named) = node.named() {
            let full = named.name.full();
            if self.known.contains(&full) {
                return self.out.push_str(&format!("\"{full}\""));
            }
            self.out.push_str(&format!("{{\"name\":\"{full}\",\"type\":\"{}\"", node.type_name()));
            self.known.insert(full);
        }
        match &node.kind {
            Kind::Primitive(_) | Kind::Unresolved(_) => {
                self.out.push_str(&format!("\"{}\"", node.type_name()))
            }
            Kind::Array(part) | Kind::Map(part) => {
                let key = if matches!(node.kind, Kind::Array(_)) { "items" } else { "values" };
                self.out.push_str(&format!("{{\"type\":\"{}\",\"{key}\":", node.type_name()));
                self.schema(*part);
                self.out.push('}');
            }
            Kind::Union(branches) => {
                self.out.push('[');
                self.list(branches.iter(), |form, branch| form.schema(*branch));
                self.out.push(']');
            }
            Kind::Enum(of) => {
                self.out.push_str(",\"symbols\":[");
                self.list(of.symbols.iter(), |form, symbol| form.out.push_str(&format!("\"{symbol}\"")));
                self.out.push_str("]}");
            }
            Kind::Fixed(fixed) => self.out.push_str(&format!(",\"size\":{}}}", fixed.size)),
            Kind::Record(record) => {
                self.out.push_str(",\"fields\":[");
                self.list(record.fields.iter(), |form, field| {
                    form.out.push_str(&format!("{{\"name\":\"{}\",\"type\":", field.name));
                    form.schema(field.schema);
                    form.out.push('}');
                });
                self.out.push_str("]}");
            }
        }
    }

    fn list<T>(&mut self, items: impl Iterator<Item = T>, write: impl Fn(&mut Self, T)) {
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            write(self, item);
        }
    }
}
