//! The records of a group, and Kafka's formats of them.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;
use ottla_protocol::record_formats::group::consumer_group_current_member_assignment_value::TopicPartitions as CurrentTopic;
use ottla_protocol::record_formats::group::consumer_group_member_metadata_value::{
    ClassicMemberMetadata, ClassicProtocol,
};
use ottla_protocol::record_formats::group::consumer_group_target_assignment_member_value::TopicPartition;
use ottla_protocol::record_formats::group::{self as formats, GroupRecord as Format};

use super::super::GroupRecord;
use super::super::assignors::TopicPartitions;
use super::super::commands::Protocol;
use super::{ClassicMetadata, CurrentAssignment, MemberMetadata, MemberState, PartitionEpochs};

/// A record of a group. `None` is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsumerRecord {
    /// Key type 3; its tombstone ends the group.
    Epoch(Option<GroupEpoch>),
    /// Key type 4, of Kafka 4.0: since then a hash does, and only the tombstone is written.
    PartitionMetadata { is_kept: bool },
    /// Key type 5, by member id.
    Member(StrBytes, Option<MemberMetadata>),
    /// Key type 6.
    TargetEpoch(Option<TargetEpoch>),
    /// Key type 7, by member id.
    Target(StrBytes, Option<TopicPartitions>),
    /// Key type 8, by member id.
    Current(StrBytes, Option<CurrentAssignment>),
    /// Key type 16, by regular expression.
    Pattern(StrBytes, Option<ResolvedPattern>),
}

/// The types of the keys.
pub const KEY_TYPES: [i16; 7] = [3, 4, 5, 6, 7, 8, 16];
/// The version of all values.
pub const VERSION: i16 = 0;

/// The group's epoch, and the hash of the topics in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupEpoch {
    pub epoch: i32,
    pub metadata_hash: i64,
}

/// Which epoch the target assignment is for, and when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetEpoch {
    pub epoch: i32,
    pub timestamp_ms: i64,
}

/// The topics that a regular expression matched, in which version of the metadata, and when that was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedPattern {
    pub topics: BTreeSet<StrBytes>,
    pub version: i64,
    pub timestamp_ms: i64,
}

impl ConsumerRecord {
    pub fn is_tombstone(&self) -> bool {
        match self {
            ConsumerRecord::Epoch(value) => value.is_none(),
            ConsumerRecord::PartitionMetadata { is_kept } => !is_kept,
            ConsumerRecord::Member(_, value) => value.is_none(),
            ConsumerRecord::TargetEpoch(value) => value.is_none(),
            ConsumerRecord::Target(_, value) => value.is_none(),
            ConsumerRecord::Current(_, value) => value.is_none(),
            ConsumerRecord::Pattern(_, value) => value.is_none(),
        }
    }

    /// As the log has it.
    pub fn to_format(&self, group_id: &StrBytes) -> Format {
        let group_id = group_id.clone();
        match self {
            ConsumerRecord::Epoch(epoch) => Format::ConsumerGroupMetadata(
                formats::ConsumerGroupMetadataKey { group_id },
                epoch.as_ref().map(to_epoch_value),
            ),
            ConsumerRecord::PartitionMetadata { is_kept } => Format::ConsumerGroupPartitionMetadata(
                formats::ConsumerGroupPartitionMetadataKey { group_id },
                is_kept.then(Default::default),
            ),
            ConsumerRecord::Member(member_id, metadata) => Format::ConsumerGroupMemberMetadata(
                formats::ConsumerGroupMemberMetadataKey { group_id, member_id: member_id.clone() },
                metadata.as_ref().map(to_member_value),
            ),
            ConsumerRecord::TargetEpoch(target) => Format::ConsumerGroupTargetAssignmentMetadata(
                formats::ConsumerGroupTargetAssignmentMetadataKey { group_id },
                target.as_ref().map(to_target_epoch_value),
            ),
            ConsumerRecord::Target(member_id, partitions) => Format::ConsumerGroupTargetAssignmentMember(
                formats::ConsumerGroupTargetAssignmentMemberKey { group_id, member_id: member_id.clone() },
                partitions.as_ref().map(to_target_value),
            ),
            ConsumerRecord::Current(member_id, current) => Format::ConsumerGroupCurrentMemberAssignment(
                formats::ConsumerGroupCurrentMemberAssignmentKey { group_id, member_id: member_id.clone() },
                current.as_ref().map(to_current_value),
            ),
            ConsumerRecord::Pattern(regex, resolved) => Format::ConsumerGroupRegularExpression(
                formats::ConsumerGroupRegularExpressionKey { group_id, regular_expression: regex.clone() },
                resolved.as_ref().map(to_pattern_value),
            ),
        }
    }
}

/// The record, if it is of a group of this kind.
pub fn from_format(format: Format) -> Option<GroupRecord> {
    let (group_id, record) = match format {
        Format::ConsumerGroupMetadata(key, value) => {
            (key.group_id, ConsumerRecord::Epoch(value.map(from_epoch_value)))
        }
        Format::ConsumerGroupPartitionMetadata(key, value) => {
            (key.group_id, ConsumerRecord::PartitionMetadata { is_kept: value.is_some() })
        }
        Format::ConsumerGroupMemberMetadata(key, value) => {
            (key.group_id, ConsumerRecord::Member(key.member_id, value.map(from_member_value)))
        }
        Format::ConsumerGroupTargetAssignmentMetadata(key, value) => {
            (key.group_id, ConsumerRecord::TargetEpoch(value.map(from_target_epoch_value)))
        }
        Format::ConsumerGroupTargetAssignmentMember(key, value) => {
            (key.group_id, ConsumerRecord::Target(key.member_id, value.map(from_target_value)))
        }
        Format::ConsumerGroupCurrentMemberAssignment(key, value) => {
            (key.group_id, ConsumerRecord::Current(key.member_id, value.map(from_current_value)))
        }
        Format::ConsumerGroupRegularExpression(key, value) => {
            (key.group_id, ConsumerRecord::Pattern(key.regular_expression, value.map(from_pattern_value)))
        }
        _ => return None,
    };
    Some(GroupRecord::Consumer { group_id, record })
}

fn to_epoch_value(epoch: &GroupEpoch) -> formats::ConsumerGroupMetadataValue {
    formats::ConsumerGroupMetadataValue { epoch: epoch.epoch, metadata_hash: epoch.metadata_hash }
}

fn from_epoch_value(value: formats::ConsumerGroupMetadataValue) -> GroupEpoch {
    GroupEpoch { epoch: value.epoch, metadata_hash: value.metadata_hash }
}

fn to_target_epoch_value(target: &TargetEpoch) -> formats::ConsumerGroupTargetAssignmentMetadataValue {
    formats::ConsumerGroupTargetAssignmentMetadataValue {
        assignment_epoch: target.epoch,
        assignment_timestamp: target.timestamp_ms,
    }
}

fn from_target_epoch_value(value: formats::ConsumerGroupTargetAssignmentMetadataValue) -> TargetEpoch {
    TargetEpoch { epoch: value.assignment_epoch, timestamp_ms: value.assignment_timestamp }
}

fn to_member_value(metadata: &MemberMetadata) -> formats::ConsumerGroupMemberMetadataValue {
    let protocol = |protocol: &Protocol| ClassicProtocol {
        name: protocol.name.clone(),
        metadata: protocol.metadata.clone(),
    };
    let classic = |classic: &ClassicMetadata| ClassicMemberMetadata {
        session_timeout_ms: classic.session_timeout_ms,
        supported_protocols: classic.protocols.iter().map(protocol).collect(),
    };
    formats::ConsumerGroupMemberMetadataValue {
        instance_id: metadata.instance_id.clone(),
        rack_id: metadata.rack_id.clone(),
        client_id: metadata.client_id.clone(),
        client_host: metadata.client_host.clone(),
        subscribed_topic_names: metadata.subscribed_topic_names.iter().cloned().collect(),
        subscribed_topic_regex: Some(metadata.subscribed_topic_regex.clone()),
        rebalance_timeout_ms: metadata.rebalance_timeout_ms,
        server_assignor: metadata.server_assignor.clone(),
        classic_member_metadata: metadata.classic.as_ref().map(classic),
    }
}

fn from_member_value(value: formats::ConsumerGroupMemberMetadataValue) -> MemberMetadata {
    let protocol = |protocol: ClassicProtocol| Protocol { name: protocol.name, metadata: protocol.metadata };
    let classic = |classic: ClassicMemberMetadata| ClassicMetadata {
        session_timeout_ms: classic.session_timeout_ms,
        protocols: classic.supported_protocols.into_iter().map(protocol).collect(),
    };
    MemberMetadata {
        instance_id: value.instance_id,
        rack_id: value.rack_id,
        client_id: value.client_id,
        client_host: value.client_host,
        subscribed_topic_names: value.subscribed_topic_names.into_iter().collect(),
        subscribed_topic_regex: value.subscribed_topic_regex.unwrap_or_default(),
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        server_assignor: value.server_assignor,
        classic: value.classic_member_metadata.map(classic),
    }
}

fn to_target_value(partitions: &TopicPartitions) -> formats::ConsumerGroupTargetAssignmentMemberValue {
    let topic = |(topic_id, partitions): (&_, &BTreeSet<i32>)| TopicPartition {
        topic_id: *topic_id,
        partitions: partitions.iter().copied().collect(),
    };
    formats::ConsumerGroupTargetAssignmentMemberValue {
        topic_partitions: partitions.iter().map(topic).collect(),
    }
}

fn from_target_value(value: formats::ConsumerGroupTargetAssignmentMemberValue) -> TopicPartitions {
    value
        .topic_partitions
        .into_iter()
        .map(|topic| (topic.topic_id, topic.partitions.into_iter().collect()))
        .collect()
}

fn to_current_value(current: &CurrentAssignment) -> formats::ConsumerGroupCurrentMemberAssignmentValue {
    formats::ConsumerGroupCurrentMemberAssignmentValue {
        member_epoch: current.member_epoch,
        previous_member_epoch: current.previous_member_epoch,
        state: match current.state {
            MemberState::Stable => 0,
            MemberState::UnrevokedPartitions => 1,
            MemberState::UnreleasedPartitions => 2,
            MemberState::Unknown => 127,
        },
        assigned_partitions: to_current_topics(&current.assigned),
        partitions_pending_revocation: to_current_topics(&current.pending_revocation),
    }
}

fn to_current_topics(partitions: &PartitionEpochs) -> Vec<CurrentTopic> {
    let topic = |(topic_id, partitions): (&_, &BTreeMap<i32, i32>)| CurrentTopic {
        topic_id: *topic_id,
        partitions: partitions.keys().copied().collect(),
        assignment_epochs: Some(partitions.values().copied().collect()),
    };
    partitions.iter().map(topic).collect()
}

fn from_current_value(value: formats::ConsumerGroupCurrentMemberAssignmentValue) -> CurrentAssignment {
    CurrentAssignment {
        member_epoch: value.member_epoch,
        previous_member_epoch: value.previous_member_epoch,
        state: match value.state {
            0 => MemberState::Stable,
            1 => MemberState::UnrevokedPartitions,
            2 => MemberState::UnreleasedPartitions,
            _ => MemberState::Unknown,
        },
        assigned: from_current_topics(value.assigned_partitions, value.member_epoch),
        pending_revocation: from_current_topics(value.partitions_pending_revocation, value.member_epoch),
    }
}

/// Before Kafka 4.2 the epochs were not written: then the member's own stands for them.
fn from_current_topics(topics: Vec<CurrentTopic>, member_epoch: i32) -> PartitionEpochs {
    let mut assigned = PartitionEpochs::new();
    for topic in topics.into_iter().filter(|topic| !topic.partitions.is_empty()) {
        let count = topic.partitions.len();
        let epochs = topic.assignment_epochs.filter(|epochs| epochs.len() == count);
        let epochs = epochs.unwrap_or_else(|| vec![member_epoch.max(0); count]);
        assigned.entry(topic.topic_id).or_default().extend(topic.partitions.into_iter().zip(epochs));
    }
    assigned
}

fn to_pattern_value(resolved: &ResolvedPattern) -> formats::ConsumerGroupRegularExpressionValue {
    formats::ConsumerGroupRegularExpressionValue {
        topics: resolved.topics.iter().cloned().collect(),
        version: resolved.version,
        timestamp: resolved.timestamp_ms,
    }
}

fn from_pattern_value(value: formats::ConsumerGroupRegularExpressionValue) -> ResolvedPattern {
    ResolvedPattern {
        topics: value.topics.into_iter().collect(),
        version: value.version,
        timestamp_ms: value.timestamp,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use uuid::Uuid;

    use super::super::super::records;
    use super::*;

    fn text(text: &'static str) -> StrBytes {
        StrBytes::from_static_str(text)
    }

    /// As many bytes in key and value as Kafka 4.3.1 wrote for the first heartbeat of a member, and for its leaving.
    #[test]
    fn are_as_long_as_kafkas() {
        let topic_id = Uuid::from_u128(0xa52e_d637_bd64_4cd7_ac14_dd5a_004e_3082);
        let member = MemberMetadata {
            client_id: text("ask"),
            client_host: text("/127.0.0.1"),
            subscribed_topic_names: [text("nix"), text("t")].into(),
            rebalance_timeout_ms: 60_000,
            ..MemberMetadata::default()
        };
        let epoch = GroupEpoch { epoch: 2, metadata_hash: -3_244_460_686_321_664_407 };
        let assigned = PartitionEpochs::from([(topic_id, [(0, 2), (1, 2), (2, 2)].into())]);
        let current =
            CurrentAssignment { member_epoch: 2, previous_member_epoch: 0, assigned, ..Default::default() };
        let target = TopicPartitions::from([(topic_id, [0, 1, 2].into())]);
        let sizes = [
            (ConsumerRecord::Member(text("a"), Some(member)), 8, Some(36)),
            (ConsumerRecord::Epoch(Some(epoch)), 5, Some(17)),
            (ConsumerRecord::Target(text("a"), Some(target)), 8, Some(34)),
            (ConsumerRecord::TargetEpoch(Some(TargetEpoch { epoch: 2, timestamp_ms: 1 })), 5, Some(17)),
            (ConsumerRecord::Current(text("a"), Some(current)), 8, Some(59)),
            (ConsumerRecord::Epoch(Some(GroupEpoch { epoch: 7, metadata_hash: 0 })), 5, Some(7)),
            (ConsumerRecord::PartitionMetadata { is_kept: false }, 5, None),
        ];
        for (record, key_size, value_size) in sizes {
            let (key, value) = check(record.clone());
            assert_eq!((key.len(), value.map(|value| value.len())), (key_size, value_size), "{record:?}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let protocol = Protocol { name: text("range"), metadata: Bytes::from_static(b"s") };
        let member = MemberMetadata {
            instance_id: Some(text("i")),
            rack_id: Some(text("r")),
            subscribed_topic_regex: text("t.*"),
            server_assignor: Some(text("range")),
            classic: Some(ClassicMetadata { session_timeout_ms: 5, protocols: vec![protocol] }),
            ..MemberMetadata::default()
        };
        let revoking = CurrentAssignment {
            member_epoch: -2,
            state: MemberState::UnrevokedPartitions,
            pending_revocation: [(Uuid::from_u128(5), [(3, 0)].into())].into(),
            ..CurrentAssignment::default()
        };
        let resolved = ResolvedPattern { topics: [text("t1")].into(), version: 3, timestamp_ms: 4 };
        for record in [
            ConsumerRecord::Member(text("a"), Some(member)),
            ConsumerRecord::Member(text("a"), None),
            ConsumerRecord::Current(text("a"), Some(revoking)),
            ConsumerRecord::Current(text("a"), None),
            ConsumerRecord::Pattern(text("t.*"), Some(resolved)),
            ConsumerRecord::Pattern(text("t.*"), None),
            ConsumerRecord::Target(text("a"), None),
            ConsumerRecord::TargetEpoch(None),
            ConsumerRecord::Epoch(None),
        ] {
            check(record);
        }
    }

    fn check(record: ConsumerRecord) -> (Bytes, Option<Bytes>) {
        let record = GroupRecord::Consumer { group_id: text("g"), record };
        let (key, value) = records::encode(&record).expect("bytes");
        assert_eq!(records::decode(key.clone(), value.clone()), Ok(Some(record)));
        (key, value)
    }
}
