//! JoinGroup: a member, new or known, asks for a place in the next generation.

use ottla_protocol::StrBytes;

use super::super::commands::{Join, JoinRefused, Joined};
use super::super::{Answer, AnyGroup, GroupConfig, GroupError, GroupOutcome, GroupShard, HardGroup};
use super::rebalance::Transition;
use super::{ClassicGroup, Member, State};
use crate::coordinator::ClusterView;
use crate::coordinator::group::hard::kept;

impl GroupShard {
    /// JoinGroup. The answer leaves under the command's ticket, often only when the other members have joined.
    pub fn join(&self, join: &Join, now_ms: i64, view: &dyn ClusterView) -> GroupOutcome<()> {
        if let Err(error) = join.check(&self.config) {
            return refuse(join, &join.member_id, error);
        }
        let mut outcome = GroupOutcome::answer(());
        match self.hard_state().group(&join.group_id) {
            Some(HardGroup::Consumer(group)) if !group.is_empty() => {
                return self.join_consumer_group(join, group, now_ms, view);
            }
            // Without members they give way to a group of this kind.
            Some(HardGroup::Consumer(group)) => self.end_group(&join.group_id, &**group, &mut outcome),
            Some(HardGroup::Streams(group)) if AnyGroup::is_empty(&**group) => {
                self.end_group(&join.group_id, &**group, &mut outcome);
            }
            Some(HardGroup::Share(_) | HardGroup::Streams(_)) => {
                return refuse(join, &StrBytes::new(), GroupError::InconsistentGroupProtocol);
            }
            Some(HardGroup::Classic(_)) | None => {}
        }
        let known = self.group(&join.group_id);
        let group = match known {
            Some(group) => group.clone(),
            None if join.member_id.is_empty() => ClassicGroup::new(now_ms),
            None => return refuse(join, &join.member_id, GroupError::UnknownMemberId),
        };
        let mut transition = Transition::new(kept(&join.group_id), group, now_ms, &self.config);
        transition.join(join);
        if known.is_none() && !transition.has_records() {
            // Kafka logs a group as soon as somebody asks for it, even if there is no generation yet.
            transition.log_new_group();
        }
        let joined = transition.finish(());
        outcome.records.extend(joined.records);
        outcome.soft.extend(joined.soft);
        outcome.effects.extend(joined.effects);
        outcome
    }
}

impl Join {
    /// What Kafka looks at in the request itself, before it asks whether the coordinator is here.
    pub fn check(&self, config: &GroupConfig) -> Result<(), GroupError> {
        if self.group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        if self.session_timeout_ms < config.min_session_timeout_ms
            || self.session_timeout_ms > config.max_session_timeout_ms
        {
            return Err(GroupError::InvalidSessionTimeout);
        }
        Ok(())
    }
}

fn refuse(join: &Join, member_id: &StrBytes, error: GroupError) -> GroupOutcome<()> {
    let mut outcome = GroupOutcome::answer(());
    let refused = JoinRefused { member_id: member_id.clone(), error };
    outcome.effects.push(super::super::Effect::Answer(join.ticket, Answer::Join(Err(refused))));
    outcome
}

impl Transition<'_> {
    fn join(&mut self, join: &Join) {
        if !self.accepts(&join.member_id) {
            self.group.remove(&join.member_id);
            return self.refuse(join, &StrBytes::new(), GroupError::GroupMaxSizeReached);
        }
        if !self.group.supports(&join.protocol_type, &join.protocols) {
            return self.refuse(join, &join.member_id, GroupError::InconsistentGroupProtocol);
        }
        if !join.member_id.is_empty() {
            return self.join_with_id(join);
        }
        match &join.group_instance_id {
            Some(instance_id) => self.join_static(join, instance_id),
            None => self.join_dynamic(join),
        }
    }

    /// Whether there is room (KIP-389). While a generation is formed only those who joined count, so that of a group
    /// that is too big the last to come are turned away.
    fn accepts(&self, member_id: &StrBytes) -> bool {
        let member = self.group.members.get(member_id);
        match self.group.state {
            State::Empty => true,
            State::PreparingRebalance => {
                member.is_some_and(|member| member.awaiting_join.is_some())
                    || self.group.joining_members() < self.config.max_size
            }
            State::CompletingRebalance | State::Stable => {
                member.is_some() || self.group.members.len() < self.config.max_size
            }
        }
    }

    fn join_dynamic(&mut self, join: &Join) {
        let member_id = new_member_id(&join.client_id, join);
        if !join.must_know_member_id {
            return self.add_member(join, member_id);
        }
        self.group.pending_joins.insert(member_id.clone());
        self.set(self.session_key(&member_id), join.session_timeout_ms);
        self.refuse(join, &member_id, GroupError::MemberIdRequired);
    }

    fn join_static(&mut self, join: &Join, instance_id: &StrBytes) {
        let member_id = new_member_id(instance_id, join);
        match self.group.static_members.get(instance_id).cloned() {
            Some(replaced) => self.replace_static_member(join, &replaced, member_id),
            None => self.add_member(join, member_id),
        }
    }

    fn join_with_id(&mut self, join: &Join) {
        let member_id = kept(&join.member_id);
        if self.group.pending_joins.contains(&member_id) && join.group_instance_id.is_none() {
            return self.add_member(join, member_id);
        }
        let member = match self.group.check_member(&member_id, join.group_instance_id.as_ref()) {
            Ok(member) => member,
            Err(error) => return self.refuse(join, &member_id, error),
        };
        let is_unchanged = member.protocols == join.protocols;
        match self.group.state {
            State::PreparingRebalance => self.rejoin(join, &member_id),
            // It may not have got its answer: the generation is still the same.
            State::CompletingRebalance if is_unchanged => self.accept(join, self.joined(&member_id)),
            State::CompletingRebalance => self.rejoin(join, &member_id),
            // The leader may know of a reason, such as a topic that grew; for the others nothing has changed.
            State::Stable if is_unchanged && !self.group.is_leader(&member_id) => {
                self.accept(join, self.joined(&member_id));
            }
            State::Stable => self.rejoin(join, &member_id),
            State::Empty => self.refuse(join, &member_id, GroupError::UnknownMemberId),
        }
    }

    fn rejoin(&mut self, join: &Join, member_id: &StrBytes) {
        if let Some(member) = self.group.member_mut(member_id) {
            member.update(join);
        }
        self.await_join(member_id, join.ticket);
        self.rebalance_or_complete_join();
    }

    fn add_member(&mut self, join: &Join, member_id: StrBytes) {
        if let Some(delay) = &mut self.group.initial_delay {
            delay.is_member_added = true;
        }
        if self.group.members.is_empty() {
            self.group.protocol_type = Some(kept(&join.protocol_type));
        }
        self.group.insert(Member::joining(join, member_id.clone()));
        // It cannot heartbeat before it has its answer, and nobody tells us if its connection is gone. So it is removed
        // after a time; if it is still there it asks again.
        self.set(self.session_key(&member_id), GroupConfig::NEW_MEMBER_JOIN_TIMEOUT_MS);
        self.rebalance_or_complete_join();
    }

    /// A static member came back without its id: it takes over the place, and the old id is fenced (KIP-345).
    fn replace_static_member(&mut self, join: &Join, replaced: &StrBytes, member_id: StrBytes) {
        let old_leader = self.group.leader.clone().unwrap_or_default();
        self.fence_and_rename(replaced, &member_id);
        self.restart_session(&member_id);
        if let Some(member) = self.group.member_mut(&member_id) {
            member.update(join);
        }
        match self.group.state {
            State::Stable if self.group.select_protocol() == self.group.protocol => {
                // No rebalance: the new process goes on with what the old one had.
                self.log_group();
                let joined = self.take_over(join, &member_id, old_leader);
                self.accept(join, joined);
            }
            State::CompletingRebalance => {
                // The leader may have assigned to the old id already, so that generation cannot be completed.
                self.await_join(&member_id, join.ticket);
                self.prepare_rebalance();
            }
            State::Stable | State::PreparingRebalance | State::Empty => {
                self.await_join(&member_id, join.ticket);
                self.rebalance_or_complete_join();
            }
        }
    }

    fn fence_and_rename(&mut self, replaced: &StrBytes, member_id: &StrBytes) {
        let fenced = JoinRefused { member_id: replaced.clone(), error: GroupError::FencedInstanceId };
        self.answer_join(replaced, Err(fenced));
        self.answer_sync(replaced, Err(GroupError::FencedInstanceId));
        self.cancel(self.session_key(replaced));
        let Some(old) = self.group.members.get(replaced).cloned() else {
            return;
        };
        let was_leader = self.group.is_leader(replaced);
        let was_pending_sync = self.group.pending_syncs.contains(replaced);
        self.group.remove(replaced);
        self.group.insert(Member { id: member_id.clone(), is_new: false, ..Member::clone(&old) });
        if was_leader {
            self.group.leader = Some(member_id.clone());
        }
        if was_pending_sync {
            self.group.pending_syncs.insert(member_id.clone());
        }
    }

    /// A returning leader must not assign anew. From version 9 on it is told so; before, it is told that somebody
    /// else leads (KIP-814).
    fn take_over(&self, join: &Join, member_id: &StrBytes, old_leader: StrBytes) -> Joined {
        let joined = self.joined(member_id);
        if join.may_skip_assignment {
            Joined { skip_assignment: self.group.is_leader(member_id), ..joined }
        } else {
            Joined { leader: old_leader, members: Vec::new(), ..joined }
        }
    }

    fn accept(&mut self, join: &Join, joined: Joined) {
        self.answer(join.ticket, Answer::Join(Ok(joined)));
    }

    fn refuse(&mut self, join: &Join, member_id: &StrBytes, error: GroupError) {
        let refused = JoinRefused { member_id: member_id.clone(), error };
        self.answer(join.ticket, Answer::Join(Err(refused)));
    }

    fn log_new_group(&mut self) {
        let group = std::mem::replace(&mut self.group, ClassicGroup::new(self.now_ms));
        self.log_group();
        self.group = group;
    }
}

/// Kafka's form of a member id: who it is, and a random UUID.
fn new_member_id(prefix: &StrBytes, join: &Join) -> StrBytes {
    StrBytes::from_string(format!("{}-{}", prefix.as_str(), join.unique))
}
