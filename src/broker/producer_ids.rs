//! Producer ids, from blocks that the controller gave to this broker (KIP-730): none is ever given twice.

use tokio::sync::Mutex;

use super::cluster::{Cluster, ClusterError};
use crate::metadata::PRODUCER_IDS_PER_BLOCK;

/// What is left of the current block. A block that a stopped broker did not use up is lost, as in Kafka.
#[derive(Debug, Default)]
pub struct ProducerIds(Mutex<std::ops::Range<i64>>);

/// Why there is no id.
#[derive(Debug)]
pub enum ProducerIdError {
    /// Every id there can be was given.
    Exhausted,
    Cluster(ClusterError),
}

impl ProducerIds {
    pub async fn next(&self, cluster: &Cluster) -> Result<i64, ProducerIdError> {
        let mut left = self.0.lock().await;
        if let Some(id) = left.next() {
            return Ok(id);
        }
        let block = cluster.allocate_producer_ids().await.map_err(ProducerIdError::Cluster)?;
        let block = block.ok_or(ProducerIdError::Exhausted)?;
        *left = block.first..block.first + PRODUCER_IDS_PER_BLOCK;
        left.next().ok_or(ProducerIdError::Exhausted)
    }
}
