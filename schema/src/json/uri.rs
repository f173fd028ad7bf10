//! References resolved against a base (RFC 3986, 5.2), where the base may be relative, too: dependencies are often called
//! `other.json`.

/// `reference` as seen from `base`. A base without a hierarchy (`urn:a:b`) leaves all but fragments as they are.
pub(super) fn resolve(base: &str, reference: &str) -> String {
    if base.is_empty() || scheme_of(reference).is_some() {
        return reference.to_owned();
    }
    let base = without_fragment(base);
    if reference.is_empty() || reference.starts_with('#') {
        return format!("{base}{reference}");
    }
    let (scheme, rest) = match scheme_of(base) {
        Some(scheme) => (&base[..scheme.len() + 1], &base[scheme.len() + 1..]),
        None => ("", base),
    };
    if !scheme.is_empty() && !rest.starts_with('/') {
        return reference.to_owned();
    }
    if reference.starts_with("//") {
        return format!("{scheme}{reference}");
    }
    let (authority, path) = split_authority(rest);
    let path = &path[..path.find('?').unwrap_or(path.len())];
    if reference.starts_with('?') {
        return format!("{scheme}{authority}{path}{reference}");
    }
    let (given, suffix) = reference.split_at(reference.find(['?', '#']).unwrap_or(reference.len()));
    let merged = match (given.starts_with('/'), path.rfind('/')) {
        (true, _) => given.to_owned(),
        (false, Some(slash)) => format!("{}{given}", &path[..=slash]),
        (false, None) if authority.is_empty() => given.to_owned(),
        (false, None) => format!("/{given}"),
    };
    format!("{scheme}{authority}{}{suffix}", without_dots(&merged))
}

pub(super) fn without_fragment(uri: &str) -> &str {
    &uri[..uri.find('#').unwrap_or(uri.len())]
}

/// What stands behind the `#`, with `%41` decoded.
pub(super) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.filter(|_| bytes[at] == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn scheme_of(uri: &str) -> Option<&str> {
    let scheme = &uri[..uri.find([':', '/', '?', '#']).filter(|&at| uri.as_bytes()[at] == b':')?];
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    is_scheme.then_some(scheme)
}

fn split_authority(rest: &str) -> (&str, &str) {
    match rest.strip_prefix("//") {
        Some(after) => rest.split_at(2 + after.find(['/', '?']).unwrap_or(after.len())),
        None => ("", rest),
    }
}

fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." => (),
            ".." => {
                // Above the root of an absolute path there is nothing; in a relative one the dots stay.
                match kept.last() {
                    Some(&"") if kept.len() == 1 => (),
                    Some(&"..") | None => kept.push(".."),
                    Some(_) => drop(kept.pop()),
                }
            }
            other => kept.push(other),
        }
        if is_last && matches!(segment, "." | "..") && kept.last() != Some(&"..") {
            kept.push("");
        }
    }
    kept.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_against_a_base() {
        let cases = [
            ("", "a.json", "a.json"),
            ("http://x/s/root.json", "a.json", "http://x/s/a.json"),
            ("http://x/s/root.json", "./a.json#/definitions/b", "http://x/s/a.json#/definitions/b"),
            ("http://x/s/root.json", "../a.json", "http://x/a.json"),
            ("http://x/s/root.json", "../../../a.json", "http://x/a.json"),
            ("http://x/s/t/root.json", "../../a/./b", "http://x/a/b"),
            ("http://x/s/root.json", "/a.json", "http://x/a.json"),
            ("http://x/s/root.json#old", "#foo", "http://x/s/root.json#foo"),
            ("http://x/s/root.json?q", "?r", "http://x/s/root.json?r"),
            ("http://x", "a", "http://x/a"),
            ("http://x/s/", "a", "http://x/s/a"),
            ("http://x/s/root.json", "//y/a", "http://y/a"),
            ("http://x/s/root.json", "urn:a:b", "urn:a:b"),
            ("http://x/s/root.json", "", "http://x/s/root.json"),
            ("urn:a:b", "#/definitions/c", "urn:a:b#/definitions/c"),
            ("urn:a:b", "c.json", "c.json"),
            ("s/root.json", "a.json", "s/a.json"),
            ("s/root.json", "../a.json", "a.json"),
            ("root.json", "../a.json", "../a.json"),
            ("http://x/a/b", ".", "http://x/a/"),
        ];
        for (base, reference, expected) in cases {
            assert_eq!(resolve(base, reference), expected, "{reference} from {base}");
        }
    }

    #[test]
    fn percents_are_decoded() {
        for (text, expected) in
            [("a%20b", "a b"), ("100%", "100%"), ("%zz", "%zz"), ("%C3%A9", "é"), ("%", "%")]
        {
            assert_eq!(decoded(text), expected);
        }
    }
}
