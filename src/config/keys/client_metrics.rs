//! Keys of client metrics subscriptions (KIP-714).
//! One row a key: name, type, default, what is allowed, importance, fallbacks, how Ottla honours it, doc.

use super::super::key::{Honour::*, Importance::*, Key, Kind::*, Rule::*, resource};

#[rustfmt::skip]
pub const CLIENT_METRICS: &[Key] = &[
    resource("interval.ms", Int, Some("300000"), Any, Medium, &[], NotYet,
        "Milliseconds between the pushes of a client's metrics."),
    resource("match", List, Some(""), ListOf(&[]), Medium, &[], NotYet,
        "Patterns that choose the clients, as name=regex."),
    resource("metrics", List, Some(""), ListOf(&[]), Medium, &[], NotYet,
        "Prefixes of the names of the metrics that clients push."),
];
