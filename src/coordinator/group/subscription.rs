//! What a consumer's JoinGroup metadata says about its topics.
//!
//! The bytes are a ConsumerProtocolSubscription after its version. Every version begins with the topics of version 0,
//! so only that much is read: a newer client needs no newer broker.

use bytes::{Buf, Bytes};
use ottla_protocol::StrBytes;

/// The topics, or `None` if the bytes are no subscription.
pub fn topics(metadata: &Bytes) -> Option<Vec<StrBytes>> {
    let mut bytes = metadata.clone();
    let version = bytes.try_get_i16().ok()?;
    if version < 0 {
        return None;
    }
    let count = usize::try_from(bytes.try_get_i32().ok()?).ok()?;
    // Each name takes two bytes at least, so this bounds what a lying count can ask for.
    let mut topics = Vec::with_capacity(count.min(bytes.remaining() / 2));
    for _ in 0..count {
        let length = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
        if length > bytes.remaining() {
            return None;
        }
        topics.push(StrBytes::try_from(bytes.split_to(length)).ok()?);
    }
    Some(topics)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(metadata: &[u8], expected: Option<&[&str]>) {
        let found = topics(&Bytes::copy_from_slice(metadata));
        let found: Option<Vec<&str>> =
            found.as_ref().map(|names| names.iter().map(|name| name.as_str()).collect());
        assert_eq!(found.as_deref(), expected);
    }

    #[test]
    fn reads_the_topics_and_nothing_else() {
        check(b"\0\0\0\0\0\0\0\0\0\0", Some(&[]));
        check(b"\0\x01\0\0\0\x02\0\x01a\0\x02bc\0\0\0\0\0\0\0\0", Some(&["a", "bc"]));
    }

    #[test]
    fn refuses_what_is_no_subscription() {
        check(b"", None);
        check(b"\xff\xff\0\0\0\0", None);
        check(b"\0\0\x7f\xff\xff\xff", None);
        check(b"\0\0\xff\xff\xff\xff", None);
        check(b"\0\0\0\0\0\x01\0\x05ab", None);
        check(b"\0\0\0\0\0\x01\0\x01\xff", None);
    }
}
