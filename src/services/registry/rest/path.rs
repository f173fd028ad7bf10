//! A request's target taken apart: segments and query, decoded; and the context that `/contexts/{context}` puts before them.

use hyper::Uri;
use percent_encoding::percent_decode_str;

use super::call::Query;
use crate::services::registry::Error;
use crate::services::registry::subject::{context_name, qualify};

/// What a request is for.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// Decoded one by one, so that a subject may have a slash (`%2F`). None is empty.
    pub segments: Vec<String>,
    pub query: Query,
}

impl Target {
    pub fn read(uri: &Uri) -> Result<Target, Error> {
        let mut segments = Vec::new();
        // A slash at the end says nothing.
        let path = uri.path().trim_start_matches('/');
        for segment in path.strip_suffix('/').unwrap_or(path).split('/') {
            segments.push(decode(segment)?);
        }
        if segments == [""] {
            segments.clear();
        }
        let mut query = Vec::new();
        for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            query.push((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?));
        }
        let mut target = Target { segments, query: Query(query) };
        target.enter_context();
        Ok(target)
    }

    /// `/contexts/{context}/...` means the same without it, with the context before the subjects that it names.
    fn enter_context(&mut self) {
        if self.segments.len() < 3 || self.segments[0] != "contexts" {
            return;
        }
        let context = context_name(&self.segments[1]);
        self.segments.drain(..2);
        let prefix = if context == "." { String::new() } else { qualify(&context, "") };
        let prefixed = |subject: &str| match names_a_context(subject) {
            true => subject.to_owned(),
            false => format!("{prefix}{subject}"),
        };
        let of_settings = matches!(self.segments[0].as_str(), "config" | "mode");
        let place = match of_settings {
            true => Some(1),
            false => self.segments.iter().position(|segment| segment == "subjects").map(|at| at + 1),
        };
        match place.and_then(|at| self.segments.get_mut(at)) {
            Some(subject) => *subject = prefixed(subject),
            None if of_settings && !prefix.is_empty() => self.segments.push(prefix.clone()),
            None => {}
        }
        match self.segments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["schemas", "ids", ..] => self.query.set("subject", &prefixed),
            ["schemas"] | ["subjects"] => self.query.set("subjectPrefix", &prefixed),
            _ => {}
        }
    }
}

fn names_a_context(subject: &str) -> bool {
    subject.starts_with(":.") || subject.starts_with(":*:")
}

fn decode(text: &str) -> Result<String, Error> {
    let is_escape = |at: usize| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let decoded = percent_decode_str(text).decode_utf8().ok();
    let is_sound = text.match_indices('%').all(|(at, _)| is_escape(at));
    match decoded.filter(|_| is_sound) {
        Some(decoded) => Ok(decoded.into_owned()),
        None => Err(Error { code: 400, message: "Bad Request".to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Segments, then the query.
    #[track_caller]
    fn check(uri: &str, segments: &[&str], query: &[(&str, &str)]) {
        let found = Target::read(&uri.parse().unwrap()).unwrap_or_else(|error| panic!("{uri}: {error}"));
        assert_eq!(found.segments, segments, "{uri}");
        let pairs: Vec<(&str, &str)> = found.query.0.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(pairs, query, "{uri}");
    }

    #[test]
    fn segments_are_decoded_one_by_one() {
        check("/", &[], &[]);
        check("http://host:1", &[], &[]);
        check("/subjects/", &["subjects"], &[]);
        check("/subjects/a%2Fb%25/versions", &["subjects", "a/b%", "versions"], &[]);
        check("/subjects/%E2%82%AC+1", &["subjects", "€+1"], &[]);
        check("/subjects/:.ctx:a", &["subjects", ":.ctx:a"], &[]);
        check("/subjects//versions", &["subjects", "", "versions"], &[]);
        check("/a?b=c+d%2B&e&=f&b=", &["a"], &[("b", "c d+"), ("e", ""), ("", "f"), ("b", "")]);
    }

    #[test]
    fn what_is_no_text_is_refused() {
        for uri in ["/subjects/%zz", "/subjects/%", "/subjects/%ff", "/subjects/%c3%28", "/a?b=%4"] {
            assert_eq!(Target::read(&uri.parse().unwrap()).unwrap_err().code, 400, "{uri}");
        }
    }

    #[test]
    fn a_context_goes_before_subjects() {
        check("/contexts", &["contexts"], &[]);
        check("/contexts/.a", &["contexts", ".a"], &[]);
        check("/contexts/.a/subjects/b/versions", &["subjects", ":.a:b", "versions"], &[]);
        check("/contexts/a/subjects/:.c:b", &["subjects", ":.c:b"], &[]);
        check(
            "/contexts/:.a:/compatibility/subjects/b/versions",
            &["compatibility", "subjects", ":.a:b", "versions"],
            &[],
        );
        check("/contexts/./subjects/b", &["subjects", "b"], &[]);
        check("/contexts/.a/subjects", &["subjects"], &[("subjectPrefix", ":.a:")]);
        check("/contexts/.a/subjects?subjectPrefix=b", &["subjects"], &[("subjectPrefix", ":.a:b")]);
        check("/contexts/.a/schemas?subjectPrefix=:*:", &["schemas"], &[("subjectPrefix", ":*:")]);
        check("/contexts/.a/schemas/ids/1?subject=b", &["schemas", "ids", "1"], &[("subject", ":.a:b")]);
        check("/contexts/.a/schemas/ids/1", &["schemas", "ids", "1"], &[("subject", ":.a:")]);
        check("/contexts/.a/config", &["config", ":.a:"], &[]);
        check("/contexts/.a/mode/b", &["mode", ":.a:b"], &[]);
        check("/contexts/./config", &["config"], &[]);
    }
}
