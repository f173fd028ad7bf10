//! JSON, read and written as Java Avro's library does: a number with a fraction or an exponent is a `double`.

use serde_json::{Number, Value};

use crate::InvalidSchema;
use crate::jackson::{self, Order};

/// Reads a text with one JSON value, which may have comments in it as Java's has. Deeper than 128 levels it is refused.
pub fn read(text: &str) -> Result<Value, InvalidSchema> {
    let plain = without_comments(text);
    let mut values = serde_json::Deserializer::from_str(&plain).into_iter::<Value>();
    let value = match values.next() {
        Some(value) => value.map_err(|error| InvalidSchema(error.to_string()))?,
        None => return Err(InvalidSchema("Cannot parse <null> schema".to_owned())),
    };
    let rest = text.get(values.byte_offset()..).unwrap_or_default().trim();
    if !rest.is_empty() {
        return Err(InvalidSchema(format!("dangling content after end of schema: {rest}")));
    }
    Ok(value)
}

/// The text with blanks in place of its comments, so that all else stays where it is.
fn without_comments(text: &str) -> String {
    if !text.contains("//") && !text.contains("/*") {
        return text.to_owned();
    }
    let mut plain = text.as_bytes().to_vec();
    let mut at = 0;
    while at < plain.len() {
        let end = match plain[at..] {
            [b'"', ..] => string_end(&plain, at),
            [b'/', b'/', ..] => blank(&mut plain, at, b"\n"),
            [b'/', b'*', ..] => blank(&mut plain, at, b"*/"),
            _ => at + 1,
        };
        at = end;
    }
    String::from_utf8(plain).unwrap_or_else(|_| text.to_owned())
}

fn string_end(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < text.len() {
        match text[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn blank(text: &mut [u8], start: usize, end: &[u8]) -> usize {
    let within = start + 2;
    let found = text[within..].windows(end.len()).position(|window| window == end);
    let past = found.map_or(text.len(), |at| within + at + end.len());
    text[start..past].fill(b' ');
    past
}

/// Writes a value on one line, its keys in the order given.
pub fn write(out: &mut String, value: &Value) {
    jackson::write(out, value, Order::Given, number_text);
}

/// The same with the keys of every object sorted.
pub fn write_sorted(out: &mut String, value: &Value) {
    jackson::write(out, value, Order::Sorted, number_text);
}

pub fn to_string(value: &Value) -> String {
    let mut out = String::new();
    write(&mut out, value);
    out
}

/// Whether two values are equal to Jackson: 1.0 is 1.00 and not 1; the order of keys does not count.
pub fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => number_text(one) == number_text(other),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        _ => one == other,
    }
}

/// A number without a fraction or an exponent is an integer, of whatever length.
pub fn is_integer(number: &Number) -> bool {
    !number.as_str().contains(['.', 'e', 'E'])
}

/// Integers as they were written, others as Java writes a double.
fn number_text(number: &Number) -> String {
    let text = number.as_str();
    match (is_integer(number), text) {
        (true, "-0") => "0".to_owned(),
        (true, _) => text.to_owned(),
        (false, _) => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => double_text(value),
            Ok(value) => format!("\"{}\"", not_finite(value)),
            Err(_) => text.to_owned(),
        },
    }
}

/// A double as a JSON value; what is no number in JSON is a string.
pub fn double(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None => Value::String(not_finite(value).to_owned()),
    }
}

/// Java's `Double.parseDouble`, but for its hexadecimal form.
pub fn parse_double(text: &str) -> Result<f64, InvalidSchema> {
    let trimmed = text.trim_matches(|c: char| c <= ' ');
    let unsigned = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    let is_negative = trimmed.starts_with('-');
    match unsigned {
        "" => return Err(InvalidSchema("empty String".to_owned())),
        "NaN" => return Ok(f64::NAN),
        "Infinity" => return Ok(if is_negative { f64::NEG_INFINITY } else { f64::INFINITY }),
        _ => {}
    }
    let digits = trimmed.strip_suffix(['d', 'D', 'f', 'F']).unwrap_or(trimmed);
    let is_number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    match digits.parse() {
        Ok(value) if is_number => Ok(value),
        _ => Err(InvalidSchema(format!("For input string: \"{text}\""))),
    }
}

fn not_finite(value: f64) -> &'static str {
    match value {
        value if value.is_nan() => "NaN",
        value if value < 0.0 => "-Infinity",
        _ => "Infinity",
    }
}

/// Java's `Double.toString`: the shortest digits that mean this number, but two at least, with an exponent when it is below a
/// thousandth or from ten million on.
fn double_text(value: f64) -> String {
    if value == 0.0 {
        return if value.is_sign_negative() { "-0.0" } else { "0.0" }.to_owned();
    }
    let shortest = format!("{:e}", value.abs());
    let scientific = if shortest.contains('.') { shortest } else { format!("{:.1e}", value.abs()) };
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits = digits.replace('.', "");
    let digits = if digits.len() == 2 { digits.trim_end_matches('0') } else { &digits };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if value < 0.0 { "-" } else { "" };
    let text = match exponent {
        0..=6 => {
            let whole = exponent as usize + 1;
            let padded = format!("{digits:0<whole$}");
            let (whole, fraction) = padded.split_at(whole);
            format!("{whole}.{}", if fraction.is_empty() { "0" } else { fraction })
        }
        -3..=-1 => format!("0.{}{digits}", "0".repeat((-exponent - 1) as usize)),
        _ => {
            let (first, fraction) = digits.split_at(1);
            format!("{first}.{}E{exponent}", if fraction.is_empty() { "0" } else { fraction })
        }
    };
    format!("{sign}{text}")
}
