//! A member as the log has it: what it told of itself, and where it is on its way.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::super::commands::Protocol;
use super::super::hard::kept;

/// Partitions by topic, each with the epoch in which the member got it; no topic is without partitions.
pub type PartitionEpochs = BTreeMap<Uuid, BTreeMap<i32, i32>>;

/// A member of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    pub metadata: MemberMetadata,
    pub current: CurrentAssignment,
}

/// What a member told of itself (ConsumerGroupMemberMetadataValue).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberMetadata {
    pub instance_id: Option<StrBytes>,
    pub rack_id: Option<StrBytes>,
    pub client_id: StrBytes,
    pub client_host: StrBytes,
    pub subscribed_topic_names: BTreeSet<StrBytes>,
    /// Empty for none.
    pub subscribed_topic_regex: StrBytes,
    /// -1 if it never said.
    pub rebalance_timeout_ms: i32,
    pub server_assignor: Option<StrBytes>,
    /// Set for a member that uses the classic protocol.
    pub classic: Option<ClassicMetadata>,
}

/// What a member of the classic protocol has besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicMetadata {
    pub session_timeout_ms: i32,
    pub protocols: Vec<Protocol>,
}

/// Where a member is (ConsumerGroupCurrentMemberAssignmentValue).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentAssignment {
    pub member_epoch: i32,
    /// The epoch that it had before: it may not have heard of the present one.
    pub previous_member_epoch: i32,
    pub state: MemberState,
    /// What it may own.
    pub assigned: PartitionEpochs,
    /// What it has to give up, and may own until it says that it has.
    pub pending_revocation: PartitionEpochs,
}

/// What a member does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberState {
    /// It has what it shall have in its epoch.
    Stable,
    /// It has to give partitions up before it comes into the next epoch.
    UnrevokedPartitions,
    /// It waits for partitions that others have not given up.
    UnreleasedPartitions,
    /// A state that a later version of Kafka made.
    Unknown,
}

impl Member {
    /// Whether it is where the target assignment of that epoch wants it.
    pub fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.current.state == MemberState::Stable && self.current.member_epoch == target_epoch
    }

    pub fn uses_classic_protocol(&self) -> bool {
        self.metadata.classic.is_some()
    }
}

impl MemberMetadata {
    /// The regular expression, if there is one.
    pub fn regex(&self) -> Option<&StrBytes> {
        Some(&self.subscribed_topic_regex).filter(|regex| !regex.is_empty())
    }

    /// With strings of its own, none of which keeps a request's or a batch's bytes in memory.
    pub fn kept(&self) -> Self {
        let protocol = |protocol: &Protocol| Protocol {
            name: kept(&protocol.name),
            metadata: bytes::Bytes::copy_from_slice(&protocol.metadata),
        };
        let classic = |classic: &ClassicMetadata| ClassicMetadata {
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic.protocols.iter().map(protocol).collect(),
        };
        MemberMetadata {
            instance_id: self.instance_id.as_ref().map(kept),
            rack_id: self.rack_id.as_ref().map(kept),
            client_id: kept(&self.client_id),
            client_host: kept(&self.client_host),
            subscribed_topic_names: self.subscribed_topic_names.iter().map(kept).collect(),
            subscribed_topic_regex: kept(&self.subscribed_topic_regex),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            server_assignor: self.server_assignor.as_ref().map(kept),
            classic: self.classic.as_ref().map(classic),
        }
    }
}

impl CurrentAssignment {
    /// All partitions that the member may own, those that it has to give up included.
    pub fn held(&self) -> impl Iterator<Item = (Uuid, i32)> {
        let each = |(topic_id, partitions): (&Uuid, &BTreeMap<i32, i32>)| {
            let topic_id = *topic_id;
            partitions.keys().map(move |partition| (topic_id, *partition)).collect::<Vec<_>>()
        };
        self.assigned.iter().chain(&self.pending_revocation).flat_map(each)
    }

    /// The epoch in which the member got a partition that it may still own.
    pub fn epoch_of(&self, topic_id: Uuid, partition: i32) -> Option<i32> {
        let of = |partitions: &PartitionEpochs| partitions.get(&topic_id)?.get(&partition).copied();
        of(&self.assigned).or_else(|| of(&self.pending_revocation))
    }

    /// As ever the tombstone leaves it: a member without epoch and partitions, about to go.
    pub fn gone() -> Self {
        CurrentAssignment { member_epoch: -1, ..CurrentAssignment::default() }
    }
}

impl Default for MemberMetadata {
    fn default() -> Self {
        MemberMetadata {
            instance_id: None,
            rack_id: None,
            client_id: StrBytes::new(),
            client_host: StrBytes::new(),
            subscribed_topic_names: BTreeSet::new(),
            subscribed_topic_regex: StrBytes::new(),
            rebalance_timeout_ms: -1,
            server_assignor: None,
            classic: None,
        }
    }
}

impl Default for CurrentAssignment {
    fn default() -> Self {
        CurrentAssignment {
            member_epoch: 0,
            previous_member_epoch: -1,
            state: MemberState::Stable,
            assigned: PartitionEpochs::new(),
            pending_revocation: PartitionEpochs::new(),
        }
    }
}
