//! ShareGroupDescribe (77) v1 (KIP-932).

use ottla_protocol::StrBytes;
use ottla_protocol::messages::share_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use ottla_protocol::messages::{ShareGroupDescribeRequest, ShareGroupDescribeResponse};

use super::Context;
use super::describe_groups::ALL_OPERATIONS;
use super::errors::Code;
use crate::coordinator::group::share::commands::{
    DescribedShareGroup, DescribedShareMember, ShareTopicPartitions,
};

pub async fn handle(context: Context, request: ShareGroupDescribeRequest) -> ShareGroupDescribeResponse {
    let mut groups = Vec::with_capacity(request.group_ids.len());
    // What has no name is answered first, as Kafka does.
    let (nameless, named): (Vec<_>, Vec<_>) =
        request.group_ids.into_iter().partition(|group_id| group_id.is_empty());
    for group_id in nameless.into_iter().chain(named) {
        let group = match context.broker().groups().describe_share_group(&group_id.0).await {
            Ok(group) if request.include_authorized_operations => {
                described(group).with_authorized_operations(ALL_OPERATIONS)
            }
            Ok(group) => described(group),
            Err(refusal) => DescribedGroup::default()
                .with_error_code(refusal.error.code().code())
                .with_error_message(refusal.message.map(StrBytes::from_string)),
        };
        groups.push(group.with_group_id(group_id));
    }
    ShareGroupDescribeResponse::default().with_groups(groups)
}

fn described(group: DescribedShareGroup) -> DescribedGroup {
    DescribedGroup::default()
        .with_error_message(None)
        .with_group_state(StrBytes::from_static_str(group.state))
        .with_group_epoch(group.epoch)
        .with_assignment_epoch(group.assignment_epoch)
        .with_assignor_name(StrBytes::from_static_str(group.assignor))
        .with_members(group.members.into_iter().map(member).collect())
}

fn member(member: DescribedShareMember) -> Member {
    let names = member.subscribed_topic_names.into_iter().map(Into::into).collect();
    let topics = member.assignment.into_iter().map(topic_partitions).collect();
    Member::default()
        .with_member_id(member.member_id)
        .with_rack_id(member.rack_id)
        .with_member_epoch(member.member_epoch)
        .with_client_id(member.client_id)
        .with_client_host(member.client_host)
        .with_subscribed_topic_names(names)
        .with_assignment(Assignment::default().with_topic_partitions(topics))
}

fn topic_partitions(topic: ShareTopicPartitions) -> TopicPartitions {
    TopicPartitions::default()
        .with_topic_id(topic.topic_id)
        .with_topic_name(topic.name.into())
        .with_partitions(topic.partitions)
}
