//! What the transaction coordinator asks of the broker: producer ids, and markers in the partitions' logs.

use std::sync::Weak;

use tracing::warn;

use super::Broker;
use crate::coordinator::runtime::{PeerFuture, TransactionPeers};
use crate::coordinator::transaction::{Markers, TopicPartition};

/// Every partition's leader is this broker; in a cluster, this is where markers go out to others.
pub struct Peers(pub Weak<Broker>);

impl TransactionPeers for Peers {
    fn new_producer_id(&self) -> PeerFuture<Option<i64>> {
        let broker = self.0.upgrade();
        Box::pin(async move {
            let next = broker?.next_producer_id().await;
            next.inspect_err(|error| warn!(?error, "there is no producer id for a transaction")).ok()
        })
    }

    fn write_markers(&self, _partition: i32, _markers: Markers) -> PeerFuture<Vec<TopicPartition>> {
        Box::pin(async { Vec::new() })
    }
}
