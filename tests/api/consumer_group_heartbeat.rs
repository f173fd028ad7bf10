use ottla_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use ottla_protocol::messages::consumer_group_heartbeat_response::Assignment;
use ottla_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use ottla_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, OffsetFetchRequest,
};
use ottla_protocol::{ErrorCode, StrBytes};

use crate::groups::*;

/// The first heartbeat of a member of `g` that reads `t`.
pub fn joining(member_id: &str) -> ConsumerGroupHeartbeatRequest {
    beating(member_id, 0)
        .with_rebalance_timeout_ms(60_000)
        .with_subscribed_topic_names(Some(vec![text("t").into()]))
        .with_topic_partitions(Some(Vec::new()))
}

/// A heartbeat of a member that has nothing to say.
pub fn beating(member_id: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(text("g").into())
        .with_member_id(text(member_id))
        .with_member_epoch(epoch)
}

/// The partitions of an assignment, whatever their topics.
fn partitions(assignment: Option<Assignment>) -> Option<Vec<i32>> {
    assignment.map(|assignment| {
        assignment.topic_partitions.into_iter().flat_map(|topic| topic.partitions).collect()
    })
}

fn refusal(response: &ConsumerGroupHeartbeatResponse) -> (i16, Option<&str>) {
    (response.error_code, response.error_message.as_deref())
}

#[tokio::test]
async fn a_member_joins_goes_on_and_leaves_in_every_version() {
    let (broker, mut client) = start().await;
    for version in 0..=1 {
        let of_group = |request: ConsumerGroupHeartbeatRequest| {
            request.with_group_id(StrBytes::from_string(format!("g{version}")).into())
        };
        let joined = client.call(version, &of_group(joining("a"))).await;
        assert_eq!(refusal(&joined), (0, None), "v{version}");
        assert_eq!((joined.member_id, joined.heartbeat_interval_ms), (Some(text("a")), 1_000));
        assert_eq!(partitions(joined.assignment), Some(vec![0, 1]));

        let beaten = client.call(version, &of_group(beating("a", joined.member_epoch))).await;
        assert_eq!((beaten.error_code, beaten.member_epoch), (0, joined.member_epoch));
        assert_eq!(beaten.assignment, None);

        let left = client.call(version, &of_group(beating("a", -1))).await;
        assert_eq!((left.error_code, left.member_epoch, left.heartbeat_interval_ms), (0, -1, 0));
        let gone = client.call(version, &of_group(beating("a", joined.member_epoch))).await;
        let message = format!("Member a is not a member of group g{version}.");
        assert_eq!(refusal(&gone), (ErrorCode::UnknownMemberId.code(), Some(&*message)));
    }
    broker.stop().await.unwrap();
}

/// Version 0: the coordinator names the member, by an id as Kafka writes them.
#[tokio::test]
async fn only_version_0_gives_ids() {
    let (broker, mut client) = start().await;
    let joined = client.call(0, &joining("")).await;
    assert_eq!((joined.error_code, joined.member_id.map(|id| id.len())), (0, Some(22)));
    let refused = client.call(1, &joining("")).await;
    assert_eq!(refusal(&refused), (ErrorCode::InvalidRequest.code(), Some("MemberId can't be empty.")));
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn refusals_have_kafkas_codes_and_change_nothing() {
    let (broker, mut client) = start().await;
    let joined = client.call(1, &joining("a")).await;
    let epoch = joined.member_epoch;
    let cases = [
        (joining("a").with_group_id(text("").into()), ErrorCode::InvalidRequest),
        (joining("b").with_server_assignor(Some(text("x"))), ErrorCode::UnsupportedAssignor),
        (joining("b").with_subscribed_topic_regex(Some(text("*"))), ErrorCode::InvalidRegularExpression),
        (beating("a", epoch + 1), ErrorCode::FencedMemberEpoch),
        (beating("a", epoch - 1), ErrorCode::FencedMemberEpoch),
        (beating("b", epoch), ErrorCode::UnknownMemberId),
        (beating("a", 1).with_group_id(text("nowhere").into()), ErrorCode::GroupIdNotFound),
        (beating("a", -2), ErrorCode::InvalidRequest),
        (beating("a", -2).with_instance_id(Some(text("i"))), ErrorCode::UnknownMemberId),
    ];
    for (request, code) in cases {
        let refused = client.call(1, &request).await;
        assert_eq!((refused.error_code, refused.member_epoch), (code.code(), 0), "{request:?}");
    }
    let beaten = client.call(1, &beating("a", epoch)).await;
    assert_eq!((beaten.error_code, beaten.member_epoch), (0, epoch));
    broker.stop().await.unwrap();
}

/// A static member comes back under another id.
#[tokio::test]
async fn a_static_member_keeps_its_place() {
    let (broker, mut client) = start().await;
    let as_instance = |request: ConsumerGroupHeartbeatRequest| request.with_instance_id(Some(text("i")));
    let joined = client.call(1, &as_instance(joining("x"))).await;
    let unreleased = client.call(1, &as_instance(joining("y"))).await;
    assert_eq!(unreleased.error_code, ErrorCode::UnreleasedInstanceId.code());
    assert_eq!(client.call(1, &as_instance(beating("x", -2))).await.error_code, 0);
    let back = client.call(1, &as_instance(joining("y"))).await;
    assert_eq!((back.error_code, back.member_epoch), (0, joined.member_epoch));
    assert_eq!(partitions(back.assignment), Some(vec![0, 1]));
    let fenced = client.call(1, &as_instance(beating("x", joined.member_epoch))).await;
    assert_eq!(fenced.error_code, ErrorCode::FencedInstanceId.code());
    broker.stop().await.unwrap();
}

/// The topics of a regular expression come with a later heartbeat.
#[tokio::test]
async fn a_regular_expression_is_resolved() {
    let (broker, mut client) = start().await;
    let by_regex = joining("a")
        .with_subscribed_topic_names(None)
        .with_subscribed_topic_regex(Some(StrBytes::from_static_str("[s-u]")));
    let mut epoch = client.call(1, &by_regex).await.member_epoch;
    let assigned = tokio::time::timeout(std::time::Duration::from_secs(20), async {
        loop {
            let beaten = client.call(1, &beating("a", epoch)).await;
            assert_eq!(beaten.error_code, 0);
            epoch = beaten.member_epoch;
            if beaten.assignment.is_some() {
                break partitions(beaten.assignment);
            }
        }
    });
    assert_eq!(assigned.await.expect("an assignment in time"), Some(vec![0, 1]));
    broker.stop().await.unwrap();
}

/// Who commits or fetches offsets says in which epoch it is.
#[tokio::test]
async fn offsets_are_for_members_of_the_epoch() {
    let (broker, mut client) = start().await;
    let joined = client.call(1, &joining("a")).await;
    let epoch = joined.member_epoch;
    let stale = ErrorCode::StaleMemberEpoch.code();
    let cases = [
        (9, "a", epoch, 0),
        (10, "a", epoch, 0),
        (9, "a", epoch - 1, stale),
        (9, "a", epoch + 1, stale),
        (9, "b", epoch, UNKNOWN_MEMBER_ID),
        (9, "", -1, UNKNOWN_MEMBER_ID),
        (8, "a", epoch, ErrorCode::UnsupportedVersion.code()),
    ];
    for (version, member_id, epoch, code) in cases {
        let topic_id =
            joined.assignment.as_ref().map(|all| all.topic_partitions[0].topic_id).unwrap_or_default();
        let mut request =
            commit("g", 7).with_member_id(text(member_id)).with_generation_id_or_member_epoch(epoch);
        if version >= 10 {
            request.topics[0].name = text("").into();
            request.topics[0].topic_id = topic_id;
        }
        let committed = client.call(version, &request).await;
        let of = committed.topics[0].partitions[0].error_code;
        assert_eq!(of, code, "v{version} by {member_id:?} in {epoch}");
    }
    for (member_id, epoch, code) in
        [(None, -1, 0), (Some("a"), epoch, 0), (Some("a"), 1, stale), (Some("b"), epoch, UNKNOWN_MEMBER_ID)]
    {
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(text("g").into())
            .with_member_id(member_id.map(text))
            .with_member_epoch(epoch)
            .with_topics(None);
        let fetched = client.call(9, &OffsetFetchRequest::default().with_groups(vec![group])).await;
        let offsets: usize = fetched.groups[0].topics.iter().map(|topic| topic.partitions.len()).sum();
        assert_eq!((fetched.groups[0].error_code, offsets), (code, usize::from(code == 0)), "{member_id:?}");
    }
    broker.stop().await.unwrap();
}

/// Two members share the topic once the first has said that it gave up its part.
#[tokio::test]
async fn partitions_change_hands_one_after_the_other() {
    let builder = ottla::Broker::builder()
        .set("offsets.topic.num.partitions", 1)
        .set("group.consumer.assignment.interval.ms", 0);
    let broker = builder.start().await.expect("a broker in memory starts");
    let mut client = crate::support::Client::connect(&broker).await;
    make_topic(&mut client).await;
    let a = client.call(1, &joining("a")).await;
    let topic_id = a.assignment.expect("an assignment").topic_partitions[0].topic_id;
    let owned = |partitions: &[i32]| {
        Some(vec![TopicPartitions::default().with_topic_id(topic_id).with_partitions(partitions.to_vec())])
    };
    let b = client.call(1, &joining("b")).await;
    assert_eq!(partitions(b.assignment), Some(Vec::new()));
    let told = client.call(1, &beating("a", a.member_epoch).with_topic_partitions(owned(&[0, 1]))).await;
    let kept = partitions(told.assignment).expect("a new assignment");
    assert_eq!((told.member_epoch, kept.len()), (a.member_epoch, 1));
    assert_eq!(client.call(1, &beating("b", b.member_epoch)).await.assignment, None);
    let revoked = client.call(1, &beating("a", a.member_epoch).with_topic_partitions(owned(&kept))).await;
    assert_eq!(revoked.member_epoch, b.member_epoch);
    let got =
        partitions(client.call(1, &beating("b", b.member_epoch)).await.assignment).expect("the other part");
    assert_eq!(got.len() + kept.len(), 2);
    assert_ne!(got, kept);
    broker.stop().await.unwrap();
}
