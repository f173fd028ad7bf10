//! From a schema and its imports to a descriptor in which all names are resolved. The compiler is stricter than a
//! registration: it refuses what protoc would refuse.

use std::collections::HashMap;

use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use protox::{Compiler, Error};

use super::known;
use crate::InvalidSchema;

/// What Confluent calls a schema that has no name as a file.
const NAME: &str = "default";

/// `FileDescriptorProto`, in its bytes. `imports`: name and text.
pub fn descriptor(text: String, imports: Vec<(String, String)>) -> Result<Vec<u8>, InvalidSchema> {
    let mut texts: HashMap<String, String> = imports.into_iter().collect();
    texts.insert(NAME.to_owned(), text);
    let mut resolver = ChainFileResolver::new();
    resolver.add(Texts(texts));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler
        .open_file(NAME)
        .map_err(|error| InvalidSchema(format!("Could not compile Protobuf - {error}")))?;
    let pool = compiler.descriptor_pool();
    let file = pool.get_file_by_name(NAME);
    file.map(|file| file.encode_to_vec())
        .ok_or_else(|| InvalidSchema("Could not compile Protobuf".to_owned()))
}

struct Texts(HashMap<String, String>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, Error> {
        match self.0.get(name).map(String::as_str).or_else(|| known::text(name)) {
            Some(text) => File::from_source(name, text),
            None => Err(Error::file_not_found(name)),
        }
    }
}
