//! Groups of the consumer protocol (KIP-848). Pure.
//!
//! Enters: heartbeats, due timers, replayed records. Leaves: a member's epoch and partitions, records. A member says
//! what it subscribes to and what it owns; the coordinator shares the partitions out and leads each member, in its own
//! time, from what it has to what it shall have. Whatever a member is told was recorded first, so a group is wholly in
//! the log; only its timers are not.
//!
//! | file | what |
//! |---|---|
//! | `heartbeat.rs` | a member joins or goes on: the one path from a request to its answer |
//! | `joining.rs` | which member speaks: epochs, static members |
//! | `target.rs` | the group's epoch, and what each member shall have in it |
//! | `reconcile.rs` | a member's way there: what it gives up first, what it waits for |
//! | `leave.rs` | members that leave, are fenced, or fall silent |
//! | `patterns.rs` | subscriptions by regular expression, resolved here |
//! | `checks.rs` | what is wrong in a request itself |
//! | `offsets.rs` | who may commit and fetch offsets |
//! | `describe.rs` | ConsumerGroupDescribe |
//! | `group.rs`, `member.rs` | what the log has of a group, and its replay |
//! | `records.rs` | the records and their bytes |
//!
//! A member may use the classic protocol ([`MemberMetadata::classic`]): its partitions are decided here like others'.

mod checks;
mod commands;
mod config;
mod describe;
mod group;
mod heartbeat;
mod joining;
mod leave;
mod member;
mod offsets;
mod patterns;
mod reconcile;
pub mod records;
mod target;

#[cfg(test)]
mod simulator;

pub use checks::check_heartbeat;
pub use commands::{
    ConsumerHeartbeat, DescribedConsumerGroup, DescribedConsumerMember, DescribedTopic, HeartbeatAnswer,
    TopicPartitionList,
};
pub use config::ConsumerConfig;
pub use group::{ConsumerGroup, ConsumerState, RefreshCheck};
pub(super) use heartbeat::Decision;
pub(super) use joining::cancelled_timers;
pub(super) use leave::fence;
pub use member::{ClassicMetadata, CurrentAssignment, Member, MemberMetadata, MemberState, PartitionEpochs};
pub use offsets::OffsetClaim;
pub use records::{ConsumerRecord, GroupEpoch, ResolvedPattern, TargetEpoch};

/// The epoch of a heartbeat that joins.
pub const JOIN_EPOCH: i32 = 0;
/// The epoch of a heartbeat that leaves.
pub const LEAVE_EPOCH: i32 = -1;
/// The epoch of a static member that leaves for a while and keeps its place.
pub const LEAVE_STATIC_EPOCH: i32 = -2;
