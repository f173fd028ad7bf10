//! Time is up: a session ended, members did not join or did not sync.

use ottla_protocol::StrBytes;

use super::super::hard::LoggedGroup;
use super::super::{GroupOutcome, GroupShard};
use super::rebalance::Transition;
use super::{ClassicGroup, State};

impl GroupShard {
    /// A member was silent for its session timeout, or an id was never used.
    pub(in super::super) fn expire_session(
        &self,
        group_id: &StrBytes,
        member_id: &StrBytes,
        now_ms: i64,
    ) -> GroupOutcome<()> {
        let Some(mut transition) = self.transition(group_id, now_ms) else {
            return GroupOutcome::answer(());
        };
        if transition.group.pending_joins.contains(member_id) {
            transition.group.remove(member_id);
            transition.complete_join_if_all_joined();
            return transition.finish(());
        }
        match transition.group.members.get(member_id) {
            Some(member) if !member.is_excused_from_heartbeat() => {
                transition.remove_member(member_id);
                transition.rebalance_or_complete_join();
                transition.finish(())
            }
            Some(_) | None => GroupOutcome::answer(()),
        }
    }

    /// The initial delay or the rebalance timeout ran out: the generation begins with those who are there.
    pub(in super::super) fn expire_join(&self, group_id: &StrBytes, now_ms: i64) -> GroupOutcome<()> {
        let Some(mut transition) = self.transition(group_id, now_ms) else {
            return GroupOutcome::answer(());
        };
        if transition.group.state != State::PreparingRebalance {
            return GroupOutcome::answer(());
        }
        match transition.group.initial_delay {
            Some(delay) => transition.extend_initial_delay_or_complete_join(delay),
            None => transition.complete_join(),
        }
        transition.finish(())
    }

    /// Members that joined this generation never asked for their assignment: the others go on without them.
    pub(in super::super) fn expire_sync(&self, group_id: &StrBytes, now_ms: i64) -> GroupOutcome<()> {
        let Some(mut transition) = self.transition(group_id, now_ms) else {
            return GroupOutcome::answer(());
        };
        let is_synced = transition.group.pending_syncs.is_empty();
        if is_synced || !matches!(transition.group.state, State::CompletingRebalance | State::Stable) {
            return GroupOutcome::answer(());
        }
        for member_id in std::mem::take(&mut transition.group.pending_syncs) {
            transition.remove_member(&member_id);
        }
        transition.prepare_rebalance();
        transition.finish(())
    }

    /// A group was read from the log: its members have a session from now on.
    pub(in super::super) fn loaded_group(
        &self,
        group_id: &StrBytes,
        logged: &LoggedGroup,
        now_ms: i64,
        outcome: &mut GroupOutcome<()>,
    ) {
        let group = ClassicGroup::from_logged(logged);
        let mut transition = Transition::new(group_id.clone(), group, now_ms, &self.config);
        let member_ids: Vec<StrBytes> = transition.group.members.keys().cloned().collect();
        for member_id in &member_ids {
            transition.restart_session(member_id);
        }
        if logged.awaits_rebalance() || member_ids.len() > self.config.max_size {
            transition.prepare_rebalance();
        }
        let loaded = transition.finish(());
        outcome.records.extend(loaded.records);
        outcome.soft.extend(loaded.soft);
        outcome.effects.extend(loaded.effects);
    }

    fn transition(&self, group_id: &StrBytes, now_ms: i64) -> Option<Transition<'_>> {
        let group = self.group(group_id)?;
        Some(Transition::new(group_id.clone(), group.clone(), now_ms, &self.config))
    }
}
