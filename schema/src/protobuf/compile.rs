//! From a schema and its imports to a descriptor in which all names are resolved. The compiler is stricter than a
//! registration: it refuses what protoc would refuse.

use std::collections::HashMap;

use prost::Message;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use protox::prost_reflect::{DescriptorPool, DynamicMessage, Value};
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
    compiler.open_file(NAME).map_err(|error| failed(&error.to_string()))?;
    let file = compiler.descriptor_pool().get_file_by_name(NAME).ok_or_else(|| failed("no file"))?;
    without_derived_names(&file.encode_to_vec()).ok_or_else(|| failed("no descriptor"))
}

fn failed(why: &str) -> InvalidSchema {
    InvalidSchema(format!("Could not compile Protobuf - {why}"))
}

/// What fields are called in JSON is said only where the schema says it, as in protoc's descriptors: who registers the
/// descriptor has the same schema. Options that nobody here knows stay.
fn without_derived_names(descriptor: &[u8]) -> Option<Vec<u8>> {
    let file = DescriptorPool::global().get_message_by_name("google.protobuf.FileDescriptorProto")?;
    let mut file = DynamicMessage::decode(file, descriptor).ok()?;
    clear_in(&mut file, "extension");
    for_each(&mut file, "message_type", &clear_in_message);
    Some(file.encode_to_vec())
}

/// The parser let messages be nested so deep and no deeper.
fn clear_in_message(message: &mut DynamicMessage) {
    clear_in(message, "field");
    clear_in(message, "extension");
    for_each(message, "nested_type", &clear_in_message);
}

fn clear_in(message: &mut DynamicMessage, fields: &str) {
    for_each(message, fields, &|field| {
        let word = |name| field.get_field_by_name(name).and_then(|value| value.as_str().map(str::to_owned));
        if word("json_name") == word("name").map(|name| derived_name(&name)) {
            field.clear_field_by_name("json_name");
        }
    });
}

fn for_each(message: &mut DynamicMessage, list: &str, change: &dyn Fn(&mut DynamicMessage)) {
    let list = message.get_field_by_name_mut(list).and_then(Value::as_list_mut);
    list.into_iter().flatten().filter_map(Value::as_message_mut).for_each(change);
}

/// `a_name` is `aName` in JSON.
fn derived_name(name: &str) -> String {
    let mut derived = String::with_capacity(name.len());
    let mut begins = false;
    for c in name.chars() {
        match c {
            '_' => begins = true,
            c if std::mem::take(&mut begins) => derived.push(c.to_ascii_uppercase()),
            c => derived.push(c),
        }
    }
    derived
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
