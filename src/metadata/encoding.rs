//! In which version each record is written.

use bytes::Bytes;
use ottla_protocol::record_formats::MetadataRecord;
use ottla_protocol::wire::WireError;

/// A record's value, in the version in which Kafka 4.3 writes it at its newest metadata.version.
pub fn encoded(record: &MetadataRecord) -> Result<Bytes, WireError> {
    record.encode(match record {
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
    })
}
