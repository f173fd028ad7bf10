//! [`ShareRecord`] in the bytes of `__consumer_offsets` (key types 10 to 15; 9 is not in use).

use ottla_protocol::record_formats::group as formats;
use ottla_protocol::record_formats::group::share_group_current_member_assignment_value::TopicPartitions as CurrentPartitions;
use ottla_protocol::record_formats::group::share_group_state_partition_metadata_value::{
    TopicInfo, TopicPartitionsInfo,
};
use ottla_protocol::record_formats::group::share_group_target_assignment_member_value::TopicPartition as TargetPartitions;
use ottla_protocol::{StrBytes, Uuid};

use super::{CurrentAssignment, MemberMetadata, ShareRecord, ShareStates, StateTopic};
use crate::coordinator::group::GroupRecord;
use crate::coordinator::group::assignors::TopicPartitions;

/// What the keys begin with.
pub const KEY_TYPES: std::ops::RangeInclusive<i16> = 9..=15;

/// All values have one version.
pub const VERSION: i16 = 0;

/// MemberState of a member that is reconciled; members of share groups always are.
const STABLE: i8 = 0;

pub fn to_format(group_id: &StrBytes, record: &ShareRecord) -> formats::GroupRecord {
    let group_id = group_id.clone();
    match record {
        ShareRecord::Member { member_id, member } => {
            let key = formats::ShareGroupMemberMetadataKey { group_id, member_id: member_id.clone() };
            formats::GroupRecord::ShareGroupMemberMetadata(key, member.as_ref().map(member_value))
        }
        ShareRecord::Epoch(epoch) => {
            let value =
                epoch.map(|(epoch, metadata_hash)| formats::ShareGroupMetadataValue { epoch, metadata_hash });
            formats::GroupRecord::ShareGroupMetadata(formats::ShareGroupMetadataKey { group_id }, value)
        }
        ShareRecord::Target { member_id, partitions } => {
            let key = formats::ShareGroupTargetAssignmentMemberKey { group_id, member_id: member_id.clone() };
            formats::GroupRecord::ShareGroupTargetAssignmentMember(key, partitions.as_ref().map(target_value))
        }
        ShareRecord::TargetEpoch(metadata) => {
            let key = formats::ShareGroupTargetAssignmentMetadataKey { group_id };
            let value = metadata.map(|(assignment_epoch, assignment_timestamp)| {
                formats::ShareGroupTargetAssignmentMetadataValue { assignment_epoch, assignment_timestamp }
            });
            formats::GroupRecord::ShareGroupTargetAssignmentMetadata(key, value)
        }
        ShareRecord::Current { member_id, current } => {
            let key =
                formats::ShareGroupCurrentMemberAssignmentKey { group_id, member_id: member_id.clone() };
            formats::GroupRecord::ShareGroupCurrentMemberAssignment(key, current.as_ref().map(current_value))
        }
        ShareRecord::States(states) => {
            let key = formats::ShareGroupStatePartitionMetadataKey { group_id };
            formats::GroupRecord::ShareGroupStatePartitionMetadata(key, states.as_ref().map(states_value))
        }
    }
}

/// The record, or `None` if it is of a group of another kind.
pub fn from_format(format: formats::GroupRecord) -> Option<GroupRecord> {
    let (group_id, record) = match format {
        formats::GroupRecord::ShareGroupMemberMetadata(key, value) => {
            (key.group_id, ShareRecord::Member { member_id: key.member_id, member: value.map(member) })
        }
        formats::GroupRecord::ShareGroupMetadata(key, value) => {
            (key.group_id, ShareRecord::Epoch(value.map(|value| (value.epoch, value.metadata_hash))))
        }
        formats::GroupRecord::ShareGroupTargetAssignmentMember(key, value) => {
            (key.group_id, ShareRecord::Target { member_id: key.member_id, partitions: value.map(target) })
        }
        formats::GroupRecord::ShareGroupTargetAssignmentMetadata(key, value) => {
            let metadata = value.map(|value| (value.assignment_epoch, value.assignment_timestamp));
            (key.group_id, ShareRecord::TargetEpoch(metadata))
        }
        formats::GroupRecord::ShareGroupCurrentMemberAssignment(key, value) => {
            (key.group_id, ShareRecord::Current { member_id: key.member_id, current: value.map(current) })
        }
        formats::GroupRecord::ShareGroupStatePartitionMetadata(key, value) => {
            (key.group_id, ShareRecord::States(value.map(states)))
        }
        _ => return None,
    };
    Some(GroupRecord::Share { group_id, record })
}

fn member_value(member: &MemberMetadata) -> formats::ShareGroupMemberMetadataValue {
    formats::ShareGroupMemberMetadataValue {
        rack_id: member.rack_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        subscribed_topic_names: member.subscribed_topic_names.iter().cloned().collect(),
    }
}

fn member(value: formats::ShareGroupMemberMetadataValue) -> MemberMetadata {
    MemberMetadata {
        rack_id: value.rack_id,
        client_id: value.client_id,
        client_host: value.client_host,
        subscribed_topic_names: value.subscribed_topic_names.into_iter().collect(),
    }
}

fn target_value(partitions: &TopicPartitions) -> formats::ShareGroupTargetAssignmentMemberValue {
    let topic = |(topic_id, partitions): (&Uuid, _)| TargetPartitions {
        topic_id: *topic_id,
        partitions: listed(partitions),
    };
    formats::ShareGroupTargetAssignmentMemberValue {
        topic_partitions: partitions.iter().map(topic).collect(),
    }
}

fn target(value: formats::ShareGroupTargetAssignmentMemberValue) -> TopicPartitions {
    let topics = value.topic_partitions.into_iter();
    topics.map(|topic| (topic.topic_id, topic.partitions.into_iter().collect())).collect()
}

fn current_value(current: &CurrentAssignment) -> formats::ShareGroupCurrentMemberAssignmentValue {
    let topic = |(topic_id, partitions): (&Uuid, _)| CurrentPartitions {
        topic_id: *topic_id,
        partitions: listed(partitions),
    };
    formats::ShareGroupCurrentMemberAssignmentValue {
        member_epoch: current.member_epoch,
        previous_member_epoch: current.previous_member_epoch,
        state: STABLE,
        assigned_partitions: current.partitions.iter().map(topic).collect(),
    }
}

fn current(value: formats::ShareGroupCurrentMemberAssignmentValue) -> CurrentAssignment {
    let topics = value.assigned_partitions.into_iter();
    CurrentAssignment {
        member_epoch: value.member_epoch,
        previous_member_epoch: value.previous_member_epoch,
        partitions: topics.map(|topic| (topic.topic_id, topic.partitions.into_iter().collect())).collect(),
    }
}

fn states_value(states: &ShareStates) -> formats::ShareGroupStatePartitionMetadataValue {
    let topic = |(topic_id, topic): (&Uuid, &StateTopic)| TopicPartitionsInfo {
        topic_id: *topic_id,
        topic_name: topic.name.clone(),
        partitions: listed(&topic.partitions),
    };
    let deleting =
        |(topic_id, name): (&Uuid, &StrBytes)| TopicInfo { topic_id: *topic_id, topic_name: name.clone() };
    formats::ShareGroupStatePartitionMetadataValue {
        initializing_topics: states.initializing.iter().map(topic).collect(),
        initialized_topics: states.initialized.iter().map(topic).collect(),
        deleting_topics: states.deleting.iter().map(deleting).collect(),
    }
}

fn states(value: formats::ShareGroupStatePartitionMetadataValue) -> ShareStates {
    let topic = |info: TopicPartitionsInfo| {
        (
            info.topic_id,
            StateTopic { name: info.topic_name, partitions: info.partitions.into_iter().collect() },
        )
    };
    ShareStates {
        initializing: value.initializing_topics.into_iter().map(topic).collect(),
        initialized: value.initialized_topics.into_iter().map(topic).collect(),
        deleting: value.deleting_topics.into_iter().map(|info| (info.topic_id, info.topic_name)).collect(),
        since_ms: 0,
    }
}

fn listed(partitions: &std::collections::BTreeSet<i32>) -> Vec<i32> {
    partitions.iter().copied().collect()
}
