//! Content types: what a client accepts and sends.

use hyper::header::{ACCEPT, HeaderMap, HeaderValue};

/// What is answered to a client that accepts anything.
pub const DEFAULT: &str = "application/vnd.schemaregistry.v1+json";
const JSON: &str = "application/json";

/// What is given, the best first, with its weight in thousandths.
const PRODUCED: [(&str, u32); 3] =
    [(DEFAULT, 1000), ("application/vnd.schemaregistry+json", 900), (JSON, 500)];

/// The media type of an answer; None if the client accepts none that there is.
pub fn negotiate(headers: &HeaderMap) -> Option<&'static str> {
    let mut is_asked = false;
    let mut best: Option<(u32, u8, &'static str)> = None;
    for value in headers.get_all(ACCEPT) {
        let Ok(text) = value.to_str() else { continue };
        for range in text.split(',').map(str::trim).filter(|range| !range.is_empty()) {
            is_asked = true;
            let (wanted, quality) = weighted(range);
            for (offered, weight) in PRODUCED {
                let Some(precision) = precision(wanted, offered) else { continue };
                let rank = (quality * weight, precision, offered);
                if quality > 0 && best.is_none_or(|best| (rank.0, rank.1) > (best.0, best.1)) {
                    best = Some(rank);
                }
            }
        }
    }
    match is_asked {
        true => best.map(|(.., offered)| offered),
        false => Some(DEFAULT),
    }
}

/// Whether a body of this type is read. One that does not say what it is may be anything.
pub fn is_consumed(content_type: Option<&HeaderValue>) -> bool {
    let Some(value) = content_type else { return true };
    let Ok(text) = value.to_str() else { return false };
    let (name, _) = weighted(text);
    name.eq_ignore_ascii_case("application/octet-stream")
        || PRODUCED.iter().any(|(produced, _)| name.eq_ignore_ascii_case(produced))
}

/// `name; q=0.5` as the name and thousandths.
fn weighted(range: &str) -> (&str, u32) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let quality = parts.find_map(|part| part.strip_prefix("q=")).and_then(|text| text.parse::<f32>().ok());
    (name, (quality.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0) as u32)
}

/// How closely a range names a type.
fn precision(range: &str, offered: &str) -> Option<u8> {
    if range.eq_ignore_ascii_case(offered) {
        return Some(2);
    }
    match range {
        "*/*" | "*" => Some(0),
        "application/*" => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(accept: Option<&str>, expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.extend(accept.map(|text| (ACCEPT, HeaderValue::from_str(text).unwrap())));
        assert_eq!(negotiate(&headers), expected, "{accept:?}");
    }

    #[test]
    fn the_best_of_what_both_know() {
        let v = "application/vnd.schemaregistry+json";
        check(None, Some(DEFAULT));
        check(Some(""), Some(DEFAULT));
        check(Some("*/*"), Some(DEFAULT));
        check(Some("application/*;q=0.1"), Some(DEFAULT));
        check(Some("application/json"), Some(JSON));
        check(Some("APPLICATION/JSON; charset=utf-8"), Some(JSON));
        check(Some("application/json, application/vnd.schemaregistry.v1+json"), Some(DEFAULT));
        check(
            Some("application/vnd.schemaregistry.v1+json; q=0.1, application/vnd.schemaregistry+json"),
            Some(v),
        );
        check(Some("text/html, image/gif, *; q=.2, */*; q=.2"), Some(DEFAULT));
        check(Some("text/html"), None);
        check(Some("application/json;q=0"), None);
        check(Some("application/json;q=nonsense"), Some(JSON));
    }

    #[test]
    fn bodies_are_json_by_any_of_its_names() {
        let check = |text: &'static str, expected| {
            assert_eq!(is_consumed(Some(&HeaderValue::from_static(text))), expected, "{text}");
        };
        assert!(is_consumed(None));
        check("application/json;charset=UTF-8", true);
        check("application/vnd.schemaregistry.v1+json", true);
        check("application/octet-stream", true);
        check("text/plain", false);
        check("application/x-www-form-urlencoded", false);
    }
}
