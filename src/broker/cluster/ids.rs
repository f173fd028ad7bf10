//! New ids, as Kafka makes them.

use ottla_protocol::kafka_id;
use uuid::Uuid;

use crate::clock;

/// Ids below this one have meanings of their own (no topic, the metadata's own topic, lost directories).
const FIRST_UNRESERVED: u128 = 100;

/// A new id that a command line tool does not take for an option, as Kafka makes them.
pub fn random_kafka_id() -> Uuid {
    loop {
        let id = clock::random_id();
        if id.as_u128() >= FIRST_UNRESERVED && !kafka_id(&id).starts_with('-') {
            return id;
        }
    }
}
