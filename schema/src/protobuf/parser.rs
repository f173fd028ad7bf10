//! From text to a [`File`]. Takes what Square's Wire takes, since Confluent's registry parses with it: it checks the grammar
//! and little else, so that schemas that were registered there can be read.

use std::collections::HashMap;

use super::element::{
    Constant, Enum, Extend, Field, FieldType, File, Group, Label, MAX_TAG, Message, OneOf, OptionElement,
    Reserved, Rpc, Service, Syntax, Type, Value,
};
use super::options::{read_option, read_options};
use super::reader::Reader;
use crate::InvalidSchema;

/// Messages within messages, as deep as protoc lets them be.
pub const MAX_DEPTH: usize = 32;

/// Names within the package's name. Every name that is looked up is looked for in each of them.
pub const MAX_PACKAGE_PARTS: usize = 64;

pub fn parse(text: &str) -> Result<File, InvalidSchema> {
    let mut parser = Parser { reader: Reader::new(text), syntax: None };
    parser.file()
}

/// What a declaration stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    File,
    Message,
    Enum,
    Rpc,
    Extend,
    Service,
}

enum Declaration {
    Nothing,
    Option(OptionElement),
    Reserved(Vec<Reserved>),
    Type(Type),
    Service(Service),
    Extend(Extend),
    Rpc(Rpc),
    OneOf(OneOf),
    Extensions(Vec<Reserved>),
    Field(Field),
    Group(Group),
    Constant(Constant),
    Package(String),
    Import(String),
    PublicImport(String),
    WeakImport(String),
}

struct Parser<'a> {
    reader: Reader<'a>,
    syntax: Option<Syntax>,
}

impl<'a> Parser<'a> {
    fn file(&mut self) -> Result<File, InvalidSchema> {
        let mut file = File::default();
        let (mut types, mut services) = (HashMap::new(), HashMap::new());
        let mut index = 0;
        while !self.reader.is_exhausted()? {
            let at = self.reader.position()?;
            match self.declaration(Within::File, 0, index)? {
                Declaration::Type(declared) => {
                    let (Type::Message(Message { name, .. }) | Type::Enum(Enum { name, .. })) = &declared;
                    self.check_new(at, &mut types, name)?;
                    file.types.push(declared);
                }
                Declaration::Service(service) => {
                    self.check_new(at, &mut services, &service.name)?;
                    file.services.push(service);
                }
                Declaration::Option(option) => file.options.push(option),
                Declaration::Extend(extend) => file.extends.push(extend),
                Declaration::Package(package) => file.package = Some(package),
                Declaration::Import(import) => file.imports.push(import),
                Declaration::PublicImport(import) => file.public_imports.push(import),
                Declaration::WeakImport(import) => file.weak_imports.push(import),
                _ => {}
            }
            index += 1;
        }
        file.syntax = self.syntax;
        Ok(file)
    }

    fn check_new(
        &self,
        at: usize,
        known: &mut HashMap<String, usize>,
        name: &str,
    ) -> Result<(), InvalidSchema> {
        match known.insert(name.to_owned(), at) {
            None => Ok(()),
            Some(first) => {
                let [here, first] = [at, first].map(|at| self.reader.location(at));
                let what = format!("{name} ({here}) is already defined at {first}");
                Err(InvalidSchema(format!("Could not parse Protobuf - {what}")))
            }
        }
    }

    /// `index`: how many declarations came before it in the file.
    fn declaration(
        &mut self,
        within: Within,
        depth: usize,
        index: usize,
    ) -> Result<Declaration, InvalidSchema> {
        if self.reader.take(b';')? {
            return Ok(Declaration::Nothing);
        }
        let at = self.reader.position()?;
        let label = self.reader.word()?;
        let in_file = within == Within::File;
        let in_message = within == Within::Message;
        match label {
            "package" if in_file => self.package(at),
            "import" if in_file => self.import(),
            "syntax" if in_file => self.read_syntax(at, index),
            "option" => {
                let option = read_option(&mut self.reader, b'=', 0)?;
                self.reader.require(b';')?;
                Ok(Declaration::Option(option))
            }
            "reserved" => Ok(Declaration::Reserved(self.reserved()?)),
            "message" if in_file || in_message => Ok(Declaration::Type(Type::Message(self.message(depth)?))),
            "enum" if in_file || in_message => Ok(Declaration::Type(Type::Enum(self.enumeration()?))),
            "service" if in_file => Ok(Declaration::Service(self.service()?)),
            "extend" if in_file || in_message => Ok(Declaration::Extend(self.extend()?)),
            "rpc" if within == Within::Service => Ok(Declaration::Rpc(self.rpc()?)),
            "oneof" if in_message => Ok(Declaration::OneOf(self.one_of()?)),
            "extensions" if in_message => Ok(Declaration::Extensions(self.extensions()?)),
            _ if in_message || within == Within::Extend => self.labelled(at, label),
            _ if within == Within::Enum => {
                self.reader.check_field_name(label, at)?;
                Ok(Declaration::Constant(self.constant(label)?))
            }
            "edition" if in_file => Err(self.reader.error("edition is not currently supported")),
            _ => Err(self.reader.error_at(at, &format!("unexpected label: {label}"))),
        }
    }

    fn package(&mut self, at: usize) -> Result<Declaration, InvalidSchema> {
        let name = self.reader.name()?;
        self.reader.require(b';')?;
        if name.split('.').count() > MAX_PACKAGE_PARTS {
            let what = format!("the package has more than {MAX_PACKAGE_PARTS} parts");
            return Err(self.reader.error_at(at, &what));
        }
        Ok(Declaration::Package(name.to_owned()))
    }

    fn import(&mut self) -> Result<Declaration, InvalidSchema> {
        let of_kind = match self.reader.peek()? {
            b'"' | b'\'' => Declaration::Import,
            _ => match self.reader.word()? {
                "weak" => Declaration::WeakImport,
                "public" => Declaration::PublicImport,
                _ => return Err(self.reader.error("expected quoted string")),
            },
        };
        let name = self.reader.string()?;
        self.reader.require(b';')?;
        Ok(of_kind(name.replace('\\', "/")))
    }

    fn read_syntax(&mut self, at: usize, index: usize) -> Result<Declaration, InvalidSchema> {
        if self.syntax.is_some() {
            return Err(self.reader.error_at(at, "too many syntax definitions"));
        }
        self.reader.require(b'=')?;
        if index != 0 {
            return Err(self.reader.error_at(at, "'syntax' element must be the first declaration in a file"));
        }
        let name = self.reader.string()?;
        let syntax = Syntax::of(&name);
        self.syntax =
            Some(syntax.ok_or_else(|| self.reader.error_at(at, &format!("unexpected syntax: {name}")))?);
        self.reader.require(b';')?;
        Ok(Declaration::Nothing)
    }

    fn message(&mut self, depth: usize) -> Result<Message, InvalidSchema> {
        if depth == MAX_DEPTH {
            return Err(self.reader.error(&format!("messages are nested deeper than {MAX_DEPTH}")));
        }
        let mut message = Message { name: self.reader.name()?.to_owned(), ..Message::default() };
        self.reader.require(b'{')?;
        while !self.reader.take(b'}')? {
            match self.declaration(Within::Message, depth + 1, 1)? {
                Declaration::Field(field) => message.fields.push(field),
                Declaration::OneOf(oneof) => message.oneofs.push(oneof),
                Declaration::Group(group) => message.groups.push(group),
                Declaration::Type(nested) => message.types.push(nested),
                Declaration::Extensions(ranges) => message.extensions.push(ranges),
                Declaration::Option(option) => message.options.push(option),
                Declaration::Extend(extend) => message.extends.push(extend),
                Declaration::Reserved(reserved) => message.reserved.push(reserved),
                _ => {}
            }
        }
        Ok(message)
    }

    fn enumeration(&mut self) -> Result<Enum, InvalidSchema> {
        let name = self.reader.name()?.to_owned();
        let (mut options, mut constants, mut reserved) = (Vec::new(), Vec::new(), Vec::new());
        self.reader.require(b'{')?;
        while !self.reader.take(b'}')? {
            match self.declaration(Within::Enum, 0, 1)? {
                Declaration::Constant(constant) => constants.push(constant),
                Declaration::Option(option) => options.push(option),
                Declaration::Reserved(values) => reserved.push(values),
                _ => {}
            }
        }
        Ok(Enum { name, reserved, options, constants })
    }

    fn service(&mut self) -> Result<Service, InvalidSchema> {
        let mut service =
            Service { name: self.reader.name()?.to_owned(), options: Vec::new(), rpcs: Vec::new() };
        self.reader.require(b'{')?;
        while !self.reader.take(b'}')? {
            match self.declaration(Within::Service, 0, 1)? {
                Declaration::Rpc(rpc) => service.rpcs.push(rpc),
                Declaration::Option(option) => service.options.push(option),
                _ => {}
            }
        }
        Ok(service)
    }

    fn extend(&mut self) -> Result<Extend, InvalidSchema> {
        let mut extend = Extend { name: self.reader.name()?.to_owned(), fields: Vec::new() };
        self.reader.require(b'{')?;
        while !self.reader.take(b'}')? {
            if let Declaration::Field(field) = self.declaration(Within::Extend, 0, 1)? {
                extend.fields.push(field);
            }
        }
        Ok(extend)
    }

    fn rpc(&mut self) -> Result<Rpc, InvalidSchema> {
        let name = self.reader.name()?.to_owned();
        let (request_streaming, request) = self.rpc_type()?;
        if self.reader.word()? != "returns" {
            return Err(self.reader.error("expected 'returns'"));
        }
        let (response_streaming, response) = self.rpc_type()?;
        let mut options = Vec::new();
        if !self.reader.take(b';')? {
            self.reader.require(b'{')?;
            while !self.reader.take(b'}')? {
                if let Declaration::Option(option) = self.declaration(Within::Rpc, 0, 1)? {
                    options.push(option);
                }
            }
        }
        Ok(Rpc { name, request, response, request_streaming, response_streaming, options })
    }

    fn rpc_type(&mut self) -> Result<(bool, String), InvalidSchema> {
        self.reader.require(b'(')?;
        let word = self.reader.word()?;
        let (is_stream, name) = match word {
            "stream" => (true, self.reader.word()?),
            name => (false, name),
        };
        self.reader.require(b')')?;
        Ok((is_stream, name.to_owned()))
    }

    /// A field that begins with this word, or a group.
    fn labelled(&mut self, at: usize, word: &'a str) -> Result<Declaration, InvalidSchema> {
        let (label, type_word) = self.label_and_type(at, word)?;
        if type_word == "group" {
            return Ok(Declaration::Group(self.group(label)?));
        }
        Ok(Declaration::Field(self.field(label, type_word)?))
    }

    /// `word`: a label or, in proto3 and for a map, a type.
    fn label_and_type(
        &mut self,
        at: usize,
        word: &'a str,
    ) -> Result<(Option<Label>, &'a str), InvalidSchema> {
        let label = match word {
            "required" if self.syntax == Some(Syntax::Proto3) => {
                let what = "'required' label forbidden in proto3 field declarations";
                return Err(self.reader.error_at(at, what));
            }
            "required" => Some(Label::Required),
            "optional" => Some(Label::Optional),
            "repeated" => Some(Label::Repeated),
            _ => None,
        };
        let type_word = match label {
            Some(_) => self.reader.word()?,
            None => word,
        };
        let is_map = type_word == "map" && self.reader.peek()? == b'<';
        if label.is_none() && !is_map && self.syntax != Some(Syntax::Proto3) {
            return Err(self.reader.error_at(at, &format!("unexpected label: {word}")));
        }
        if is_map && label.is_some() {
            return Err(self.reader.error_at(at, "'map' type cannot have label"));
        }
        Ok((label, type_word))
    }

    fn field_type(&mut self, word: &str) -> Result<FieldType, InvalidSchema> {
        if word != "map" {
            return Ok(FieldType::Named(word.to_owned()));
        }
        self.reader.require(b'<')?;
        let key = self.reader.word()?.to_owned();
        self.reader.require(b',')?;
        let value = self.reader.word()?.to_owned();
        self.reader.require(b'>')?;
        Ok(FieldType::Map { key, value })
    }

    fn field(&mut self, label: Option<Label>, type_word: &str) -> Result<Field, InvalidSchema> {
        let type_name = self.field_type(type_word)?;
        let name = self.reader.field_name()?.to_owned();
        self.reader.require(b'=')?;
        let tag = self.reader.integer()?;
        let mut options = read_options(&mut self.reader)?;
        self.reader.require(b';')?;
        let default = take_value("default", &mut options);
        let json_name = take_value("json_name", &mut options);
        Ok(Field { label, type_name, name, tag, default, json_name, options })
    }

    fn one_of(&mut self) -> Result<OneOf, InvalidSchema> {
        let name = self.reader.name()?.to_owned();
        let (mut options, mut fields, mut groups) = (Vec::new(), Vec::new(), Vec::new());
        self.reader.require(b'{')?;
        while !self.reader.take(b'}')? {
            match self.reader.word()? {
                "group" => groups.push(self.group(None)?),
                "option" => {
                    options.push(read_option(&mut self.reader, b'=', 0)?);
                    self.reader.require(b';')?;
                }
                word => fields.push(self.field(None, word)?),
            }
        }
        Ok(OneOf { name, options, fields, groups })
    }

    fn group(&mut self, label: Option<Label>) -> Result<Group, InvalidSchema> {
        let name = self.reader.word()?.to_owned();
        self.reader.require(b'=')?;
        let tag = self.reader.integer()?;
        let mut fields = Vec::new();
        self.reader.require(b'{')?;
        while !self.reader.take(b'}')? {
            let at = self.reader.position()?;
            let word = self.reader.word()?;
            let (label, type_word) = self.label_and_type(at, word)?;
            if type_word == "group" {
                return Err(self.reader.error_at(at, "expected field declaration, was a group"));
            }
            fields.push(self.field(label, type_word)?);
        }
        Ok(Group { label, name, tag, fields })
    }

    fn reserved(&mut self) -> Result<Vec<Reserved>, InvalidSchema> {
        let mut values = Vec::new();
        loop {
            match self.reader.peek()? {
                b'"' | b'\'' => values.push(Reserved::Name(self.reader.string()?)),
                _ => values.push(self.range(b";,")?),
            }
            match self.reader.next()? {
                b';' => return Ok(values),
                b',' => {}
                _ => return Err(self.reader.error("expected ',' or ';'")),
            }
        }
    }

    fn extensions(&mut self) -> Result<Vec<Reserved>, InvalidSchema> {
        let mut values = Vec::new();
        loop {
            values.push(self.range(b";,[")?);
            if self.reader.peek()? == b'[' {
                // Confluent's text has none of what stands there.
                read_options(&mut self.reader)?;
                self.reader.require(b';')?;
                return Ok(values);
            }
            match self.reader.next()? {
                b';' => return Ok(values),
                b',' => {}
                _ => return Err(self.reader.error("expected ',' or ';'")),
            }
        }
    }

    /// A number, or a range; `ends`: what may follow a number.
    fn range(&mut self, ends: &[u8]) -> Result<Reserved, InvalidSchema> {
        let start = self.reader.integer()?;
        if ends.contains(&self.reader.peek()?) {
            return Ok(Reserved::Number(start));
        }
        if self.reader.word()? != "to" {
            return Err(self.reader.error("expected ',', ';', or 'to'"));
        }
        let end = match self.reader.is_next_word("max")? {
            true => {
                self.reader.word()?;
                MAX_TAG
            }
            false => self.reader.integer()?,
        };
        Ok(Reserved::Range(start, end))
    }

    fn constant(&mut self, name: &str) -> Result<Constant, InvalidSchema> {
        self.reader.require(b'=')?;
        let tag = self.reader.integer()?;
        let options = read_options(&mut self.reader)?;
        self.reader.require(b';')?;
        Ok(Constant { name: name.to_owned(), tag, options })
    }
}

/// Takes what is written like an option and is none.
fn take_value(name: &str, options: &mut Vec<OptionElement>) -> Option<String> {
    let mut taken = None;
    options.retain(|option| match &option.value {
        Value::String(value) | Value::Boolean(value) | Value::Number(value) | Value::Enum(value)
            if option.name == name && !option.is_custom =>
        {
            taken = Some(value.clone());
            false
        }
        _ => true,
    });
    taken
}
