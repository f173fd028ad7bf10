//! [`GroupRecord`] in the bytes of `__consumer_offsets`, in the versions that Kafka 4.3 writes.

use bytes::Bytes;
use ottla_protocol::StrBytes;
use ottla_protocol::batch::{BatchBuilder, NO_SEQUENCE, RecordBatch};
use ottla_protocol::record_formats::RecordError;
use ottla_protocol::record_formats::group as formats;
use ottla_protocol::record_formats::group::group_metadata_value::MemberMetadata;
use ottla_protocol::wire::WireError;

use super::super::batches::{self, BatchError};
use super::{CommittedOffset, GroupRecord, LoggedGroup, LoggedMember, Producer, consumer, share, streams};
use crate::coordinator::marker::TxnMarker;

/// GroupMetadataValue without tagged fields, as Kafka still writes it.
const GROUP_VERSION: i16 = 3;
/// OffsetCommitValue with the topic's id.
const OFFSET_VERSION: i16 = 4;
/// The last OffsetCommitValue that could expire at a time of its own.
const EXPIRING_OFFSET_VERSION: i16 = 1;

/// One batch of the records of one decision.
pub fn to_batch(records: &[GroupRecord], now_ms: i64) -> Result<RecordBatch, WireError> {
    let builder = match records.first() {
        Some(GroupRecord::Marker(marker)) => return Ok(marker.to_batch(now_ms)),
        Some(GroupRecord::PendingOffset { producer, .. }) => {
            BatchBuilder::new().transactional().producer(producer.id, producer.epoch, NO_SEQUENCE)
        }
        _ => BatchBuilder::new(),
    };
    let encoded: Result<Vec<_>, _> = records.iter().map(encode).collect();
    Ok(batches::fill(builder, &encoded?, now_ms))
}

/// The records of a batch that are of kinds known here.
pub fn from_batch(batch: &RecordBatch) -> Result<Vec<GroupRecord>, BatchError> {
    if batch.is_control() {
        return Ok(TxnMarker::from_batch(batch).map(GroupRecord::Marker).into_iter().collect());
    }
    let producer = Producer { id: batch.producer_id, epoch: batch.producer_epoch };
    let mut records = Vec::new();
    for (key, value) in batches::from_batch(batch)? {
        records.extend(match decode(key, value)? {
            Some(GroupRecord::Offset { group_id, topic, partition, offset: Some(offset) })
                if batch.is_transactional() =>
            {
                Some(GroupRecord::PendingOffset { producer, group_id, topic, partition, offset })
            }
            record => record,
        });
    }
    Ok(records)
}

/// Key and value. Fails if a string is longer than the format allows.
pub fn encode(record: &GroupRecord) -> Result<(Bytes, Option<Bytes>), WireError> {
    match to_format(record) {
        Ok((format, version)) => Ok((format.encode_key()?, format.encode_value(version)?)),
        Err(marker) => {
            let (key, value) = marker.to_record();
            Ok((key, Some(value)))
        }
    }
}

/// The record, or `None` for one that the classic protocol does not know: a later kind of group's.
pub fn decode(key: Bytes, value: Option<Bytes>) -> Result<Option<GroupRecord>, RecordError> {
    match formats::GroupRecord::decode(key, value) {
        Ok(format) => Ok(from_format(format)),
        Err(RecordError::UnknownType(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The format and its version; a marker is of no format of its own.
fn to_format(record: &GroupRecord) -> Result<(formats::GroupRecord, i16), TxnMarker> {
    Ok(match record {
        GroupRecord::Marker(marker) => return Err(*marker),
        GroupRecord::Offset { group_id, topic, partition, offset } => {
            to_offset_format(group_id, topic, *partition, offset.as_ref())
        }
        GroupRecord::PendingOffset { group_id, topic, partition, offset, .. } => {
            to_offset_format(group_id, topic, *partition, Some(offset))
        }
        GroupRecord::Group { group_id, group } => {
            let key = formats::GroupMetadataKey { group: group_id.clone() };
            (formats::GroupRecord::GroupMetadata(key, group.as_ref().map(to_group_value)), GROUP_VERSION)
        }
        GroupRecord::Consumer { group_id, record } => {
            (record.to_format(group_id), consumer::records::VERSION)
        }
        GroupRecord::Share { group_id, record } => {
            (share::records::to_format(group_id, record), share::records::VERSION)
        }
        GroupRecord::Streams { group_id, record } => {
            (streams::records::to_format(group_id, record), streams::records::VERSION)
        }
    })
}

fn to_offset_format(
    group_id: &StrBytes,
    topic: &StrBytes,
    partition: i32,
    offset: Option<&CommittedOffset>,
) -> (formats::GroupRecord, i16) {
    let key = formats::OffsetCommitKey { group: group_id.clone(), topic: topic.clone(), partition };
    let is_expiring = offset.is_some_and(|offset| offset.expire_timestamp_ms.is_some());
    let version = if is_expiring { EXPIRING_OFFSET_VERSION } else { OFFSET_VERSION };
    (formats::GroupRecord::OffsetCommit(key, offset.map(to_offset_value)), version)
}

fn to_offset_value(offset: &CommittedOffset) -> formats::OffsetCommitValue {
    formats::OffsetCommitValue {
        offset: offset.offset,
        leader_epoch: offset.leader_epoch,
        metadata: offset.metadata.clone(),
        commit_timestamp: offset.commit_timestamp_ms,
        expire_timestamp: offset.expire_timestamp_ms.unwrap_or(-1),
        topic_id: offset.topic_id,
    }
}

fn to_group_value(group: &LoggedGroup) -> formats::GroupMetadataValue {
    let member = |member: &LoggedMember| MemberMetadata {
        member_id: member.member_id.clone(),
        group_instance_id: member.group_instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        rebalance_timeout: member.rebalance_timeout_ms,
        session_timeout: member.session_timeout_ms,
        subscription: member.subscription.clone(),
        assignment: member.assignment.clone(),
    };
    formats::GroupMetadataValue {
        protocol_type: group.protocol_type.clone(),
        generation: group.generation,
        protocol: group.protocol.clone(),
        leader: group.leader.clone(),
        current_state_timestamp: group.current_state_timestamp_ms.unwrap_or(-1),
        members: group.members.iter().map(member).collect(),
    }
}

fn from_format(format: formats::GroupRecord) -> Option<GroupRecord> {
    Some(match format {
        formats::GroupRecord::OffsetCommit(key, value) => {
            offset_record(key.group, key.topic, key.partition, value.map(from_offset_value))
        }
        formats::GroupRecord::LegacyOffsetCommit(key, value) => {
            offset_record(key.group, key.topic, key.partition, value.map(from_legacy_offset_value))
        }
        formats::GroupRecord::GroupMetadata(key, value) => {
            GroupRecord::Group { group_id: key.group, group: value.map(from_group_value) }
        }
        other if consumer::records::KEY_TYPES.contains(&other.key_type()) => {
            return consumer::records::from_format(other);
        }
        other if share::records::KEY_TYPES.contains(&other.key_type()) => {
            return share::records::from_format(other);
        }
        other => return streams::records::from_format(other),
    })
}

fn offset_record(
    group_id: StrBytes,
    topic: StrBytes,
    partition: i32,
    offset: Option<CommittedOffset>,
) -> GroupRecord {
    GroupRecord::Offset { group_id, topic, partition, offset }
}

fn from_offset_value(value: formats::OffsetCommitValue) -> CommittedOffset {
    CommittedOffset {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata,
        commit_timestamp_ms: value.commit_timestamp,
        expire_timestamp_ms: Some(value.expire_timestamp).filter(|expire_timestamp| *expire_timestamp >= 0),
        topic_id: value.topic_id,
    }
}

fn from_legacy_offset_value(value: formats::LegacyOffsetCommitValue) -> CommittedOffset {
    CommittedOffset {
        offset: value.offset,
        leader_epoch: -1,
        metadata: value.metadata,
        commit_timestamp_ms: value.commit_timestamp,
        expire_timestamp_ms: None,
        topic_id: uuid::Uuid::nil(),
    }
}

fn from_group_value(value: formats::GroupMetadataValue) -> LoggedGroup {
    let member = |member: MemberMetadata| LoggedMember {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        client_id: member.client_id,
        client_host: member.client_host,
        rebalance_timeout_ms: member.rebalance_timeout,
        session_timeout_ms: member.session_timeout,
        subscription: member.subscription,
        assignment: member.assignment,
    };
    LoggedGroup {
        protocol_type: value.protocol_type,
        generation: value.generation,
        protocol: value.protocol,
        leader: value.leader,
        current_state_timestamp_ms: Some(value.current_state_timestamp).filter(|timestamp| *timestamp >= 0),
        members: value.members.into_iter().map(member).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &'static str) -> StrBytes {
        StrBytes::from_static_str(text)
    }

    fn offset(expire_timestamp_ms: Option<i64>, topic_id: u128) -> CommittedOffset {
        CommittedOffset {
            offset: 5,
            leader_epoch: -1,
            metadata: text("m"),
            commit_timestamp_ms: 7,
            expire_timestamp_ms,
            topic_id: uuid::Uuid::from_u128(topic_id),
        }
    }

    fn check(record: GroupRecord) {
        let (key, value) = encode(&record).expect("bytes");
        assert_eq!(decode(key, value), Ok(Some(record)));
    }

    #[test]
    fn what_is_written_is_read() {
        let member = LoggedMember {
            member_id: text("a-1"),
            group_instance_id: Some(text("i")),
            client_id: text("a"),
            client_host: text("/127.0.0.1"),
            rebalance_timeout_ms: 1,
            session_timeout_ms: 2,
            subscription: Bytes::from_static(b"s"),
            assignment: Bytes::from_static(b"a"),
        };
        let group = LoggedGroup {
            protocol_type: text("consumer"),
            generation: 3,
            protocol: Some(text("range")),
            leader: None,
            current_state_timestamp_ms: Some(9),
            members: vec![member],
        };
        check(GroupRecord::Group { group_id: text("g"), group: Some(group) });
        check(GroupRecord::Group { group_id: text("g"), group: None });
        check(offset_record(text("g"), text("t"), 1, Some(offset(None, 3))));
        check(offset_record(text("g"), text("t"), 1, Some(offset(Some(8), 0))));
        check(offset_record(text("g"), text("t"), 1, None));
    }

    #[test]
    fn what_a_transaction_writes_is_read() {
        let pending = |partition| GroupRecord::PendingOffset {
            producer: Producer { id: 7, epoch: 3 },
            group_id: text("g"),
            topic: text("t"),
            partition,
            offset: offset(None, 3),
        };
        let marker = TxnMarker {
            producer_id: 7,
            producer_epoch: 4,
            coordinator_epoch: 2,
            is_commit: true,
            transaction_version: 0,
        };
        for records in [vec![pending(0), pending(1)], vec![GroupRecord::Marker(marker)]] {
            let batch = to_batch(&records, 5).expect("a batch");
            assert!(batch.is_transactional());
            assert_eq!(from_batch(&batch), Ok(records));
        }
    }

    #[test]
    fn later_kinds_of_groups_are_left_alone() {
        assert_eq!(decode(Bytes::from_static(b"\0\x63\0\x01g"), None), Ok(None));
        assert!(decode(Bytes::from_static(b"\0\x02\0\x05g"), None).is_err());
    }
}
