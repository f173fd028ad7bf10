//! One configuration key: what a row of the table says, and how a text becomes a value of the key's type.
//! The messages are Kafka's, because clients and their tests read them.

use std::collections::HashSet;
use std::fmt;

/// A row of the table.
#[derive(Debug)]
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// Kafka's default; None is Kafka's null, or no default at all.
    pub default: Option<&'static str>,
    pub rule: Rule,
    pub importance: Importance,
    pub update: Update,
    pub honour: Honour,
    /// Not told by DescribeConfigs unless somebody has set it.
    pub internal: bool,
    /// Broker keys that stand in when the topic or group does not set this one, the most specific first.
    pub fallbacks: &'static [&'static str],
    pub doc: &'static str,
}

/// The type of a value; the numbers are those of DescribeConfigs (KIP-569).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Boolean = 1,
    String = 2,
    Int = 3,
    Short = 4,
    Long = 5,
    Double = 6,
    List = 7,
    Class = 8,
    Password = 9,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// How a broker key may be changed while the broker runs (KIP-226).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Update {
    ReadOnly,
    PerBroker,
    /// For the whole cluster, and also for one broker.
    ClusterWide,
}

/// What Ottla does with a key that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Honour {
    Honoured,
    /// Kafka acts on it, Ottla does not yet.
    NotYet,
    /// There is nothing in Ottla that it could tune.
    NoEffect,
}

/// What is allowed beyond the type.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    Any,
    AtLeast(i64),
    Between(i64, i64),
    /// From 0 to this.
    FractionUpTo(f64),
    OneOf(&'static [&'static str]),
    OneOfAnyCase(&'static [&'static str]),
    /// Any number of these, also none; of anything when the slice is empty.
    ListOf(&'static [&'static str]),
    /// At least one of these; of anything when the slice is empty.
    NonEmptyListOf(&'static [&'static str]),
    NonEmpty,
    GzipLevel,
    ThrottledReplicas,
    ShareOffsetReset,
}

/// A value of a key's type. `Display` writes it as Kafka does.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Boolean(bool),
    Text(String),
    Integer(i64),
    Double(f64),
    List(Vec<String>),
}

/// A text that is no value of its key. `Display` is Kafka's message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    pub key: &'static str,
    message: String,
}

/// A row of a broker key.
pub const fn broker(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    rule: Rule,
    importance: Importance,
    update: Update,
    honour: Honour,
    doc: &'static str,
) -> Key {
    Key { name, kind, default, rule, importance, update, honour, internal: false, fallbacks: &[], doc }
}

/// A row of a broker key that is not shown.
pub const fn internal(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    rule: Rule,
    importance: Importance,
    update: Update,
    honour: Honour,
    doc: &'static str,
) -> Key {
    Key { name, kind, default, rule, importance, update, honour, internal: true, fallbacks: &[], doc }
}

/// A row of a key of a topic, a group or a client metrics subscription.
pub const fn resource(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    rule: Rule,
    importance: Importance,
    fallbacks: &'static [&'static str],
    honour: Honour,
    doc: &'static str,
) -> Key {
    let update = Update::ClusterWide;
    Key { name, kind, default, rule, importance, update, honour, internal: false, fallbacks, doc }
}

/// A row of a topic key that is not shown.
pub const fn internal_resource(
    name: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    rule: Rule,
    importance: Importance,
    fallbacks: &'static [&'static str],
    honour: Honour,
    doc: &'static str,
) -> Key {
    let update = Update::ClusterWide;
    Key { name, kind, default, rule, importance, update, honour, internal: true, fallbacks, doc }
}

impl Key {
    pub fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }

    /// The value that `text` stands for. White space around it does not count.
    pub fn parse(&self, text: &str) -> Result<Value, Invalid> {
        let value = self.typed(text)?;
        self.check(&value)?;
        Ok(value)
    }

    /// What may be written, for people: `int, at least 1`.
    pub fn allowed(&self) -> String {
        let kind = format!("{:?}", self.kind).to_lowercase();
        match self.rule {
            Rule::Any => kind,
            Rule::AtLeast(least) => format!("{kind}, at least {least}"),
            Rule::Between(least, most) => format!("{kind}, {least} to {most}"),
            Rule::FractionUpTo(most) => format!("{kind}, 0 to {most}"),
            Rule::OneOf(names) | Rule::OneOfAnyCase(names) => {
                format!("one of {}", names.join(", "))
            }
            Rule::ListOf([]) => "a list".to_owned(),
            Rule::NonEmptyListOf([]) => "a list that is not empty".to_owned(),
            Rule::ListOf(names) | Rule::NonEmptyListOf(names) => {
                format!("a list of {}", names.join(", "))
            }
            Rule::NonEmpty => "a text that is not empty".to_owned(),
            Rule::GzipLevel => "int, 1 to 9, or -1".to_owned(),
            Rule::ThrottledReplicas => "'*' or a list of partition:broker".to_owned(),
            Rule::ShareOffsetReset => "earliest, latest or by_duration:PnDTnHnMn.nS".to_owned(),
        }
    }

    fn typed(&self, text: &str) -> Result<Value, Invalid> {
        let trimmed = text.trim();
        let number = |kind: &str| self.invalid(text, format_args!("Not a number of type {kind}"));
        match self.kind {
            Kind::Boolean => match trimmed.to_ascii_lowercase().as_str() {
                "true" => Ok(Value::Boolean(true)),
                "false" => Ok(Value::Boolean(false)),
                _ => Err(self.invalid(text, "Expected value to be either true or false")),
            },
            Kind::Int => trimmed.parse::<i32>().map(|n| Value::Integer(n.into())).map_err(|_| number("INT")),
            Kind::Short => {
                trimmed.parse::<i16>().map(|n| Value::Integer(n.into())).map_err(|_| number("SHORT"))
            }
            Kind::Long => trimmed.parse().map(Value::Integer).map_err(|_| number("LONG")),
            Kind::Double => parse_double(trimmed).map(Value::Double).ok_or_else(|| number("DOUBLE")),
            Kind::List => Ok(Value::List(self.entries(trimmed))),
            Kind::String | Kind::Class | Kind::Password => Ok(Value::Text(trimmed.to_owned())),
        }
    }

    /// A value that comes twice counts once.
    fn entries(&self, text: &str) -> Vec<String> {
        let mut entries = split_list(text);
        if !matches!(self.rule, Rule::ThrottledReplicas) {
            let mut seen = HashSet::new();
            entries.retain(|entry| seen.insert(entry.clone()));
        }
        entries
    }

    fn check(&self, value: &Value) -> Result<(), Invalid> {
        match (self.rule, value) {
            (Rule::AtLeast(least), Value::Integer(n)) if *n < least => Err(self.too_small(value, least)),
            (Rule::Between(least, _), Value::Integer(n)) if *n < least => Err(self.too_small(value, least)),
            (Rule::Between(_, most), Value::Integer(n)) if *n > most => Err(self.too_large(value, most)),
            (Rule::FractionUpTo(_), Value::Double(n)) if *n < 0.0 => Err(self.too_small(value, 0)),
            (Rule::FractionUpTo(most), Value::Double(n)) if *n > most => Err(self.too_large(value, most)),
            (Rule::GzipLevel, Value::Integer(n)) if *n != -1 && !(1..=9).contains(n) => {
                Err(self.invalid(value, "Value must be between 1 and 9 or equal to -1"))
            }
            (Rule::OneOf(names), Value::Text(text)) => self.check_name(text, names),
            (Rule::OneOfAnyCase(names), Value::Text(text)) => {
                let known = names.iter().any(|name| name.eq_ignore_ascii_case(text));
                let why = format!("String must be one of (case insensitive): {}", names.join(", "));
                if known { Ok(()) } else { Err(self.invalid(text, why)) }
            }
            (Rule::ListOf(names), Value::List(list)) => self.check_entries(list, names),
            (Rule::NonEmptyListOf(names), Value::List(list)) => self.check_non_empty(list, names),
            (Rule::NonEmpty, Value::Text(text)) if text.is_empty() => {
                Err(self.invalid("", "String must be non-empty"))
            }
            (Rule::ThrottledReplicas, Value::List(list)) => self.check_throttled_replicas(list),
            (Rule::ShareOffsetReset, Value::Text(text)) => self.check_share_offset_reset(text),
            _ => Ok(()),
        }
    }

    fn check_name(&self, text: &str, names: &[&str]) -> Result<(), Invalid> {
        if names.contains(&text) {
            return Ok(());
        }
        Err(self.invalid(text, format_args!("String must be one of: {}", names.join(", "))))
    }

    fn check_non_empty(&self, list: &[String], names: &[&str]) -> Result<(), Invalid> {
        if list.is_empty() {
            let valid = if names.is_empty() {
                "any non-empty value".to_owned()
            } else {
                format!("[{}]", names.join(", "))
            };
            let message =
                format!("Configuration '{}' must not be empty. Valid values include: {valid}", self.name);
            return Err(Invalid { key: self.name, message });
        }
        self.check_entries(list, names)
    }

    fn check_entries(&self, list: &[String], names: &[&str]) -> Result<(), Invalid> {
        list.iter().try_for_each(|entry| {
            if entry.is_empty() {
                let message = format!("Configuration '{}' values must not be empty.", self.name);
                return Err(Invalid { key: self.name, message });
            }
            if names.is_empty() { Ok(()) } else { self.check_name(entry, names) }
        })
    }

    fn check_throttled_replicas(&self, list: &[String]) -> Result<(), Invalid> {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let is_replica = |entry: &String| {
            entry.split_once(':').is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
        };
        let is_all = list.len() == 1 && list[0] == "*";
        if is_all || list.iter().all(is_replica) {
            return Ok(());
        }
        let why = format!(
            "{} must be the literal '*' or a list of replicas in the following format: \
             [partitionId]:[brokerId],[partitionId]:[brokerId],...",
            self.name
        );
        Err(self.invalid(format_args!("[{}]", list.join(", ")), why))
    }

    fn check_share_offset_reset(&self, text: &str) -> Result<(), Invalid> {
        let is_duration = text.strip_prefix("by_duration:").is_some_and(|duration| {
            duration.starts_with(['P', 'p']) && duration.len() > 2 && !duration.contains('-')
        });
        if text == "earliest" || text == "latest" || is_duration {
            return Ok(());
        }
        let why = format!(
            "Invalid value `{text}` for configuration {}. The value must be either 'earliest', 'latest' or of the \
             format 'by_duration:<PnDTnHnMn.nS>'.",
            self.name
        );
        Err(self.invalid(text, why))
    }

    fn too_small(&self, value: &Value, least: i64) -> Invalid {
        self.invalid(value, format_args!("Value must be at least {least}"))
    }

    fn too_large(&self, value: &Value, most: impl fmt::Display) -> Invalid {
        self.invalid(value, format_args!("Value must be no more than {most}"))
    }

    fn invalid(&self, value: impl fmt::Display, why: impl fmt::Display) -> Invalid {
        Invalid {
            key: self.name,
            message: format!("Invalid value {value} for configuration {}: {why}", self.name),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(flag) => write!(f, "{flag}"),
            Value::Text(text) => f.write_str(text),
            Value::Integer(number) => write!(f, "{number}"),
            Value::Double(number) => f.write_str(&java_double(*number)),
            Value::List(list) => f.write_str(&list.join(",")),
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Invalid {}

/// The entries of a list value: nothing from an empty text, else split at commas, white space around them dropped.
pub fn split_list(text: &str) -> Vec<String> {
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    text.split(',').map(|entry| entry.trim().to_owned()).collect()
}

/// Java's Double.parseDouble, but for hexadecimal.
fn parse_double(text: &str) -> Option<f64> {
    match text.trim_start_matches(['+', '-']) {
        "NaN" | "Infinity" => return text.parse().ok(),
        rest if rest.starts_with(|c: char| c.is_ascii_alphabetic()) => return None,
        _ => {}
    }
    text.trim_end_matches(['d', 'D', 'f', 'F']).parse().ok()
}

/// Java's Double.toString: 0.5, 7.0, 1.0E20.
fn java_double(number: f64) -> String {
    let size = number.abs();
    if !number.is_finite() {
        return if number.is_nan() {
            "NaN".into()
        } else if number > 0.0 {
            "Infinity".into()
        } else {
            "-Infinity".into()
        };
    }
    if size == 0.0 || (1e-3..1e7).contains(&size) {
        return format!("{number:?}");
    }
    let text = format!("{number:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}
