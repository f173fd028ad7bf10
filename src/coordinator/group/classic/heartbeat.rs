//! Heartbeat: a member shows that it lives, and learns whether a rebalance is going on.

use ottla_protocol::StrBytes;

use super::super::commands::Heartbeat;
use super::super::{Effect, GroupError, GroupOutcome, GroupShard, TimerKey};
use super::{Member, State};

impl GroupShard {
    /// Heartbeat. The cheapest command: two look-ups and a moved deadline.
    pub fn heartbeat(&self, heartbeat: &Heartbeat, now_ms: i64) -> GroupOutcome<Result<(), GroupError>> {
        if let Some(group) = self.hard_state().consumer_group(&heartbeat.group_id) {
            return self.heartbeat_in_consumer_group(heartbeat, group, now_ms);
        }
        match self.check_heartbeat(heartbeat) {
            Err(error) => GroupOutcome::answer(Err(error)),
            Ok((member, response)) => {
                let mut outcome = GroupOutcome::answer(response);
                outcome.effects.push(restart_session(&heartbeat.group_id, member, now_ms));
                outcome
            }
        }
    }

    fn check_heartbeat(
        &self,
        heartbeat: &Heartbeat,
    ) -> Result<(&Member, Result<(), GroupError>), GroupError> {
        if heartbeat.group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let group = self.group(&heartbeat.group_id).ok_or(GroupError::UnknownMemberId)?;
        let member = group.check_member(&heartbeat.member_id, heartbeat.group_instance_id.as_ref())?;
        if heartbeat.generation_id != group.generation {
            return Err(GroupError::IllegalGeneration);
        }
        match group.state {
            State::Empty => Err(GroupError::UnknownMemberId),
            State::PreparingRebalance => Ok((member, Err(GroupError::RebalanceInProgress))),
            // A consumer may heartbeat as soon as it has joined, before it has its assignment.
            State::CompletingRebalance | State::Stable => Ok((member, Ok(()))),
        }
    }
}

/// Moves the end of the member's session.
pub fn restart_session(group_id: &StrBytes, member: &Member, now_ms: i64) -> Effect {
    let key = TimerKey::Session { group_id: group_id.clone(), member_id: member.id.clone() };
    Effect::SetTimer(key, now_ms + i64::from(member.session_timeout_ms))
}
