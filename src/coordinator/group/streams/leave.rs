//! Members that leave, fall silent, or take too long to give up tasks; and the timers of a group that was read again.

use ottla_protocol::StrBytes;

use super::super::{
    Effect, GroupError, GroupOutcome, GroupRecord, GroupShard, Refusal, SoftChange, TimerKey,
};
use super::StreamsTimer;
use super::commands::{StreamsHeartbeat, StreamsHeartbeatAnswer};
use super::group::{GroupMetadata, StreamsGroup, StreamsRecord, TargetMetadata};
use super::heartbeat::not_a_streams_group;
use super::member::MemberState;
use super::target::next_targets;
use crate::coordinator::ClusterView;

impl GroupShard {
    /// A member says that it goes.
    pub(super) fn streams_leave(
        &self,
        heartbeat: &StreamsHeartbeat,
    ) -> Result<GroupOutcome<StreamsHeartbeatAnswer>, Refusal> {
        let group_id = &heartbeat.group_id;
        let group = self.hard.streams_group(group_id).ok_or_else(|| {
            match self.hard.has(group_id) || self.group(group_id).is_some() {
                true => not_a_streams_group(group_id),
                false => {
                    GroupError::GroupIdNotFound.because(format!("Group {} not found.", group_id.as_str()))
                }
            }
        })?;
        group.member(group_id, &heartbeat.member_id)?;
        let answer = StreamsHeartbeatAnswer {
            member_id: heartbeat.member_id.clone(),
            member_epoch: heartbeat.member_epoch,
            ..StreamsHeartbeatAnswer::default()
        };
        let mut outcome = self.remove_streams_member(group_id, group, &heartbeat.member_id).map(|()| answer);
        let mut soft = self.streams.get(group_id).cloned().unwrap_or_default();
        if heartbeat.shutdown_application && group.members.len() > 1 && soft.shutdown_requested_by.is_none() {
            soft.shutdown_requested_by = Some(super::super::hard::kept(&heartbeat.member_id));
            outcome.soft.push(SoftChange::Streams(group_id.clone(), Some(Box::new(soft))));
        }
        Ok(outcome)
    }

    /// A streams group's timer is due.
    pub(in crate::coordinator::group) fn expire_streams(
        &self,
        timer: &StreamsTimer,
        now_ms: i64,
        _view: &dyn ClusterView,
    ) -> GroupOutcome<()> {
        match timer {
            StreamsTimer::Session { group_id, member_id } => self.fence_streams_member(group_id, member_id),
            StreamsTimer::Rebalance { group_id, member_id } => {
                let group = self.hard.streams_group(group_id);
                let member = group.and_then(|group| group.members.get(member_id));
                match member.map(|member| member.current.state) {
                    Some(MemberState::UnrevokedTasks) => self.fence_streams_member(group_id, member_id),
                    _ => GroupOutcome::answer(()),
                }
            }
            StreamsTimer::InitialDelay { group_id } => self.end_initial_delay(group_id, now_ms),
        }
    }

    /// Starts the timers of a group that was read from its log.
    pub(in crate::coordinator::group) fn loaded_streams_group(
        &self,
        group_id: &StrBytes,
        group: &StreamsGroup,
        now_ms: i64,
        view: &dyn ClusterView,
        outcome: &mut GroupOutcome<()>,
    ) {
        let session_timeout_ms = self.config.streams.session_timeout_ms(group_id, view);
        for (member_id, member) in &group.members {
            let (group_id, member_id) = (group_id.clone(), member_id.clone());
            let session = StreamsTimer::Session { group_id: group_id.clone(), member_id: member_id.clone() };
            outcome.effects.push(Effect::SetTimer(TimerKey::Streams(session), now_ms + session_timeout_ms));
            if member.current.state == MemberState::UnrevokedTasks {
                let at_ms = now_ms + i64::from(member.metadata.rebalance_timeout_ms);
                let rebalance = StreamsTimer::Rebalance { group_id, member_id };
                outcome.effects.push(Effect::SetTimer(TimerKey::Streams(rebalance), at_ms));
            }
        }
    }

    fn fence_streams_member(&self, group_id: &StrBytes, member_id: &StrBytes) -> GroupOutcome<()> {
        match self.hard.streams_group(group_id) {
            Some(group) if group.members.contains_key(member_id) => {
                self.remove_streams_member(group_id, group, member_id)
            }
            _ => GroupOutcome::answer(()),
        }
    }

    fn remove_streams_member(
        &self,
        group_id: &StrBytes,
        group: &StreamsGroup,
        member_id: &StrBytes,
    ) -> GroupOutcome<()> {
        let mut outcome = GroupOutcome::answer(());
        let metadata = GroupMetadata { epoch: group.metadata.epoch + 1, ..group.metadata.clone() };
        for record in [
            StreamsRecord::Current(member_id.clone(), None),
            StreamsRecord::Target(member_id.clone(), None),
            StreamsRecord::Member(member_id.clone(), None),
            StreamsRecord::Metadata(Some(metadata)),
        ] {
            outcome.records.push(GroupRecord::Streams { group_id: group_id.clone(), record });
        }
        let (of, member_id) = (|| group_id.clone(), || member_id.clone());
        for timer in [
            StreamsTimer::Session { group_id: of(), member_id: member_id() },
            StreamsTimer::Rebalance { group_id: of(), member_id: member_id() },
        ] {
            outcome.effects.push(Effect::CancelTimer(TimerKey::Streams(timer)));
        }
        // The last one takes the wish to stop with it.
        let soft = self.streams.get(group_id).filter(|soft| soft.shutdown_requested_by.is_some());
        if let Some(mut soft) = soft.filter(|_| group.members.len() == 1).cloned() {
            soft.shutdown_requested_by = None;
            outcome.soft.push(SoftChange::Streams(group_id.clone(), Some(Box::new(soft))));
        }
        outcome
    }

    /// Enough was waited for more members: works out the first assignment.
    fn end_initial_delay(&self, group_id: &StrBytes, now_ms: i64) -> GroupOutcome<()> {
        let mut outcome = GroupOutcome::answer(());
        let Some(mut soft) = self.streams.get(group_id).cloned() else {
            return outcome;
        };
        soft.is_delayed = false;
        let configured = soft.configured.as_ref().map(|it| it.topology.clone());
        outcome.soft.push(SoftChange::Streams(group_id.clone(), Some(Box::new(soft))));
        let group = self.hard.streams_group(group_id);
        let group = group.filter(|it| !it.members.is_empty() && it.metadata.epoch > it.target_metadata.epoch);
        let (Some(group), Some(configured)) = (group, configured) else {
            return outcome;
        };
        let targets = next_targets(group, None, &configured, &group.metadata.assignment_configs);
        let mut records: Vec<StreamsRecord> = Vec::new();
        for (member_id, target) in targets {
            if group.targets.get(&member_id) != Some(&target) {
                records.push(StreamsRecord::Target(member_id, Some(target)));
            }
        }
        let metadata = TargetMetadata { epoch: group.metadata.epoch, timestamp_ms: now_ms };
        records.push(StreamsRecord::TargetMetadata(Some(metadata)));
        let record = |record| GroupRecord::Streams { group_id: group_id.clone(), record };
        outcome.records = records.into_iter().map(record).collect();
        outcome
    }
}
