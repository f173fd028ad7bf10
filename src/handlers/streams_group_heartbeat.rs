//! StreamsGroupHeartbeat (88) v0 (KIP-1071). As in Kafka 4.3: no static members, warm-up tasks, task offsets or
//! regular expressions for source topics.

use ottla_protocol::StrBytes;
use ottla_protocol::messages::streams_group_heartbeat_request::{
    self as request, StreamsGroupHeartbeatRequest,
};
use ottla_protocol::messages::streams_group_heartbeat_response::{
    self as response, StreamsGroupHeartbeatResponse,
};

use super::Context;
use super::errors::Code;
use crate::coordinator::group::streams::*;
use crate::coordinator::group::{GroupError, Refusal};
use crate::metadata::{is_internal, validate_topic_name};

/// How many topics that could not be made a member is told of.
const MAX_CREATION_ERRORS: usize = 3;

pub async fn handle(
    context: Context,
    request: StreamsGroupHeartbeatRequest,
) -> StreamsGroupHeartbeatResponse {
    match heartbeat(&context, request).await {
        Ok(answer) => accepted(answer),
        Err(refusal) => StreamsGroupHeartbeatResponse::default()
            .with_error_code(refusal.error.code().code())
            .with_error_message(refusal.message.map(StrBytes::from_string)),
    }
}

async fn heartbeat(
    context: &Context,
    request: StreamsGroupHeartbeatRequest,
) -> Result<StreamsHeartbeatAnswer, Refusal> {
    if context.broker().image().feature("streams.version").unwrap_or(0) == 0 {
        return Err(GroupError::UnsupportedVersion.into());
    }
    if let Some(topology) = &request.topology {
        check_topic_names(topology)?;
    }
    check_supported(&request)?;
    check(&request)?;
    let mut answer = context.broker().groups().streams_heartbeat(command(context, request)).await?;
    if !answer.topics_to_create.is_empty() {
        make_topics(context, &mut answer);
    }
    Ok(answer)
}

/// The application's own names must not be the brokers', and be names.
fn check_topic_names(topology: &request::Topology) -> Result<(), Refusal> {
    let mut names: Vec<&str> = Vec::new();
    for subtopology in &topology.subtopologies {
        names.extend(subtopology.source_topics.iter().map(|name| name.as_str()));
        names.extend(subtopology.repartition_sink_topics.iter().map(|name| name.as_str()));
        names.extend(subtopology.repartition_source_topics.iter().map(|topic| topic.name.as_str()));
        names.extend(subtopology.state_changelog_topics.iter().map(|topic| topic.name.as_str()));
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(*name));
    let found = |is_wrong: fn(&str) -> bool| {
        let wrong: Vec<&str> = names.iter().copied().filter(|name| is_wrong(name)).collect();
        (!wrong.is_empty()).then(|| wrong.join(","))
    };
    if let Some(names) = found(is_internal) {
        return Err(GroupError::StreamsInvalidTopology.because(format!(
            "Use of Kafka internal topics {names} in a Kafka Streams topology is prohibited."
        )));
    }
    if let Some(names) = found(|name| validate_topic_name(name).is_err()) {
        let message = format!("Topic names {names} are not valid topic names.");
        return Err(GroupError::StreamsInvalidTopology.because(message));
    }
    Ok(())
}

/// What is in the protocol and not yet in Kafka.
fn check_supported(request: &StreamsGroupHeartbeatRequest) -> Result<(), Refusal> {
    let has_regex = |topology: &request::Topology| {
        topology.subtopologies.iter().any(|it| !it.source_topic_regex.is_empty())
    };
    let unsupported = [
        (request.instance_id.is_some(), "Static membership is not yet supported."),
        (request.task_offsets.is_some(), "TaskOffsets are not supported yet."),
        (request.task_end_offsets.is_some(), "TaskEndOffsets are not supported yet."),
        (
            request.warmup_tasks.as_ref().is_some_and(|tasks| !tasks.is_empty()),
            "WarmupTasks are not supported yet.",
        ),
        (
            request.topology.as_ref().is_some_and(has_regex),
            "Regular expressions for source topics are not supported yet.",
        ),
    ];
    refuse_first(unsupported)
}

/// What is wrong in the request itself.
fn check(request: &StreamsGroupHeartbeatRequest) -> Result<(), Refusal> {
    let is_blank = |text: &str| text.trim().is_empty();
    let is_blank_if_given = |text: &Option<StrBytes>| text.as_ref().is_some_and(|text| is_blank(text));
    refuse_first([
        (is_blank(&request.member_id), "MemberId can't be empty."),
        (is_blank(&request.group_id), "GroupId can't be empty."),
        (is_blank_if_given(&request.instance_id), "InstanceId can't be empty."),
        (is_blank_if_given(&request.rack_id), "RackId can't be empty."),
    ])?;
    match request.member_epoch {
        0 => check_join(request)?,
        // A member that leaves for a while would be a static one.
        -2 => return Err(GroupError::InvalidRequest.because("InstanceId can't be null.")),
        ..-2 => {
            return Err(GroupError::InvalidRequest.because(format!(
                "MemberEpoch is {}, but must be greater than or equal to -2.",
                request.member_epoch
            )));
        }
        _ => {}
    }
    let given = [&request.active_tasks, &request.standby_tasks, &request.warmup_tasks].map(Option::is_some);
    let is_partly_given = given.contains(&true) && given.contains(&false);
    refuse_first([
        (is_partly_given, "If one task-type is non-null, all must be non-null."),
        (
            request.member_epoch != 0 && request.topology.is_some(),
            "Topology can only be provided when (re-)joining.",
        ),
    ])
}

fn check_join(request: &StreamsGroupHeartbeatRequest) -> Result<(), Refusal> {
    let is_not_empty = |tasks: &Option<Vec<_>>| !tasks.as_ref().is_some_and(Vec::is_empty);
    refuse_first([
        (request.rebalance_timeout_ms == -1, "RebalanceTimeoutMs must be provided in first request."),
        (is_not_empty(&request.active_tasks), "ActiveTasks must be empty when (re-)joining."),
        (is_not_empty(&request.standby_tasks), "StandbyTasks must be empty when (re-)joining."),
        (is_not_empty(&request.warmup_tasks), "WarmupTasks must be empty when (re-)joining."),
        (request.topology.is_none(), "Topology must be non-null when (re-)joining."),
    ])
}

fn refuse_first<const N: usize>(rules: [(bool, &str); N]) -> Result<(), Refusal> {
    match rules.into_iter().find(|(is_broken, _)| *is_broken) {
        Some((_, message)) => Err(GroupError::InvalidRequest.because(message)),
        None => Ok(()),
    }
}

fn command(context: &Context, request: StreamsGroupHeartbeatRequest) -> StreamsHeartbeat {
    let owned = match (request.active_tasks, request.standby_tasks, request.warmup_tasks) {
        (Some(active), Some(standby), Some(warmup)) => {
            Some(TaskSet { active: tasks(active), standby: tasks(standby), warmup: tasks(warmup) })
        }
        _ => None,
    };
    let tags = |tags: Vec<request::KeyValue>| tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    StreamsHeartbeat {
        group_id: request.group_id.0,
        member_id: request.member_id,
        member_epoch: request.member_epoch,
        endpoint_information_epoch: request.endpoint_information_epoch,
        rack_id: request.rack_id,
        rebalance_timeout_ms: Some(request.rebalance_timeout_ms).filter(|timeout_ms| *timeout_ms != -1),
        topology: request.topology.map(topology),
        owned,
        process_id: request.process_id,
        user_endpoint: request.user_endpoint.map(|it| Endpoint { host: it.host, port: it.port }),
        client_tags: request.client_tags.map(tags),
        shutdown_application: request.shutdown_application,
        client_id: context.client_id.clone().unwrap_or_default(),
        client_host: context.client_host(),
    }
}

fn tasks(ids: Vec<request::TaskIds>) -> Tasks {
    let ids = ids.into_iter().filter(|it| !it.partitions.is_empty());
    ids.map(|it| (it.subtopology_id, it.partitions.into_iter().collect())).collect()
}

fn topology(topology: request::Topology) -> Topology {
    let names =
        |names: Vec<ottla_protocol::messages::TopicName>| names.into_iter().map(|name| name.0).collect();
    let topic = |topic: request::TopicInfo| InternalTopic {
        name: topic.name.0,
        partitions: topic.partitions,
        replication_factor: topic.replication_factor,
        configs: topic.topic_configs.into_iter().map(|config| (config.key, config.value)).collect(),
    };
    let group = |group: request::CopartitionGroup| CopartitionGroup {
        source_topics: group.source_topics,
        source_topic_regex: group.source_topic_regex,
        repartition_source_topics: group.repartition_source_topics,
    };
    let subtopology = |it: request::Subtopology| Subtopology {
        id: it.subtopology_id,
        source_topics: names(it.source_topics),
        source_topic_regex: it.source_topic_regex,
        state_changelog_topics: it.state_changelog_topics.into_iter().map(topic).collect(),
        repartition_sink_topics: names(it.repartition_sink_topics),
        repartition_source_topics: it.repartition_source_topics.into_iter().map(topic).collect(),
        copartition_groups: it.copartition_groups.into_iter().map(group).collect(),
    };
    Topology {
        epoch: topology.epoch,
        subtopologies: topology.subtopologies.into_iter().map(subtopology).collect(),
    }
}

/// Starts to make what is missing, and says what could not be made: the next heartbeat tries again.
fn make_topics(context: &Context, answer: &mut StreamsHeartbeatAnswer) {
    let topics = std::mem::take(&mut answer.topics_to_create);
    let retry_ms = i64::from(answer.heartbeat_interval_ms) * 2;
    let failed = context.broker().make_streams_topics(topics, retry_ms);
    let status = answer.status.iter_mut().find(|it| it.kind == StatusKind::MissingInternalTopics);
    if let Some(status) = status.filter(|_| !failed.is_empty()) {
        let shown = failed.iter().take(MAX_CREATION_ERRORS);
        let shown: Vec<String> = shown.map(|(name, error)| format!("{} ({error})", name.as_str())).collect();
        let more = match failed.len().saturating_sub(MAX_CREATION_ERRORS) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        status.detail.push_str(&format!("; Creation failed: {}{more}.", shown.join(", ")));
    }
}

fn accepted(answer: StreamsHeartbeatAnswer) -> StreamsGroupHeartbeatResponse {
    let status = |status: Status| {
        response::Status::default()
            .with_status_code(status.kind as i8)
            .with_status_detail(StrBytes::from_string(status.detail))
    };
    let mut it = StreamsGroupHeartbeatResponse::default()
        .with_member_id(answer.member_id)
        .with_member_epoch(answer.member_epoch)
        .with_heartbeat_interval_ms(answer.heartbeat_interval_ms)
        .with_status(Some(answer.status.into_iter().map(status).collect()))
        .with_endpoint_information_epoch(answer.endpoint_information_epoch)
        .with_partitions_by_user_endpoint(
            answer.endpoints.map(|all| all.into_iter().map(endpoint_partitions).collect()),
        );
    if let Some(tasks) = answer.tasks {
        let active = tasks.active.into_iter().map(|(id, epochs)| task_ids(id, epochs.into_keys()));
        it = it
            .with_active_tasks(Some(active.collect()))
            .with_standby_tasks(Some(tasks.standby.into_iter().map(|(id, it)| task_ids(id, it)).collect()))
            .with_warmup_tasks(Some(tasks.warmup.into_iter().map(|(id, it)| task_ids(id, it)).collect()));
    }
    it
}

fn task_ids(id: StrBytes, partitions: impl IntoIterator<Item = i32>) -> response::TaskIds {
    response::TaskIds::default().with_subtopology_id(id).with_partitions(partitions.into_iter().collect())
}

fn endpoint_partitions(it: EndpointPartitions) -> response::EndpointToPartitions {
    let partitions = |(topic, partitions): (StrBytes, std::collections::BTreeSet<i32>)| {
        response::TopicPartition::default()
            .with_topic(topic.into())
            .with_partitions(partitions.into_iter().collect())
    };
    let endpoint = response::Endpoint::default().with_host(it.endpoint.host).with_port(it.endpoint.port);
    response::EndpointToPartitions::default()
        .with_user_endpoint(endpoint)
        .with_active_partitions(it.active.into_iter().map(partitions).collect())
        .with_standby_partitions(it.standby.into_iter().map(partitions).collect())
}
