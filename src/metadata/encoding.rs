//! In which version each record is written: the cluster's metadata.version says what all who read the log know.

use std::borrow::Cow;

use bytes::Bytes;
use ottla_protocol::record_formats::MetadataRecord;
use ottla_protocol::wire::WireError;

use super::bootstrap::{ELIGIBLE_LEADER_REPLICAS_VERSION, METADATA_VERSION};
use super::{FEATURES, Image};

// Levels of metadata.version, named after what they brought.
const FIRST: i16 = 7;
const MIGRATION: i16 = 8;
const DIRECTORY_ASSIGNMENT: i16 = 17;
const ELIGIBLE_LEADER_REPLICAS: i16 = 23;
const CORDONED_LOG_DIRS: i16 = 30;

impl Image {
    /// The level of metadata.version; the first one of KRaft when nothing is said.
    pub fn metadata_version(&self) -> i16 {
        self.feature(METADATA_VERSION).unwrap_or(FIRST)
    }

    /// KIP-966.
    pub(super) fn is_elr_enabled(&self) -> bool {
        self.feature(ELIGIBLE_LEADER_REPLICAS_VERSION).is_some_and(|level| level > 0)
    }
}

/// The metadata.version of new clusters.
pub fn newest_metadata_version() -> i16 {
    FEATURES
        .iter()
        .find(|feature| feature.name == METADATA_VERSION)
        .map_or(FIRST, |feature| feature.max_level)
}

/// A record's value, in the version in which Kafka writes it at a metadata.version. What that one cannot say is left out.
pub fn encoded(record: &MetadataRecord, metadata_version: i16) -> Result<Bytes, WireError> {
    let version = match record {
        MetadataRecord::RegisterBroker(_) if metadata_version >= CORDONED_LOG_DIRS => 4,
        MetadataRecord::RegisterBroker(_) if metadata_version >= DIRECTORY_ASSIGNMENT => 3,
        MetadataRecord::RegisterBroker(_) if metadata_version >= MIGRATION => 2,
        MetadataRecord::RegisterBroker(_) => 1,
        MetadataRecord::Partition(_) | MetadataRecord::PartitionChange(_) => {
            if metadata_version >= ELIGIBLE_LEADER_REPLICAS {
                2
            } else {
                i16::from(metadata_version >= DIRECTORY_ASSIGNMENT)
            }
        }
        // The lowest that can say it, so that the smallest changes stay readable longest.
        MetadataRecord::BrokerRegistrationChange(change) => {
            if change.cordoned_log_dirs.is_some() {
                3
            } else if !change.log_dirs.is_empty() {
                2
            } else {
                i16::from(change.in_controlled_shutdown != 0)
            }
        }
        _ => record.versions().max,
    };
    as_known_to(record, version).encode(version)
}

/// The record without the fields that came after a version of it.
fn as_known_to(record: &MetadataRecord, version: i16) -> Cow<'_, MetadataRecord> {
    match record {
        MetadataRecord::RegisterBroker(registration) if version < 4 => {
            let mut older = registration.clone();
            older.cordoned_log_dirs = None;
            if version < 3 {
                older.log_dirs.clear();
            }
            Cow::Owned(older.into())
        }
        MetadataRecord::Partition(partition) if version < 2 => {
            let mut older = partition.clone();
            (older.eligible_leader_replicas, older.last_known_elr) = (None, None);
            if version < 1 {
                older.directories.clear();
            }
            Cow::Owned(older.into())
        }
        MetadataRecord::PartitionChange(change) if version < 2 => {
            let mut older = change.clone();
            (older.eligible_leader_replicas, older.last_known_elr) = (None, None);
            if version < 1 {
                older.directories = None;
            }
            Cow::Owned(older.into())
        }
        _ => Cow::Borrowed(record),
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::record_formats::metadata::{
        PartitionChangeRecord, PartitionRecord, RegisterBrokerRecord,
    };
    use uuid::Uuid;

    use super::*;

    /// The version that a record was written in at each metadata.version, and that it can be read again.
    #[track_caller]
    fn check(record: impl Into<MetadataRecord>, expected: &[(i16, i16)]) {
        let record = record.into();
        for (metadata_version, version) in expected {
            let bytes = encoded(&record, *metadata_version).unwrap();
            let (_, written) = MetadataRecord::decode(bytes).unwrap();
            assert_eq!(written, *version, "at metadata.version {metadata_version}");
        }
    }

    #[test]
    fn records_are_written_as_the_oldest_reader_knows_them() {
        let ids = || vec![Uuid::from_u128(7)];
        let registration = RegisterBrokerRecord {
            log_dirs: ids(),
            cordoned_log_dirs: Some(vec![]),
            ..RegisterBrokerRecord::default()
        };
        check(registration, &[(7, 1), (8, 2), (16, 2), (17, 3), (29, 3), (30, 4)]);
        let partition = PartitionRecord {
            directories: ids(),
            eligible_leader_replicas: Some(vec![1]),
            ..PartitionRecord::default()
        };
        check(partition, &[(7, 0), (16, 0), (17, 1), (22, 1), (23, 2), (30, 2)]);
        let change = PartitionChangeRecord {
            directories: Some(ids()),
            last_known_elr: Some(vec![]),
            ..PartitionChangeRecord::default()
        };
        check(change, &[(7, 0), (17, 1), (23, 2)]);
    }
}
