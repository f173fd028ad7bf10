//! Values as Java spells them.

use std::borrow::Cow;

/// `OptionalLong.toString`
pub fn optional_long(value: Option<i64>) -> String {
    value.map_or_else(|| "OptionalLong.empty".to_owned(), |value| format!("OptionalLong[{value}]"))
}

/// `new String(bytes, UTF_8)`: what is not UTF-8 is replaced. Java replaces a surrogate as one; Rust each of its bytes.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    let mut rest = match std::str::from_utf8(bytes) {
        Ok(text) => return Cow::Borrowed(text),
        Err(_) => bytes,
    };
    let mut text = String::with_capacity(bytes.len());
    while !rest.is_empty() {
        let (valid, invalid) = match std::str::from_utf8(rest) {
            Ok(_) => (rest.len(), 0),
            Err(error) => {
                let valid = error.valid_up_to();
                let left = rest.len() - valid;
                let is_surrogate = matches!(rest[valid..], [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..]);
                (valid, if is_surrogate { 3 } else { error.error_len().unwrap_or(left) })
            }
        };
        text.push_str(&String::from_utf8_lossy(&rest[..valid]));
        if invalid > 0 {
            text.push(char::REPLACEMENT_CHARACTER);
        }
        rest = &rest[valid + invalid..];
    }
    Cow::Owned(text)
}

/// `Double.toString`
pub fn double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{value:?}");
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let point = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{point}E{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_spelled_as_java_spells_them() {
        for (value, expected) in [
            (0.0, "0.0"),
            (1e6, "1000000.0"),
            (1e7, "1.0E7"),
            (-12_345_678.5, "-1.23456785E7"),
            (0.001, "0.001"),
            (0.000_25, "2.5E-4"),
            (f64::INFINITY, "Infinity"),
        ] {
            assert_eq!(double(value), expected);
        }
    }

    #[test]
    fn what_is_not_utf_8_is_replaced_as_java_replaces_it() {
        for (bytes, expected) in [
            (&b"plain"[..], "plain"),
            (b"a\xffb\xc3", "a\u{fffd}b\u{fffd}"),
            (b"\xed\xa0\x80!", "\u{fffd}!"),
            (b"\xe2\x82x", "\u{fffd}x"),
            ("\u{1f600}\u{e4}".as_bytes(), "\u{1f600}\u{e4}"),
        ] {
            assert_eq!(text(bytes), expected, "{bytes:?}");
        }
    }
}
