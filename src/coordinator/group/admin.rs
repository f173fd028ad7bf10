//! What administrators ask: ListGroups, DescribeGroups, DeleteGroups.

use std::sync::Arc;

use ottla_protocol::StrBytes;

use super::commands::{DescribedGroup, DescribedMember, ListedGroup};
use super::offsets::tombstone;
use super::{AnyGroup, GroupError, GroupOutcome, GroupShard, Member, Refusal, SoftChange, State};

impl GroupShard {
    /// All groups of the shard, in any order.
    pub fn list(&self) -> Vec<ListedGroup> {
        let listed = |(group_id, group): (&StrBytes, &dyn AnyGroup)| ListedGroup {
            group_id: group_id.clone(),
            protocol_type: group.protocol_type(),
            state: group.state_name(),
            group_type: group.group_type(),
        };
        self.any_groups().map(listed).collect()
    }

    /// One classic group. Only a stable one has a protocol to show; what its members had before a rebalance stays to be
    /// seen.
    pub fn describe(&self, group_id: &StrBytes) -> Result<DescribedGroup, Refusal> {
        let Some(group) = self.group(group_id) else {
            let is_other = self.any_group(group_id).is_some();
            let why = if is_other { "is not a classic group." } else { "not found." };
            return Err(GroupError::GroupIdNotFound.because(format!("Group {group_id} {why}")));
        };
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
        let Some(group) = self.any_group(group_id) else {
            return GroupOutcome::answer(Err(GroupError::GroupIdNotFound));
        };
        if !group.is_empty() {
            return GroupOutcome::answer(Err(GroupError::NonEmptyGroup));
        }
        let mut outcome = GroupOutcome::answer(Ok(()));
        for (topic, partitions) in self.hard_state().offsets(group_id).into_iter().flatten() {
            outcome.records.extend(partitions.keys().map(|index| tombstone(group_id, topic, *index)));
        }
        outcome.records.extend(self.pending_tombstones(group_id, |_| true));
        self.end_group(group_id, group, &mut outcome);
        outcome
    }

    /// Lets a group go, once its offsets are gone.
    pub(super) fn end_group<R>(
        &self,
        group_id: &StrBytes,
        group: &dyn AnyGroup,
        outcome: &mut GroupOutcome<R>,
    ) {
        outcome.records.extend(group.tombstones(group_id));
        if self.live.contains_key(group_id) {
            outcome.soft.push(SoftChange::Remove(group_id.clone()));
        }
        if self.streams.contains_key(group_id) {
            outcome.soft.push(SoftChange::Streams(group_id.clone(), None));
        }
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
