//! The first records of a new cluster, as Kafka 4.3 formats one.

use kafka_protocol::protocol::StrBytes;
use ottla_protocol::record_formats::metadata::{
    BeginTransactionRecord, ConfigRecord, EndTransactionRecord, FeatureLevelRecord, MetadataRecord,
};

use super::ResourceType;

/// A feature of the cluster: which levels this broker supports, and at which a new cluster begins.
#[derive(Debug, Clone, Copy)]
pub struct Feature {
    pub name: &'static str,
    pub min_level: i16,
    pub max_level: i16,
    /// 0: not written, because it is a setting of the quorum and not of the metadata.
    pub initial_level: i16,
}

pub(super) const METADATA_VERSION: &str = "metadata.version";
pub(super) const ELIGIBLE_LEADER_REPLICAS_VERSION: &str = "eligible.leader.replicas.version";

/// The level of metadata.version from which on readers know transactions.
const METADATA_TRANSACTIONS: i16 = 13;

/// What Kafka 4.3.1 supports, in the order of its own bootstrap.
pub const FEATURES: &[Feature] = &[
    feature(METADATA_VERSION, 7, 30, 30),
    feature(ELIGIBLE_LEADER_REPLICAS_VERSION, 0, 1, 1),
    feature("group.version", 0, 1, 1),
    feature("kraft.version", 0, 1, 0),
    feature("share.version", 0, 1, 1),
    feature("streams.version", 0, 1, 1),
    feature("transaction.version", 0, 2, 2),
];

const fn feature(name: &'static str, min_level: i16, max_level: i16, initial_level: i16) -> Feature {
    Feature { name, min_level, max_level, initial_level }
}

/// What a new log begins with, after the quorum's control records: what the cluster was formatted to be, as a transaction
/// where readers know of them, so that a reader sees all or nothing.
pub fn bootstrap_records(formatted: impl IntoIterator<Item = MetadataRecord>) -> Vec<MetadataRecord> {
    let begin = BeginTransactionRecord { name: Some(StrBytes::from_static_str("Bootstrap records")) };
    let mut records: Vec<MetadataRecord> = vec![begin.into()];
    records.extend(formatted);
    let level = |name: &str| {
        records.iter().find_map(|record| match record {
            MetadataRecord::FeatureLevel(feature) if &*feature.name == name => Some(feature.feature_level),
            _ => None,
        })
    };
    let metadata_version = level(METADATA_VERSION).unwrap_or(0);
    if level(ELIGIBLE_LEADER_REPLICAS_VERSION).is_some_and(|level| level > 0) {
        // KIP-966: with eligible leader replicas the cluster has a min.insync.replicas of its own.
        let config = ConfigRecord {
            resource_type: ResourceType::Broker.id(),
            resource_name: StrBytes::new(),
            name: StrBytes::from_static_str("min.insync.replicas"),
            value: Some(StrBytes::from_static_str("1")),
        };
        records.push(config.into());
    }
    records.push(EndTransactionRecord::default().into());
    if metadata_version < METADATA_TRANSACTIONS {
        records.retain(|record| {
            !matches!(record, MetadataRecord::BeginTransaction(_) | MetadataRecord::EndTransaction(_))
        });
    }
    records
}

/// What `bootstrap.checkpoint` holds.
pub fn feature_levels() -> impl Iterator<Item = MetadataRecord> {
    FEATURES.iter().filter(|feature| feature.initial_level > 0).map(|feature| {
        FeatureLevelRecord {
            name: StrBytes::from_static_str(feature.name),
            feature_level: feature.initial_level,
        }
        .into()
    })
}
