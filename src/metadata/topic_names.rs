//! Which names a topic may have.

use std::borrow::Cow;

/// The longest name that leaves room for a partition number in a directory's name.
const MAX_TOPIC_NAME_LENGTH: usize = 249;

/// Topics that brokers write for themselves, and that clients are told are internal.
pub fn is_internal(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidTopicName {
    Empty,
    Dots,
    TooLong,
    Characters,
}

impl InvalidTopicName {
    /// What the reference says of such a name (INVALID_TOPIC_EXCEPTION).
    pub fn message(self, name: &str) -> String {
        let why = match self {
            InvalidTopicName::Empty => "the empty string is not allowed".into(),
            InvalidTopicName::Dots => format!("'{name}' is not allowed"),
            InvalidTopicName::TooLong => {
                format!(
                    "the length of '{name}' is longer than the max allowed length {MAX_TOPIC_NAME_LENGTH}"
                )
            }
            InvalidTopicName::Characters => {
                format!(
                    "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
                )
            }
        };
        format!("Topic name is invalid: {why}")
    }
}

pub fn validate_topic_name(name: &str) -> Result<(), InvalidTopicName> {
    if name.is_empty() {
        return Err(InvalidTopicName::Empty);
    }
    if name == "." || name == ".." {
        return Err(InvalidTopicName::Dots);
    }
    if name.len() > MAX_TOPIC_NAME_LENGTH {
        return Err(InvalidTopicName::TooLong);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !name.bytes().all(allowed) {
        return Err(InvalidTopicName::Characters);
    }
    Ok(())
}

/// Metric names turn `.` into `_`, so Kafka lets only one topic have each name of this form.
pub(super) fn collision_key(name: &str) -> Cow<'_, str> {
    if name.contains('.') { Cow::Owned(name.replace('.', "_")) } else { Cow::Borrowed(name) }
}

pub(super) fn may_collide(name: &str) -> bool {
    name.contains(['.', '_'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, message: Option<&str>) {
        let said = validate_topic_name(name).map_err(|invalid| invalid.message(name));
        assert_eq!(said.err().as_deref(), message);
    }

    #[test]
    fn names_are_refused_in_the_references_words() {
        check("a.B_c-9", None);
        check("", Some("Topic name is invalid: the empty string is not allowed"));
        check(".", Some("Topic name is invalid: '.' is not allowed"));
        check("..", Some("Topic name is invalid: '..' is not allowed"));
        check(
            "a b",
            Some(
                "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
            ),
        );
        check(&"a".repeat(249), None);
        let long = "a".repeat(250);
        let said = format!(
            "Topic name is invalid: the length of '{long}' is longer than the max allowed length 249"
        );
        check(&long, Some(&said));
    }
}
