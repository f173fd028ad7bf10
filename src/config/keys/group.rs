//! Group keys; each row also names the broker key it falls back to.
//! One row a key: name, type, default, what is allowed, importance, fallbacks, how Ottla honours it, doc.

use super::super::key::{Honour::*, Importance::*, Key, Kind::*, Rule::*, resource};

#[rustfmt::skip]
pub const GROUP: &[Key] = &[
    resource("consumer.assignment.interval.ms", Int, Some("1000"), AtLeast(0), Medium, &["group.consumer.assignment.interval.ms"], Honoured,
        "Least milliseconds between two assignments of the consumer group."),
    resource("consumer.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), Medium, &["group.consumer.heartbeat.interval.ms"], Honoured,
        "Milliseconds between heartbeats of the consumer group's members."),
    resource("consumer.session.timeout.ms", Int, Some("45000"), AtLeast(1), Medium, &["group.consumer.session.timeout.ms"], Honoured,
        "Milliseconds without a heartbeat after which a member of the consumer group is removed."),
    resource("share.assignment.interval.ms", Int, Some("1000"), AtLeast(0), Medium, &["group.share.assignment.interval.ms"], Honoured,
        "Least milliseconds between two assignments of the share group."),
    resource("share.auto.offset.reset", String, Some("latest"), ShareOffsetReset, Medium, &[], Honoured,
        "Where the share group begins in a partition: earliest, latest or by_duration:PnDTnHnMn.nS."),
    resource("share.delivery.count.limit", Int, Some("5"), AtLeast(2), Medium, &["group.share.delivery.count.limit"], Honoured,
        "Times that a record is delivered to the share group before it counts as rejected."),
    resource("share.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), Medium, &["group.share.heartbeat.interval.ms"], Honoured,
        "Milliseconds between heartbeats of the share group's members."),
    resource("share.isolation.level", String, Some("read_uncommitted"), OneOf(&["read_committed", "read_uncommitted"]), Medium, &[], Honoured,
        "Whether the share group sees records of transactions that are not committed."),
    resource("share.partition.max.record.locks", Int, Some("2000"), AtLeast(100), Medium, &["group.share.partition.max.record.locks"], Honoured,
        "Most records of a partition that the share group may lock at a time."),
    resource("share.record.lock.duration.ms", Int, Some("30000"), AtLeast(1000), Medium, &["group.share.record.lock.duration.ms"], Honoured,
        "Milliseconds for which a record stays locked by the member that took it."),
    resource("share.renew.acknowledge.enable", Boolean, Some("true"), Any, Medium, &[], Honoured,
        "Whether members may renew the lock of a record."),
    resource("share.session.timeout.ms", Int, Some("45000"), AtLeast(1), Medium, &["group.share.session.timeout.ms"], Honoured,
        "Milliseconds without a heartbeat after which a member of the share group is removed."),
    resource("streams.assignment.interval.ms", Int, Some("1000"), AtLeast(0), Medium, &["group.streams.assignment.interval.ms"], Honoured,
        "Least milliseconds between two assignments of the streams group."),
    resource("streams.heartbeat.interval.ms", Int, Some("5000"), AtLeast(1), Medium, &["group.streams.heartbeat.interval.ms"], Honoured,
        "Milliseconds between heartbeats of the streams group's members."),
    resource("streams.initial.rebalance.delay.ms", Int, Some("3000"), AtLeast(0), Medium, &["group.streams.initial.rebalance.delay.ms"], Honoured,
        "Milliseconds that the first rebalance of the empty streams group waits for more members."),
    resource("streams.num.standby.replicas", Int, Some("0"), AtLeast(0), Medium, &["group.streams.num.standby.replicas"], Honoured,
        "Standby replicas of each task of the streams group."),
    resource("streams.session.timeout.ms", Int, Some("45000"), AtLeast(1), Medium, &["group.streams.session.timeout.ms"], Honoured,
        "Milliseconds without a heartbeat after which a member of the streams group is removed."),
];
