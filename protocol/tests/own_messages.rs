//! The messages that are ours because kafka-protocol lacks their newest version: beside the crate's where it has one,
//! and beside the reference's bytes where it has none.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use ottla_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use ottla_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use ottla_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use ottla_protocol::messages::*;
use ottla_protocol::response::encode_response;
use ottla_protocol::{StrBytes, Uuid};

/// Answers of Kafka 4.3.1, without the frame's size.
const LIST_OFFSETS_11: &str =
    "00000008000000000002026102000000000000ffffffffffffffff000000000000000000000002000000";
const DESCRIBE_LOG_DIRS_5: &str = "0000000700000000000000020000132f746d702f70726f746f2f6b322f64617461020261030000000100000000000000000000000000000000000000000000000000000000000000000000000000000000000000003efe39d00000000011d7003000000000";

fn hex(text: &str) -> Bytes {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn encode<R: Encodable>(message: &R, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    message.encode(&mut out, version).unwrap();
    out.freeze()
}

/// Ours as the crate reads it, and the crate's as we read it.
fn check<Ours, Theirs>(version: i16, ours: &Ours)
where
    Ours: Encodable + Decodable + HeaderVersion + PartialEq + std::fmt::Debug,
    Theirs: Encodable + Decodable + HeaderVersion,
{
    let bytes = encode(ours, version);
    let theirs = Theirs::decode(&mut bytes.clone(), version).unwrap();
    assert_eq!(encode(&theirs, version), bytes, "version {version}");
    assert_eq!(&Ours::decode(&mut bytes.clone(), version).unwrap(), ours, "version {version}");
    assert_eq!(Ours::header_version(version), Theirs::header_version(version), "version {version}");
}

const ID: Uuid = Uuid::from_u128(0x2a14_b809_4348_4950_b382_19d1_3641_e77f);

fn topic_name(name: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(name))
}

#[test]
fn list_offsets_beside_the_crates() {
    for version in 1..=10 {
        let partition = ListOffsetsPartitionResponse::default()
            .with_partition_index(3)
            .with_error_code(6)
            .with_timestamp(1_700_000_000_000)
            .with_offset(42)
            .with_leader_epoch(if version >= 4 { 7 } else { -1 });
        let topics = vec![
            ListOffsetsTopicResponse::default().with_name(topic_name("a")).with_partitions(vec![partition]),
            ListOffsetsTopicResponse::default().with_name(topic_name("b")),
        ];
        let response = ListOffsetsResponse::default()
            .with_throttle_time_ms(if version >= 2 { 9 } else { 0 })
            .with_topics(topics);
        check::<_, theirs::ListOffsetsResponse>(version, &response);
        check::<_, theirs::ListOffsetsResponse>(version, &ListOffsetsResponse::default());
        check::<_, theirs::ListOffsetsRequest>(version, &ListOffsetsRequest::default());
    }
}

#[test]
fn describe_log_dirs_beside_the_crates() {
    for version in 1..=4 {
        let partition = DescribeLogDirsPartition::default()
            .with_partition_index(3)
            .with_partition_size(1 << 40)
            .with_offset_lag(5)
            .with_is_future_key(true);
        let topic =
            DescribeLogDirsTopic::default().with_name(topic_name("a")).with_partitions(vec![partition]);
        let mut result = DescribeLogDirsResult::default()
            .with_error_code(56)
            .with_log_dir(StrBytes::from_static_str("/data"))
            .with_topics(vec![topic]);
        if version >= 4 {
            result = result.with_total_bytes(100).with_usable_bytes(50);
        }
        let response = DescribeLogDirsResponse::default().with_throttle_time_ms(2).with_results(vec![result]);
        check::<_, theirs::DescribeLogDirsResponse>(version, &response);
        check::<_, theirs::DescribeLogDirsRequest>(version, &DescribeLogDirsRequest::default());
    }
}

#[test]
fn offset_commit_beside_the_crates() {
    for version in 2..=10 {
        let partition = OffsetCommitResponsePartition::default().with_partition_index(3).with_error_code(22);
        let topic = OffsetCommitResponseTopic::default().with_partitions(vec![partition]);
        let topic = if version >= 10 { topic.with_topic_id(ID) } else { topic.with_name(topic_name("a")) };
        let response = OffsetCommitResponse::default()
            .with_throttle_time_ms(if version >= 3 { 5 } else { 0 })
            .with_topics(vec![topic]);
        check::<_, theirs::OffsetCommitResponse>(version, &response);
    }
    for version in 2..=9 {
        check::<_, theirs::OffsetCommitRequest>(version, &OffsetCommitRequest::default());
    }
}

#[test]
fn offset_fetch_beside_the_crates() {
    for version in 1..=7 {
        let partition = OffsetFetchResponsePartition::default()
            .with_partition_index(3)
            .with_committed_offset(42)
            .with_committed_leader_epoch(if version >= 5 { 7 } else { -1 })
            .with_metadata(Some(StrBytes::from_static_str("m")))
            .with_error_code(3);
        let topic =
            OffsetFetchResponseTopic::default().with_name(topic_name("a")).with_partitions(vec![partition]);
        let response = OffsetFetchResponse::default()
            .with_error_code(if version >= 2 { 16 } else { 0 })
            .with_topics(vec![topic]);
        check::<_, theirs::OffsetFetchResponse>(version, &response);
    }
    for version in 8..=10 {
        let partition = OffsetFetchResponsePartitions::default()
            .with_partition_index(3)
            .with_committed_offset(42)
            .with_committed_leader_epoch(7)
            .with_metadata(None)
            .with_error_code(3);
        let topic = OffsetFetchResponseTopics::default().with_partitions(vec![partition]);
        let topic = if version >= 10 { topic.with_topic_id(ID) } else { topic.with_name(topic_name("a")) };
        let group = OffsetFetchResponseGroup::default()
            .with_group_id(GroupId(StrBytes::from_static_str("g")))
            .with_topics(vec![topic])
            .with_error_code(16);
        let response = OffsetFetchResponse::default().with_throttle_time_ms(4).with_groups(vec![group]);
        check::<_, theirs::OffsetFetchResponse>(version, &response);
    }
}

#[test]
fn newest_versions_beside_the_references_bytes() {
    let golden = hex(LIST_OFFSETS_11);
    let response = ListOffsetsResponse::decode(&mut golden.slice(5..), 11).unwrap();
    assert_eq!(response.topics[0].name, topic_name("a"));
    assert_eq!(response.topics[0].partitions[0].timestamp, -1);
    assert_eq!(encode_response(8, 11, &response).unwrap().to_bytes()[4..], golden[..]);

    let golden = hex(DESCRIBE_LOG_DIRS_5);
    let response = DescribeLogDirsResponse::decode(&mut golden.slice(5..), 5).unwrap();
    assert_eq!(response.results[0].topics[0].partitions.len(), 2);
    assert_eq!(response.results[0].total_bytes, 270_553_174_016);
    assert!(!response.results[0].is_cordoned);
    assert_eq!(encode_response(7, 5, &response).unwrap().to_bytes()[4..], golden[..]);
}

#[test]
fn a_field_that_a_version_lacks_is_refused() {
    let partition = ListOffsetsPartitionResponse::default().with_leader_epoch(1);
    let topics = vec![ListOffsetsTopicResponse::default().with_partitions(vec![partition])];
    let response = ListOffsetsResponse::default().with_topics(topics);
    assert!(encode_response(1, 3, &response).is_err());
    assert!(encode_response(1, 4, &response).is_ok());
}
