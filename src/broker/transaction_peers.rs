//! What the transaction coordinator asks of the broker: producer ids, and markers in the partitions' logs.

use std::sync::{Arc, Weak};

use ottla_storage::{AppendError, StorageError};
use tracing::warn;

use super::internal_topics::TRANSACTION_STATE;
use super::{Broker, LookupError, MarkerError};
use crate::coordinator::group::GroupError;
use crate::coordinator::marker::TxnMarker;
use crate::coordinator::runtime::{PeerFuture, TransactionPeers};
use crate::coordinator::transaction::{Markers, TopicPartition, TransactionResult};

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

    fn write_markers(&self, partition: i32, markers: Markers) -> PeerFuture<Vec<TopicPartition>> {
        let broker = self.0.upgrade();
        Box::pin(async move {
            match broker {
                Some(broker) => write_markers(&broker, partition, markers).await,
                None => markers.partitions,
            }
        })
    }
}

async fn write_markers(broker: &Arc<Broker>, partition: i32, markers: Markers) -> Vec<TopicPartition> {
    let marker = TxnMarker {
        producer_id: markers.producer.producer_id,
        producer_epoch: markers.producer.producer_epoch,
        coordinator_epoch: coordinator_epoch(broker, partition),
        is_commit: markers.result == TransactionResult::Commit,
        transaction_version: markers.client_version.level(),
    };
    let named: Vec<_> = markers.partitions.iter().map(|each| (each.topic.clone(), each.partition)).collect();
    let results = broker.write_txn_marker(marker, &named).await;
    let mut left = Vec::new();
    for (partition, result) in markers.partitions.into_iter().zip(results) {
        let Err(error) = result else { continue };
        if is_gone(&error) {
            continue;
        }
        warn!(
            transactional_id = &*markers.transactional_id,
            topic = &*partition.topic,
            partition = partition.partition,
            ?error,
            "a transaction's marker was not written"
        );
        if !is_refused(&error) {
            left.push(partition);
        }
    }
    left
}

/// The epoch of whoever decides for a partition of `__transaction_state`: its leader's.
fn coordinator_epoch(broker: &Broker, partition: i32) -> i32 {
    let image = broker.image();
    let topic = image.topic(TRANSACTION_STATE.name);
    topic.and_then(|topic| topic.partition(partition)).map_or(0, |partition| partition.leader_epoch)
}

/// A partition that was deleted has nothing left to end.
fn is_gone(error: &MarkerError) -> bool {
    matches!(
        error,
        MarkerError::Lookup(LookupError::UnknownTopicOrPartition)
            | MarkerError::Append(AppendError::Storage(StorageError::Deleted))
    )
}

/// The partition has heard of a newer producer or coordinator: to ask again changes nothing. Kafka leaves such a
/// transaction as it is until its coordinator moves; here it is completed, and its transactional id of use again.
fn is_refused(error: &MarkerError) -> bool {
    matches!(
        error,
        MarkerError::Append(
            AppendError::InvalidProducerEpoch { .. }
                | AppendError::InvalidTxnState { .. }
                | AppendError::TransactionCoordinatorFenced { .. }
        ) | MarkerError::Group(
            GroupError::InvalidProducerEpoch
                | GroupError::InvalidTxnState
                | GroupError::TransactionCoordinatorFenced
        )
    )
}
