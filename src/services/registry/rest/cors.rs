//! What pages of other origins may read (`access.control.allow.*`), answered as Jetty's filter does; except that credentials are
//! only for origins that are named.

use bytes::Bytes;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap,
    HeaderValue, ORIGIN, VARY,
};
use hyper::{Method, Request, Response};

use crate::config::Cors;

/// How long a browser may keep what it was told, in seconds.
const MAX_AGE: &str = "1800";

pub struct CorsRules {
    rules: Cors,
}

impl CorsRules {
    pub fn new(rules: Cors) -> CorsRules {
        CorsRules { rules }
    }

    /// The answer to what a browser asks before it asks; None for any other request.
    pub fn preflight(&self, request: &Request<Bytes>) -> Option<Response<Bytes>> {
        if request.method() != Method::OPTIONS {
            return None;
        }
        let origin = request.headers().get(ORIGIN)?;
        let method = request.headers().get(ACCESS_CONTROL_REQUEST_METHOD)?;
        let mut response = Response::new(Bytes::new());
        let is_allowed = self.rules.methods.iter().any(|allowed| allowed.as_bytes() == method.as_bytes());
        if is_allowed && self.allow(origin, response.headers_mut()) {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
            insert(headers, ACCESS_CONTROL_ALLOW_METHODS, &self.rules.methods);
            insert(headers, ACCESS_CONTROL_ALLOW_HEADERS, &self.rules.headers);
        }
        Some(response)
    }

    /// Tells a browser that this origin may read the answer, if it may.
    pub fn allow(&self, origin: &HeaderValue, headers: &mut HeaderMap) -> bool {
        let Ok(text) = origin.to_str() else { return false };
        let is_named = self.rules.origins.iter().any(|allowed| allowed != "*" && matches(allowed, text));
        if !is_named && !self.rules.origins.iter().any(|allowed| allowed == "*") {
            return false;
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(VARY, HeaderValue::from_static("Origin"));
        if is_named {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        true
    }
}

/// `*` stands for any part of an origin.
fn matches(pattern: &str, origin: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| origin.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

fn insert(headers: &mut HeaderMap, name: hyper::header::HeaderName, list: &[String]) {
    if let Ok(value) = HeaderValue::from_str(&list.join(",")) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_part() {
        for (pattern, origin, expected) in [
            ("http://a", "http://a", true),
            ("http://a", "http://ab", false),
            ("http://*.a.org", "http://b.a.org", true),
            ("http://*.a.org", "http://b.a.org.evil.org", false),
            ("*://a.org:*", "https://a.org:80", true),
            ("http://a*a", "http://a", false),
        ] {
            assert_eq!(matches(pattern, origin), expected, "{pattern} {origin}");
        }
    }
}
