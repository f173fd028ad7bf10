//! The group's epoch, and the target assignment that is made for it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::super::SoftChange;
use super::super::assignors::{MemberSubscription, Members, TopicPartitions};
use super::super::metadata_hash::metadata_hash;
use super::heartbeat::Decision;
use super::joining::Speaker;
use super::{ConsumerRecord, GroupEpoch, MemberMetadata, RefreshCheck, TargetEpoch};

impl<'a> Decision<'a> {
    /// Begins a new epoch if subscriptions or topics have changed. Returns the group's epoch.
    pub fn update_epoch(&mut self, is_over: bool, speaker: &Speaker, metadata: &MemberMetadata) -> i32 {
        let version = self.view.version();
        if !is_over && self.group.checked.metadata_version == Some(version) {
            return self.group.epoch;
        }
        let topics = self.group.subscribed_topics_after(&[&speaker.before.metadata], Some(metadata));
        let metadata_hash = metadata_hash(topics, self.view);
        let mut epoch = self.group.epoch;
        if is_over || metadata_hash != self.group.metadata_hash {
            epoch += 1;
            self.record(ConsumerRecord::Epoch(Some(GroupEpoch { epoch, metadata_hash })));
        }
        if self.group.has_partition_metadata {
            self.record(ConsumerRecord::PartitionMetadata { is_kept: false });
        }
        let checked = RefreshCheck { metadata_version: Some(version), ..self.group.checked };
        self.outcome.soft.push(SoftChange::ConsumerChecked(self.group_id.clone(), checked));
        epoch
    }

    /// Makes a target assignment if the group's epoch has none, but not too soon after the last one. Returns the
    /// target's epoch, and what the member shall have in it.
    pub fn update_target(
        &mut self,
        group_epoch: i32,
        speaker: &Speaker,
        metadata: &MemberMetadata,
    ) -> (i32, Cow<'a, TopicPartitions>) {
        let last_id = speaker.replaced.as_ref().unwrap_or(&speaker.member_id);
        if self.group.target_epoch >= group_epoch || !self.may_assign_now() {
            let target = self.group.target(last_id).map_or_else(Cow::default, Cow::Borrowed);
            return (self.group.target_epoch, target);
        }
        let members = self.subscriptions(speaker, metadata);
        let others = self.group.members().iter().filter(|(id, _)| *id != last_id);
        let all = others.map(|(_, member)| &member.metadata).chain([metadata]);
        let assignor = self.group.preferred_assignor(all);
        let assignor = assignor.unwrap_or_else(|| self.shard.config.consumer.default_assignor());
        let view = self.view;
        let partitions_of = |topic_id: Uuid| view.topic_by_id(topic_id).map_or(0, |topic| topic.partitions);
        let mut targets = assignor.assign(&members, &partitions_of);
        for (member_id, target) in &targets {
            let is_replacement = *member_id == speaker.member_id && speaker.replaced.is_some();
            let before = self.group.target(if is_replacement { last_id } else { member_id });
            if before != Some(target) {
                self.record(ConsumerRecord::Target(member_id.clone(), Some(target.clone())));
            }
        }
        let target_epoch = TargetEpoch { epoch: group_epoch, timestamp_ms: self.now_ms };
        self.record(ConsumerRecord::TargetEpoch(Some(target_epoch)));
        (group_epoch, Cow::Owned(targets.remove(&speaker.member_id).unwrap_or_default()))
    }

    fn may_assign_now(&self) -> bool {
        let interval_ms = self.shard.config.consumer.assignment_interval_ms(&self.group_id, self.view);
        let last_ms = self.group.target_timestamp_ms;
        last_ms == 0 || interval_ms == 0 || self.now_ms >= last_ms + interval_ms
    }

    /// All members as the assignor sees them, the one that speaks as it is now.
    fn subscriptions(&self, speaker: &Speaker, metadata: &MemberMetadata) -> Members {
        let last_id = speaker.replaced.as_ref().unwrap_or(&speaker.member_id);
        let others = self.group.members().iter().filter(|(id, _)| *id != last_id);
        let others = others.map(|(id, member)| (id, id, &member.metadata));
        let mut topics = LastSubscription::default();
        let subscription = |(id, target_id, metadata): (&StrBytes, &StrBytes, &MemberMetadata)| {
            let subscription = MemberSubscription {
                instance_id: metadata.instance_id.clone(),
                rack: metadata.rack_id.clone(),
                topics: topics.ids(self, metadata),
                owned: self.group.target(target_id).cloned().unwrap_or_default(),
            };
            (id.clone(), subscription)
        };
        others.chain([(&speaker.member_id, last_id, metadata)]).map(subscription).collect()
    }
}

/// What the last member subscribed to: mostly the next one subscribes to the same.
#[derive(Default)]
struct LastSubscription {
    names: BTreeSet<StrBytes>,
    regex: StrBytes,
    topic_ids: Option<BTreeSet<Uuid>>,
}

impl LastSubscription {
    fn ids(&mut self, decision: &Decision, metadata: &MemberMetadata) -> BTreeSet<Uuid> {
        let is_same =
            self.names == metadata.subscribed_topic_names && self.regex == metadata.subscribed_topic_regex;
        if let Some(topic_ids) = self.topic_ids.as_ref().filter(|_| is_same) {
            return topic_ids.clone();
        }
        let topic_ids = decision.group.subscribed_topic_ids(metadata, decision.view);
        self.names.clone_from(&metadata.subscribed_topic_names);
        self.regex.clone_from(&metadata.subscribed_topic_regex);
        self.topic_ids.insert(topic_ids).clone()
    }
}
