//! The table of methods and paths, one row each: what a client must be allowed to do, and the resource that answers.

use std::pin::Pin;

use hyper::Method;

use super::call::{Body, Call, Parameters};
use super::{compatibility, config, contexts, mode, schemas, server, subjects, versions};
use crate::services::registry::Error;
use crate::services::registry::access::Permission::{self, Admin, Read, Write};

/// What a row's function gives back.
type Answer = Pin<Box<dyn Future<Output = Result<Body, Error>> + Send>>;

pub struct Row {
    pub method: Method,
    /// `{name}` stands for one segment.
    pub path: &'static str,
    pub need: Need,
    pub handle: fn(Call) -> Answer,
}

/// What must be allowed before a row answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Nothing,
    /// With the subject in the path.
    Subject(Permission),
    /// With some subject: the row itself leaves out of its answer what may not be seen.
    Some(Permission),
    /// With all subjects.
    All(Permission),
}

use Need::{All, Nothing, Some as Any, Subject};

macro_rules! row {
    ($method:ident $path:literal, $need:expr, $handle:path) => {
        Row { method: Method::$method, path: $path, need: $need, handle: |call| Box::pin($handle(call)) }
    };
}

#[rustfmt::skip]
pub static ROWS: &[Row] = &[
    row!(GET "/", Nothing, server::root),
    row!(POST "/", Nothing, server::root),
    row!(GET "/v1/metadata/id", Nothing, server::id),
    row!(GET "/v1/metadata/version", Nothing, server::version),
    row!(GET "/contexts", Any(Read), contexts::list),
    row!(DELETE "/contexts/{context}", All(Admin), contexts::delete),
    row!(GET "/schemas", Any(Read), schemas::list),
    row!(GET "/schemas/types", Nothing, schemas::types),
    row!(GET "/schemas/ids/{id}", Any(Read), schemas::by_id),
    row!(GET "/schemas/ids/{id}/schema", Any(Read), schemas::text_by_id),
    row!(GET "/schemas/ids/{id}/subjects", Any(Read), schemas::subjects),
    row!(GET "/schemas/ids/{id}/versions", Any(Read), schemas::versions),
    row!(GET "/schemas/guids/{guid}", Any(Read), schemas::by_guid),
    row!(GET "/schemas/guids/{guid}/ids", Any(Read), schemas::ids_of_guid),
    row!(GET "/subjects", Any(Read), subjects::list),
    row!(POST "/subjects/{subject}", Subject(Read), subjects::lookup),
    row!(DELETE "/subjects/{subject}", Subject(Admin), subjects::delete),
    row!(GET "/subjects/{subject}/metadata", Subject(Read), subjects::latest_with_metadata),
    row!(GET "/subjects/{subject}/versions", Subject(Read), versions::list),
    row!(POST "/subjects/{subject}/versions", Subject(Write), versions::register),
    row!(GET "/subjects/{subject}/versions/{version}", Subject(Read), versions::get),
    row!(DELETE "/subjects/{subject}/versions/{version}", Subject(Admin), versions::delete),
    row!(GET "/subjects/{subject}/versions/{version}/schema", Subject(Read), versions::text),
    row!(GET "/subjects/{subject}/versions/{version}/referencedby", Subject(Read), versions::referenced_by),
    row!(POST "/subjects/{subject}/versions/{version}/tags", Subject(Write), versions::modify_tags),
    row!(POST "/compatibility/subjects/{subject}/versions", Subject(Read), compatibility::with_all),
    row!(POST "/compatibility/subjects/{subject}/versions/{version}", Subject(Read), compatibility::with_one),
    row!(GET "/config", Any(Read), config::get),
    row!(PUT "/config", All(Admin), config::update),
    row!(DELETE "/config", All(Admin), config::delete),
    row!(GET "/config/{subject}", Subject(Read), config::get),
    row!(PUT "/config/{subject}", Subject(Admin), config::update),
    row!(DELETE "/config/{subject}", Subject(Admin), config::delete),
    row!(GET "/mode", Any(Read), mode::get),
    row!(PUT "/mode", All(Admin), mode::update),
    row!(DELETE "/mode", All(Admin), mode::delete),
    row!(GET "/mode/{subject}", Subject(Read), mode::get),
    row!(PUT "/mode/{subject}", Subject(Admin), mode::update),
    row!(DELETE "/mode/{subject}", Subject(Admin), mode::delete),
];

/// What there is for a method and a path.
pub enum Found {
    Row(&'static Row, Parameters),
    /// The methods that the path has.
    Options(String),
    WrongMethod(String),
    Nothing,
}

/// HEAD is GET whose body is not sent.
pub fn find(method: &Method, segments: &[String]) -> Found {
    let asked = if method == Method::HEAD { &Method::GET } else { method };
    let mut methods: Vec<&str> = Vec::new();
    for row in ROWS {
        let Some(parameters) = parameters(row.path, segments) else { continue };
        if row.method == asked {
            return Found::Row(row, parameters);
        }
        methods.push(row.method.as_str());
    }
    if methods.is_empty() {
        return Found::Nothing;
    }
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.push("OPTIONS");
    match *method == Method::OPTIONS {
        true => Found::Options(methods.join(",")),
        false => Found::WrongMethod(methods.join(",")),
    }
}

/// What stands in the pattern's places, if the path is of its form.
fn parameters(pattern: &'static str, segments: &[String]) -> Option<Parameters> {
    let pattern = pattern.split('/').filter(|segment| !segment.is_empty());
    if pattern.clone().count() != segments.len() {
        return None;
    }
    let mut parameters = Vec::new();
    for (of_pattern, segment) in pattern.zip(segments) {
        match of_pattern.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => parameters.push((name, segment.clone())),
            None if of_pattern == segment => {}
            None => return None,
        }
    }
    Some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The row's path, or what there is instead.
    #[track_caller]
    fn check(method: &str, path: &[&str], expected: &str) {
        let segments: Vec<String> = path.iter().map(|segment| (*segment).to_owned()).collect();
        let found = match find(&method.parse().unwrap(), &segments) {
            Found::Row(row, _) => row.path.to_owned(),
            Found::Options(methods) => format!("may {methods}"),
            Found::WrongMethod(methods) => format!("only {methods}"),
            Found::Nothing => String::new(),
        };
        assert_eq!(found, expected, "{method} {path:?}");
    }

    #[test]
    fn a_path_has_its_rows_and_no_others() {
        check("GET", &[], "/");
        check("HEAD", &["subjects"], "/subjects");
        check("GET", &["schemas", "types"], "/schemas/types");
        check("POST", &["subjects", "a"], "/subjects/{subject}");
        check("GET", &["subjects", "a"], "only POST,DELETE,OPTIONS");
        check("PATCH", &["subjects"], "only GET,HEAD,OPTIONS");
        check("OPTIONS", &["mode"], "may GET,PUT,DELETE,HEAD,OPTIONS");
        check("GET", &["subject"], "");
        check("GET", &["subjects", "a", "versions", "1", "schema", "x"], "");
        check("GET", &["contexts", "a", "b"], "");
    }

    #[test]
    fn every_row_is_found_and_needs_what_its_path_can_tell() {
        for row in ROWS {
            let segments: Vec<String> =
                row.path.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
            let Found::Row(found, _) = find(&row.method, &segments) else { panic!("{}", row.path) };
            assert_eq!((&found.method, found.path), (&row.method, row.path), "another row stands before it");
            assert_eq!(matches!(row.need, Subject(_)), row.path.contains("{subject}"), "{}", row.path);
            let changes = row.method != Method::GET && row.method != Method::POST;
            let is_admin = matches!(row.need, Subject(Admin) | All(Admin));
            assert_eq!(changes, is_admin, "{} {}", row.method, row.path);
        }
    }
}
