//! ConsumerGroupHeartbeat: a member joins, or says that it is there and what has changed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;

use super::super::assignors::TopicPartitions;
use super::super::hard::kept;
use super::super::{
    Effect, GroupError, GroupOutcome, GroupRecord, GroupShard, HardGroup, Refusal, SoftChange, State,
    TimerKey,
};
use super::joining::Speaker;
use super::patterns::PatternUpdate;
use super::reconcile::Reconciliation;
use super::{
    ClassicMetadata, ConsumerGroup, ConsumerHeartbeat, ConsumerRecord, CurrentAssignment, HeartbeatAnswer,
    JOIN_EPOCH, LEAVE_EPOCH, LEAVE_STATIC_EPOCH, MemberMetadata, MemberState, TopicPartitionList,
};
use crate::coordinator::ClusterView;

impl GroupShard {
    /// ConsumerGroupHeartbeat, after [`check_heartbeat`](super::check_heartbeat).
    pub fn consumer_heartbeat(
        &self,
        request: &ConsumerHeartbeat,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> GroupOutcome<Result<HeartbeatAnswer, Refusal>> {
        let decided = match request.member_epoch {
            LEAVE_EPOCH | LEAVE_STATIC_EPOCH => self.consumer_leave(request, now_ms, view),
            _ => self.consumer_stay(request, now_ms, view),
        };
        decided.map_or_else(|refusal| GroupOutcome::answer(Err(refusal)), |outcome| outcome.map(Ok))
    }

    fn consumer_stay(
        &self,
        request: &ConsumerHeartbeat,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> Result<GroupOutcome<HeartbeatAnswer>, Refusal> {
        let mut outcome = GroupOutcome::answer(());
        let group = self.consumer_group_to_stay_in(request, now_ms, view, &mut outcome)?;
        let group_id = self.hard_state().kept_id(&request.group_id).cloned();
        let group_id = group_id.unwrap_or_else(|| kept(&request.group_id));
        let decision =
            Decision { shard: self, request, classic: None, group_id, group: &group, now_ms, view, outcome };
        decision.decide()
    }

    /// The group of a heartbeat. One that joins makes it, also of a classic group without members; what that takes is
    /// put into the outcome.
    fn consumer_group_to_stay_in(
        &self,
        request: &ConsumerHeartbeat,
        now_ms: i64,
        view: &dyn ClusterView,
        outcome: &mut GroupOutcome<()>,
    ) -> Result<Cow<'_, ConsumerGroup>, Refusal> {
        let group_id = &request.group_id;
        let is_joining = request.member_epoch == JOIN_EPOCH;
        match (self.hard_state().group(group_id), self.group(group_id)) {
            (Some(HardGroup::Consumer(group)), _) => Ok(Cow::Borrowed(group)),
            (_, Some(classic)) if is_joining && classic.state == State::Empty => {
                outcome.records.push(GroupRecord::Group { group_id: kept(group_id), group: None });
                outcome.soft.push(SoftChange::Remove(group_id.clone()));
                Ok(Cow::Owned(ConsumerGroup::default()))
            }
            (_, Some(classic)) if is_joining => {
                self.upgrade(request, classic, now_ms, view, outcome).map(Cow::Owned)
            }
            (None, None) if is_joining => Ok(Cow::Owned(ConsumerGroup::default())),
            (None, None) => {
                Err(GroupError::GroupIdNotFound.because(format!("Consumer group {group_id} not found.")))
            }
            (_, _) => Err(not_a_consumer_group(group_id)),
        }
    }

    /// A group that is there, of this kind.
    pub(super) fn consumer_group(&self, group_id: &StrBytes) -> Result<&ConsumerGroup, Refusal> {
        match (self.hard_state().group(group_id), self.group(group_id)) {
            (Some(HardGroup::Consumer(group)), _) => Ok(group),
            (None, None) => Err(GroupError::GroupIdNotFound.because(format!("Group {group_id} not found."))),
            (_, _) => Err(not_a_consumer_group(group_id)),
        }
    }
}

fn not_a_consumer_group(group_id: &StrBytes) -> Refusal {
    GroupError::GroupIdNotFound.because(format!("Group {group_id} is not a consumer group."))
}

/// One heartbeat that is being decided: the group as it was before it, and what was decided so far.
pub(in super::super) struct Decision<'a> {
    pub shard: &'a GroupShard,
    /// Also what a member of the classic protocol says with its JoinGroup.
    pub request: &'a ConsumerHeartbeat,
    /// What a member of the classic protocol says besides.
    pub classic: Option<ClassicMetadata>,
    pub group_id: StrBytes,
    pub group: &'a ConsumerGroup,
    pub now_ms: i64,
    pub view: &'a dyn ClusterView,
    pub outcome: GroupOutcome<()>,
}

/// What was decided of a member.
pub(in super::super) struct Settled<'a> {
    pub speaker: Speaker<'a>,
    /// Its next step, if it makes one.
    next: Option<CurrentAssignment>,
    pub has_subscription_changed: bool,
}

impl Settled<'_> {
    pub fn current(&self) -> &CurrentAssignment {
        self.next.as_ref().unwrap_or(&self.speaker.before.current)
    }
}

impl<'a> Decision<'a> {
    fn decide(mut self) -> Result<GroupOutcome<HeartbeatAnswer>, Refusal> {
        let settled = self.settle()?;
        self.restart_session(&settled.speaker.member_id);
        let answer = self.answer(&settled.speaker, settled.current());
        Ok(self.outcome.map(|()| answer))
    }

    /// Takes over what the member says, and leads it one step. The records are in the outcome.
    pub fn settle(&mut self) -> Result<Settled<'a>, Refusal> {
        self.check_size()?;
        let speaker = self.speaker()?;
        let metadata = self.metadata(&speaker);
        if *metadata != speaker.before.metadata {
            let metadata = metadata.clone().into_owned();
            self.record(ConsumerRecord::Member(speaker.member_id.clone(), Some(metadata)));
        }
        let are_names_new = metadata.subscribed_topic_names != speaker.before.metadata.subscribed_topic_names;
        let patterns = self.update_patterns(&speaker.before.metadata, &metadata)?;
        let is_epoch_over = are_names_new || patterns == PatternUpdate::Resolved;
        let group_epoch = self.update_epoch(is_epoch_over, &speaker, &metadata);
        let (target_epoch, target) = self.update_target(group_epoch, &speaker, &metadata);
        let has_subscription_changed = are_names_new || patterns != PatternUpdate::Unchanged;
        let current = self.reconcile(&speaker, &metadata, has_subscription_changed, target_epoch, &target)?;
        let next = match current {
            Cow::Borrowed(_) => None,
            Cow::Owned(next) => Some(next),
        };
        drop(metadata);
        Ok(Settled { speaker, next, has_subscription_changed })
    }

    pub fn record(&mut self, record: ConsumerRecord) {
        self.outcome.records.push(GroupRecord::Consumer { group_id: self.group_id.clone(), record });
    }

    fn check_size(&self) -> Result<(), Refusal> {
        let max_size = self.shard.config.consumer.max_size;
        if self.group.members().len() < max_size || self.group.member(&self.request.member_id).is_some() {
            return Ok(());
        }
        Err(GroupError::GroupMaxSizeReached
            .because(format!("The consumer group has reached its maximum capacity of {max_size} members.")))
    }

    /// What the member told of itself, now. Borrowed if all is as it was.
    fn metadata<'s>(&self, speaker: &'s Speaker) -> Cow<'s, MemberMetadata> {
        let mut metadata = Cow::Borrowed(&speaker.before.metadata);
        let request = self.request;
        if let Some(names) = &request.subscribed_topic_names
            && !is_same_set(names, &metadata)
        {
            metadata.to_mut().subscribed_topic_names = names.iter().cloned().collect();
        }
        let set = |field: &mut StrBytes, value: &StrBytes| *field = value.clone();
        if let Some(regex) =
            request.subscribed_topic_regex.as_ref().filter(|new| **new != metadata.subscribed_topic_regex)
        {
            set(&mut metadata.to_mut().subscribed_topic_regex, regex);
        }
        if let Some(timeout_ms) =
            request.rebalance_timeout_ms.filter(|new| *new != metadata.rebalance_timeout_ms)
        {
            metadata.to_mut().rebalance_timeout_ms = timeout_ms;
        }
        if request.instance_id.is_some() && request.instance_id != metadata.instance_id {
            metadata.to_mut().instance_id.clone_from(&request.instance_id);
        }
        if request.rack_id.is_some() && request.rack_id != metadata.rack_id {
            metadata.to_mut().rack_id.clone_from(&request.rack_id);
        }
        if request.server_assignor.is_some() && request.server_assignor != metadata.server_assignor {
            metadata.to_mut().server_assignor.clone_from(&request.server_assignor);
        }
        if request.client_id != metadata.client_id {
            set(&mut metadata.to_mut().client_id, &request.client_id);
        }
        if request.client_host != metadata.client_host {
            set(&mut metadata.to_mut().client_host, &request.client_host);
        }
        if metadata.classic != self.classic {
            metadata.to_mut().classic.clone_from(&self.classic);
        }
        metadata
    }

    fn reconcile<'s>(
        &mut self,
        speaker: &'s Speaker,
        metadata: &MemberMetadata,
        has_subscription_changed: bool,
        target_epoch: i32,
        target: &TopicPartitions,
    ) -> Result<Cow<'s, CurrentAssignment>, Refusal> {
        let before = &speaker.before;
        if !has_subscription_changed && before.is_reconciled_to(target_epoch) {
            return Ok(Cow::Borrowed(&before.current));
        }
        let (group, view) = (self.group, self.view);
        let next = Reconciliation {
            current: &before.current,
            target_epoch,
            target,
            subscribed_topics: &|| group.subscribed_topic_ids(metadata, view),
            has_subscription_changed,
            owned: self.request.topic_partitions.as_deref(),
            is_held_by_another: &|topic_id, partition| {
                let owner = group.owner(topic_id, partition);
                owner.is_some_and(|owner| {
                    *owner != speaker.member_id && Some(owner) != speaker.replaced.as_ref()
                })
            },
        };
        let next = next.next()?;
        if next != before.current {
            self.record(ConsumerRecord::Current(speaker.member_id.clone(), Some(next.clone())));
            self.restart_rebalance(&speaker.member_id, next.state, metadata.rebalance_timeout_ms);
        }
        Ok(Cow::Owned(next))
    }

    /// Who has to give up partitions has its rebalance timeout for it.
    fn restart_rebalance(&mut self, member_id: &StrBytes, state: MemberState, timeout_ms: i32) {
        let key = TimerKey::Rebalance { group_id: self.group_id.clone(), member_id: member_id.clone() };
        self.outcome.effects.push(match state {
            MemberState::UnrevokedPartitions => Effect::SetTimer(key, self.now_ms + i64::from(timeout_ms)),
            _ => Effect::CancelTimer(key),
        });
    }

    fn restart_session(&mut self, member_id: &StrBytes) {
        let timeout_ms = self.shard.config.consumer.session_timeout_ms(&self.group_id, self.view);
        let key = TimerKey::Session { group_id: self.group_id.clone(), member_id: member_id.clone() };
        self.outcome.effects.push(Effect::SetTimer(key, self.now_ms + timeout_ms));
    }

    /// The assignment goes with an answer to who joins, to who tells all of itself (it may have missed an answer), and
    /// when it has changed.
    fn answer(&self, speaker: &Speaker, current: &CurrentAssignment) -> HeartbeatAnswer {
        let request = self.request;
        let is_full = request.rebalance_timeout_ms.is_some()
            && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
            && request.topic_partitions.is_some();
        let is_told = request.member_epoch == JOIN_EPOCH
            || is_full
            || current.assigned != speaker.before.current.assigned;
        HeartbeatAnswer {
            member_id: speaker.member_id.clone(),
            member_epoch: current.member_epoch,
            heartbeat_interval_ms: self
                .shard
                .config
                .consumer
                .heartbeat_interval_ms(&self.group_id, self.view),
            assignment: is_told.then(|| assigned_partitions(current)),
        }
    }
}

fn assigned_partitions(current: &CurrentAssignment) -> TopicPartitionList {
    let topic =
        |(topic_id, partitions): (&_, &BTreeMap<i32, i32>)| (*topic_id, partitions.keys().copied().collect());
    current.assigned.iter().map(topic).collect()
}

fn is_same_set(names: &[StrBytes], metadata: &MemberMetadata) -> bool {
    let known = &metadata.subscribed_topic_names;
    let is_any_new = || names.iter().any(|name| !known.contains(name));
    names.len() >= known.len() && !is_any_new() && names.iter().collect::<BTreeSet<_>>().len() == known.len()
}
