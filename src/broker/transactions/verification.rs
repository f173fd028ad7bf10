//! A transaction begins in a partition only when its coordinator knows of it (KIP-890): a batch that came too late, after
//! its transaction was ended, would otherwise hang in the log for ever.

use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::StrBytes;
use ottla_storage::{Beginning, StorageError, VerificationGuard};

use crate::broker::{Broker, Partition};
use crate::coordinator::transaction::commands::{AddPartitions, VerifyPartitions};
use crate::coordinator::transaction::{
    ProducerIdAndEpoch, TopicPartition, TransactionError, TransactionVersion,
};

/// Who writes a transaction's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionalProducer {
    pub transactional_id: StrBytes,
    pub producer_id: i64,
    pub producer_epoch: i16,
    /// A client of transaction version 2, which leaves it to the broker to add partitions.
    pub supports_epoch_bump: bool,
}

/// Why a transaction may not begin in a partition.
#[derive(Debug, Clone)]
pub enum VerificationError {
    Storage(StorageError),
    Refused(TransactionError),
}

/// Nothing where the transaction goes on already; else what the append has to show.
pub type Verified = Result<Option<VerificationGuard>, VerificationError>;

impl Broker {
    /// Asks the coordinator, at once for all partitions where the transaction does not go on yet; once more for a while,
    /// when the transaction before is still being ended. Beside each partition stands the sequence number of its batch.
    /// A result for each, in their order.
    pub async fn verify_transaction(
        &self,
        producer: &TransactionalProducer,
        partitions: &[(Arc<Partition>, i32)],
    ) -> Vec<Verified> {
        let config = self.config();
        if !config.transaction_partition_verification_enable && !producer.supports_epoch_bump {
            return partitions.iter().map(|_| Ok(Some(VerificationGuard::NotRequired))).collect();
        }
        let pause_ms = config.add_partitions_to_txn_retry_backoff_ms.max(1);
        let until_ms = self.clock.now_ms() + i64::from(config.add_partitions_to_txn_retry_backoff_max_ms);
        loop {
            let verified = self.verify_once(producer, partitions).await;
            if !verified.iter().any(is_concurrent) || self.clock.now_ms() >= until_ms {
                return verified;
            }
            tokio::time::sleep(Duration::from_millis(pause_ms.unsigned_abs().into())).await;
        }
    }

    /// Begins anew: the marker of the transaction before takes away what was begun ahead of it.
    async fn verify_once(
        &self,
        producer: &TransactionalProducer,
        partitions: &[(Arc<Partition>, i32)],
    ) -> Vec<Verified> {
        let mut verified: Vec<Verified> = partitions
            .iter()
            .map(|(partition, sequence)| self.begin(producer, partition, *sequence))
            .collect();
        let in_doubt: Vec<usize> =
            (0..verified.len()).filter(|at| matches!(verified[*at], Ok(Some(_)))).collect();
        if in_doubt.is_empty() {
            return verified;
        }
        let asked = in_doubt.iter().map(|at| topic_partition(&partitions[*at].0)).collect();
        match self.ask_coordinator(producer, asked).await {
            Ok(results) => {
                for (at, result) in in_doubt.into_iter().zip(results) {
                    let (partition, sequence) = &partitions[at];
                    // The last transaction's marker may have come while the coordinator was asked.
                    let is_taken_back = || {
                        self.begin(producer, partition, *sequence).ok() != verified[at].as_ref().ok().copied()
                    };
                    if let Err(error) = result {
                        verified[at] = Err(VerificationError::Refused(error));
                    } else if is_taken_back() {
                        verified[at] =
                            Err(VerificationError::Refused(TransactionError::ConcurrentTransactions));
                    }
                }
            }
            Err(error) => {
                in_doubt.into_iter().for_each(|at| verified[at] = Err(VerificationError::Refused(error)));
            }
        }
        verified
    }

    fn begin(&self, producer: &TransactionalProducer, partition: &Partition, base_sequence: i32) -> Verified {
        let beginning = Beginning {
            producer_id: producer.producer_id,
            producer_epoch: producer.producer_epoch,
            base_sequence,
            supports_epoch_bump: producer.supports_epoch_bump,
        };
        let begun = partition.log().begin_verification(&beginning, self.clock.now_ms());
        begun.map_err(VerificationError::Storage)
    }

    /// Adds the partitions, or asks whether they were added.
    async fn ask_coordinator(
        &self,
        producer: &TransactionalProducer,
        partitions: Vec<TopicPartition>,
    ) -> Result<Vec<Result<(), TransactionError>>, TransactionError> {
        let transactional_id = producer.transactional_id.clone();
        let TransactionalProducer { producer_id, producer_epoch, .. } = *producer;
        let id_and_epoch = ProducerIdAndEpoch { producer_id, producer_epoch };
        if !producer.supports_epoch_bump {
            let verify = VerifyPartitions { transactional_id, producer: id_and_epoch, partitions };
            return self.transactions().verify(&verify).await;
        }
        let count = partitions.len();
        let add = AddPartitions {
            transactional_id,
            producer: id_and_epoch,
            partitions,
            client_version: TransactionVersion::V2,
        };
        self.transactions().add_partitions(&add).await.map(|()| vec![Ok(()); count])
    }
}

fn is_concurrent(verified: &Verified) -> bool {
    matches!(verified, Err(VerificationError::Refused(TransactionError::ConcurrentTransactions)))
}

fn topic_partition(partition: &Partition) -> TopicPartition {
    let id = partition.id();
    TopicPartition { topic: StrBytes::from_string(id.topic.to_string()), partition: id.partition }
}
