//! What the tests of the group APIs share: a broker with a topic of two partitions and its coordinator, and requests.

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use ottla::{Broker, Running};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::create_topics_request::CreatableTopic;
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use ottla_protocol::messages::*;

use crate::support::Client;

pub const UNKNOWN_MEMBER_ID: i16 = ErrorCode::UnknownMemberId.code();
pub const MEMBER_ID_REQUIRED: i16 = ErrorCode::MemberIdRequired.code();
pub const INVALID_GROUP_ID: i16 = ErrorCode::InvalidGroupId.code();
pub const GROUP_ID_NOT_FOUND: i16 = ErrorCode::GroupIdNotFound.code();
pub const NON_EMPTY_GROUP: i16 = ErrorCode::NonEmptyGroup.code();
pub const NOT_COORDINATOR: i16 = ErrorCode::NotCoordinator.code();
pub const REBALANCE_IN_PROGRESS: i16 = ErrorCode::RebalanceInProgress.code();
pub const ILLEGAL_GENERATION: i16 = ErrorCode::IllegalGeneration.code();
pub const INCONSISTENT_GROUP_PROTOCOL: i16 = ErrorCode::InconsistentGroupProtocol.code();
pub const UNKNOWN_TOPIC_OR_PARTITION: i16 = ErrorCode::UnknownTopicOrPartition.code();
pub const UNKNOWN_TOPIC_ID: i16 = ErrorCode::UnknownTopicId.code();

/// A broker in memory with the topic `t` of two partitions, whose coordinator has been asked for.
pub async fn start() -> (Running, Client) {
    let builder = Broker::builder().set("offsets.topic.num.partitions", 3);
    let broker = builder.start().await.expect("a broker in memory starts");
    let mut client = Client::connect(&broker).await;
    make_topic(&mut client).await;
    (broker, client)
}

pub async fn make_topic(client: &mut Client) {
    let topic = CreatableTopic::default()
        .with_name(text("t").into())
        .with_num_partitions(2)
        .with_replication_factor(1);
    client.call(7, &CreateTopicsRequest::default().with_topics(vec![topic])).await;
    let found = client.call(3, &FindCoordinatorRequest::default().with_key(text("g"))).await;
    assert_eq!(found.error_code, 0);
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// JoinGroup of `g` by a consumer of `t`.
pub fn join(member_id: &StrBytes) -> JoinGroupRequest {
    // Version 0 of a subscription: its topics, no user data.
    let subscription = Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\0\0\0\0");
    let range = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(subscription);
    JoinGroupRequest::default()
        .with_group_id(text("g").into())
        .with_member_id(member_id.clone())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(10_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![range])
}

/// SyncGroup of `g`, from its leader if there are assignments.
pub fn sync(
    member_id: &StrBytes,
    generation: i32,
    assignments: &[(&StrBytes, &'static str)],
) -> SyncGroupRequest {
    let assignment = |(id, bytes): &(&StrBytes, &'static str)| {
        SyncGroupRequestAssignment::default()
            .with_member_id((*id).clone())
            .with_assignment(Bytes::from_static(bytes.as_bytes()))
    };
    SyncGroupRequest::default()
        .with_group_id(text("g").into())
        .with_member_id(member_id.clone())
        .with_generation_id(generation)
        .with_assignments(assignments.iter().map(assignment).collect())
}

pub fn heartbeat(member_id: &StrBytes, generation: i32) -> HeartbeatRequest {
    HeartbeatRequest::default()
        .with_group_id(text("g").into())
        .with_member_id(member_id.clone())
        .with_generation_id(generation)
}

/// A commit to `group` for partition 0 of `t` by nobody in particular.
pub fn commit(group: &str, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text("m")));
    let topic =
        OffsetCommitRequestTopic::default().with_name(text("t").into()).with_partitions(vec![partition]);
    OffsetCommitRequest::default().with_group_id(text(group).into()).with_topics(vec![topic])
}

/// A member alone in generation 1 of `g`, and stable. Returns its id.
pub async fn stable_member(client: &mut Client) -> StrBytes {
    let joined = client.call(3, &join(&StrBytes::new())).await;
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    let synced = client.call(3, &sync(&joined.member_id, 1, &[(&joined.member_id, "all")])).await;
    assert_eq!((synced.error_code, &*synced.assignment), (0, &b"all"[..]));
    joined.member_id
}
