//! Streams groups (KIP-1071): the threads of a Kafka Streams application. Pure.
//!
//! Enters: heartbeats, due timers, replayed records. Leaves: a member's epoch and tasks, records, topics to be made.
//! The first member brings the application's topology; the coordinator checks it against the topics that there are,
//! says which internal topics are to be made, shares the tasks out and leads each member, in its own time, from what
//! it has to what it shall have. Whatever a member is told was recorded first, so a group is wholly in the log; what
//! follows from it and from the topics is kept beside it ([`SoftStreams`]).
//!
//! | file | what |
//! |---|---|
//! | `heartbeat.rs` | a member joins or goes on: the one path from a request to its answer |
//! | `leave.rs` | members that leave or fall silent; timers |
//! | `topology.rs`, `configure.rs` | the application's topology, alone and beside the topics |
//! | `target.rs`, `assignor.rs` | what each member shall have |
//! | `reconcile.rs`, `owners.rs` | a member's way there: what it gives up first, what it waits for |
//! | `endpoints.rs` | which process has the state of which partitions |
//! | `offsets.rs` | who may commit and fetch offsets |
//! | `describe.rs` | StreamsGroupDescribe |
//! | `group.rs`, `member.rs`, `tasks.rs` | what the log has of a group, and its replay |
//! | `records.rs` | the bytes of the records |
//!
//! As in Kafka 4.3 there are no static members, no warm-up tasks, no regular expressions for source topics, and a
//! group's topology does not change.

mod assignor;
mod commands;
mod config;
mod configure;
mod describe;
mod endpoints;
mod group;
mod heartbeat;
mod leave;
mod member;
mod offsets;
mod owners;
mod reconcile;
pub mod records;
mod soft;
mod target;
mod tasks;
mod topology;

#[cfg(test)]
mod simulator;
#[cfg(test)]
mod transcripts;

use ottla_protocol::StrBytes;

pub use commands::{
    DescribedStreamsGroup, DescribedStreamsMember, EndpointPartitions, Status, StatusKind, StreamsHeartbeat,
    StreamsHeartbeatAnswer,
};
pub use config::StreamsConfig;
pub use group::{GroupMetadata, StreamsGroup, StreamsRecord, StreamsState, TargetMetadata};
pub use member::{CurrentAssignment, Endpoint, MemberMetadata, MemberState, StreamsMember};
pub use offsets::TaskClaim;
pub use soft::SoftStreams;
pub use tasks::{ActiveTasks, AssignedTasks, TaskSet, Tasks};
pub use topology::{CopartitionGroup, InternalTopic, Subtopology, Topology};

/// What a timer of a streams group is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamsTimer {
    /// `streams.session.timeout.ms` of a member.
    Session { group_id: StrBytes, member_id: StrBytes },
    /// The member's own limit for giving tasks up.
    Rebalance { group_id: StrBytes, member_id: StrBytes },
    /// `streams.initial.rebalance.delay.ms`.
    InitialDelay { group_id: StrBytes },
}
