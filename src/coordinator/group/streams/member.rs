//! A member of a streams group, as the log has it.

use std::collections::BTreeMap;

use ottla_protocol::StrBytes;

use super::tasks::AssignedTasks;

/// A member: what it said of itself, and what it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamsMember {
    pub metadata: MemberMetadata,
    pub current: CurrentAssignment,
}

/// What a member said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberMetadata {
    pub instance_id: Option<StrBytes>,
    pub rack_id: Option<StrBytes>,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
    pub rebalance_timeout_ms: i32,
    /// Of the topology that the member came with, which may be older than the group's.
    pub topology_epoch: i32,
    /// The application's instance that it is a thread of.
    pub process_id: StrBytes,
    pub user_endpoint: Option<Endpoint>,
    pub client_tags: BTreeMap<StrBytes, StrBytes>,
}

/// Where a process answers queries of its state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    pub host: StrBytes,
    pub port: u16,
}

/// How far a member has come on its way to its target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CurrentAssignment {
    pub member_epoch: i32,
    pub previous_member_epoch: i32,
    pub state: MemberState,
    pub tasks: AssignedTasks,
    /// The member has to say that it gave these up.
    pub pending_revocation: AssignedTasks,
}

/// What a member is about, with Kafka's numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MemberState {
    /// It has all of its target in its epoch.
    #[default]
    Stable = 1,
    /// It has tasks to give up first.
    UnrevokedTasks = 2,
    /// Others have not given up yet what it shall have.
    UnreleasedTasks = 3,
    /// Written by a newer version.
    Unknown = 127,
}

impl StreamsMember {
    /// Whether nothing is left to do for the target of that epoch.
    pub fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.current.state == MemberState::Stable && self.current.member_epoch == target_epoch
    }
}

impl Default for MemberMetadata {
    fn default() -> Self {
        MemberMetadata {
            instance_id: None,
            rack_id: None,
            client_id: StrBytes::new(),
            client_host: StrBytes::new(),
            rebalance_timeout_ms: -1,
            topology_epoch: -1,
            process_id: StrBytes::new(),
            user_endpoint: None,
            client_tags: BTreeMap::new(),
        }
    }
}

impl MemberState {
    pub fn from_number(number: i8) -> MemberState {
        match number {
            1 => MemberState::Stable,
            2 => MemberState::UnrevokedTasks,
            3 => MemberState::UnreleasedTasks,
            _ => MemberState::Unknown,
        }
    }
}
