//! Markers: how transactions end in the partitions' logs.

use std::sync::Arc;

use ottla_protocol::StrBytes;
use ottla_protocol::batch::ValidatedBatches;
use ottla_storage::{AppendContext, AppendError, Appended, Origin};

use crate::broker::internal_topics::CONSUMER_OFFSETS;
use crate::broker::{Broker, LookupError, Partition, TopicRef};
use crate::coordinator::group::GroupError;
use crate::coordinator::marker::TxnMarker;
use crate::metadata::Image;

/// Why a marker is not in a partition's log.
#[derive(Debug)]
pub enum MarkerError {
    Lookup(LookupError),
    Append(AppendError),
    /// Of the group coordinator, for a partition of `__consumer_offsets`.
    Group(GroupError),
}

impl Broker {
    /// Writes a marker to partitions that this broker leads: to all of them first, then it waits until they are committed.
    /// A result for each, in their order. A marker that is written twice does no harm.
    pub async fn write_txn_marker(
        &self,
        marker: TxnMarker,
        partitions: &[(StrBytes, i32)],
    ) -> Vec<Result<(), MarkerError>> {
        let image = self.image();
        let append = |(topic, index): &(StrBytes, i32)| match is_of_groups(topic) {
            true => None,
            false => Some(self.append_marker(&image, marker, topic, *index)),
        };
        let appended: Vec<_> = partitions.iter().map(append).collect();
        let mut results = Vec::with_capacity(appended.len());
        for ((topic, index), appended) in partitions.iter().zip(appended) {
            results.push(match appended {
                None => self.end_in_groups(&image, marker, topic, *index).await,
                Some(Ok((partition, appended))) => {
                    partition.committed(appended).await.map_err(|error| MarkerError::Append(error.into()))
                }
                Some(Err(error)) => Err(error),
            });
        }
        results
    }

    /// The group coordinator learns of the end in the order of its log.
    async fn end_in_groups(
        &self,
        image: &Image,
        marker: TxnMarker,
        topic: &StrBytes,
        index: i32,
    ) -> Result<(), MarkerError> {
        let topic = self.topic(image, &TopicRef::Name(topic.clone())).map_err(MarkerError::Lookup)?;
        self.led(image, topic, index, -1).map_err(MarkerError::Lookup)?;
        self.groups().end_transaction(index, marker).await.map_err(MarkerError::Group)
    }

    fn append_marker(
        &self,
        image: &Image,
        marker: TxnMarker,
        topic: &StrBytes,
        index: i32,
    ) -> Result<(Arc<Partition>, Appended), MarkerError> {
        let topic = self.topic(image, &TopicRef::Name(topic.clone())).map_err(MarkerError::Lookup)?;
        let led = self.led(image, topic, index, -1).map_err(MarkerError::Lookup)?;
        let now_ms = self.clock.now_ms();
        let origin = Origin::Marker { transaction_version: marker.transaction_version };
        let context = AppendContext { leader_epoch: led.leader_epoch, now_ms, origin };
        let batches = ValidatedBatches::internal([marker.to_batch(now_ms)]);
        let appended = led.partition.append(batches, context).map_err(MarkerError::Append)?;
        Ok((led.partition, appended))
    }
}

fn is_of_groups(topic: &StrBytes) -> bool {
    topic.as_str() == CONSUMER_OFFSETS.name
}
