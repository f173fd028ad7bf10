//! JSON, read and written as Confluent's registry does: a number with a fraction or an exponent is a `BigDecimal`.

use serde_json::Value;

use crate::InvalidSchema;
use crate::jackson::{self, Order};

/// Reads one JSON value. serde_json stops at a nesting of 128.
pub(super) fn read(text: &str) -> Result<Value, InvalidSchema> {
    let value = serde_json::from_str(text).map_err(|error| InvalidSchema(error.to_string()))?;
    check_numbers(&value)?;
    Ok(value)
}

/// Compact, in the order given.
pub(super) fn write(value: &Value) -> String {
    write_in(Order::Given, value)
}

/// Compact, with the keys of every object sorted as Java sorts strings.
pub(super) fn write_sorted(value: &Value) -> String {
    write_in(Order::Sorted, value)
}

fn write_in(order: Order, value: &Value) -> String {
    let mut out = String::new();
    jackson::write(&mut out, value, order, |number| java_number(number.as_str()).unwrap_or_default());
    out
}

fn check_numbers(value: &Value) -> Result<(), InvalidSchema> {
    match value {
        Value::Number(number) if java_number(number.as_str()).is_none() => {
            Err(InvalidSchema(format!("{number} is out of range")))
        }
        Value::Array(items) => items.iter().try_for_each(check_numbers),
        Value::Object(members) => members.values().try_for_each(check_numbers),
        _ => Ok(()),
    }
}

/// A JSON number as Java writes it: an integer stays what it is, anything else is written as `BigDecimal.toString` does (`1e5` is
/// `1E+5`, `1.50` stays). None when the exponent is beyond an `int`.
fn java_number(text: &str) -> Option<String> {
    if !text.contains(['.', 'e', 'E']) {
        return Some(if text == "-0" { "0".to_owned() } else { text.to_owned() });
    }
    let decimal = Decimal::parse(text)?;
    let sign = if decimal.is_negative { "-" } else { "" };
    let digits = &decimal.digits;
    let adjusted = digits.len() as i64 - 1 - decimal.scale;
    if decimal.scale == 0 {
        return Some(format!("{sign}{digits}"));
    }
    if decimal.scale > 0 && adjusted >= -6 {
        let scale = decimal.scale as usize;
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        return Some(format!("{sign}{whole}.{fraction}"));
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    let plus = if adjusted > 0 { "+" } else { "" };
    let exponent = if adjusted == 0 { String::new() } else { format!("E{plus}{adjusted}") };
    Some(format!("{sign}{first}{point}{rest}{exponent}"))
}

/// A decimal number: `digits` times ten to the minus `scale`.
#[derive(Debug, Clone)]
pub(super) struct Decimal {
    pub(super) is_negative: bool,
    /// Without leading zeros, but never empty.
    pub(super) digits: String,
    pub(super) scale: i64,
}

impl Decimal {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (is_negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = match all.trim_start_matches('0') {
            "" => "0".to_owned(),
            digits => digits.to_owned(),
        };
        let is_negative = is_negative && digits != "0";
        Some(Self { is_negative, digits, scale: fraction.len() as i64 - i64::from(exponent) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_java_does() {
        let cases = [
            ("0", "0"),
            ("-0", "0"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("1.0", "1.0"),
            ("-0.0", "0.0"),
            ("1.50", "1.50"),
            ("1e5", "1E+5"),
            ("1E5", "1E+5"),
            ("1.0e2", "1.0E+2"),
            ("12e-1", "1.2"),
            ("1e-3", "0.001"),
            ("1e-7", "1E-7"),
            ("0.0000001", "1E-7"),
            ("0.000001", "0.000001"),
            ("123.45e1", "1234.5"),
            ("1.2345e4", "12345"),
            ("0e3", "0E+3"),
        ];
        for (text, expected) in cases {
            assert_eq!(write(&read(text).expect(text)), expected, "{text}");
        }
    }

    #[test]
    fn text_is_compact_and_keeps_its_order() {
        let cases = [
            (
                r#"{ "b" : 1, "a" : [ true , null ] }"#,
                r#"{"b":1,"a":[true,null]}"#,
                r#"{"a":[true,null],"b":1}"#,
            ),
            (r#"{"b":{"d":1,"c":2},"B":1}"#, r#"{"b":{"d":1,"c":2},"B":1}"#, r#"{"B":1,"b":{"c":2,"d":1}}"#),
            (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#, r#"{"a":3,"b":2}"#),
            (r#""\u00e9\u001f\/\ud83d\ude00""#, "\"é\\u001F/😀\"", "\"é\\u001F/😀\""),
            // By UTF-16 units, a character beyond the basic plane comes before U+FF5E.
            ("{\"\u{ff5e}\":1,\"😀\":2}", "{\"\u{ff5e}\":1,\"😀\":2}", "{\"😀\":2,\"\u{ff5e}\":1}"),
        ];
        for (text, given, sorted) in cases {
            let value = read(text).expect(text);
            assert_eq!(write(&value), given);
            assert_eq!(write_sorted(&value), sorted);
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        for text in ["", "{", "{}}", "{'a':1}", "1e99999999999", deep.as_str()] {
            assert!(read(text).is_err(), "{}", &text[..text.len().min(20)]);
        }
    }
}
