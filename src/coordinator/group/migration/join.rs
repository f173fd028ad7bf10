//! JoinGroup to a consumer group: a member of the classic protocol, new or known, asks for what it may read.
//!
//! It is led like the others, only that it says what it owns by joining anew: so it joins once to be told what to give
//! up, and again when it has.

use std::collections::BTreeSet;

use ottla_protocol::StrBytes;
use ottla_protocol::kafka_id;

use super::super::commands::{Join, JoinRefused, Joined};
use super::super::consumer::{
    ClassicMetadata, ConsumerGroup, ConsumerHeartbeat, ConsumerState, Decision, JOIN_EPOCH,
};
use super::super::{Answer, Effect, GroupError, GroupOutcome, GroupRecord, GroupShard, TimerKey};
use super::downgrade::Rebalance;
use super::embedded::{self, Subscription};
use crate::coordinator::ClusterView;

impl GroupShard {
    /// JoinGroup to a consumer group that has members, after [`Join::check`].
    pub(in super::super) fn join_consumer_group(
        &self,
        join: &Join,
        group: &ConsumerGroup,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> GroupOutcome<()> {
        let refuse = |refused: JoinRefused| {
            let mut outcome = GroupOutcome::answer(());
            outcome.effects.push(Effect::Answer(join.ticket, Answer::Join(Err(refused))));
            outcome
        };
        self.decide_join(join, group, now_ms, view).unwrap_or_else(refuse)
    }

    fn decide_join(
        &self,
        join: &Join,
        group: &ConsumerGroup,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> Result<GroupOutcome<()>, JoinRefused> {
        let refuse = |error| JoinRefused { member_id: StrBytes::new(), error };
        let subscription = subscription(join, group, view).map_err(refuse)?;
        if join.member_id.is_empty() && join.must_know_member_id && join.group_instance_id.is_none() {
            // Nothing is kept of it: whoever joins with an id is a member.
            let member_id = StrBytes::from_string(kafka_id(&join.unique));
            return Err(JoinRefused { member_id, error: GroupError::MemberIdRequired });
        }
        let request = request(join, subscription);
        let classic = ClassicMetadata {
            session_timeout_ms: join.session_timeout_ms,
            protocols: join.protocols.clone(),
        };
        let group_id = self.hard_state().kept_id(&join.group_id).unwrap_or(&join.group_id).clone();
        let mut decision = Decision {
            shard: self,
            request: &request,
            classic: Some(classic),
            group_id: group_id.clone(),
            group,
            now_ms,
            view,
            outcome: GroupOutcome::answer(()),
        };
        let settled = decision.settle().map_err(|refusal| refuse(refusal.error))?;
        let mut outcome = decision.outcome;
        let member_id = settled.speaker.member_id.clone();
        let replaced: BTreeSet<&StrBytes> = settled.speaker.replaced.iter().collect();
        let was_consumer = !settled.speaker.before.uses_classic_protocol();
        if !replaced.is_empty() && was_consumer && self.may_downgrade(group, &replaced, 1) {
            let is_changed = settled.has_subscription_changed;
            self.downgrade_after(&group_id, group, is_changed, now_ms, view, &mut outcome);
        } else {
            let key = |make: fn(StrBytes, StrBytes) -> TimerKey| make(group_id.clone(), member_id.clone());
            let session_ms = now_ms + i64::from(join.session_timeout_ms);
            let sync_ms = now_ms + i64::from(join.rebalance_timeout_ms);
            outcome.effects.extend([
                Effect::CancelTimer(key(TimerKey::classic_join)),
                Effect::SetTimer(key(TimerKey::session), session_ms),
                Effect::SetTimer(key(TimerKey::classic_sync), sync_ms),
            ]);
        }
        let answer = Answer::Join(Ok(joined(join, member_id, settled.current().member_epoch)));
        outcome.effects.push(Effect::Answer(join.ticket, answer));
        Ok(outcome)
    }

    /// The last member of the consumer protocol was static, and has come back with the classic one.
    fn downgrade_after(
        &self,
        group_id: &StrBytes,
        group: &ConsumerGroup,
        has_subscription_changed: bool,
        now_ms: i64,
        view: &dyn ClusterView,
        outcome: &mut GroupOutcome<()>,
    ) {
        let mut after = group.clone();
        for record in &outcome.records {
            if let GroupRecord::Consumer { record, .. } = record {
                after.replay(record);
            }
        }
        outcome.records.extend(after.tombstones(group_id));
        // Whoever waits for partitions would wait forever in a classic group that does not rebalance.
        let rebalance = match after.state() {
            ConsumerState::Stable if !has_subscription_changed => Rebalance::No,
            _ => Rebalance::Now,
        };
        self.downgrade(group_id, &after, &BTreeSet::new(), rebalance, now_ms, view, outcome);
    }
}

fn joined(join: &Join, member_id: StrBytes, generation_id: i32) -> Joined {
    Joined {
        member_id,
        generation_id,
        protocol_type: Some(StrBytes::from_static_str("consumer")),
        protocol_name: join.protocols.first().map(|protocol| protocol.name.clone()),
        // Nobody leads: the coordinator assigns.
        leader: StrBytes::new(),
        skip_assignment: false,
        members: Vec::new(),
    }
}

/// What the member subscribes to, if it can live with the others.
fn subscription(
    join: &Join,
    group: &ConsumerGroup,
    view: &dyn ClusterView,
) -> Result<Subscription, GroupError> {
    let is_consumer = join.protocol_type.as_str() == "consumer";
    let everyone_offers = |name: &StrBytes| {
        let classic = group.members().values().filter_map(|member| member.metadata.classic.as_ref());
        classic.into_iter().all(|member| member.protocols.iter().any(|offered| offered.name == *name))
    };
    if !is_consumer || !join.protocols.iter().any(|protocol| everyone_offers(&protocol.name)) {
        return Err(GroupError::InconsistentGroupProtocol);
    }
    let metadata = join.protocols.first().map(|protocol| &protocol.metadata);
    // Kafka's answer to what is no subscription is UNKNOWN_SERVER_ERROR.
    metadata
        .and_then(|metadata| embedded::subscription(metadata, view))
        .ok_or(GroupError::InconsistentGroupProtocol)
}

/// What a member of the consumer protocol would have said.
fn request(join: &Join, subscription: Subscription) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        group_id: join.group_id.clone(),
        member_id: join.member_id.clone(),
        member_epoch: JOIN_EPOCH,
        instance_id: join.group_instance_id.clone(),
        rack_id: subscription.rack,
        rebalance_timeout_ms: Some(join.rebalance_timeout_ms).filter(|timeout_ms| *timeout_ms >= 0),
        subscribed_topic_names: Some(subscription.topics),
        subscribed_topic_regex: None,
        server_assignor: None,
        topic_partitions: Some(subscription.owned),
        client_id: join.client_id.clone(),
        client_host: join.client_host.clone(),
        must_name_itself: false,
        unique: join.unique,
    }
}
