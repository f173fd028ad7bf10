//! From one generation to the next: the moves that joining, leaving and dying members have in common.
//!
//! A [`Transition`] is a working copy of one group with the records and effects gathered so far; the group itself is
//! replaced only when the outcome is applied.

use std::sync::Arc;

use ottla_protocol::StrBytes;

use super::super::commands::{JoinAnswer, JoinRefused, Joined, SyncAnswer};
use super::super::hard::{GroupRecord, LoggedGroup};
use super::super::{Answer, Effect, GroupConfig, GroupError, GroupOutcome, SoftChange, TimerKey};
use super::{ClassicGroup, InitialDelay, Member, State};
use crate::coordinator::{Outcome, Ticket};

/// A decision in the making.
pub(in super::super) struct Transition<'a> {
    pub group_id: StrBytes,
    pub group: ClassicGroup,
    pub now_ms: i64,
    pub config: &'a GroupConfig,
    records: Vec<GroupRecord>,
    effects: Vec<Effect>,
}

impl<'a> Transition<'a> {
    pub fn new(group_id: StrBytes, group: ClassicGroup, now_ms: i64, config: &'a GroupConfig) -> Self {
        Transition { group_id, group, now_ms, config, records: Vec::new(), effects: Vec::new() }
    }

    pub fn finish<R>(self, response: R) -> GroupOutcome<R> {
        let soft = vec![SoftChange::Put(self.group_id, Box::new(self.group))];
        Outcome { response, records: self.records, soft, effects: self.effects }
    }

    pub fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    /// Logs the group as it is now.
    pub fn log_group(&mut self) {
        let group = Some(self.group.to_logged());
        self.records.push(GroupRecord::Group { group_id: self.group_id.clone(), group });
    }

    /// Logs the group as one that has to rebalance, so that it does also if it is read from the log before it has.
    pub fn log_group_to_rebalance(&mut self) {
        let group = Some(LoggedGroup { leader: None, ..self.group.to_logged() });
        self.records.push(GroupRecord::Group { group_id: self.group_id.clone(), group });
    }

    /// The membership changed: forms a new generation, or sees whether the one that is being formed is complete.
    pub fn rebalance_or_complete_join(&mut self) {
        match self.group.state {
            State::PreparingRebalance => self.complete_join_if_all_joined(),
            State::Empty | State::Stable | State::CompletingRebalance => self.prepare_rebalance(),
        }
    }

    /// Asks all members to join again, and gives a group that was empty the time for more members to come.
    pub fn prepare_rebalance(&mut self) {
        if self.group.state == State::CompletingRebalance {
            self.refuse_awaiting_syncs();
        }
        self.group.pending_syncs.clear();
        self.cancel(self.sync_key());

        let is_initial = self.group.state == State::Empty;
        self.group.transition_to(State::PreparingRebalance, self.now_ms);
        if is_initial {
            self.start_initial_delay();
        } else if self.group.have_all_members_joined() {
            self.complete_join();
        } else {
            self.set(self.join_key(), self.group.rebalance_timeout_ms());
        }
    }

    fn start_initial_delay(&mut self) {
        let step_ms = self.config.initial_rebalance_delay_ms;
        let remaining_ms = (self.group.rebalance_timeout_ms() - step_ms).max(0);
        self.group.initial_delay = Some(InitialDelay { step_ms, remaining_ms, is_member_added: false });
        if step_ms == 0 {
            self.complete_join();
        } else {
            self.set(self.join_key(), step_ms);
        }
    }

    /// The initial delay ran out: once more if a member came meanwhile, in all no longer than the rebalance timeout.
    pub fn extend_initial_delay_or_complete_join(&mut self, delay: InitialDelay) {
        if !delay.is_member_added || delay.remaining_ms == 0 {
            return self.complete_join();
        }
        let step_ms = self.config.initial_rebalance_delay_ms.min(delay.remaining_ms);
        let remaining_ms = (delay.remaining_ms - delay.step_ms).max(0);
        self.group.initial_delay = Some(InitialDelay { step_ms, remaining_ms, is_member_added: false });
        self.set(self.join_key(), step_ms);
    }

    /// Never ends an initial delay early.
    pub fn complete_join_if_all_joined(&mut self) {
        let is_preparing =
            self.group.state == State::PreparingRebalance && self.group.initial_delay.is_none();
        if is_preparing && self.group.have_all_members_joined() {
            self.complete_join();
        }
    }

    /// Begins the next generation with those who joined. Static members stay although they did not.
    pub fn complete_join(&mut self) {
        self.cancel(self.join_key());
        let is_absent = |member: &&Arc<Member>| member.awaiting_join.is_none() && !member.is_static();
        let absent: Vec<StrBytes> =
            self.group.members.values().filter(is_absent).map(|m| m.id.clone()).collect();
        for member_id in absent {
            self.group.remove(&member_id);
            self.cancel(self.session_key(&member_id));
        }

        if !self.elect_joined_leader() && !self.group.members.is_empty() {
            // Only static members are left and none came: wait until they come, or their sessions end.
            return self.set(self.join_key(), self.group.rebalance_timeout_ms());
        }
        self.group.initial_delay = None;
        self.group.generation += 1;
        self.group.protocol = self.group.select_protocol();
        self.group.subscribed_topics = self.group.compute_subscribed_topics();
        self.group.pending_syncs.clear();
        if self.group.members.is_empty() {
            self.group.transition_to(State::Empty, self.now_ms);
            self.log_group();
        } else {
            self.group.transition_to(State::CompletingRebalance, self.now_ms);
            self.answer_all_joins();
            self.set(self.sync_key(), self.group.rebalance_timeout_ms());
        }
    }

    /// The leader stays if it joined, else the lead passes to a member that did.
    fn elect_joined_leader(&mut self) -> bool {
        let Some(leader) = self.group.leader.as_ref().and_then(|id| self.group.members.get(id)) else {
            return false;
        };
        if leader.awaiting_join.is_some() {
            return true;
        }
        let joined = self.group.members.values().find(|member| member.awaiting_join.is_some());
        let Some(id) = joined.map(|member| member.id.clone()) else {
            return false;
        };
        self.group.leader = Some(id);
        true
    }

    fn answer_all_joins(&mut self) {
        let member_ids: Vec<StrBytes> = self.group.members.keys().cloned().collect();
        for member_id in member_ids {
            let answer = Ok(self.joined(&member_id));
            self.answer_join(&member_id, answer);
            self.restart_session(&member_id);
            if let Some(member) = self.group.member_mut(&member_id) {
                member.is_new = false;
            }
            self.group.pending_syncs.insert(member_id);
        }
    }

    /// The current generation as a member is told of it.
    pub fn joined(&self, member_id: &StrBytes) -> Joined {
        let is_leader = self.group.is_leader(member_id);
        Joined {
            member_id: member_id.clone(),
            generation_id: self.group.generation,
            protocol_type: self.group.protocol_type.clone(),
            protocol_name: self.group.protocol.clone(),
            leader: self.group.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            members: if is_leader { self.group.joined_members() } else { Vec::new() },
        }
    }

    /// The generation that the members were about to sync is over before it began.
    fn refuse_awaiting_syncs(&mut self) {
        let member_ids: Vec<StrBytes> = self.group.members.keys().cloned().collect();
        for member_id in member_ids {
            if let Some(member) = self.group.member_mut(&member_id) {
                member.assignment = bytes::Bytes::new();
            }
            if self.answer_sync(&member_id, Err(GroupError::RebalanceInProgress)) {
                self.restart_session(&member_id);
            }
        }
    }

    /// Removes a member that left or died. A JoinGroup of it that still waits is told to begin anew.
    pub fn remove_member(&mut self, member_id: &StrBytes) {
        self.cancel(self.session_key(member_id));
        let refused = JoinRefused { member_id: StrBytes::new(), error: GroupError::UnknownMemberId };
        self.answer_join(member_id, Err(refused));
        self.answer_sync(member_id, Err(GroupError::UnknownMemberId));
        self.group.remove(member_id);
    }

    /// Lets a member wait for the next generation. A JoinGroup of it that still waits was given up by its client.
    pub fn await_join(&mut self, member_id: &StrBytes, ticket: Ticket) {
        let refused = JoinRefused { member_id: member_id.clone(), error: GroupError::RebalanceInProgress };
        self.answer_join(member_id, Err(refused));
        if let Some(member) = self.group.member_mut(member_id) {
            member.awaiting_join = Some(ticket);
        }
    }

    /// Lets a member wait for its assignment. A SyncGroup of it that still waits was given up by its client.
    pub fn await_sync(&mut self, member_id: &StrBytes, ticket: Ticket) {
        self.answer_sync(member_id, Err(GroupError::RebalanceInProgress));
        if let Some(member) = self.group.member_mut(member_id) {
            member.awaiting_sync = Some(ticket);
        }
    }

    /// Answers the JoinGroup that the member waits for, if it does.
    pub fn answer_join(&mut self, member_id: &StrBytes, answer: JoinAnswer) -> bool {
        match self.group.member_mut(member_id).and_then(|member| member.awaiting_join.take()) {
            Some(ticket) => {
                self.answer(ticket, Answer::Join(answer));
                true
            }
            None => false,
        }
    }

    /// Answers the SyncGroup that the member waits for, if it does.
    pub fn answer_sync(&mut self, member_id: &StrBytes, answer: SyncAnswer) -> bool {
        match self.group.member_mut(member_id).and_then(|member| member.awaiting_sync.take()) {
            Some(ticket) => {
                self.answer(ticket, Answer::Sync(answer));
                true
            }
            None => false,
        }
    }

    pub fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.effects.push(Effect::Answer(ticket, answer));
    }

    /// A member showed that it lives.
    pub fn restart_session(&mut self, member_id: &StrBytes) {
        if let Some(member) = self.group.members.get(member_id) {
            let session_timeout_ms = member.session_timeout_ms;
            self.set(self.session_key(member_id), session_timeout_ms);
        }
    }

    pub fn set(&mut self, key: TimerKey, after_ms: i32) {
        self.effects.push(Effect::SetTimer(key, self.now_ms + i64::from(after_ms)));
    }

    pub fn cancel(&mut self, key: TimerKey) {
        self.effects.push(Effect::CancelTimer(key));
    }

    pub fn session_key(&self, member_id: &StrBytes) -> TimerKey {
        TimerKey::Session { group_id: self.group_id.clone(), member_id: member_id.clone() }
    }

    pub fn join_key(&self) -> TimerKey {
        TimerKey::Join { group_id: self.group_id.clone() }
    }

    pub fn sync_key(&self) -> TimerKey {
        TimerKey::Sync { group_id: self.group_id.clone() }
    }
}
