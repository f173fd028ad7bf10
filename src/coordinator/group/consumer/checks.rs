//! What is wrong in a heartbeat itself, whatever the group.

use ottla_protocol::StrBytes;

use super::super::assignors::Assignor;
use super::super::{GroupError, Refusal};
use super::{ConsumerConfig, ConsumerHeartbeat, JOIN_EPOCH, LEAVE_EPOCH, LEAVE_STATIC_EPOCH};

/// Refuses, in Kafka's order and words.
pub fn check_heartbeat(request: &ConsumerHeartbeat, config: &ConsumerConfig) -> Result<(), Refusal> {
    let epoch = request.member_epoch;
    if request.must_name_itself || epoch > JOIN_EPOCH || epoch == LEAVE_EPOCH {
        not_blank(Some(&request.member_id), "MemberId can't be empty.")?;
    }
    not_blank(Some(&request.group_id), "GroupId can't be empty.")?;
    not_blank(request.instance_id.as_ref(), "InstanceId can't be empty.")?;
    not_blank(request.rack_id.as_ref(), "RackId can't be empty.")?;
    match epoch {
        JOIN_EPOCH => check_join(request)?,
        LEAVE_STATIC_EPOCH if request.instance_id.is_none() => {
            return Err(invalid("InstanceId can't be null."));
        }
        LEAVE_STATIC_EPOCH | LEAVE_EPOCH | 1.. => {}
        _ => return Err(invalid("MemberEpoch is invalid.")),
    }
    check_assignor(request, config)
}

fn check_join(request: &ConsumerHeartbeat) -> Result<(), Refusal> {
    if request.rebalance_timeout_ms.is_none() {
        return Err(invalid("RebalanceTimeoutMs must be provided in first request."));
    }
    if !request.topic_partitions.as_ref().is_some_and(Vec::is_empty) {
        return Err(invalid("TopicPartitions must be empty when (re-)joining."));
    }
    if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
        return Err(invalid(
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        ));
    }
    Ok(())
}

fn check_assignor(request: &ConsumerHeartbeat, config: &ConsumerConfig) -> Result<(), Refusal> {
    let Some(name) = &request.server_assignor else {
        return Ok(());
    };
    if config.assignors.iter().any(|assignor| assignor.name() == name.as_str()) {
        return Ok(());
    }
    let names: Vec<&str> = config.assignors.iter().map(|assignor: &Assignor| assignor.name()).collect();
    Err(GroupError::UnsupportedAssignor.because(format!(
        "ServerAssignor {name} is not supported. Supported assignors: {}.",
        names.join(", ")
    )))
}

fn not_blank(text: Option<&StrBytes>, message: &str) -> Result<(), Refusal> {
    if text.is_some_and(|text| text.trim().is_empty()) { Err(invalid(message)) } else { Ok(()) }
}

fn invalid(message: &str) -> Refusal {
    GroupError::InvalidRequest.because(message)
}
