//! ShareGroupHeartbeat (KIP-932): a member joins, stays or leaves, and learns what is its.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::{StrBytes, Uuid};

use super::commands::{LEAVE_EPOCH, ShareHeartbeat, ShareHeartbeatAnswer};
use super::{ShareErrand, ShareGroup, ShareGroupConfig, ShareMember, ShareRecord, record};
use crate::coordinator::ClusterView;
use crate::coordinator::group::assignors::{MemberSubscription, Members, TopicPartitions, simple};
use crate::coordinator::group::metadata_hash::metadata_hash;
use crate::coordinator::group::{
    Effect, Errand, GroupError, GroupOutcome, GroupShard, Ranged, Refusal, TimerKey,
};
use crate::coordinator::share::{InitializeState, SharePartitionKey};

impl GroupShard {
    /// The request has been checked ([`ShareHeartbeat::check`]).
    pub fn share_heartbeat(
        &self,
        request: &ShareHeartbeat,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> GroupOutcome<Result<ShareHeartbeatAnswer, Refusal>> {
        let decided = match request.member_epoch {
            LEAVE_EPOCH => self.share_leave(request, view),
            _ => self.share_stay(request, now_ms, view),
        };
        decided.map_or_else(|refusal| GroupOutcome::answer(Err(refusal)), |outcome| outcome.map(Ok))
    }

    /// A member has not been heard of for its session timeout.
    pub(in super::super) fn expire_share_session(
        &self,
        group_id: &StrBytes,
        member_id: &StrBytes,
        view: &dyn ClusterView,
    ) -> GroupOutcome<()> {
        match self.hard.share_group(group_id) {
            Some(group) if group.members.contains_key(member_id) => fence(group_id, group, member_id, view),
            _ => GroupOutcome::answer(()),
        }
    }

    /// The sessions of a group's members begin anew after a reload.
    pub(in super::super) fn loaded_share_group(
        &self,
        group_id: &StrBytes,
        group: &ShareGroup,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> Vec<Effect> {
        group.members.keys().map(|member_id| self.share_session(group_id, member_id, now_ms, view)).collect()
    }

    fn share_leave(
        &self,
        request: &ShareHeartbeat,
        view: &dyn ClusterView,
    ) -> Result<GroupOutcome<ShareHeartbeatAnswer>, Refusal> {
        let group = self.share_group(&request.group_id)?;
        if !group.members.contains_key(&request.member_id) {
            return Err(unknown_member(request));
        }
        let answer = ShareHeartbeatAnswer {
            member_id: request.member_id.clone(),
            member_epoch: LEAVE_EPOCH,
            heartbeat_interval_ms: 0,
            assignment: None,
        };
        Ok(fence(&request.group_id, group, &request.member_id, view).map(|()| answer))
    }

    fn share_stay(
        &self,
        request: &ShareHeartbeat,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> Result<GroupOutcome<ShareHeartbeatAnswer>, Refusal> {
        let new_group = ShareGroup::default();
        let group = match self.find_share_group(&request.group_id)? {
            Some(group) => group,
            None if request.member_epoch == 0 => &new_group,
            None => {
                let message = format!("Share group {} not found.", request.group_id);
                return Err(GroupError::GroupIdNotFound.because(message));
            }
        };
        let config = &self.config.share;
        let member = find_member(group, request, config)?;
        let beat = Beat { request, group, config, member, now_ms, view };
        let mut outcome = beat.decide();
        outcome.effects.push(self.share_session(&request.group_id, &request.member_id, now_ms, view));
        Ok(outcome)
    }

    fn share_session(
        &self,
        group_id: &StrBytes,
        member_id: &StrBytes,
        now_ms: i64,
        view: &dyn ClusterView,
    ) -> Effect {
        let timeout_ms = &self.config.share.session_timeout_ms;
        let timeout_ms = timeout_ms.of_group(group_id, "share.session.timeout.ms", view);
        let key = TimerKey::ShareSession { group_id: group_id.clone(), member_id: member_id.clone() };
        Effect::SetTimer(key, now_ms.saturating_add(timeout_ms.into()))
    }
}

/// The member as it was, or a new one that joins.
fn find_member(
    group: &ShareGroup,
    request: &ShareHeartbeat,
    config: &ShareGroupConfig,
) -> Result<ShareMember, Refusal> {
    let Some(member) = group.members.get(&request.member_id) else {
        if group.members.len() >= config.max_size {
            let message =
                format!("The share group has reached its maximum capacity of {} members.", config.max_size);
            return Err(GroupError::GroupMaxSizeReached.because(message));
        }
        return if request.member_epoch == 0 {
            Ok(ShareMember::default())
        } else {
            Err(unknown_member(request))
        };
    };
    check_epoch(member, request.member_epoch)?;
    Ok(member.clone())
}

/// 0 joins again; the previous epoch is that of a member to whom the answer was lost.
fn check_epoch(member: &ShareMember, received: i32) -> Result<(), Refusal> {
    let (known, previous) = (member.current.member_epoch, member.current.previous_member_epoch);
    if received == 0 || received == known || (received < known && received == previous) {
        return Ok(());
    }
    let message = if received > known {
        format!(
            "The share group member has a greater member epoch ({received}) than the one known by the group \
             coordinator ({known}). The member must abandon all its partitions and rejoin."
        )
    } else {
        format!(
            "The share group member has a smaller member epoch ({received}) than the one known by the group \
             coordinator ({known}), and it does not match the previous member epoch ({previous}). The member must \
             abandon all its partitions and rejoin."
        )
    };
    Err(GroupError::FencedMemberEpoch.because(message))
}

fn unknown_member(request: &ShareHeartbeat) -> Refusal {
    let ShareHeartbeat { group_id, member_id, .. } = request;
    GroupError::UnknownMemberId.because(format!("Member {member_id} is not a member of group {group_id}."))
}

/// Takes a member out of its group; who gets what was its is decided with the next heartbeat.
fn fence(
    group_id: &StrBytes,
    group: &ShareGroup,
    member_id: &StrBytes,
    view: &dyn ClusterView,
) -> GroupOutcome<()> {
    let others = group.members.iter().filter(|(id, _)| *id != member_id);
    let names: BTreeSet<&StrBytes> =
        others.flat_map(|(_, member)| &member.metadata.subscribed_topic_names).collect();
    let epoch = Some((group.epoch.wrapping_add(1), metadata_hash(names, view)));
    let member_id = member_id.clone();
    let records = [
        ShareRecord::Current { member_id: member_id.clone(), current: None },
        ShareRecord::Target { member_id: member_id.clone(), partitions: None },
        ShareRecord::Member { member_id: member_id.clone(), member: None },
        ShareRecord::Epoch(epoch),
    ];
    let session = TimerKey::ShareSession { group_id: group_id.clone(), member_id };
    GroupOutcome {
        records: records.into_iter().map(|each| record(group_id, each)).collect(),
        effects: vec![Effect::CancelTimer(session)],
        ..GroupOutcome::answer(())
    }
}

/// One heartbeat of a member that is in its group, or joins it.
struct Beat<'a> {
    request: &'a ShareHeartbeat,
    group: &'a ShareGroup,
    config: &'a ShareGroupConfig,
    /// As it was before.
    member: ShareMember,
    now_ms: i64,
    view: &'a dyn ClusterView,
}

impl Beat<'_> {
    fn decide(&self) -> GroupOutcome<ShareHeartbeatAnswer> {
        let mut records = Vec::new();
        let mut member = self.updated_member();
        let member_id = &self.request.member_id;
        if member.metadata != self.member.metadata {
            let metadata = Some(member.metadata.clone());
            records.push(ShareRecord::Member { member_id: member_id.clone(), member: metadata });
        }
        let names = self.subscribed_topic_names(&member);
        let hash = metadata_hash(&names, self.view);
        let is_new_epoch = member.metadata.subscribed_topic_names
            != self.member.metadata.subscribed_topic_names
            || hash != self.group.metadata_hash
            || self.is_assignment_pending();
        let epoch = self.group.epoch.wrapping_add(is_new_epoch.into());
        if is_new_epoch {
            records.push(ShareRecord::Epoch(Some((epoch, hash))));
        }
        let (target_epoch, target) = self.target(epoch, &member, &mut records);
        if target_epoch != member.current.member_epoch || is_new_epoch {
            self.reconcile(&mut member, target_epoch, &target);
        }
        if member.current != self.member.current {
            let current = Some(member.current.clone());
            records.push(ShareRecord::Current { member_id: member_id.clone(), current });
        }
        let errand = self.initialize(epoch, &names, &mut records);
        GroupOutcome {
            response: self.answer(&member),
            records: records.into_iter().map(|each| record(&self.request.group_id, each)).collect(),
            soft: Vec::new(),
            effects: errand.map(|errand| Effect::Errand(Errand::Share(errand))).into_iter().collect(),
        }
    }

    fn updated_member(&self) -> ShareMember {
        let mut member = self.member.clone();
        let metadata = &mut member.metadata;
        if let Some(rack_id) = &self.request.rack_id {
            metadata.rack_id = Some(rack_id.clone());
        }
        if let Some(names) = &self.request.subscribed_topic_names {
            metadata.subscribed_topic_names = names.iter().cloned().collect();
        }
        metadata.client_id = self.request.client_id.clone();
        metadata.client_host = self.request.client_host.clone();
        member
    }

    /// All members, with this one as it is now.
    fn members<'b>(&'b self, member: &'b ShareMember) -> BTreeMap<&'b StrBytes, &'b ShareMember> {
        let mut members: BTreeMap<_, _> = self.group.members.iter().collect();
        members.insert(&self.request.member_id, member);
        members
    }

    fn subscribed_topic_names(&self, member: &ShareMember) -> BTreeSet<StrBytes> {
        let members = self.members(member).into_values();
        members.flat_map(|member| member.metadata.subscribed_topic_names.iter().cloned()).collect()
    }

    /// Whether partitions of a topic that members subscribe to were initialized since the last assignment.
    fn is_assignment_pending(&self) -> bool {
        let Some(states) = &self.group.states else {
            return false;
        };
        if self.group.assignment_epoch < self.group.epoch {
            return false;
        }
        let names = self.group.subscribed_topic_names();
        let is_pending = |(id, topic): (&Uuid, &super::StateTopic)| {
            let assigned = self.group.target.values().filter_map(|partitions| partitions.get(id));
            let assigned: BTreeSet<i32> = assigned.flatten().copied().collect();
            // A topic that is gone is never assigned, should its state have been left behind.
            let exists = self.view.topic_by_id(*id).is_some();
            exists && names.contains(&topic.name) && assigned != topic.partitions
        };
        states.initialized.iter().any(is_pending)
    }

    /// The target assignment of this member and its epoch; a new one is made if it is due.
    fn target(
        &self,
        epoch: i32,
        member: &ShareMember,
        records: &mut Vec<ShareRecord>,
    ) -> (i32, TopicPartitions) {
        let member_id = &self.request.member_id;
        let made_ms = self.group.assignment_timestamp_ms;
        let interval_ms = self.own(&self.config.assignment_interval_ms, "share.assignment.interval.ms");
        let is_too_early =
            made_ms != 0 && interval_ms != 0 && self.now_ms < made_ms.saturating_add(interval_ms.into());
        if self.group.assignment_epoch >= epoch || is_too_early {
            let target = self.group.target.get(member_id).cloned().unwrap_or_default();
            return (self.group.assignment_epoch, target);
        }
        let mut assignment = self.assign(member);
        for (member_id, partitions) in &assignment {
            if self.group.target.get(member_id) != Some(partitions) {
                let partitions = Some(partitions.clone());
                records.push(ShareRecord::Target { member_id: member_id.clone(), partitions });
            }
        }
        records.push(ShareRecord::TargetEpoch(Some((epoch, self.now_ms))));
        (epoch, assignment.remove(member_id).unwrap_or_default())
    }

    fn assign(&self, member: &ShareMember) -> BTreeMap<StrBytes, TopicPartitions> {
        let subscription = |(member_id, member): (&StrBytes, &ShareMember)| {
            let subscription = MemberSubscription {
                instance_id: None,
                rack: member.metadata.rack_id.clone(),
                topics: self.topic_ids(member),
                owned: self.group.target.get(member_id).cloned().unwrap_or_default(),
            };
            (member_id.clone(), subscription)
        };
        let members: Members = self.members(member).into_iter().map(subscription).collect();
        let initialized = self.group.states.as_ref().map(|states| &states.initialized);
        simple::assign(&members, &|topic_id| {
            let topic = initialized.and_then(|topics| topics.get(&topic_id));
            topic.map_or_else(Vec::new, |topic| topic.partitions.iter().copied().collect())
        })
    }

    /// The topics that a member subscribes to, as far as they exist.
    fn topic_ids(&self, member: &ShareMember) -> BTreeSet<Uuid> {
        let names = member.metadata.subscribed_topic_names.iter();
        names.filter_map(|name| self.view.topic(name)).map(|topic| topic.id).collect()
    }

    /// Gives the member its target, without topics that it does not subscribe to any more.
    fn reconcile(&self, member: &mut ShareMember, target_epoch: i32, target: &TopicPartitions) {
        let topic_ids = self.topic_ids(member);
        let current = &mut member.current;
        current.partitions = target
            .iter()
            .filter(|(id, _)| topic_ids.contains(id))
            .map(|(id, partitions)| (*id, partitions.clone()))
            .collect();
        if current.member_epoch != target_epoch {
            current.previous_member_epoch = current.member_epoch;
            current.member_epoch = target_epoch;
        }
    }

    /// Has the share coordinator told of partitions that it does not know.
    fn initialize(
        &self,
        epoch: i32,
        names: &BTreeSet<StrBytes>,
        records: &mut Vec<ShareRecord>,
    ) -> Option<ShareErrand> {
        let states = self.group.states.clone().unwrap_or_default();
        let retry_ms = self.config.initialize_retry_interval_ms;
        let missing = states.missing(names, self.now_ms, retry_ms, self.view);
        if missing.is_empty() {
            return None;
        }
        records.push(ShareRecord::States(Some(states.begin(&missing, self.now_ms, self.view))));
        let group_id = &self.request.group_id;
        let initialize = missing.iter().flat_map(|(topic_id, topic)| {
            topic.partitions.iter().map(|partition| InitializeState {
                key: SharePartitionKey {
                    group_id: group_id.clone(),
                    topic_id: *topic_id,
                    partition: *partition,
                },
                state_epoch: epoch,
                start_offset: -1,
            })
        });
        Some(ShareErrand { group_id: group_id.clone(), initialize: initialize.collect() })
    }

    /// The group's own value of a key, or the broker's.
    fn own(&self, broker: &Ranged, key: &str) -> i32 {
        broker.of_group(&self.request.group_id, key, self.view)
    }

    fn answer(&self, member: &ShareMember) -> ShareHeartbeatAnswer {
        let is_told = self.request.member_epoch == 0
            || self.request.subscribed_topic_names.is_some()
            || member.current.partitions != self.member.current.partitions;
        ShareHeartbeatAnswer {
            member_id: self.request.member_id.clone(),
            member_epoch: member.current.member_epoch,
            heartbeat_interval_ms: self
                .own(&self.config.heartbeat_interval_ms, "share.heartbeat.interval.ms"),
            assignment: is_told.then(|| member.current.partitions.clone()),
        }
    }
}
