//! What is asked of a streams group, and what it answers.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;

use super::member::{Endpoint, StreamsMember};
use super::tasks::{AssignedTasks, TaskSet};
use super::topology::{InternalTopic, Topology};

/// StreamsGroupHeartbeat. `None` is what the member leaves unsaid because it has not changed.
#[derive(Debug, Clone)]
pub struct StreamsHeartbeat {
    pub group_id: StrBytes,
    pub member_id: StrBytes,
    /// 0 joins; -1 and -2 leave.
    pub member_epoch: i32,
    /// The endpoint information that the member has already.
    pub endpoint_information_epoch: i32,
    pub rack_id: Option<StrBytes>,
    pub rebalance_timeout_ms: Option<i32>,
    /// From members that join.
    pub topology: Option<Topology>,
    pub owned: Option<TaskSet>,
    pub process_id: Option<StrBytes>,
    pub user_endpoint: Option<Endpoint>,
    pub client_tags: Option<BTreeMap<StrBytes, StrBytes>>,
    /// The member asks that the whole application stops.
    pub shutdown_application: bool,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
}

/// What a member is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamsHeartbeatAnswer {
    pub member_id: StrBytes,
    pub member_epoch: i32,
    /// 0 for a member that leaves.
    pub heartbeat_interval_ms: i32,
    pub status: Vec<Status>,
    /// What it shall work on; `None` if that has not changed.
    pub tasks: Option<AssignedTasks>,
    pub endpoint_information_epoch: i32,
    /// Where the application's state can be asked for; `None` if the member knows.
    pub endpoints: Option<Vec<EndpointPartitions>>,
    /// Topics that the application needs and that are not there: to be made, not to be told.
    pub topics_to_create: BTreeMap<StrBytes, InternalTopic>,
}

/// Something that stands in the way of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub kind: StatusKind,
    pub detail: String,
}

/// With the wire's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusKind {
    StaleTopology = 0,
    MissingSourceTopics = 1,
    IncorrectlyPartitionedTopics = 2,
    MissingInternalTopics = 3,
    ShutdownApplication = 4,
    AssignmentDelayed = 5,
}

/// The partitions whose state a process can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointPartitions {
    pub endpoint: Endpoint,
    pub active: Vec<(StrBytes, BTreeSet<i32>)>,
    pub standby: Vec<(StrBytes, BTreeSet<i32>)>,
}

/// A group in StreamsGroupDescribe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedStreamsGroup {
    pub group_id: StrBytes,
    pub state: &'static str,
    pub group_epoch: i32,
    pub assignment_epoch: i32,
    /// With the partitions of internal topics, once they are known.
    pub topology: Topology,
    pub members: Vec<DescribedStreamsMember>,
}

/// A member in StreamsGroupDescribe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedStreamsMember {
    pub member_id: StrBytes,
    pub member: StreamsMember,
    pub target: TaskSet,
}
