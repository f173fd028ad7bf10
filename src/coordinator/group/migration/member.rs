//! Members of the classic protocol in a consumer group: SyncGroup, Heartbeat, LeaveGroup, and the time that they have.

use std::collections::BTreeSet;

use ottla_protocol::StrBytes;

use super::super::commands::{Heartbeat, Leave, LeaveAnswer, Leaver, Sync, Synced};
use super::super::consumer::{ClassicMetadata, ConsumerGroup, Member, MemberState};
use super::super::{Answer, Effect, GroupError, GroupOutcome, GroupShard, TimerKey};
use super::embedded;
use crate::coordinator::ClusterView;

impl GroupShard {
    /// SyncGroup: the member is told what it may read in the epoch that it joined.
    pub(in super::super) fn sync_in_consumer_group(
        &self,
        sync: &Sync,
        group: &ConsumerGroup,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> GroupOutcome<()> {
        let mut outcome = GroupOutcome::answer(());
        let answer = check_sync(sync, group).map(|speaker| {
            let Speaker { member_id, member, classic } = speaker;
            if must_rejoin_to_sync(group, member) {
                outcome.effects.push(awaited_join(&sync.group_id, member_id, member, now_ms));
                return Err(GroupError::RebalanceInProgress);
            }
            let key = TimerKey::classic_sync(sync.group_id.clone(), member_id.clone());
            outcome.effects.push(Effect::CancelTimer(key));
            outcome.effects.push(session(&sync.group_id, member_id, classic, now_ms));
            let metadata = classic.protocols.first().map(|protocol| protocol.metadata.clone());
            let assigned = embedded::of_current(&member.current.assigned);
            Ok(Synced {
                protocol_type: sync.protocol_type.clone(),
                protocol_name: sync.protocol_name.clone(),
                assignment: embedded::assignment(assigned, &metadata.unwrap_or_default(), view),
            })
        });
        let answer = answer.and_then(|answer| answer);
        outcome.effects.push(Effect::Answer(sync.ticket, Answer::Sync(answer)));
        outcome
    }

    /// Heartbeat: the member is told to join again when there is something new for it.
    pub(in super::super) fn heartbeat_in_consumer_group(
        &self,
        heartbeat: &Heartbeat,
        group: &ConsumerGroup,
        now_ms: i64,
    ) -> GroupOutcome<Result<(), GroupError>> {
        let speaker = speaker(
            group,
            &heartbeat.member_id,
            heartbeat.group_instance_id.as_ref(),
            heartbeat.generation_id,
        );
        let Speaker { member_id, member, classic } = match speaker {
            Ok(speaker) => speaker,
            Err(error) => return GroupOutcome::answer(Err(error)),
        };
        let mut outcome = GroupOutcome::answer(Ok(()));
        outcome.effects.push(session(&heartbeat.group_id, member_id, classic, now_ms));
        if must_rejoin(group, member_id, member) {
            outcome.response = Err(GroupError::RebalanceInProgress);
            outcome.effects.push(awaited_join(&heartbeat.group_id, member_id, member, now_ms));
        }
        outcome
    }

    /// LeaveGroup: also of members of the consumer protocol, which an administrator may name.
    pub(in super::super) fn leave_consumer_group(
        &self,
        leave: &Leave,
        group: &ConsumerGroup,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> GroupOutcome<LeaveAnswer> {
        let found: Vec<_> = leave.members.iter().map(|leaver| (leaver, find_leaver(group, leaver))).collect();
        let gone: BTreeSet<&StrBytes> = found.iter().filter_map(|(_, found)| found.ok()).collect();
        let answer =
            |(leaver, found): (&Leaver, Result<&StrBytes, GroupError>)| (leaver.clone(), found.map(|_| ()));
        let answers = found.into_iter().map(answer).collect();
        self.remove_consumer_members(&leave.group_id, group, &gone, now_ms, view).map(|()| answers)
    }

    /// A member of the classic protocol was told to join again, or joined, and never came or fetched its assignment.
    pub(in super::super) fn expire_classic_member(
        &self,
        group_id: &StrBytes,
        member_id: &StrBytes,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> GroupOutcome<()> {
        match self.hard_state().consumer_group(group_id) {
            Some(group) => self.remove_consumer_member_if(group_id, group, member_id, |_| true, now_ms, view),
            None => GroupOutcome::answer(()),
        }
    }
}

/// A member of the classic protocol that speaks for itself.
struct Speaker<'a> {
    member_id: &'a StrBytes,
    member: &'a Member,
    classic: &'a ClassicMetadata,
}

fn speaker<'a>(
    group: &'a ConsumerGroup,
    member_id: &StrBytes,
    instance_id: Option<&StrBytes>,
    generation_id: i32,
) -> Result<Speaker<'a>, GroupError> {
    let found = match instance_id {
        None => group.members().get_key_value(member_id),
        Some(instance_id) => group.static_member(instance_id),
    };
    let (found_id, member) = found.ok_or(GroupError::UnknownMemberId)?;
    if found_id != member_id {
        return Err(GroupError::FencedInstanceId);
    }
    let classic = member.metadata.classic.as_ref().ok_or(GroupError::UnknownMemberId)?;
    if generation_id != member.current.member_epoch {
        return Err(GroupError::IllegalGeneration);
    }
    Ok(Speaker { member_id: found_id, member, classic })
}

fn check_sync<'a>(sync: &Sync, group: &'a ConsumerGroup) -> Result<Speaker<'a>, GroupError> {
    let speaker = speaker(group, &sync.member_id, sync.group_instance_id.as_ref(), sync.generation_id)?;
    let name = speaker.classic.protocols.first().map(|protocol| &protocol.name);
    let is_other_type = sync.protocol_type.as_ref().is_some_and(|asked| asked.as_str() != "consumer");
    if is_other_type || sync.protocol_name.as_ref().is_some_and(|asked| Some(asked) != name) {
        return Err(GroupError::InconsistentGroupProtocol);
    }
    Ok(speaker)
}

/// A new epoch has begun since the member joined. One that has to give up partitions does that first.
fn must_rejoin_to_sync(group: &ConsumerGroup, member: &Member) -> bool {
    group.epoch > member.current.member_epoch && member.current.state != MemberState::UnrevokedPartitions
}

/// A new epoch has begun, the member has to say that it gave up partitions, or all that it waits for is free.
fn must_rejoin(group: &ConsumerGroup, member_id: &StrBytes, member: &Member) -> bool {
    match member.current.state {
        _ if member.current.member_epoch < group.epoch => true,
        MemberState::UnrevokedPartitions => true,
        MemberState::UnreleasedPartitions => !waits_for_others(group, member_id, member),
        MemberState::Stable | MemberState::Unknown => false,
    }
}

fn waits_for_others(group: &ConsumerGroup, member_id: &StrBytes, member: &Member) -> bool {
    let mut target = group.target(member_id).into_iter().flatten();
    target.any(|(topic_id, partitions)| {
        let assigned = member.current.assigned.get(topic_id);
        partitions.iter().any(|index| {
            assigned.is_none_or(|assigned| !assigned.contains_key(index))
                && group.owner(*topic_id, *index).is_some()
        })
    })
}

fn find_leaver<'a>(group: &'a ConsumerGroup, leaver: &Leaver) -> Result<&'a StrBytes, GroupError> {
    let found = match &leaver.group_instance_id {
        None => group.members().get_key_value(&leaver.member_id),
        Some(instance_id) => group.static_member(instance_id),
    };
    let (member_id, _) = found.ok_or(GroupError::UnknownMemberId)?;
    // Without a member id it is an administrator who names a static member.
    let is_named = leaver.group_instance_id.is_none() || !leaver.member_id.is_empty();
    if is_named && *member_id != leaver.member_id {
        return Err(GroupError::FencedInstanceId);
    }
    Ok(member_id)
}

fn session(group_id: &StrBytes, member_id: &StrBytes, classic: &ClassicMetadata, now_ms: i64) -> Effect {
    let key = TimerKey::session(group_id.clone(), member_id.clone());
    Effect::SetTimer(key, now_ms + i64::from(classic.session_timeout_ms))
}

/// The member was told to join again: it has its rebalance timeout for that, from the first time on.
fn awaited_join(group_id: &StrBytes, member_id: &StrBytes, member: &Member, now_ms: i64) -> Effect {
    let key = TimerKey::classic_join(group_id.clone(), member_id.clone());
    Effect::StartTimer(key, now_ms + i64::from(member.metadata.rebalance_timeout_ms))
}
