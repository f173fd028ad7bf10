//! The messages that are ours because kafka-protocol lacks their newest version: beside the crate's where it has one,
//! and beside the reference's bytes where it has none.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as theirs;
use ottla_protocol::StrBytes;
use ottla_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use ottla_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use ottla_protocol::messages::*;
use ottla_protocol::response::encode_response;

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

fn topic(name: &'static str) -> TopicName {
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
            ListOffsetsTopicResponse::default().with_name(topic("a")).with_partitions(vec![partition]),
            ListOffsetsTopicResponse::default().with_name(topic("b")),
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
        let topic = DescribeLogDirsTopic::default().with_name(topic("a")).with_partitions(vec![partition]);
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
fn newest_versions_beside_the_references_bytes() {
    let golden = hex(LIST_OFFSETS_11);
    let response = ListOffsetsResponse::decode(&mut golden.slice(5..), 11).unwrap();
    assert_eq!(response.topics[0].name, topic("a"));
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
