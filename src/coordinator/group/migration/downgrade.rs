//! From a consumer to a classic group, as soon as only members of the classic protocol are left.

use std::collections::BTreeSet;

use bytes::Bytes;
use ottla_protocol::StrBytes;

use super::super::classic::Transition;
use super::super::consumer::{self, ConsumerGroup};
use super::super::{ClassicGroup, GroupOutcome, GroupShard, Member, State};
use super::embedded;
use crate::coordinator::ClusterView;

impl GroupShard {
    /// Members of a consumer group are gone. The others go on without them: in a new epoch, or, if all of them are of the
    /// classic protocol, in a classic group.
    pub(in super::super) fn remove_consumer_members(
        &self,
        group_id: &StrBytes,
        group: &ConsumerGroup,
        gone: &BTreeSet<&StrBytes>,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> GroupOutcome<()> {
        if gone.is_empty() {
            return GroupOutcome::answer(());
        }
        if group.members().len() <= gone.len() || !self.may_downgrade(group, gone, 0) {
            return consumer::fence(group_id, group, gone, view);
        }
        let mut outcome = GroupOutcome::answer(());
        outcome.records.extend(group.tombstones(group_id));
        self.downgrade(group_id, group, gone, Rebalance::Now, now_ms, view, &mut outcome);
        outcome
    }

    /// Whether the group becomes a classic one when some members go and some of the classic protocol come: all that are
    /// left are of the classic protocol.
    pub(super) fn may_downgrade(
        &self,
        group: &ConsumerGroup,
        gone: &BTreeSet<&StrBytes>,
        coming: usize,
    ) -> bool {
        let mut left = group.members().iter().filter(|(id, _)| !gone.contains(id));
        left.all(|(_, member)| member.uses_classic_protocol())
            && self.config.migration_policy.may_downgrade()
            && group.members().len() - gone.len() + coming <= self.config.max_size
    }

    /// Makes a classic group of the members that are left; the records that end the consumer group are in the outcome
    /// already.
    pub(super) fn downgrade(
        &self,
        group_id: &StrBytes,
        group: &ConsumerGroup,
        gone: &BTreeSet<&StrBytes>,
        rebalance: Rebalance,
        now_ms: i64,
        view: &dyn ClusterView,
        outcome: &mut GroupOutcome<()>,
    ) {
        for member_id in group.members().keys() {
            outcome.effects.extend(consumer::cancelled_timers(group_id, member_id));
        }
        let classic = classic_group(group, gone, now_ms, view);
        let member_ids: Vec<StrBytes> = classic.members.keys().cloned().collect();
        let mut transition = Transition::new(group_id.clone(), classic, now_ms, &self.config);
        member_ids.iter().for_each(|member_id| transition.restart_session(member_id));
        match rebalance {
            Rebalance::No => transition.log_group(),
            Rebalance::Now => {
                transition.log_group_to_rebalance();
                transition.prepare_rebalance();
            }
        }
        let classic = transition.finish(());
        outcome.records.extend(classic.records);
        outcome.soft.extend(classic.soft);
        outcome.effects.extend(classic.effects);
    }
}

/// Whether the members of the new classic group have to join anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rebalance {
    Now,
    /// Nothing has changed for them.
    No,
}

fn classic_group(
    group: &ConsumerGroup,
    gone: &BTreeSet<&StrBytes>,
    now_ms: i64,
    view: &dyn ClusterView,
) -> ClassicGroup {
    let mut classic = ClassicGroup::new(now_ms);
    classic.state = State::Stable;
    classic.generation = group.epoch;
    classic.protocol_type = Some(StrBytes::from_static_str("consumer"));
    for (member_id, member) in group.members().iter().filter(|(id, _)| !gone.contains(id)) {
        if let Some(member) = classic_member(member_id, member) {
            classic.insert(member);
        }
    }
    classic.protocol = classic.select_protocol();
    classic.subscribed_topics = classic.compute_subscribed_topics();
    let protocol = classic.protocol.clone().unwrap_or_default();
    let member_ids: Vec<StrBytes> = classic.members.keys().cloned().collect();
    for member_id in &member_ids {
        let Some(member) = classic.member_mut(member_id) else { continue };
        let target = group.target(member_id).into_iter().flat_map(embedded::of_target);
        member.assignment = embedded::assignment(target, &member.metadata(&protocol), view);
    }
    classic
}

fn classic_member(member_id: &StrBytes, member: &consumer::Member) -> Option<Member> {
    let classic = member.metadata.classic.as_ref()?;
    Some(Member {
        id: member_id.clone(),
        group_instance_id: member.metadata.instance_id.clone(),
        client_id: member.metadata.client_id.clone(),
        client_host: member.metadata.client_host.clone(),
        rebalance_timeout_ms: member.metadata.rebalance_timeout_ms,
        session_timeout_ms: classic.session_timeout_ms,
        protocols: classic.protocols.clone(),
        assignment: Bytes::new(),
        awaiting_join: None,
        awaiting_sync: None,
        is_new: false,
    })
}
