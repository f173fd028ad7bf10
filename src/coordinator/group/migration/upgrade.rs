//! From a classic to a consumer group: the members keep what they were assigned last, and their ids.

use std::collections::BTreeSet;

use ottla_protocol::StrBytes;

use super::super::consumer::{
    ClassicMetadata, ConsumerGroup, ConsumerHeartbeat, ConsumerRecord, CurrentAssignment, GroupEpoch,
    MemberMetadata, MemberState, PartitionEpochs, TargetEpoch,
};
use super::super::hard::kept;
use super::super::metadata_hash::metadata_hash;
use super::super::{
    Answer, ClassicGroup, Effect, GroupError, GroupOutcome, GroupRecord, GroupShard, Member, Refusal,
    SoftChange, TimerKey,
};
use super::embedded::{self, NotTaken};
use crate::coordinator::ClusterView;
use crate::coordinator::group::commands::JoinRefused;

impl GroupShard {
    /// The consumer group that a classic one becomes because a member of the consumer protocol joins it. What that
    /// takes is put into the outcome. Who waits in a rebalance is sent to join again.
    pub(in super::super) fn upgrade(
        &self,
        request: &ConsumerHeartbeat,
        classic: &ClassicGroup,
        now_ms: i64,
        view: &dyn ClusterView,
        outcome: &mut GroupOutcome<()>,
    ) -> Result<ConsumerGroup, Refusal> {
        let group_id = &kept(&request.group_id);
        self.check_upgrade(group_id, classic)?;
        let mut records = records(classic, view).map_err(|why| refuse(group_id, why_not(why)))?;
        if request.instance_id.as_ref().is_some_and(|id| classic.static_members.contains_key(id)) {
            records.iter_mut().for_each(expect_new_epoch);
        }
        let mut group = ConsumerGroup::default();
        outcome.records.push(GroupRecord::Group { group_id: group_id.clone(), group: None });
        for record in records {
            group.replay(&record);
            outcome.records.push(GroupRecord::Consumer { group_id: group_id.clone(), record });
        }
        outcome.soft.push(SoftChange::Remove(group_id.clone()));
        outcome.effects.push(Effect::CancelTimer(TimerKey::Join { group_id: group_id.clone() }));
        outcome.effects.push(Effect::CancelTimer(TimerKey::Sync { group_id: group_id.clone() }));
        for member in classic.members.values() {
            outcome.effects.extend(sent_to_rejoin(member));
            let key = TimerKey::Session { group_id: group_id.clone(), member_id: member.id.clone() };
            outcome.effects.push(Effect::SetTimer(key, now_ms + i64::from(member.session_timeout_ms)));
        }
        Ok(group)
    }

    fn check_upgrade(&self, group_id: &StrBytes, classic: &ClassicGroup) -> Result<(), Refusal> {
        if !self.config.migration_policy.may_upgrade() {
            return Err(refuse(group_id, "online upgrade is disabled"));
        }
        if !classic.is_consumer_protocol() {
            return Err(refuse(group_id, "the group does not use the consumer embedded protocol"));
        }
        if classic.members.len() > self.config.consumer.max_size {
            return Err(refuse(group_id, "the group size exceeds the consumer group maximum size"));
        }
        Ok(())
    }
}

fn refuse(group_id: &StrBytes, why: &str) -> Refusal {
    GroupError::GroupIdNotFound
        .because(format!("Cannot upgrade classic group {group_id} to consumer group because {why}."))
}

fn why_not(why: NotTaken) -> &'static str {
    match why {
        NotTaken::Malformed => "the embedded consumer protocol is malformed",
        NotTaken::HasUserData => {
            "an unsupported custom assignor is in use. Please refer to the documentation or switch to a default \
             assignor before re-attempting the upgrade"
        }
    }
}

/// A static member that only takes its own place over changes nothing that a new epoch would begin for. But the classic
/// group may have been waiting for another rebalance; so the epoch is made to look outdated.
fn expect_new_epoch(record: &mut ConsumerRecord) {
    if let ConsumerRecord::Epoch(Some(epoch)) = record {
        epoch.metadata_hash = 0;
    }
}

fn sent_to_rejoin(member: &Member) -> impl Iterator<Item = Effect> {
    let error = GroupError::RebalanceInProgress;
    let refused = JoinRefused { member_id: member.id.clone(), error };
    let join = member.awaiting_join.map(|ticket| Effect::Answer(ticket, Answer::Join(Err(refused))));
    let sync = member.awaiting_sync.map(|ticket| Effect::Answer(ticket, Answer::Sync(Err(error))));
    join.into_iter().chain(sync)
}

/// The group's records: its generation becomes its epoch, each member is where its last assignment put it.
fn records(classic: &ClassicGroup, view: &dyn ClusterView) -> Result<Vec<ConsumerRecord>, NotTaken> {
    let protocol = classic.protocol.clone().or_else(|| classic.select_protocol()).unwrap_or_default();
    let epoch = classic.generation;
    let mut topics = BTreeSet::new();
    let (mut members, mut targets, mut currents) = (Vec::new(), Vec::new(), Vec::new());
    for member in classic.members.values() {
        let metadata = metadata(member, &protocol, view).ok_or(NotTaken::Malformed)?;
        topics.extend(metadata.subscribed_topic_names.iter().cloned());
        let target = embedded::assigned(&member.assignment, view)?;
        let with_epoch =
            |partitions: &BTreeSet<i32>| partitions.iter().map(|index| (*index, epoch)).collect();
        let assigned: PartitionEpochs =
            target.iter().map(|(id, partitions)| (*id, with_epoch(partitions))).collect();
        let current = CurrentAssignment {
            member_epoch: epoch,
            previous_member_epoch: epoch,
            state: MemberState::Stable,
            assigned,
            pending_revocation: PartitionEpochs::new(),
        };
        members.push(ConsumerRecord::Member(member.id.clone(), Some(metadata)));
        targets.push(ConsumerRecord::Target(member.id.clone(), Some(target)));
        currents.push(ConsumerRecord::Current(member.id.clone(), Some(current)));
    }
    let metadata_hash = metadata_hash(&topics, view);
    let mut records = members;
    records.push(ConsumerRecord::Epoch(Some(GroupEpoch { epoch, metadata_hash })));
    records.extend(targets);
    // Not made here and now, so the next one may follow at once.
    records.push(ConsumerRecord::TargetEpoch(Some(TargetEpoch { epoch, timestamp_ms: 0 })));
    records.extend(currents);
    Ok(records)
}

fn metadata(member: &Member, protocol: &StrBytes, view: &dyn ClusterView) -> Option<MemberMetadata> {
    let subscription = embedded::subscription(&member.metadata(protocol), view)?;
    Some(MemberMetadata {
        instance_id: member.group_instance_id.clone(),
        rack_id: subscription.rack.as_ref().map(kept),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        subscribed_topic_names: subscription.topics.iter().map(kept).collect(),
        subscribed_topic_regex: StrBytes::new(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        server_assignor: None,
        classic: Some(ClassicMetadata {
            session_timeout_ms: member.session_timeout_ms,
            protocols: member.protocols.clone(),
        }),
    })
}
