//! Values of a request as Jackson takes them: a number where a text should be is its text, a text where a number should be is
//! that number, and so on. Lists and objects are no such values.

use std::collections::BTreeMap;

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// What a single value can be read as.
pub trait Scalar: Sized {
    const EXPECTED: &'static str;

    /// The value itself where it cannot be.
    fn of(value: Value) -> Result<Self, Value>;
}

impl Scalar for String {
    const EXPECTED: &'static str = "a string";

    fn of(value: Value) -> Result<String, Value> {
        match value {
            Value::String(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(flag) => Ok(flag.to_string()),
            other => Err(other),
        }
    }
}

impl Scalar for i32 {
    const EXPECTED: &'static str = "a whole number";

    fn of(value: Value) -> Result<i32, Value> {
        let found = match &value {
            Value::String(text) => text.trim().parse().ok(),
            Value::Number(number) if number.is_f64() => number.as_f64().and_then(in_range),
            Value::Number(number) => number.as_i64().and_then(|number| number.try_into().ok()),
            _ => None,
        };
        found.ok_or(value)
    }
}

/// What is behind the point is dropped.
fn in_range(number: f64) -> Option<i32> {
    let is_in = number > f64::from(i32::MIN) - 1.0 && number < f64::from(i32::MAX) + 1.0;
    is_in.then_some(number as i32)
}

impl Scalar for bool {
    const EXPECTED: &'static str = "true or false";

    fn of(value: Value) -> Result<bool, Value> {
        let found = match &value {
            Value::Bool(flag) => Some(*flag),
            Value::Number(number) => number.as_i64().map(|number| number != 0),
            Value::String(text) => match text.trim() {
                "true" | "True" | "TRUE" => Some(true),
                "false" | "False" | "FALSE" => Some(false),
                _ => None,
            },
            _ => None,
        };
        found.ok_or(value)
    }
}

struct Lenient<T>(T);

impl<'de, T: Scalar> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Lenient<T>, D::Error> {
        let read = T::of(Value::deserialize(from)?);
        read.map(Lenient).map_err(|value| D::Error::invalid_type(unexpected(&value), &T::EXPECTED))
    }
}

fn unexpected(value: &Value) -> Unexpected<'_> {
    match value {
        Value::Null => Unexpected::Unit,
        Value::Bool(flag) => Unexpected::Bool(*flag),
        Value::Number(_) => Unexpected::Other("number"),
        Value::String(text) => Unexpected::Str(text),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    }
}

pub fn scalar<'de, D: Deserializer<'de>, T: Scalar>(from: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Lenient<T>>::deserialize(from)?.map(|lenient| lenient.0))
}

pub fn scalar_or_default<'de, D: Deserializer<'de>, T: Scalar + Default>(from: D) -> Result<T, D::Error> {
    Ok(scalar(from)?.unwrap_or_default())
}

/// Tells null, which is given, from what is not there.
pub fn given_scalar<'de, D: Deserializer<'de>, T: Scalar>(from: D) -> Result<Option<Option<T>>, D::Error> {
    scalar(from).map(Some)
}

pub fn texts<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let read = Option::<BTreeMap<String, Lenient<String>>>::deserialize(from)?.unwrap_or_default();
    Ok(read.into_iter().map(|(name, text)| (name, text.0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_read_as_what_they_should_be() {
        for (value, text, number, flag) in [
            (json!("1"), Some("1"), Some(1), None),
            (json!(" -7 "), Some(" -7 "), Some(-7), None),
            (json!("true"), Some("true"), None, Some(true)),
            (json!("FALSE"), Some("FALSE"), None, Some(false)),
            (json!("one"), Some("one"), None, None),
            (json!(5), Some("5"), Some(5), Some(true)),
            (json!(0), Some("0"), Some(0), Some(false)),
            (json!(2.9), Some("2.9"), Some(2), None),
            (json!(2147483648_i64), Some("2147483648"), None, Some(true)),
            (json!(1e300), Some("1e+300"), None, None),
            (json!(true), Some("true"), None, Some(true)),
            (json!([1]), None, None, None),
            (json!({}), None, None, None),
        ] {
            assert_eq!(String::of(value.clone()).ok().as_deref(), text, "{value}");
            assert_eq!(i32::of(value.clone()).ok(), number, "{value}");
            assert_eq!(bool::of(value.clone()).ok(), flag, "{value}");
        }
    }
}
