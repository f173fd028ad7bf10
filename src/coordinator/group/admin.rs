//! What administrators ask: ListGroups, DescribeGroups, DeleteGroups.

use std::sync::Arc;

use ottla_protocol::StrBytes;

use super::commands::{DescribedGroup, DescribedMember, ListedGroup};
use super::offsets::tombstone;
use super::{ClassicGroup, GroupError, GroupOutcome, GroupRecord, GroupShard, Member, SoftChange, State};

/// `group_type` of a classic group in ListGroups.
const CLASSIC: &str = "classic";

impl GroupShard {
    /// All groups of the shard, in any order.
    pub fn list(&self) -> Vec<ListedGroup> {
        let listed = |(group_id, group): (&StrBytes, &ClassicGroup)| ListedGroup {
            group_id: group_id.clone(),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            state: group.state.name(),
            group_type: CLASSIC,
        };
        self.live.iter().map(listed).collect()
    }

    /// One group. Only a stable one has a protocol to show; what its members had before a rebalance stays to be seen.
    pub fn describe(&self, group_id: &StrBytes) -> Result<DescribedGroup, GroupError> {
        let group = self.group(group_id).ok_or(GroupError::GroupIdNotFound)?;
        let protocol = group.protocol.as_ref().filter(|_| group.state == State::Stable);
        Ok(DescribedGroup {
            group_id: group_id.clone(),
            state: group.state.name(),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            protocol: protocol.cloned().unwrap_or_default(),
            members: group.members.values().map(|member| describe_member(member, protocol)).collect(),
        })
    }

    /// Removes a group without members, and its offsets.
    pub fn delete(&self, group_id: &StrBytes) -> GroupOutcome<Result<(), GroupError>> {
        let Some(group) = self.group(group_id) else {
            return GroupOutcome::answer(Err(GroupError::GroupIdNotFound));
        };
        if group.state != State::Empty {
            return GroupOutcome::answer(Err(GroupError::NonEmptyGroup));
        }
        let mut outcome = GroupOutcome::answer(Ok(()));
        for (topic, partitions) in self.hard_state().offsets(group_id).into_iter().flatten() {
            outcome.records.extend(partitions.keys().map(|index| tombstone(group_id, topic, *index)));
        }
        // Also for a group that was never logged, as Kafka does.
        outcome.records.push(GroupRecord::Group { group_id: group_id.clone(), group: None });
        outcome.soft.push(SoftChange::Remove(group_id.clone()));
        outcome
    }
}

fn describe_member(member: &Arc<Member>, protocol: Option<&StrBytes>) -> DescribedMember {
    DescribedMember {
        member_id: member.id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        metadata: protocol.map(|protocol| member.metadata(protocol)).unwrap_or_default(),
        assignment: member.assignment.clone(),
    }
}
