//! What a resource gets: what the request says, the registry, and what the user may do.

use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::routes::Need;
use super::{ServerInfo, http_error};
use crate::services::registry::access::{Permission, Permissions};
use crate::services::registry::model::{Format, Page, RegisterSchemaRequest, Schema, VersionId};
use crate::services::registry::subject::{normalize, within};
use crate::services::registry::{Error, Registry};

/// By the name of the place in the row's path.
pub type Parameters = Vec<(&'static str, String)>;

/// Names and values as they stand.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query(pub Vec<(String, String)>);

/// What is answered with 200, or 204.
pub enum Body {
    Text(Bytes),
    Nothing,
}

pub struct Call {
    pub registry: Arc<Registry>,
    pub server: Arc<ServerInfo>,
    pub parameters: Parameters,
    pub query: Query,
    pub body: Bytes,
    /// None may do everything.
    pub user: Option<Arc<Permissions>>,
}

/// An answer in JSON.
pub fn json(value: &impl Serialize) -> Result<Body, Error> {
    match serde_json::to_vec(value) {
        Ok(text) => Ok(Body::Text(text.into())),
        Err(error) => Err(Error { code: 500, message: error.to_string() }),
    }
}

/// A list in JSON, which grows entry by entry and not beyond what an answer may be.
#[derive(Default)]
pub struct List(Vec<u8>);

/// Of a list.
const MAX_LIST_BYTES: usize = 32 * 1024 * 1024;

impl List {
    /// An entry, if it may be seen.
    pub fn push_if(&mut self, is_seen: bool, entry: &impl Serialize) -> Result<(), Error> {
        if is_seen { self.push(entry) } else { Ok(()) }
    }

    fn push(&mut self, entry: &impl Serialize) -> Result<(), Error> {
        self.0.push(if self.0.is_empty() { b'[' } else { b',' });
        serde_json::to_writer(&mut self.0, entry)
            .map_err(|error| Error { code: 500, message: error.to_string() })?;
        match self.0.len() < MAX_LIST_BYTES {
            true => Ok(()),
            false => Err(Error {
                code: 413,
                message: format!("The list is longer than {MAX_LIST_BYTES} bytes: ask for fewer, with limit"),
            }),
        }
    }

    pub fn end(mut self) -> Body {
        if self.0.is_empty() {
            self.0.push(b'[');
        }
        self.0.push(b']');
        Body::Text(self.0.into())
    }
}

/// An answer that is the schema's text itself.
pub fn text(schema: Option<String>) -> Result<Body, Error> {
    Ok(Body::Text(schema.unwrap_or_default().into()))
}

pub fn forbidden() -> Error {
    Error { code: 403, message: "Forbidden".to_owned() }
}

impl Query {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// All values of one name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    /// Changes the values of a name; none is one that is empty.
    pub fn set(&mut self, name: &str, change: &impl Fn(&str) -> String) {
        let mut is_there = false;
        for (_, value) in self.0.iter_mut().filter(|(of, _)| of == name) {
            *value = change(value);
            is_there = true;
        }
        if !is_there {
            self.0.push((name.to_owned(), change("")));
        }
    }
}

impl Call {
    /// Writes the subject that is named in the one way; where it is an alias, goes on with the one that it stands for. Settings
    /// are the alias's own.
    pub async fn name_subject(&mut self, path: &str) -> Result<(), Error> {
        let named = match path.starts_with("/schemas/ids/") {
            true => self.query.0.iter_mut().find(|(name, _)| name == "subject").map(|(_, value)| value),
            false => self.parameters.iter_mut().find(|(name, _)| *name == "subject").map(|(_, value)| value),
        };
        let Some(subject) = named.filter(|subject| !subject.is_empty()) else { return Ok(()) };
        let is_setting = path.starts_with("/config") || path.starts_with("/mode");
        *subject = if is_setting { normalize(subject) } else { self.registry.subject(subject).await? };
        Ok(())
    }

    /// Refuses what the user may not do.
    pub fn check(&self, need: Need) -> Result<(), Error> {
        let is_allowed = match need {
            Need::Nothing => true,
            Need::Some(permission) => self.user.as_ref().is_none_or(|user| user.may_some(permission)),
            Need::All(permission) => self.may(permission, ""),
            Need::Subject(permission) => self.may(permission, self.subject()),
        };
        if is_allowed { Ok(()) } else { Err(forbidden()) }
    }

    pub fn may(&self, permission: Permission, subject: &str) -> bool {
        self.user.as_ref().is_none_or(|user| user.may(permission, &normalize(subject)))
    }

    /// A schema that was found. It may be of another context than the one that was asked for: then that must be open to the user.
    pub fn found(&self, schema: Schema) -> Result<Schema, Error> {
        let is_open = schema.subject.as_deref().is_none_or(|subject| self.may(Permission::Read, subject));
        if is_open { Ok(schema) } else { Err(forbidden()) }
    }

    pub fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(of, _)| *of == name).map_or("", |(_, value)| value)
    }

    /// Of the path.
    pub fn subject(&self) -> &str {
        self.parameter("subject")
    }

    /// Of the path, where it may name none.
    pub fn optional_subject(&self) -> Option<&str> {
        Some(self.subject()).filter(|subject| !subject.is_empty())
    }

    pub fn version(&self) -> Result<VersionId, Error> {
        self.parameter("version").parse()
    }

    /// A number in the path; there is nothing under a path that has none.
    pub fn id(&self) -> Result<i32, Error> {
        number(self.parameter("id"))
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.query.get(name)
    }

    pub fn flag(&self, name: &str) -> bool {
        self.query.get(name).is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    pub fn page(&self) -> Result<Page, Error> {
        let or = |name, default| self.query.get(name).map_or(Ok(default), number);
        let all = Page::default();
        Ok(Page { offset: or("offset", all.offset)?, limit: or("limit", all.limit)? })
    }

    pub fn format(&self) -> Format {
        let format = self.query.get("format").filter(|text| !text.is_empty()).map(str::to_owned);
        Format { format, find_tags: Vec::new() }
    }

    /// The same with tags to find.
    pub fn format_with_tags(&self) -> Format {
        Format { find_tags: self.query.all("findTags").map(str::to_owned).collect(), ..self.format() }
    }

    /// The body. `what`: how Confluent's registry calls it when it is missing.
    pub fn body<T: DeserializeOwned>(&self, what: &str) -> Result<T, Error> {
        if self.body.is_empty() || self.body.trim_ascii() == b"null" {
            return Err(Error { code: 422, message: format!("{what} must not be null (was null)") });
        }
        let bad = |message: String| Error { code: 400, message };
        if !self.body.trim_ascii_start().starts_with(b"{") {
            // A list would be read as an object's fields in their order.
            return Err(bad("The body is no JSON object".to_owned()));
        }
        serde_json::from_slice(&self.body).map_err(|error| bad(error.to_string()))
    }

    /// A body that is a schema. What it refers to must be open to the user, too.
    pub fn schema(&self, what: &str) -> Result<RegisterSchemaRequest, Error> {
        let request: RegisterSchemaRequest = self.body(what)?;
        for reference in request.references.iter().flatten() {
            if !self.may(Permission::Read, &within(self.subject(), &reference.subject)) {
                return Err(forbidden());
            }
        }
        Ok(request)
    }
}

/// Jersey finds nothing where a number should be and is none.
fn number(text: &str) -> Result<i32, Error> {
    i32::from_str(text.trim()).map_err(|_| http_error(404, "Not Found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_grows_so_far_and_no_further() {
        let check = |entries: &[&str], expected: &str| {
            let mut list = List::default();
            entries.iter().for_each(|entry| list.push(entry).unwrap());
            let Body::Text(text) = list.end() else { panic!("a list has a text") };
            assert_eq!(text, expected);
        };
        check(&[], "[]");
        check(&["a"], r#"["a"]"#);
        check(&["a", "b\""], r#"["a","b\""]"#);
        let mut list = List::default();
        let long = "x".repeat(MAX_LIST_BYTES / 2);
        list.push(&long).unwrap();
        assert_eq!(list.push(&long).unwrap_err().status(), 413);
    }
}
