//! StreamsGroupDescribe (89) v0 (KIP-1071).

use ottla_protocol::StrBytes;
use ottla_protocol::messages::streams_group_describe_response as response;
use ottla_protocol::messages::{StreamsGroupDescribeRequest, StreamsGroupDescribeResponse};

use super::Context;
use super::describe_groups::ALL_OPERATIONS;
use super::errors::Code;
use crate::coordinator::group::streams::*;
use crate::coordinator::group::{GroupError, Refusal};

pub async fn handle(context: Context, request: StreamsGroupDescribeRequest) -> StreamsGroupDescribeResponse {
    let mut groups = Vec::with_capacity(request.group_ids.len());
    let is_enabled = context.broker().image().feature("streams.version").unwrap_or(0) > 0;
    for group_id in request.group_ids {
        let described = match is_enabled {
            true => context.broker().groups().describe_streams(&group_id.0).await,
            false => Err(GroupError::UnsupportedVersion.into()),
        };
        groups.push(match described {
            Ok(group) if request.include_authorized_operations => {
                describe(group).with_authorized_operations(ALL_OPERATIONS)
            }
            Ok(group) => describe(group),
            Err(refusal) => refused(refusal).with_group_id(group_id),
        });
    }
    StreamsGroupDescribeResponse::default().with_groups(groups)
}

fn refused(refusal: Refusal) -> response::DescribedGroup {
    response::DescribedGroup::default()
        .with_error_code(refusal.error.code().code())
        .with_error_message(refusal.message.map(StrBytes::from_string))
}

fn describe(group: DescribedStreamsGroup) -> response::DescribedGroup {
    response::DescribedGroup::default()
        .with_group_id(group.group_id.into())
        .with_group_state(StrBytes::from_static_str(group.state))
        .with_group_epoch(group.group_epoch)
        .with_assignment_epoch(group.assignment_epoch)
        .with_topology(Some(topology(group.topology)))
        .with_members(group.members.into_iter().map(member).collect())
}

fn topology(topology: Topology) -> response::Topology {
    let names = |names: Vec<StrBytes>| names.into_iter().map(Into::into).collect();
    let topic = |topic: InternalTopic| {
        let config = |(key, value)| response::KeyValue::default().with_key(key).with_value(value);
        response::TopicInfo::default()
            .with_name(topic.name.into())
            .with_partitions(topic.partitions)
            .with_replication_factor(topic.replication_factor)
            .with_topic_configs(topic.configs.into_iter().map(config).collect())
    };
    let subtopology = |it: Subtopology| {
        response::Subtopology::default()
            .with_subtopology_id(it.id)
            .with_source_topics(names(it.source_topics))
            .with_repartition_sink_topics(names(it.repartition_sink_topics))
            .with_state_changelog_topics(it.state_changelog_topics.into_iter().map(topic).collect())
            .with_repartition_source_topics(it.repartition_source_topics.into_iter().map(topic).collect())
    };
    response::Topology::default()
        .with_epoch(topology.epoch)
        .with_subtopologies(Some(topology.subtopologies.into_iter().map(subtopology).collect()))
}

fn member(it: DescribedStreamsMember) -> response::Member {
    let StreamsMember { metadata, current } = it.member;
    let tag = |(key, value)| response::KeyValue::default().with_key(key).with_value(value);
    let endpoint = |it: Endpoint| response::Endpoint::default().with_host(it.host).with_port(it.port);
    let active = current.tasks.active.into_iter().map(|(id, epochs)| task_ids(id, epochs.into_keys()));
    let assignment = response::Assignment::default()
        .with_active_tasks(active.collect())
        .with_standby_tasks(tasks(current.tasks.standby))
        .with_warmup_tasks(tasks(current.tasks.warmup));
    let target = response::Assignment::default()
        .with_active_tasks(tasks(it.target.active))
        .with_standby_tasks(tasks(it.target.standby))
        .with_warmup_tasks(tasks(it.target.warmup));
    response::Member::default()
        .with_member_id(it.member_id)
        .with_member_epoch(current.member_epoch)
        .with_instance_id(metadata.instance_id)
        .with_rack_id(metadata.rack_id)
        .with_client_id(metadata.client_id)
        .with_client_host(metadata.client_host)
        .with_topology_epoch(metadata.topology_epoch)
        .with_process_id(metadata.process_id)
        .with_user_endpoint(metadata.user_endpoint.map(endpoint))
        .with_client_tags(metadata.client_tags.into_iter().map(tag).collect())
        .with_assignment(assignment)
        .with_target_assignment(target)
}

fn tasks(tasks: Tasks) -> Vec<response::TaskIds> {
    tasks.into_iter().map(|(id, partitions)| task_ids(id, partitions)).collect()
}

fn task_ids(id: StrBytes, partitions: impl IntoIterator<Item = i32>) -> response::TaskIds {
    response::TaskIds::default().with_subtopology_id(id).with_partitions(partitions.into_iter().collect())
}
