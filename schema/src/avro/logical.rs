//! Logical types. One that is unknown, or that its schema cannot have, is a property like any other.

use serde_json::Value;

use super::graph::{Kind, Node, Primitive};

/// The properties that a valid logical type consists of: Confluent's normalized text has them first. Empty without one.
pub fn properties(node: &Node) -> Vec<&'static str> {
    let Some(Value::String(name)) = node.properties.get("logicalType") else { return Vec::new() };
    if !is_valid(node, name) {
        return Vec::new();
    }
    let mut properties = vec!["logicalType"];
    if name == "decimal" {
        properties.push("precision");
        if integer(node, "scale") != Some(0) {
            properties.push("scale");
        }
    }
    properties.retain(|property| node.properties.contains_key(*property));
    properties
}

fn is_valid(node: &Node, name: &str) -> bool {
    // What Java maps to a class of its own has no logical type.
    let has_class = ["avro.java.string", "java-class", "java-key-class", "java-element-class"]
        .iter()
        .any(|property| node.properties.get(*property).is_some_and(Value::is_string));
    if has_class {
        return false;
    }
    let size = match &node.kind {
        Kind::Fixed(fixed) => Some(fixed.size),
        _ => None,
    };
    let is = |of: Primitive| matches!(&node.kind, Kind::Primitive(primitive) if *primitive == of);
    match name {
        "decimal" => is_decimal(node, size, is(Primitive::Bytes)),
        "big-decimal" => is(Primitive::Bytes),
        "duration" => size == Some(12),
        "uuid" => is(Primitive::String) || size == Some(16),
        "date" | "time-millis" => is(Primitive::Int),
        "time-micros"
        | "timestamp-millis"
        | "timestamp-micros"
        | "timestamp-nanos"
        | "local-timestamp-millis"
        | "local-timestamp-micros"
        | "local-timestamp-nanos" => is(Primitive::Long),
        _ => false,
    }
}

fn is_decimal(node: &Node, size: Option<i32>, is_bytes: bool) -> bool {
    let Some(precision) = integer(node, "precision") else { return false };
    let scale = match node.properties.contains_key("scale") {
        true => integer(node, "scale"),
        false => Some(0),
    };
    let Some(scale) = scale else { return false };
    let most = match size {
        // The digits that every number of so many bytes has room for.
        Some(size) => (2f64.log10() * (8.0 * f64::from(size) - 1.0)).floor(),
        None if is_bytes => f64::from(i32::MAX),
        None => return false,
    };
    precision > 0 && f64::from(precision) <= most && (0..=precision).contains(&scale)
}

fn integer(node: &Node, property: &str) -> Option<i32> {
    match node.properties.get(property)? {
        Value::Number(number) => number.as_str().parse().ok(),
        _ => None,
    }
}
