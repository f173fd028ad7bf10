//! [`StreamsRecord`] in Kafka's formats: the key types 17 to 23 of `__consumer_offsets`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_protocol::StrBytes;
use ottla_protocol::record_formats::group as formats;
use ottla_protocol::record_formats::group::streams_group_current_member_assignment_value as current_format;
use ottla_protocol::record_formats::group::streams_group_member_metadata_value as member_format;
use ottla_protocol::record_formats::group::streams_group_metadata_value as metadata_format;
use ottla_protocol::record_formats::group::streams_group_target_assignment_member_value as target_format;
use ottla_protocol::record_formats::group::streams_group_topology_value as topology_format;

use super::super::GroupRecord;
use super::super::hard::kept;
use super::group::{GroupMetadata, StreamsRecord, TargetMetadata};
use super::member::{CurrentAssignment, Endpoint, MemberMetadata, MemberState};
use super::tasks::{ActiveTasks, AssignedTasks, TaskSet, Tasks};
use super::topology::{CopartitionGroup, InternalTopic, Subtopology, Topology};

/// The only version of all of them.
pub const VERSION: i16 = 0;

/// The record with its key.
pub fn to_format(group_id: &StrBytes, record: &StreamsRecord) -> formats::GroupRecord {
    let group_id = group_id.clone();
    match record {
        StreamsRecord::Metadata(value) => formats::GroupRecord::StreamsGroupMetadata(
            formats::StreamsGroupMetadataKey { group_id },
            value.as_ref().map(to_metadata),
        ),
        StreamsRecord::Member(member_id, value) => formats::GroupRecord::StreamsGroupMemberMetadata(
            formats::StreamsGroupMemberMetadataKey { group_id, member_id: member_id.clone() },
            value.as_deref().map(to_member),
        ),
        StreamsRecord::TargetMetadata(value) => formats::GroupRecord::StreamsGroupTargetAssignmentMetadata(
            formats::StreamsGroupTargetAssignmentMetadataKey { group_id },
            value.map(|value| formats::StreamsGroupTargetAssignmentMetadataValue {
                assignment_epoch: value.epoch,
                assignment_timestamp: value.timestamp_ms,
            }),
        ),
        StreamsRecord::Target(member_id, value) => formats::GroupRecord::StreamsGroupTargetAssignmentMember(
            formats::StreamsGroupTargetAssignmentMemberKey { group_id, member_id: member_id.clone() },
            value.as_ref().map(to_target),
        ),
        StreamsRecord::Current(member_id, value) => {
            formats::GroupRecord::StreamsGroupCurrentMemberAssignment(
                formats::StreamsGroupCurrentMemberAssignmentKey { group_id, member_id: member_id.clone() },
                value.as_deref().map(to_current),
            )
        }
        StreamsRecord::Topology(value) => formats::GroupRecord::StreamsGroupTopology(
            formats::StreamsGroupTopologyKey { group_id },
            value.as_deref().map(to_topology),
        ),
    }
}

/// The record, or `None` if it is of a group of another kind.
pub fn from_format(format: formats::GroupRecord) -> Option<GroupRecord> {
    let (group_id, record) = match format {
        formats::GroupRecord::StreamsGroupMetadata(key, value) => {
            (key.group_id, StreamsRecord::Metadata(value.map(from_metadata)))
        }
        formats::GroupRecord::StreamsGroupMemberMetadata(key, value) => {
            let value = value.map(|value| Box::new(from_member(value)));
            (key.group_id, StreamsRecord::Member(key.member_id, value))
        }
        formats::GroupRecord::StreamsGroupTargetAssignmentMetadata(key, value) => {
            let value = value.map(|value| TargetMetadata {
                epoch: value.assignment_epoch,
                timestamp_ms: value.assignment_timestamp,
            });
            (key.group_id, StreamsRecord::TargetMetadata(value))
        }
        formats::GroupRecord::StreamsGroupTargetAssignmentMember(key, value) => {
            (key.group_id, StreamsRecord::Target(key.member_id, value.map(|value| from_target(&value))))
        }
        formats::GroupRecord::StreamsGroupCurrentMemberAssignment(key, value) => {
            let value = value.map(|value| Box::new(from_current(&value)));
            (key.group_id, StreamsRecord::Current(key.member_id, value))
        }
        formats::GroupRecord::StreamsGroupTopology(key, value) => {
            (key.group_id, StreamsRecord::Topology(value.map(|value| Arc::new(from_topology(&value)))))
        }
        _ => return None,
    };
    Some(GroupRecord::Streams { group_id, record })
}

fn to_metadata(metadata: &GroupMetadata) -> formats::StreamsGroupMetadataValue {
    let config = |(key, value): (&StrBytes, &StrBytes)| metadata_format::LastAssignmentConfig {
        key: key.clone(),
        value: value.clone(),
    };
    formats::StreamsGroupMetadataValue {
        epoch: metadata.epoch,
        metadata_hash: metadata.metadata_hash,
        validated_topology_epoch: metadata.validated_topology_epoch,
        last_assignment_configs: Some(metadata.assignment_configs.iter().map(config).collect()),
    }
}

fn from_metadata(value: formats::StreamsGroupMetadataValue) -> GroupMetadata {
    let configs = value.last_assignment_configs.unwrap_or_default();
    GroupMetadata {
        epoch: value.epoch,
        metadata_hash: value.metadata_hash,
        validated_topology_epoch: value.validated_topology_epoch,
        assignment_configs: configs.iter().map(|it| (kept(&it.key), kept(&it.value))).collect(),
    }
}

fn to_member(member: &MemberMetadata) -> formats::StreamsGroupMemberMetadataValue {
    let tag = |(key, value): (&StrBytes, &StrBytes)| member_format::KeyValue {
        key: key.clone(),
        value: value.clone(),
    };
    let endpoint = |it: &Endpoint| member_format::Endpoint { host: it.host.clone(), port: it.port };
    formats::StreamsGroupMemberMetadataValue {
        instance_id: member.instance_id.clone(),
        rack_id: member.rack_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        topology_epoch: member.topology_epoch,
        process_id: member.process_id.clone(),
        user_endpoint: member.user_endpoint.as_ref().map(endpoint),
        client_tags: member.client_tags.iter().map(tag).collect(),
    }
}

fn from_member(value: formats::StreamsGroupMemberMetadataValue) -> MemberMetadata {
    MemberMetadata {
        instance_id: value.instance_id.as_ref().map(kept),
        rack_id: value.rack_id.as_ref().map(kept),
        client_id: kept(&value.client_id),
        client_host: kept(&value.client_host),
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        topology_epoch: value.topology_epoch,
        process_id: kept(&value.process_id),
        user_endpoint: value.user_endpoint.map(|it| Endpoint { host: kept(&it.host), port: it.port }),
        client_tags: value.client_tags.iter().map(|it| (kept(&it.key), kept(&it.value))).collect(),
    }
}

fn to_target(target: &TaskSet) -> formats::StreamsGroupTargetAssignmentMemberValue {
    let task_ids = |tasks: &Tasks| -> Vec<target_format::TaskIds> {
        let ids = |(id, partitions): (&StrBytes, &BTreeSet<i32>)| target_format::TaskIds {
            subtopology_id: id.clone(),
            partitions: partitions.iter().copied().collect(),
        };
        tasks.iter().map(ids).collect()
    };
    formats::StreamsGroupTargetAssignmentMemberValue {
        active_tasks: task_ids(&target.active),
        standby_tasks: task_ids(&target.standby),
        warmup_tasks: task_ids(&target.warmup),
    }
}

fn from_target(value: &formats::StreamsGroupTargetAssignmentMemberValue) -> TaskSet {
    let tasks = |ids: &[target_format::TaskIds]| -> Tasks {
        ids.iter().map(|it| (kept(&it.subtopology_id), it.partitions.iter().copied().collect())).collect()
    };
    TaskSet {
        active: tasks(&value.active_tasks),
        standby: tasks(&value.standby_tasks),
        warmup: tasks(&value.warmup_tasks),
    }
}

fn to_current(current: &CurrentAssignment) -> formats::StreamsGroupCurrentMemberAssignmentValue {
    formats::StreamsGroupCurrentMemberAssignmentValue {
        member_epoch: current.member_epoch,
        previous_member_epoch: current.previous_member_epoch,
        state: current.state as i8,
        active_tasks: to_active(&current.tasks.active),
        standby_tasks: to_copies(&current.tasks.standby),
        warmup_tasks: to_copies(&current.tasks.warmup),
        active_tasks_pending_revocation: to_active(&current.pending_revocation.active),
        standby_tasks_pending_revocation: to_copies(&current.pending_revocation.standby),
        warmup_tasks_pending_revocation: to_copies(&current.pending_revocation.warmup),
    }
}

fn from_current(value: &formats::StreamsGroupCurrentMemberAssignmentValue) -> CurrentAssignment {
    CurrentAssignment {
        member_epoch: value.member_epoch,
        previous_member_epoch: value.previous_member_epoch,
        state: MemberState::from_number(value.state),
        tasks: AssignedTasks {
            active: from_active(&value.active_tasks, value.member_epoch),
            standby: from_copies(&value.standby_tasks),
            warmup: from_copies(&value.warmup_tasks),
        },
        pending_revocation: AssignedTasks {
            active: from_active(&value.active_tasks_pending_revocation, value.member_epoch),
            standby: from_copies(&value.standby_tasks_pending_revocation),
            warmup: from_copies(&value.warmup_tasks_pending_revocation),
        },
    }
}

fn to_active(tasks: &ActiveTasks) -> Vec<current_format::TaskIds> {
    let ids = |(id, epochs): (&StrBytes, &BTreeMap<i32, i32>)| current_format::TaskIds {
        subtopology_id: id.clone(),
        partitions: epochs.keys().copied().collect(),
        assignment_epochs: Some(epochs.values().copied().collect()),
    };
    tasks.iter().map(ids).collect()
}

/// Records of before there were epochs beside the partitions mean the member's.
fn from_active(ids: &[current_format::TaskIds], member_epoch: i32) -> ActiveTasks {
    let epochs = |it: &current_format::TaskIds| -> BTreeMap<i32, i32> {
        let epochs = it.assignment_epochs.as_ref().filter(|epochs| epochs.len() == it.partitions.len());
        let epoch =
            |index: usize| epochs.and_then(|epochs| epochs.get(index)).copied().unwrap_or(member_epoch);
        it.partitions.iter().enumerate().map(|(index, partition)| (*partition, epoch(index))).collect()
    };
    ids.iter().map(|it| (kept(&it.subtopology_id), epochs(it))).collect()
}

fn to_copies(tasks: &Tasks) -> Vec<current_format::TaskIds> {
    let ids = |(id, partitions): (&StrBytes, &BTreeSet<i32>)| current_format::TaskIds {
        subtopology_id: id.clone(),
        partitions: partitions.iter().copied().collect(),
        assignment_epochs: None,
    };
    tasks.iter().map(ids).collect()
}

fn from_copies(ids: &[current_format::TaskIds]) -> Tasks {
    ids.iter().map(|it| (kept(&it.subtopology_id), it.partitions.iter().copied().collect())).collect()
}

fn to_topology(topology: &Topology) -> formats::StreamsGroupTopologyValue {
    let config = |(key, value): &(StrBytes, StrBytes)| topology_format::TopicConfig {
        key: key.clone(),
        value: value.clone(),
    };
    let topic = |it: &InternalTopic| topology_format::TopicInfo {
        name: it.name.clone(),
        partitions: it.partitions,
        replication_factor: it.replication_factor,
        topic_configs: it.configs.iter().map(config).collect(),
    };
    let group = |it: &CopartitionGroup| topology_format::CopartitionGroup {
        source_topics: it.source_topics.clone(),
        source_topic_regex: it.source_topic_regex.clone(),
        repartition_source_topics: it.repartition_source_topics.clone(),
    };
    let subtopology = |it: &Subtopology| topology_format::Subtopology {
        subtopology_id: it.id.clone(),
        source_topics: it.source_topics.clone(),
        source_topic_regex: it.source_topic_regex.clone(),
        state_changelog_topics: it.state_changelog_topics.iter().map(topic).collect(),
        repartition_sink_topics: it.repartition_sink_topics.clone(),
        repartition_source_topics: it.repartition_source_topics.iter().map(topic).collect(),
        copartition_groups: it.copartition_groups.iter().map(group).collect(),
    };
    formats::StreamsGroupTopologyValue {
        epoch: topology.epoch,
        subtopologies: topology.subtopologies.iter().map(subtopology).collect(),
    }
}

fn from_topology(value: &formats::StreamsGroupTopologyValue) -> Topology {
    let all_kept = |names: &[StrBytes]| names.iter().map(kept).collect();
    let topic = |it: &topology_format::TopicInfo| InternalTopic {
        name: kept(&it.name),
        partitions: it.partitions,
        replication_factor: it.replication_factor,
        configs: it.topic_configs.iter().map(|it| (kept(&it.key), kept(&it.value))).collect(),
    };
    let group = |it: &topology_format::CopartitionGroup| CopartitionGroup {
        source_topics: it.source_topics.clone(),
        source_topic_regex: it.source_topic_regex.clone(),
        repartition_source_topics: it.repartition_source_topics.clone(),
    };
    let subtopology = |it: &topology_format::Subtopology| Subtopology {
        id: kept(&it.subtopology_id),
        source_topics: all_kept(&it.source_topics),
        source_topic_regex: all_kept(&it.source_topic_regex),
        state_changelog_topics: it.state_changelog_topics.iter().map(topic).collect(),
        repartition_sink_topics: all_kept(&it.repartition_sink_topics),
        repartition_source_topics: it.repartition_source_topics.iter().map(topic).collect(),
        copartition_groups: it.copartition_groups.iter().map(group).collect(),
    };
    Topology { epoch: value.epoch, subtopologies: value.subtopologies.iter().map(subtopology).collect() }
}
