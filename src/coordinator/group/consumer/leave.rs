//! Members that go: of themselves, or because nothing was heard of them.

use std::collections::BTreeSet;

use ottla_protocol::StrBytes;

use super::super::metadata_hash::metadata_hash;
use super::super::{Effect, GroupOutcome, GroupRecord, GroupShard, Refusal, TimerKey};
use super::joining::{cancelled_timers, fenced_instance, removal, unknown_instance, unknown_member};
use super::{
    ConsumerGroup, ConsumerHeartbeat, ConsumerRecord, CurrentAssignment, GroupEpoch, HeartbeatAnswer,
    LEAVE_STATIC_EPOCH, Member, MemberState, PartitionEpochs,
};
use crate::coordinator::ClusterView;

impl GroupShard {
    /// A heartbeat that leaves, for good or (a static member) for a while.
    pub(super) fn consumer_leave(
        &self,
        request: &ConsumerHeartbeat,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> Result<GroupOutcome<HeartbeatAnswer>, Refusal> {
        let group = self.consumer_group(&request.group_id)?;
        let (member_id, member) = leaver(group, request)?;
        let answer = HeartbeatAnswer {
            member_id: request.member_id.clone(),
            member_epoch: request.member_epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        };
        let group_id = self.hard_state().kept_id(&request.group_id).unwrap_or(&request.group_id);
        let outcome = match request.instance_id {
            Some(_) if request.member_epoch == LEAVE_STATIC_EPOCH => {
                let mut outcome = GroupOutcome::answer(());
                let record = ConsumerRecord::Current(member_id.clone(), Some(away(&member.current)));
                outcome.records.push(GroupRecord::Consumer { group_id: group_id.clone(), record });
                outcome
            }
            _ => self.remove_consumer_members(group_id, group, &BTreeSet::from([member_id]), now_ms, view),
        };
        Ok(outcome.map(|()| answer))
    }

    /// A member was silent for its session timeout.
    pub(in super::super) fn expire_consumer_session(
        &self,
        group_id: &StrBytes,
        group: &ConsumerGroup,
        member_id: &StrBytes,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> GroupOutcome<()> {
        self.remove_consumer_member_if(group_id, group, member_id, |_| true, now_ms, view)
    }

    /// A member did not give up its partitions within its rebalance timeout.
    pub(in super::super) fn expire_consumer_rebalance(
        &self,
        group_id: &StrBytes,
        member_id: &StrBytes,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> GroupOutcome<()> {
        let Some(group) = self.hard_state().consumer_group(group_id) else {
            return GroupOutcome::answer(());
        };
        let is_late = |member: &Member| {
            member.current.state == MemberState::UnrevokedPartitions
                && member.current.member_epoch != LEAVE_STATIC_EPOCH
        };
        self.remove_consumer_member_if(group_id, group, member_id, is_late, now_ms, view)
    }

    /// Removes a member whose time is over, if it is there and `is_due` says so.
    pub(in super::super) fn remove_consumer_member_if(
        &self,
        group_id: &StrBytes,
        group: &ConsumerGroup,
        member_id: &StrBytes,
        is_due: impl Fn(&Member) -> bool,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> GroupOutcome<()> {
        match group.member(member_id) {
            Some(member) if is_due(member) => {
                self.remove_consumer_members(group_id, group, &BTreeSet::from([member_id]), now_ms, view)
            }
            _ => GroupOutcome::answer(()),
        }
    }

    /// A group was read from the log: its members have a session from now on, and time to give up partitions.
    pub(in super::super) fn loaded_consumer_group(
        &self,
        group_id: &StrBytes,
        group: &ConsumerGroup,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> Vec<Effect> {
        let session_timeout_ms = self.config.consumer.session_timeout_ms(group_id, view);
        let mut effects = Vec::new();
        for (member_id, member) in group.members() {
            let (group_id, member_id) = (group_id.clone(), member_id.clone());
            if member.current.state == MemberState::UnrevokedPartitions {
                let key = TimerKey::Rebalance { group_id: group_id.clone(), member_id: member_id.clone() };
                let timeout_ms = i64::from(member.metadata.rebalance_timeout_ms);
                effects.push(Effect::SetTimer(key, now_ms + timeout_ms));
            }
            let key = TimerKey::Session { group_id, member_id };
            effects.push(Effect::SetTimer(key, now_ms + session_timeout_ms));
        }
        effects
    }
}

/// Members go, and their partitions with them: the others have a new epoch without them.
pub(in super::super) fn fence(
    group_id: &StrBytes,
    group: &ConsumerGroup,
    member_ids: &BTreeSet<&StrBytes>,
    view: &dyn ClusterView,
) -> GroupOutcome<()> {
    let mut outcome = GroupOutcome::answer(());
    let mut records: Vec<ConsumerRecord> = member_ids.iter().flat_map(|id| removal(id)).collect();
    let members = member_ids.iter().filter_map(|id| group.member(id));
    let gone: Vec<_> = members.map(|member| &member.metadata).collect();
    let abandoned = group.abandoned_regexes(&gone, None);
    records.extend(abandoned.into_iter().map(|regex| ConsumerRecord::Pattern(regex.clone(), None)));
    let metadata_hash = metadata_hash(group.subscribed_topics_after(&gone, None), view);
    records.push(ConsumerRecord::Epoch(Some(GroupEpoch { epoch: group.epoch + 1, metadata_hash })));
    let record = |record| GroupRecord::Consumer { group_id: group_id.clone(), record };
    outcome.records.extend(records.into_iter().map(record));
    outcome.effects.extend(member_ids.iter().flat_map(|id| cancelled_timers(group_id, id)));
    outcome
}

fn leaver<'a>(
    group: &'a ConsumerGroup,
    request: &ConsumerHeartbeat,
) -> Result<(&'a StrBytes, &'a Member), Refusal> {
    let Some(instance_id) = &request.instance_id else {
        let found = group.members().get_key_value(&request.member_id);
        return found.ok_or_else(|| unknown_member(&request.member_id, &request.group_id));
    };
    let (member_id, member) =
        group.static_member(instance_id).ok_or_else(|| unknown_instance(instance_id))?;
    if *member_id != request.member_id {
        return Err(fenced_instance(&request.member_id, instance_id, member_id));
    }
    Ok((member_id, member))
}

/// A static member that is away keeps its partitions, except those that it was giving up: they are free. Whoever comes
/// back in its place has them from the first epoch on.
fn away(current: &CurrentAssignment) -> CurrentAssignment {
    let mut away = CurrentAssignment {
        member_epoch: LEAVE_STATIC_EPOCH,
        pending_revocation: PartitionEpochs::new(),
        ..current.clone()
    };
    away.assigned.values_mut().flat_map(|partitions| partitions.values_mut()).for_each(|epoch| *epoch = 0);
    away
}
