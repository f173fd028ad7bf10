use ottla::{Broker, Running};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::streams_group_heartbeat_request::{Subtopology, TaskIds, TopicInfo, Topology};
use ottla_protocol::messages::streams_group_heartbeat_response::StreamsGroupHeartbeatResponse;
use ottla_protocol::messages::{DescribeConfigsRequest, MetadataRequest, StreamsGroupHeartbeatRequest};

use crate::groups::{GROUP_ID_NOT_FOUND, UNKNOWN_MEMBER_ID, make_topic, text};
use crate::support::Client;

const INVALID_REQUEST: i16 = ErrorCode::InvalidRequest.code();
const STREAMS_INVALID_TOPOLOGY: i16 = ErrorCode::StreamsInvalidTopology.code();
const FENCED_MEMBER_EPOCH: i16 = ErrorCode::FencedMemberEpoch.code();

/// A broker with the topic `t`, whose streams groups assign at once.
pub async fn start() -> (Running, Client) {
    let builder = Broker::builder()
        .set("offsets.topic.num.partitions", 3)
        .set("group.streams.initial.rebalance.delay.ms", 0)
        .set("group.streams.assignment.interval.ms", 0);
    let broker = builder.start().await.expect("a broker in memory starts");
    let mut client = Client::connect(&broker).await;
    make_topic(&mut client).await;
    (broker, client)
}

/// The member `a` joins `g`, which counts the words in `t`.
pub fn join() -> StreamsGroupHeartbeatRequest {
    let first = Subtopology::default()
        .with_subtopology_id(text("0"))
        .with_source_topics(vec![text("t").into()])
        .with_repartition_sink_topics(vec![text("g-rep").into()]);
    let second = Subtopology::default()
        .with_subtopology_id(text("1"))
        .with_repartition_source_topics(vec![TopicInfo::default().with_name(text("g-rep").into())])
        .with_state_changelog_topics(vec![
            TopicInfo::default().with_name(text("g-log").into()).with_topic_configs(vec![
                ottla_protocol::messages::streams_group_heartbeat_request::KeyValue::default()
                    .with_key(text("cleanup.policy"))
                    .with_value(text("compact")),
            ]),
        ]);
    StreamsGroupHeartbeatRequest::default()
        .with_group_id(text("g").into())
        .with_member_id(text("a"))
        .with_rebalance_timeout_ms(10_000)
        .with_topology(Some(Topology::default().with_subtopologies(vec![first, second])))
        .with_active_tasks(Some(Vec::new()))
        .with_standby_tasks(Some(Vec::new()))
        .with_warmup_tasks(Some(Vec::new()))
        .with_process_id(Some(text("p")))
        .with_client_tags(Some(Vec::new()))
}

pub fn heartbeat(epoch: i32) -> StreamsGroupHeartbeatRequest {
    StreamsGroupHeartbeatRequest::default()
        .with_group_id(text("g").into())
        .with_member_id(text("a"))
        .with_member_epoch(epoch)
}

/// Joins, and goes on until the internal topics are made and the member has its tasks.
pub async fn join_until_assigned(client: &mut Client) -> StreamsGroupHeartbeatResponse {
    let mut answer = client.call(0, &join()).await;
    while answer.active_tasks.as_ref().is_none_or(Vec::is_empty) {
        assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
        tokio::task::yield_now().await;
        answer = client.call(0, &heartbeat(answer.member_epoch)).await;
    }
    answer
}

#[tokio::test]
async fn a_member_joins_has_its_topics_made_and_leaves() {
    let (broker, mut client) = start().await;
    let joined = client.call(0, &join()).await;
    assert_eq!((joined.error_code, joined.member_epoch, joined.heartbeat_interval_ms), (0, 2, 1_000));
    let status = joined.status.unwrap();
    assert_eq!(
        (status[0].status_code, &*status[0].status_detail),
        (3, "Internal topics are missing: g-log, g-rep")
    );

    let assigned = join_until_assigned(&mut client).await;
    let both = |id: &str| (text(id), vec![0, 1]);
    let tasks = assigned.active_tasks.unwrap().into_iter().map(|it| (it.subtopology_id, it.partitions));
    assert_eq!(tasks.collect::<Vec<_>>(), [both("0"), both("1")]);
    assert_eq!(assigned.status, Some(Vec::new()));

    let topics = client.call(12, &MetadataRequest::default().with_topics(None)).await.topics;
    let partitions = |name: &str| {
        let topic = topics.iter().find(|it| it.name.as_ref().is_some_and(|it| it.as_str() == name));
        topic.map(|topic| topic.partitions.len())
    };
    assert_eq!((partitions("g-rep"), partitions("g-log")), (Some(2), Some(2)));

    let unchanged = client.call(0, &heartbeat(assigned.member_epoch)).await;
    assert_eq!((unchanged.error_code, unchanged.active_tasks), (0, None));

    let left = client.call(0, &heartbeat(-1)).await;
    assert_eq!((left.error_code, left.member_epoch, left.heartbeat_interval_ms), (0, -1, 0));
    assert_eq!(client.call(0, &heartbeat(-1)).await.error_code, UNKNOWN_MEMBER_ID);
    broker.stop().await.unwrap();
}

/// The changelog has the configuration that the application gave it.
#[tokio::test]
async fn internal_topics_have_their_configurations() {
    use ottla_protocol::messages::describe_configs_request::DescribeConfigsResource;
    let (broker, mut client) = start().await;
    join_until_assigned(&mut client).await;
    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("g-log"))
        .with_configuration_keys(Some(vec![text("cleanup.policy")]));
    let described = client.call(4, &DescribeConfigsRequest::default().with_resources(vec![resource])).await;
    assert_eq!(described.results[0].configs[0].value, Some(text("compact")));
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_is_said_in_kafkas_words() {
    let (broker, mut client) = start().await;
    let task = || vec![TaskIds::default().with_subtopology_id(text("0")).with_partitions(vec![0])];
    let with_topology = |change: fn(&mut Subtopology)| {
        let mut request = join();
        change(&mut request.topology.as_mut().unwrap().subtopologies[0]);
        request
    };
    let refused = [
        (join().with_member_id(text(" ")), INVALID_REQUEST, "MemberId can't be empty."),
        (join().with_group_id(text("").into()), INVALID_REQUEST, "GroupId can't be empty."),
        (join().with_rack_id(Some(text(""))), INVALID_REQUEST, "RackId can't be empty."),
        (
            join().with_instance_id(Some(text("i"))),
            INVALID_REQUEST,
            "Static membership is not yet supported.",
        ),
        (
            join().with_rebalance_timeout_ms(-1),
            INVALID_REQUEST,
            "RebalanceTimeoutMs must be provided in first request.",
        ),
        (
            join().with_active_tasks(Some(task())),
            INVALID_REQUEST,
            "ActiveTasks must be empty when (re-)joining.",
        ),
        (join().with_topology(None), INVALID_REQUEST, "Topology must be non-null when (re-)joining."),
        (join().with_warmup_tasks(Some(task())), INVALID_REQUEST, "WarmupTasks are not supported yet."),
        (
            heartbeat(1).with_active_tasks(Some(task())),
            INVALID_REQUEST,
            "If one task-type is non-null, all must be non-null.",
        ),
        (heartbeat(-2), INVALID_REQUEST, "InstanceId can't be null."),
        (heartbeat(-3), INVALID_REQUEST, "MemberEpoch is -3, but must be greater than or equal to -2."),
        (
            with_topology(|it| it.source_topic_regex = vec![text("t.*")]),
            INVALID_REQUEST,
            "Regular expressions for source topics are not supported yet.",
        ),
        (
            with_topology(|it| it.source_topics = vec![text("__consumer_offsets").into()]),
            STREAMS_INVALID_TOPOLOGY,
            "Use of Kafka internal topics __consumer_offsets in a Kafka Streams topology is prohibited.",
        ),
        (
            with_topology(|it| it.source_topics = vec![text("a b").into()]),
            STREAMS_INVALID_TOPOLOGY,
            "Topic names a b are not valid topic names.",
        ),
        (heartbeat(1), GROUP_ID_NOT_FOUND, "Streams group g not found."),
        (heartbeat(-1), GROUP_ID_NOT_FOUND, "Group g not found."),
    ];
    for (request, code, message) in refused {
        let answer = client.call(0, &request).await;
        assert_eq!((answer.error_code, answer.error_message), (code, Some(text(message))));
    }
    let assigned = join_until_assigned(&mut client).await;
    let ahead = client.call(0, &heartbeat(assigned.member_epoch + 1)).await;
    assert_eq!(ahead.error_code, FENCED_MEMBER_EPOCH);
    broker.stop().await.unwrap();
}
