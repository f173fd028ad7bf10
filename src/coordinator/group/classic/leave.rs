//! LeaveGroup: members go, each with a result of its own (KIP-345).

use super::super::commands::{Leave, LeaveAnswer, Leaver};
use super::super::{GroupError, GroupOutcome, GroupShard};
use super::rebalance::Transition;
use crate::coordinator::ClusterView;
use crate::coordinator::group::hard::kept;

impl GroupShard {
    /// LeaveGroup.
    pub fn leave(
        &self,
        leave: &Leave,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> GroupOutcome<Result<LeaveAnswer, GroupError>> {
        if leave.group_id.is_empty() {
            return GroupOutcome::answer(Err(GroupError::InvalidGroupId));
        }
        if let Some(group) = self.hard_state().consumer_group(&leave.group_id) {
            return self.leave_consumer_group(leave, group, now_ms, view).map(Ok);
        }
        let Some(group) = self.group(&leave.group_id) else {
            let nobody = |leaver: &Leaver| (leaver.clone(), Err(GroupError::UnknownMemberId));
            return GroupOutcome::answer(Ok(leave.members.iter().map(nobody).collect()));
        };
        let mut transition = Transition::new(kept(&leave.group_id), group.clone(), now_ms, &self.config);
        let answer: LeaveAnswer =
            leave.members.iter().map(|leaver| (leaver.clone(), transition.leave(leaver))).collect();
        if answer.iter().any(|(_, result)| result.is_ok()) {
            transition.rebalance_after_leave();
        }
        transition.finish(Ok(answer))
    }
}

impl Transition<'_> {
    fn leave(&mut self, leaver: &Leaver) -> Result<(), GroupError> {
        let member_id = if leaver.member_id.is_empty() {
            let instance_id = leaver.group_instance_id.as_ref().ok_or(GroupError::UnknownMemberId)?;
            self.group.static_members.get(instance_id).cloned().ok_or(GroupError::UnknownMemberId)?
        } else {
            leaver.member_id.clone()
        };
        if self.group.pending_joins.contains(&member_id) {
            self.cancel(self.session_key(&member_id));
            self.group.remove(&member_id);
            return Ok(());
        }
        self.group.check_member(&member_id, leaver.group_instance_id.as_ref())?;
        self.remove_member(&member_id);
        Ok(())
    }

    /// An empty group stays as it is: those who left it had not joined yet.
    pub(super) fn rebalance_after_leave(&mut self) {
        if self.group.state != super::State::Empty {
            self.rebalance_or_complete_join();
        }
    }
}
