//! Records that Kafka wrote, read and written again.

use bytes::Bytes;

use super::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use super::group::{OffsetCommitKey, OffsetCommitValue};
use super::metadata::{PartitionChangeRecord, PartitionRecord, TopicRecord};
use super::*;
use crate::wire::Wire;
use crate::{StrBytes, Uuid};

const METADATA: &str = include_str!("../../tests/golden/metadata-records.txt");
const GROUP: &str = include_str!("../../tests/golden/group-records.txt");
const TRANSACTION: &str = include_str!("../../tests/golden/transaction-records.txt");
const SHARE: &str = include_str!("../../tests/golden/share-records.txt");
const CONTROL: &str = include_str!("../../tests/golden/control-records.txt");

/// The lines of a golden file: hex fields, `-` for null.
fn lines(text: &str) -> impl Iterator<Item = Vec<Option<Bytes>>> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(' ').map(|field| (field != "-").then(|| hex(field))).collect())
}

fn hex(text: &str) -> Bytes {
    assert_eq!(text.len() % 2, 0);
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn metadata_records_come_back_byte_for_byte() {
    let mut types = std::collections::BTreeSet::new();
    for line in lines(METADATA) {
        let value = line[0].clone().unwrap();
        let (record, version) = MetadataRecord::decode(value.clone()).unwrap();
        assert_eq!(record.encode(version).unwrap(), value, "{record:?}");
        types.insert(record.api_key());
    }
    let expected = [0, 2, 3, 4, 5, 9, 11, 12, 14, 15, 17, 18, 19, 20, 22, 23, 24, 27, 28];
    assert_eq!(types.into_iter().collect::<Vec<_>>(), expected);
}

/// Reads and writes again each record of a golden file of a coordinator's; says which types there are.
macro_rules! come_back {
    ($record:ty, $golden:expr) => {{
        let mut types = std::collections::BTreeSet::new();
        for line in lines($golden) {
            let (key, value) = (line[0].clone().unwrap(), line[1].clone());
            let record = <$record>::decode(key.clone(), value.clone()).unwrap();
            assert_eq!(record.encode_key().unwrap(), key, "{record:?}");
            let version = value.as_ref().map_or(0, |value| i16::from_be_bytes([value[0], value[1]]));
            assert_eq!(record.encode_value(version).unwrap(), value, "{record:?}");
            types.insert(record.key_type());
        }
        types.into_iter().collect::<Vec<_>>()
    }};
}

#[test]
fn group_records_come_back_byte_for_byte() {
    assert_eq!(
        come_back!(GroupRecord, GROUP),
        [1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22, 23]
    );
}

#[test]
fn transaction_records_come_back_byte_for_byte() {
    assert_eq!(come_back!(TransactionRecord, TRANSACTION), [0]);
}

#[test]
fn share_records_come_back_byte_for_byte() {
    assert_eq!(come_back!(ShareRecord, SHARE), [0, 1]);
}

#[test]
fn control_records_come_back_byte_for_byte() {
    let mut types = 0;
    for line in lines(CONTROL) {
        let (key, value) = (line[0].clone().unwrap(), line[1].clone().unwrap());
        let record = ControlRecord::decode(key.clone(), value.clone()).unwrap();
        assert_eq!(record.encode_key(), key, "{record:?}");
        assert_eq!(record.encode_value().unwrap(), value, "{record:?}");
        types |= 1 << record.control_type() as i16;
    }
    assert_eq!(types, 0b111_1110, "all but an abort marker");
}

#[test]
fn what_consumers_tell_each_other_is_read() {
    let record = lines(GROUP)
        .filter_map(|line| GroupRecord::decode(line[0].clone().unwrap(), line[1].clone()).ok())
        .find_map(|record| match record {
            GroupRecord::GroupMetadata(_, Some(value)) => value.members.into_iter().next(),
            _ => None,
        });
    let member = record.expect("a group with a member");
    let subscription = ConsumerProtocolSubscription::decode(member.subscription.clone()).unwrap();
    assert_eq!(subscription.topics, [StrBytes::from_static_str("fixture")]);
    assert_eq!((subscription.generation_id, subscription.rack_id.as_deref()), (-1, None));
    assert_eq!(subscription.encode(3).unwrap(), member.subscription);
    let mut newer = member.subscription.to_vec();
    newer[1] = 9;
    assert_eq!(ConsumerProtocolSubscription::decode(newer.into()), Ok(subscription));

    let assignment = ConsumerProtocolAssignment::decode(member.assignment.clone()).unwrap();
    assert_eq!(assignment.assigned_partitions[0].partitions, [0]);
    assert_eq!(assignment.encode(3).unwrap(), member.assignment);

    let lies = Bytes::from_static(b"\0\0\x7f\xff\xff\xff");
    assert_eq!(ConsumerProtocolSubscription::decode(lies), Err(WireError::TooLong.into()));
}

#[test]
fn fields_are_where_kafka_puts_them() {
    let (record, version) = MetadataRecord::decode(hex("0102000866697874757265\
         2a14b80943484950b38219d13641e77f00"))
    .unwrap();
    assert_eq!(version, 0);
    let expected = TopicRecord {
        name: StrBytes::from_static_str("fixture"),
        topic_id: Uuid::from_u128(0x2a14_b809_4348_4950_b382_19d1_3641_e77f),
    };
    assert_eq!(record, MetadataRecord::Topic(expected));
}

#[test]
fn defaults_are_kafkas() {
    let change = PartitionChangeRecord::default();
    assert_eq!((change.partition_id, change.leader, change.leader_recovery_state), (-1, -2, -1));
    assert_eq!(change.isr, None);
    assert_eq!(PartitionRecord::default().partition_id, -1);
    assert_eq!(OffsetCommitValue::default().leader_epoch, -1);
}

#[test]
fn a_field_that_a_version_cannot_say_is_refused() {
    let change = PartitionChangeRecord { directories: Some(vec![Uuid::nil()]), ..Default::default() };
    assert_eq!(change.to_bytes(0), Err(WireError::NotInVersion("directories")));
    assert!(change.to_bytes(1).is_ok());
    assert_eq!(change.to_bytes(3), Err(WireError::UnsupportedVersion(3)));
}

#[test]
fn unknown_types_are_named() {
    let decode = |value: &'static [u8]| MetadataRecord::decode(Bytes::from_static(value)).unwrap_err();
    assert_eq!(decode(&[2, 2, 0]), RecordError::UnknownFrame(2));
    assert_eq!(decode(&[1, 0x7f, 0]), RecordError::UnknownType(127));
    assert_eq!(decode(&[1, 2, 9]), RecordError::Wire(WireError::UnsupportedVersion(9)));
    assert_eq!(decode(&[1, 2]), RecordError::Wire(WireError::Truncated));
    let key = Bytes::from_static(&[0, 99]);
    assert_eq!(GroupRecord::decode(key, None), Err(RecordError::UnknownType(99)));
}

#[test]
fn a_lying_count_allocates_nothing() {
    // A PartitionRecord whose replicas claim to be 4 billion.
    let mut value = vec![1, 3, 2];
    value.extend([0; 4 + 16]);
    value.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
    let error = MetadataRecord::decode(Bytes::from(value)).unwrap_err();
    assert_eq!(error, RecordError::Wire(WireError::TooLong));
}

#[test]
fn every_truncation_is_an_error_or_a_record() {
    for line in [METADATA, GROUP, TRANSACTION, SHARE].into_iter().flat_map(lines) {
        for field in line.iter().flatten() {
            for end in 0..field.len() {
                // Whether it parses depends on where the cut falls; that it never panics is the point.
                let _ = MetadataRecord::decode(field.slice(..end));
                let _ = GroupRecord::decode(field.slice(..end), Some(field.slice(end..)));
                let _ = TransactionRecord::decode(field.slice(..end), Some(field.slice(end..)));
                let _ = ShareRecord::decode(field.slice(..end), Some(field.slice(end..)));
                let _ = ConsumerProtocolSubscription::decode(field.slice(end..));
                let _ = ConsumerProtocolAssignment::decode(field.slice(end..));
            }
        }
    }
    let key = OffsetCommitKey::default().to_bytes(0).unwrap();
    assert_eq!(OffsetCommitKey::from_bytes(key.slice(..key.len() - 1), 0), Err(WireError::Truncated));
}
