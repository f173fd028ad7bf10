//! From a [`File`] to text: Confluent's canonical form, and with `normalize` the form in which texts that mean the same are
//! the same text (sorted, with full names).

use super::element::{
    Constant, Enum, Extend, Field, FieldType, File, Group, MAX_TAG, Message, OneOf, OptionElement, Reserved,
    Rpc, ScalarKind, Service, Syntax, Type, Value,
};
use super::normal;
use super::types::{Node, ROOT, Types};
use crate::InvalidSchema;

/// What the text is for.
pub enum Form<'a> {
    Canonical,
    /// Without custom options and extensions.
    IgnoreExtensions,
    Normalized(&'a Types<'a>),
}

/// An error only when normalizing: a type that is nowhere declared.
pub fn write(file: &File, form: &Form<'_>) -> Result<String, InvalidSchema> {
    let mut writer = Writer { form, text: String::new(), depth: 0, is_open: false };
    writer.file(file)?;
    Ok(writer.text)
}

struct Writer<'a> {
    form: &'a Form<'a>,
    text: String,
    depth: usize,
    /// A brace was opened, and nothing was written since.
    is_open: bool,
}

type Written = Result<(), InvalidSchema>;

impl Writer<'_> {
    fn file(&mut self, file: &File) -> Written {
        if let Some(syntax) = file.syntax.filter(|syntax| !self.normalizes() || *syntax == Syntax::Proto3) {
            self.line(&format!("syntax = \"{}\";", syntax.name()));
        }
        if let Some(package) = &file.package {
            self.line(&format!("package {package};"));
        }
        self.imports(file);
        let scope = self.types().map_or(ROOT, |types| types.package);
        self.options(scope, &file.options);
        self.types_within(scope, &file.types)?;
        self.extends(scope, &file.extends)?;
        if !file.services.is_empty() {
            self.section();
        }
        file.services.iter().try_for_each(|service| self.service(scope, service))
    }

    fn imports(&mut self, file: &File) {
        let kinds = [("", &file.imports), ("public ", &file.public_imports), ("weak ", &file.weak_imports)];
        if kinds.iter().any(|(_, imports)| !imports.is_empty()) {
            self.section();
        }
        for (kind, imports) in kinds {
            let mut imports: Vec<&String> = imports.iter().collect();
            if self.normalizes() {
                imports.sort();
                imports.dedup();
            }
            for import in imports {
                self.line(&format!("import {kind}\"{import}\";"));
            }
        }
    }

    fn options(&mut self, scope: Node, options: &[OptionElement]) {
        let options = self.chosen(scope, options);
        if !options.is_empty() {
            self.section();
        }
        self.option_lines(scope, &options);
    }

    fn option_lines(&mut self, scope: Node, options: &[OptionElement]) {
        for option in options {
            self.begin();
            self.text.push_str("option ");
            self.option(scope, option, self.depth);
            self.text.push_str(";\n");
        }
    }

    /// Messages, then enums, whatever their order was: a message's index is its place among the messages.
    fn types_within(&mut self, scope: Node, types: &[Type]) -> Written {
        let mut messages = Vec::new();
        for declared in types {
            if let Type::Message(message) = declared
                && !(self.normalizes() && message.map_entry().is_some())
            {
                messages.push(message);
            }
        }
        let enums: Vec<&Enum> = types.iter().filter_map(|of| matches_enum(of)).collect();
        if !messages.is_empty() || !enums.is_empty() {
            self.section();
        }
        for message in messages {
            let scope = self.types().and_then(|types| types.within(scope, &message.name)).unwrap_or(scope);
            self.message(scope, message)?;
        }
        for of in enums {
            let scope = self.types().and_then(|types| types.within(scope, &of.name)).unwrap_or(scope);
            self.enumeration(scope, of);
        }
        Ok(())
    }

    fn message(&mut self, scope: Node, message: &Message) -> Written {
        self.open(&format!("message {} {{", message.name));
        self.reserved("reserved", &message.reserved);
        self.options(scope, &message.options);
        self.fields(scope, &message.fields)?;
        self.oneofs(scope, &message.oneofs)?;
        self.groups(scope, &message.groups)?;
        if !self.ignores_extensions() {
            self.reserved("extensions", &message.extensions);
            self.extends(scope, &message.extends)?;
        }
        self.types_within(scope, &message.types)?;
        self.close();
        Ok(())
    }

    fn reserved(&mut self, keyword: &str, statements: &[Vec<Reserved>]) {
        if statements.is_empty() {
            return;
        }
        self.section();
        if self.normalizes() {
            let mut values: Vec<&Reserved> = statements.iter().flatten().collect();
            values.sort_by_cached_key(|value| reserved_order(value));
            for value in values {
                self.line(&format!("{keyword} {};", self.reserved_value(value)));
            }
            return;
        }
        for values in statements {
            let values: Vec<String> = values.iter().map(|value| self.reserved_value(value)).collect();
            self.line(&format!("{keyword} {};", values.join(", ")));
        }
    }

    fn reserved_value(&self, value: &Reserved) -> String {
        match value {
            Reserved::Name(name) => format!("\"{}\"", escaped(name)),
            Reserved::Number(number) => number.to_string(),
            Reserved::Range(start, end) if self.normalizes() && start == end => start.to_string(),
            Reserved::Range(start, end) if *end >= MAX_TAG => format!("{start} to max"),
            Reserved::Range(start, end) => format!("{start} to {end}"),
        }
    }

    fn fields(&mut self, scope: Node, fields: &[Field]) -> Written {
        if !fields.is_empty() {
            self.section();
        }
        let mut fields: Vec<&Field> = fields.iter().collect();
        if self.normalizes() {
            fields.sort_by_key(|field| field.tag);
        }
        fields.into_iter().try_for_each(|field| self.field(scope, field))
    }

    fn field(&mut self, scope: Node, field: &Field) -> Written {
        let field_type = match self.types() {
            Some(types) => normal::field_type(types, scope, &field.type_name)?,
            None => field.type_name.clone(),
        };
        // A map that came as a descriptor is a repeated message there.
        let label =
            field.label.filter(|_| !(self.normalizes() && matches!(field_type, FieldType::Map { .. })));
        self.begin();
        if let Some(label) = label {
            self.text.push_str(label.name());
            self.text.push(' ');
        }
        match &field_type {
            FieldType::Named(name) => self.text.push_str(name),
            FieldType::Map { key, value } => self.text.push_str(&format!("map<{key}, {value}>")),
        }
        self.text.push_str(&format!(" {} = {}", field.name, field.tag));
        let mut options = field.options.clone();
        options.extend(field.default.as_ref().map(|default| default_option(&field.type_name, default)));
        options.extend(field.json_name.as_ref().map(|name| plain("json_name", Value::String(name.clone()))));
        self.bracketed_options(scope, &options);
        self.text.push_str(";\n");
        Ok(())
    }

    fn bracketed_options(&mut self, scope: Node, options: &[OptionElement]) {
        let options = self.chosen(scope, options);
        if let [option] = &options[..] {
            self.text.push_str(" [");
            self.option(scope, option, self.depth);
            self.text.push(']');
        } else if !options.is_empty() {
            self.text.push_str(" [\n");
            self.separated(&options, self.depth, |writer, option, depth| writer.option(scope, option, depth));
            self.text.push(']');
        }
    }

    fn oneofs(&mut self, scope: Node, oneofs: &[OneOf]) -> Written {
        let mut oneofs: Vec<&OneOf> = oneofs.iter().collect();
        if self.normalizes() {
            let tags = |oneof: &&OneOf| {
                let groups = oneof.groups.iter().map(|group| group.tag);
                oneof.fields.iter().map(|field| field.tag).chain(groups).min()
            };
            oneofs.retain(|oneof| tags(oneof).is_some());
            oneofs.sort_by_key(tags);
        }
        if !oneofs.is_empty() {
            self.section();
        }
        for oneof in oneofs {
            self.open(&format!("oneof {} {{", oneof.name));
            self.options(scope, &oneof.options);
            self.fields(scope, &oneof.fields)?;
            self.groups(scope, &oneof.groups)?;
            self.close();
        }
        Ok(())
    }

    fn groups(&mut self, scope: Node, groups: &[Group]) -> Written {
        if !groups.is_empty() {
            self.section();
        }
        let mut groups: Vec<&Group> = groups.iter().collect();
        if self.normalizes() {
            groups.sort_by_key(|group| group.tag);
        }
        for group in groups {
            let label = group.label.map(|label| format!("{} ", label.name())).unwrap_or_default();
            self.open(&format!("{label}group {} = {} {{", group.name, group.tag));
            self.fields(scope, &group.fields)?;
            self.close();
        }
        Ok(())
    }

    fn extends(&mut self, scope: Node, extends: &[Extend]) -> Written {
        if extends.is_empty() || self.ignores_extensions() {
            return Ok(());
        }
        self.section();
        let extends = match self.types() {
            Some(types) => &normal::extends(types, scope, extends)?,
            None => extends,
        };
        for extend in extends {
            self.open(&format!("extend {} {{", extend.name));
            self.fields(scope, &extend.fields)?;
            self.close();
        }
        Ok(())
    }

    fn enumeration(&mut self, scope: Node, of: &Enum) {
        self.open(&format!("enum {} {{", of.name));
        self.reserved("reserved", &of.reserved);
        if of.reserved.is_empty() && !(of.options.is_empty() && of.constants.is_empty()) {
            self.section();
        }
        let options = self.chosen(scope, &of.options);
        self.option_lines(scope, &options);
        let mut constants: Vec<&Constant> = of.constants.iter().collect();
        if self.normalizes() {
            constants.sort_by(|a, b| (a.tag, &a.name).cmp(&(b.tag, &b.name)));
        }
        for constant in constants {
            self.begin();
            self.text.push_str(&format!("{} = {}", constant.name, constant.tag));
            self.bracketed_options(scope, &constant.options);
            self.text.push_str(";\n");
        }
        self.close();
    }

    fn service(&mut self, scope: Node, service: &Service) -> Written {
        self.open(&format!("service {} {{", service.name));
        self.options(scope, &service.options);
        if !service.rpcs.is_empty() {
            self.section();
        }
        for rpc in &service.rpcs {
            self.rpc(scope, rpc)?;
        }
        self.close();
        Ok(())
    }

    fn rpc(&mut self, scope: Node, rpc: &Rpc) -> Written {
        let name_of = |name: &String| match self.types() {
            Some(types) => normal::type_name(types, scope, name),
            None => Ok(name.clone()),
        };
        let stream = |is_stream| if is_stream { "stream " } else { "" };
        let request = format!("{}{}", stream(rpc.request_streaming), name_of(&rpc.request)?);
        let response = format!("{}{}", stream(rpc.response_streaming), name_of(&rpc.response)?);
        let head = format!("rpc {} ({request}) returns ({response})", rpc.name);
        let options = self.chosen(scope, &rpc.options);
        if options.is_empty() {
            self.line(&format!("{head};"));
            return Ok(());
        }
        self.line(&format!("{head} {{"));
        self.depth += 1;
        self.option_lines(scope, &options);
        self.depth -= 1;
        self.line("};");
        Ok(())
    }

    /// `name = value`; what takes more than a line is indented from `depth` on.
    fn option(&mut self, scope: Node, option: &OptionElement, depth: usize) {
        match option.is_custom {
            true => self.text.push_str(&format!("({})", option.name)),
            false => self.text.push_str(&option.name),
        }
        match &option.value {
            Value::Option(inner) => {
                self.text.push('.');
                return self.option(scope, inner, depth);
            }
            Value::List(values) => {
                self.text.push_str(" = ");
                self.list(scope, values, depth);
                return;
            }
            _ => self.text.push_str(" = "),
        }
        self.value(scope, &option.value, depth);
    }

    fn list(&mut self, scope: Node, values: &[Value], depth: usize) {
        self.text.push('[');
        match values {
            [value] => self.value(scope, value, depth),
            values => {
                self.text.push('\n');
                self.separated(values, depth, |writer, value, depth| writer.value(scope, value, depth));
            }
        }
        self.text.push(']');
    }

    fn value(&mut self, scope: Node, value: &Value, depth: usize) {
        match value {
            Value::String(string) => self.text.push_str(&format!("\"{}\"", escaped(string))),
            Value::Boolean(word) | Value::Enum(word) => self.text.push_str(word),
            Value::Number(number) if self.normalizes() => self.text.push_str(&normal::number(number)),
            Value::Number(number) => self.text.push_str(number),
            Value::Option(option) => self.option(scope, option, depth),
            Value::Map(map) => self.map(scope, map, depth),
            Value::List(values) => match &values[..] {
                [value] if self.normalizes() => self.value(scope, value, depth),
                values => {
                    self.text.push_str("[\n");
                    self.separated(values, depth, |writer, value, depth| writer.value(scope, value, depth));
                    self.text.push(']');
                }
            },
        }
    }

    fn map(&mut self, scope: Node, map: &[(String, Value)], depth: usize) {
        let normalized;
        let map = match self.types() {
            Some(types) => {
                normalized = normal::map(types, scope, map);
                &normalized[..]
            }
            None => map,
        };
        self.text.push_str("{\n");
        self.separated(map, depth, |writer, (name, value), depth| {
            writer.text.push_str(&format!("{name}: "));
            writer.value(scope, value, depth);
        });
        self.text.push('}');
    }

    /// A line for each, with a comma after all but the last; and the place for what closes them.
    fn separated<T>(&mut self, items: &[T], depth: usize, write: impl Fn(&mut Self, &T, usize)) {
        for (index, item) in items.iter().enumerate() {
            self.pad(depth + 1);
            write(self, item, depth + 1);
            self.text.push_str(if index + 1 < items.len() { ",\n" } else { "\n" });
        }
        self.pad(depth);
    }

    /// The options that this form has, in its order.
    fn chosen(&self, scope: Node, options: &[OptionElement]) -> Vec<OptionElement> {
        match self.form {
            Form::Canonical => options.to_vec(),
            Form::IgnoreExtensions => {
                let stays =
                    |option: &&OptionElement| !option.is_custom || option.name.starts_with("confluent.");
                options.iter().filter(stays).cloned().collect()
            }
            Form::Normalized(types) => normal::options(types, scope, options),
        }
    }

    /// What follows stands apart from what was written before.
    fn section(&mut self) {
        match std::mem::take(&mut self.is_open) {
            true => self.text.push('\n'),
            false => {
                // Within a message even an empty line is indented.
                self.pad(self.depth.saturating_sub(1));
                self.text.push('\n');
            }
        }
    }

    fn open(&mut self, head: &str) {
        self.begin();
        self.text.push_str(head);
        self.is_open = true;
        self.depth += 1;
    }

    fn close(&mut self) {
        self.depth -= 1;
        if !std::mem::take(&mut self.is_open) {
            self.begin();
        }
        self.text.push_str("}\n");
    }

    fn line(&mut self, line: &str) {
        self.begin();
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn begin(&mut self) {
        self.pad(self.depth);
    }

    fn pad(&mut self, depth: usize) {
        self.text.extend(std::iter::repeat_n("  ", depth));
    }

    fn types(&self) -> Option<&Types<'_>> {
        match self.form {
            Form::Normalized(types) => Some(types),
            _ => None,
        }
    }

    fn normalizes(&self) -> bool {
        matches!(self.form, Form::Normalized(_))
    }

    fn ignores_extensions(&self) -> bool {
        matches!(self.form, Form::IgnoreExtensions)
    }
}

fn matches_enum(of: &Type) -> Option<&Enum> {
    match of {
        Type::Enum(of) => Some(of),
        Type::Message(_) => None,
    }
}

/// Numbers by their start, then names.
fn reserved_order(value: &Reserved) -> (i32, String) {
    match value {
        Reserved::Name(name) => (i32::MAX, name.clone()),
        Reserved::Number(number) => (*number, number.to_string()),
        Reserved::Range(start, end) => (*start, format!("{start}..{end}")),
    }
}

fn plain(name: &str, value: Value) -> OptionElement {
    OptionElement { name: name.to_owned(), is_custom: false, value }
}

fn default_option(type_name: &FieldType, default: &str) -> OptionElement {
    let default = default.to_owned();
    let kind = match type_name {
        FieldType::Named(name) => name.as_str(),
        FieldType::Map { .. } => "",
    };
    let value = match kind {
        "bool" => Value::Boolean(default),
        // Confluent writes those of `bytes` without quotes, which no compiler reads.
        "string" | "bytes" => Value::String(default),
        kind if ScalarKind::of(kind).is_some() => Value::Number(default),
        _ => Value::Enum(default),
    };
    plain("default", value)
}

fn escaped(string: &str) -> String {
    let mut text = String::with_capacity(string.len());
    for c in string.chars() {
        let escape = match c {
            '\u{7}' => 'a',
            '\u{8}' => 'b',
            '\u{c}' => 'f',
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            '\u{b}' => 'v',
            '\\' | '\'' | '"' => c,
            c => {
                text.push(c);
                continue;
            }
        };
        text.push('\\');
        text.push(escape);
    }
    text
}
