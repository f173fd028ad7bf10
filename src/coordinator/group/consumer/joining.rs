//! Which member a heartbeat is of, and whether it may speak for it.

use std::borrow::Cow;

use ottla_protocol::{StrBytes, kafka_id};

use super::super::hard::kept;
use super::super::{Effect, GroupError, Refusal, TimerKey};
use super::heartbeat::Decision;
use super::{ConsumerRecord, CurrentAssignment, JOIN_EPOCH, LEAVE_STATIC_EPOCH, Member, TopicPartitionList};

/// The member that speaks.
pub(in super::super) struct Speaker<'a> {
    pub member_id: StrBytes,
    /// It as it was before this heartbeat; a new one is without anything.
    pub before: Cow<'a, Member>,
    /// The member whose place it takes, by their instance id.
    pub replaced: Option<StrBytes>,
}

impl<'a> Decision<'a> {
    pub fn speaker(&mut self) -> Result<Speaker<'a>, Refusal> {
        match &self.request.instance_id {
            None => self.dynamic_speaker(),
            Some(instance_id) => self.static_speaker(instance_id),
        }
    }

    fn dynamic_speaker(&self) -> Result<Speaker<'a>, Refusal> {
        let member_id = &self.request.member_id;
        match self.group.members().get_key_value(member_id) {
            Some((member_id, member)) => {
                self.check_epoch(member)?;
                Ok(Speaker { member_id: member_id.clone(), before: Cow::Borrowed(member), replaced: None })
            }
            None if self.request.member_epoch == JOIN_EPOCH => Ok(self.new_speaker()),
            None => Err(unknown_member(member_id, &self.group_id)),
        }
    }

    fn static_speaker(&mut self, instance_id: &StrBytes) -> Result<Speaker<'a>, Refusal> {
        let existing = self.group.static_member(instance_id);
        match (self.is_joining(), existing) {
            (true, None) => Ok(self.new_speaker()),
            (true, Some((existing_id, existing))) => {
                if !self.may_replace(existing) {
                    return Err(unreleased_instance(&self.request.member_id, instance_id, existing_id));
                }
                Ok(self.replace(existing_id, existing))
            }
            (false, None) => Err(unknown_instance(instance_id)),
            (false, Some((existing_id, existing))) => {
                if *existing_id != self.request.member_id {
                    return Err(fenced_instance(&self.request.member_id, instance_id, existing_id));
                }
                self.check_epoch(existing)?;
                Ok(Speaker {
                    member_id: existing_id.clone(),
                    before: Cow::Borrowed(existing),
                    replaced: None,
                })
            }
        }
    }

    fn is_joining(&self) -> bool {
        match self.classic {
            Some(_) => self.request.member_id.is_empty(),
            None => self.request.member_epoch == JOIN_EPOCH,
        }
    }

    /// With the classic protocol whoever comes last has the instance id; with the consumer protocol it must be free.
    fn may_replace(&self, existing: &Member) -> bool {
        self.classic.is_some()
            || existing.uses_classic_protocol()
            || existing.current.member_epoch == LEAVE_STATIC_EPOCH
    }

    fn new_speaker(&self) -> Speaker<'a> {
        let member_id = self.new_member_id();
        let before = self.group.member(&member_id).map_or_else(Cow::default, Cow::Borrowed);
        Speaker { member_id, before, replaced: None }
    }

    fn new_member_id(&self) -> StrBytes {
        match self.request.member_id.is_empty() {
            true => StrBytes::from_string(kafka_id(&self.request.unique)),
            false => kept(&self.request.member_id),
        }
    }

    /// A static member comes back under another id: it is given all that it had.
    fn replace(&mut self, existing_id: &StrBytes, existing: &Member) -> Speaker<'a> {
        let member_id = self.new_member_id();
        let current =
            CurrentAssignment { member_epoch: 0, previous_member_epoch: 0, ..existing.current.clone() };
        let member = Member { metadata: existing.metadata.clone(), current };
        let target = self.group.target(existing_id).cloned().unwrap_or_default();
        self.remove(existing_id);
        self.record(ConsumerRecord::Member(member_id.clone(), Some(member.metadata.clone())));
        self.record(ConsumerRecord::Target(member_id.clone(), Some(target)));
        self.record(ConsumerRecord::Current(member_id.clone(), Some(member.current.clone())));
        Speaker { member_id, before: Cow::Owned(member), replaced: Some(existing_id.clone()) }
    }

    fn remove(&mut self, member_id: &StrBytes) {
        for record in removal(member_id) {
            self.record(record);
        }
        self.outcome.effects.extend(cancelled_timers(&self.group_id, member_id));
    }

    /// A member may be one epoch behind if it missed an answer, and only if it owns nothing that it must not own.
    fn check_epoch(&self, member: &Member) -> Result<(), Refusal> {
        let (epoch, current) = (self.request.member_epoch, &member.current);
        if self.classic.is_some() || epoch == JOIN_EPOCH || epoch == current.member_epoch {
            return Ok(());
        }
        if epoch < current.member_epoch
            && epoch == current.previous_member_epoch
            && self.request.topic_partitions.as_ref().is_some_and(|owned| is_subset(owned, current))
        {
            return Ok(());
        }
        let relation = if epoch > current.member_epoch { "greater" } else { "smaller" };
        Err(GroupError::FencedMemberEpoch.because(format!(
            "The consumer group member has a {relation} member epoch ({epoch}) than the one known by the group \
             coordinator ({}). The member must abandon all its partitions and rejoin.",
            current.member_epoch
        )))
    }
}

/// The records by which a member goes.
pub(super) fn removal(member_id: &StrBytes) -> [ConsumerRecord; 3] {
    [
        ConsumerRecord::Current(member_id.clone(), None),
        ConsumerRecord::Target(member_id.clone(), None),
        ConsumerRecord::Member(member_id.clone(), None),
    ]
}

/// The timers that a member may have, cancelled.
pub(in super::super) fn cancelled_timers(group_id: &StrBytes, member_id: &StrBytes) -> [Effect; 4] {
    let (group_id, member_id) = (group_id.clone(), member_id.clone());
    [
        Effect::CancelTimer(TimerKey::classic_join(group_id.clone(), member_id.clone())),
        Effect::CancelTimer(TimerKey::classic_sync(group_id.clone(), member_id.clone())),
        Effect::CancelTimer(TimerKey::Session { group_id: group_id.clone(), member_id: member_id.clone() }),
        Effect::CancelTimer(TimerKey::Rebalance { group_id, member_id }),
    ]
}

pub(super) fn unknown_member(member_id: &StrBytes, group_id: &StrBytes) -> Refusal {
    GroupError::UnknownMemberId.because(format!("Member {member_id} is not a member of group {group_id}."))
}

pub(super) fn unknown_instance(instance_id: &StrBytes) -> Refusal {
    GroupError::UnknownMemberId.because(format!("Instance id {instance_id} is unknown."))
}

pub(super) fn fenced_instance(member_id: &StrBytes, instance_id: &StrBytes, by: &StrBytes) -> Refusal {
    GroupError::FencedInstanceId.because(format!(
        "Static member {member_id} with instance id {instance_id} was fenced by member {by}."
    ))
}

fn unreleased_instance(member_id: &StrBytes, instance_id: &StrBytes, owner: &StrBytes) -> Refusal {
    GroupError::UnreleasedInstanceId.because(format!(
        "Static member {member_id} with instance id {instance_id} cannot join the group because the instance id is \
         owned by {owner} member."
    ))
}

fn is_subset(owned: &TopicPartitionList, current: &CurrentAssignment) -> bool {
    owned.iter().all(|(topic_id, partitions)| {
        let assigned = current.assigned.get(topic_id);
        assigned.is_some_and(|assigned| partitions.iter().all(|index| assigned.contains_key(index)))
    })
}
