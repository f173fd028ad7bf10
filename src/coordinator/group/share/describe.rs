//! ShareGroupDescribe, and what share groups have in common with others.

use ottla_protocol::StrBytes;

use super::commands::{DescribedShareGroup, DescribedShareMember, ShareTopicPartitions};
use super::{ShareGroup, ShareMember, ShareRecord, record};
use crate::coordinator::ClusterView;
use crate::coordinator::group::{AnyGroup, GroupError, GroupRecord, GroupShard, Refusal, Retention};

/// The only assignor of share groups.
const ASSIGNOR: &str = "simple";

impl GroupShard {
    pub fn describe_share_group(
        &self,
        group_id: &StrBytes,
        view: &dyn ClusterView,
    ) -> Result<DescribedShareGroup, Refusal> {
        let group = self.share_group(group_id)?;
        let members = group.members.iter().map(|(id, member)| describe_member(id, member, view));
        Ok(DescribedShareGroup {
            state: group.state(),
            epoch: group.epoch,
            assignment_epoch: group.assignment_epoch,
            assignor: ASSIGNOR,
            members: members.collect(),
        })
    }
}

fn describe_member(
    member_id: &StrBytes,
    member: &ShareMember,
    view: &dyn ClusterView,
) -> DescribedShareMember {
    let assignment = member.current.partitions.iter().filter_map(|(id, partitions)| {
        let name = view.topic_by_id(*id)?.name;
        Some(ShareTopicPartitions { topic_id: *id, name, partitions: partitions.iter().copied().collect() })
    });
    DescribedShareMember {
        member_id: member_id.clone(),
        rack_id: member.metadata.rack_id.clone(),
        member_epoch: member.current.member_epoch,
        client_id: member.metadata.client_id.clone(),
        client_host: member.metadata.client_host.clone(),
        subscribed_topic_names: member.metadata.subscribed_topic_names.iter().cloned().collect(),
        assignment: assignment.collect(),
    }
}

impl AnyGroup for ShareGroup {
    fn group_type(&self) -> &'static str {
        "share"
    }

    fn protocol_type(&self) -> StrBytes {
        StrBytes::from_static_str("share")
    }

    fn state_name(&self) -> &'static str {
        self.state()
    }

    fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    fn is_subscribed_to(&self, topic: &StrBytes) -> bool {
        self.subscribed_topic_names().contains(topic)
    }

    fn retention(&self) -> Retention {
        Retention::Endless
    }

    /// Its offsets are not here but in the share coordinator's state.
    fn check_offset_delete(&self) -> Result<(), GroupError> {
        Err(GroupError::GroupIdNotFound)
    }

    fn tombstones(&self, group_id: &StrBytes) -> Vec<GroupRecord> {
        let of_members = |tombstone: fn(StrBytes) -> ShareRecord| {
            self.members.keys().map(move |member_id| tombstone(member_id.clone()))
        };
        of_members(|member_id| ShareRecord::Current { member_id, current: None })
            .chain(of_members(|member_id| ShareRecord::Target { member_id, partitions: None }))
            .chain([ShareRecord::TargetEpoch(None)])
            .chain(of_members(|member_id| ShareRecord::Member { member_id, member: None }))
            .chain([ShareRecord::States(None), ShareRecord::Epoch(None)])
            .map(|each| record(group_id, each))
            .collect()
    }
}
