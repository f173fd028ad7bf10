//! Blocks of producer ids: a broker takes a thousand at a time, so that it need not ask for each producer.

use ottla_protocol::record_formats::metadata::ProducerIdsRecord;

use super::{Controller, Outcome};

pub const PRODUCER_IDS_PER_BLOCK: i64 = 1000;

/// The ids from `first`, [`PRODUCER_IDS_PER_BLOCK`] of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdBlock {
    pub first: i64,
}

impl Controller {
    /// `None` when every id there is has been given out.
    pub fn allocate_producer_ids(&self, broker_id: i32) -> Outcome<Option<ProducerIdBlock>> {
        let first = self.image.next_producer_id;
        let Some(next_producer_id) = first.checked_add(PRODUCER_IDS_PER_BLOCK) else {
            return Outcome::unchanged(None);
        };
        let broker_epoch = self.image.broker(broker_id).map_or(-1, |broker| broker.epoch);
        let record = ProducerIdsRecord { broker_id, broker_epoch, next_producer_id };
        Outcome { response: Some(ProducerIdBlock { first }), records: vec![record.into()] }
    }
}
