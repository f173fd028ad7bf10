//! SyncGroup: the leader brings the assignment, the others fetch it.

use std::collections::HashMap;

use bytes::Bytes;
use ottla_protocol::StrBytes;

use super::super::commands::{Sync, Synced};
use super::super::{Answer, Effect, GroupError, GroupOutcome, GroupShard};
use super::rebalance::Transition;
use super::{ClassicGroup, State};
use crate::coordinator::ClusterView;
use crate::coordinator::group::hard::kept;

impl GroupShard {
    /// SyncGroup. The answer leaves under the command's ticket; for followers when the leader has brought it.
    pub fn sync(&self, sync: &Sync, now_ms: i64, view: &dyn ClusterView) -> GroupOutcome<()> {
        if let Some(group) = self.hard_state().consumer_group(&sync.group_id) {
            return self.sync_in_consumer_group(sync, group, now_ms, view);
        }
        let group = match self.check_sync(sync) {
            Ok(group) => group,
            Err(error) => return refuse(sync, error),
        };
        let mut transition = Transition::new(kept(&sync.group_id), group.clone(), now_ms, &self.config);
        transition.sync(sync);
        transition.finish(())
    }

    fn check_sync(&self, sync: &Sync) -> Result<&ClassicGroup, GroupError> {
        if sync.group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        let group = self.group(&sync.group_id).ok_or(GroupError::UnknownMemberId)?;
        group.check_member(&sync.member_id, sync.group_instance_id.as_ref())?;
        if sync.generation_id != group.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let differs =
            |asked: &Option<StrBytes>, actual: &Option<StrBytes>| asked.is_some() && asked != actual;
        if differs(&sync.protocol_type, &group.protocol_type) || differs(&sync.protocol_name, &group.protocol)
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        if group.state == State::PreparingRebalance {
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(group)
    }
}

fn refuse(sync: &Sync, error: GroupError) -> GroupOutcome<()> {
    let mut outcome = GroupOutcome::answer(());
    outcome.effects.push(Effect::Answer(sync.ticket, Answer::Sync(Err(error))));
    outcome
}

impl Transition<'_> {
    fn sync(&mut self, sync: &Sync) {
        self.group.pending_syncs.remove(&sync.member_id);
        if self.group.pending_syncs.is_empty() {
            self.cancel(self.sync_key());
        }
        if self.group.state == State::Stable {
            let synced = self.synced(&sync.member_id);
            return self.answer(sync.ticket, Answer::Sync(Ok(synced)));
        }
        self.await_sync(&sync.member_id, sync.ticket);
        if self.group.is_leader(&sync.member_id) {
            self.assign(sync);
        }
    }

    /// The generation is complete: logs it and answers all who wait. Who asks later gets the assignment at once.
    fn assign(&mut self, sync: &Sync) {
        let mut assignments: HashMap<&StrBytes, &Bytes> =
            sync.assignments.iter().map(|(id, a)| (id, a)).collect();
        let member_ids: Vec<StrBytes> = self.group.members.keys().cloned().collect();
        for member_id in &member_ids {
            let assignment =
                assignments.remove(member_id).map(|a| Bytes::copy_from_slice(a)).unwrap_or_default();
            if let Some(member) = self.group.member_mut(member_id) {
                member.assignment = assignment;
            }
        }
        // Kafka logs the time at which the generation was formed, not that of the assignment.
        self.log_group();
        self.group.transition_to(State::Stable, self.now_ms);
        for member_id in &member_ids {
            let synced = self.synced(member_id);
            if self.answer_sync(member_id, Ok(synced)) {
                self.restart_session(member_id);
            }
        }
    }

    fn synced(&self, member_id: &StrBytes) -> Synced {
        let assignment = self.group.members.get(member_id).map(|member| member.assignment.clone());
        Synced {
            protocol_type: self.group.protocol_type.clone(),
            protocol_name: self.group.protocol.clone(),
            assignment: assignment.unwrap_or_default(),
        }
    }
}
