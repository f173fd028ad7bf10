//! ConsumerGroupDescribe, and what other administrators' requests need of a group.

use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::super::{GroupRecord, GroupShard, Refusal};
use super::joining::removal;
use super::{
    ConsumerGroup, ConsumerRecord, DescribedConsumerGroup, DescribedConsumerMember, DescribedTopic, Member,
};
use crate::coordinator::ClusterView;

impl GroupShard {
    /// One group, with all its members.
    pub fn consumer_describe(
        &self,
        group_id: &StrBytes,
        view: &dyn ClusterView,
    ) -> Result<DescribedConsumerGroup, Refusal> {
        let group = self.consumer_group(group_id)?;
        let preferred = group.preferred_assignor(group.members().values().map(|member| &member.metadata));
        let described = |(member_id, member)| described_member(group, member_id, member, view);
        Ok(DescribedConsumerGroup {
            group_id: group_id.clone(),
            state: group.state().name(),
            group_epoch: group.epoch,
            assignment_epoch: group.target_epoch,
            assignor: preferred.unwrap_or_else(|| self.config.consumer.default_assignor()).name(),
            members: group.members().iter().map(described).collect(),
        })
    }
}

impl ConsumerGroup {
    /// The records by which the whole group goes, in the order in which Kafka writes them.
    pub fn tombstones(&self, group_id: &StrBytes) -> Vec<GroupRecord> {
        let of_members = |index: usize| self.members().keys().map(move |id| removal(id)[index].clone());
        let patterns = self.patterns().keys().map(|regex| ConsumerRecord::Pattern(regex.clone(), None));
        let records = of_members(0)
            .chain(of_members(1))
            .chain([ConsumerRecord::TargetEpoch(None)])
            .chain(of_members(2))
            .chain(patterns)
            .chain([ConsumerRecord::PartitionMetadata { is_kept: false }, ConsumerRecord::Epoch(None)]);
        records.map(|record| GroupRecord::Consumer { group_id: group_id.clone(), record }).collect()
    }
}

fn described_member(
    group: &ConsumerGroup,
    member_id: &StrBytes,
    member: &Member,
    view: &dyn ClusterView,
) -> DescribedConsumerMember {
    let Member { metadata, current } = member;
    let mut held = std::collections::BTreeMap::<Uuid, Vec<i32>>::new();
    for (topic_id, partition) in current.held() {
        held.entry(topic_id).or_default().push(partition);
    }
    let target = group.target(member_id).into_iter().flatten();
    let target = target.map(|(topic_id, partitions)| (*topic_id, partitions.iter().copied().collect()));
    DescribedConsumerMember {
        member_id: member_id.clone(),
        instance_id: metadata.instance_id.clone(),
        rack_id: metadata.rack_id.clone(),
        member_epoch: current.member_epoch,
        client_id: metadata.client_id.clone(),
        client_host: metadata.client_host.clone(),
        subscribed_topic_names: metadata.subscribed_topic_names.iter().cloned().collect(),
        subscribed_topic_regex: metadata.subscribed_topic_regex.clone(),
        assignment: described_topics(held, view),
        target_assignment: described_topics(target, view),
        uses_classic_protocol: member.uses_classic_protocol(),
    }
}

fn described_topics(
    partitions: impl IntoIterator<Item = (Uuid, Vec<i32>)>,
    view: &dyn ClusterView,
) -> Vec<DescribedTopic> {
    let described = |(topic_id, partitions)| {
        let topic = view.topic_by_id(topic_id)?;
        Some(DescribedTopic { topic_id, topic_name: topic.name, partitions })
    };
    partitions.into_iter().filter_map(described).collect()
}
