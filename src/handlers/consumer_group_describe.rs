//! ConsumerGroupDescribe (69) v0-1 (KIP-848). v1: whether a member uses the classic protocol (KIP-1099).

use ottla_protocol::StrBytes;
use ottla_protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use ottla_protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, GroupId};

use super::Context;
use super::describe_groups::ALL_OPERATIONS;
use super::errors::Code;
use crate::coordinator::group::Refusal;
use crate::coordinator::group::consumer::{DescribedConsumerGroup, DescribedConsumerMember, DescribedTopic};

const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

pub async fn handle(
    context: Context,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    // Kafka answers first for what it does not have to look for.
    let (nameless, named): (Vec<GroupId>, Vec<GroupId>) =
        request.group_ids.into_iter().partition(|group_id| group_id.is_empty());
    let mut groups = Vec::with_capacity(nameless.len() + named.len());
    for group_id in nameless.into_iter().chain(named) {
        let group = match context.broker().groups().consumer_describe(&group_id.0).await {
            Ok(group) if request.include_authorized_operations => {
                described(&context, group).with_authorized_operations(ALL_OPERATIONS)
            }
            Ok(group) => described(&context, group),
            Err(refusal) => refused(refusal),
        };
        groups.push(group.with_group_id(group_id));
    }
    ConsumerGroupDescribeResponse::default().with_groups(groups)
}

fn described(context: &Context, group: DescribedConsumerGroup) -> DescribedGroup {
    let members = group.members.into_iter().map(|each| member(context, each));
    DescribedGroup::default()
        .with_group_state(StrBytes::from_static_str(group.state))
        .with_group_epoch(group.group_epoch)
        .with_assignment_epoch(group.assignment_epoch)
        .with_assignor_name(StrBytes::from_static_str(group.assignor))
        .with_members(members.collect())
}

fn member(context: &Context, member: DescribedConsumerMember) -> Member {
    let names = member.subscribed_topic_names.into_iter().map(Into::into);
    let described = Member::default()
        .with_member_id(member.member_id)
        .with_instance_id(member.instance_id)
        .with_rack_id(member.rack_id)
        .with_member_epoch(member.member_epoch)
        .with_client_id(member.client_id)
        .with_client_host(member.client_host)
        .with_subscribed_topic_names(names.collect())
        .with_subscribed_topic_regex(Some(member.subscribed_topic_regex))
        .with_assignment(assignment(member.assignment))
        .with_target_assignment(assignment(member.target_assignment));
    match (context.api_version, member.uses_classic_protocol) {
        (0, _) => described,
        (_, true) => described.with_member_type(CLASSIC_MEMBER),
        (_, false) => described.with_member_type(CONSUMER_MEMBER),
    }
}

fn assignment(topics: Vec<DescribedTopic>) -> Assignment {
    let topic = |topic: DescribedTopic| {
        TopicPartitions::default()
            .with_topic_id(topic.topic_id)
            .with_topic_name(topic.topic_name.into())
            .with_partitions(topic.partitions)
    };
    Assignment::default().with_topic_partitions(topics.into_iter().map(topic).collect())
}

fn refused(refusal: Refusal) -> DescribedGroup {
    DescribedGroup::default()
        .with_error_code(refusal.error.code().code())
        .with_error_message(refusal.message.map(StrBytes::from_string))
}
