//! AddPartitionsToTxn: the partitions that a transaction writes to, and the question whether one belongs to it.

use super::commands::{AddPartitions, VerifyPartitions};
use super::{
    TopicPartition, Transaction, TransactionError, TransactionOutcome, TransactionShard, TransactionState,
    own,
};

impl TransactionShard {
    /// Adds the partitions; the first begin the transaction.
    pub fn add_partitions(
        &self,
        add: &AddPartitions,
        now_ms: i64,
    ) -> TransactionOutcome<Result<(), TransactionError>> {
        let transaction = match self.current(add) {
            Ok(transaction) => transaction,
            Err(error) => return TransactionOutcome::answer(Err(error)),
        };
        let is_ongoing = transaction.state == TransactionState::Ongoing;
        if is_ongoing && add.partitions.iter().all(|partition| transaction.partitions.contains(partition)) {
            return TransactionOutcome::answer(Ok(()));
        }
        let partitions = add.partitions.iter().map(own_partition);
        let changed = transaction.with_partitions(partitions, add.client_version, now_ms);
        let timeout = (!is_ongoing).then(|| self.timeout(&add.transactional_id, &changed)).flatten();
        let mut outcome = self.put(&add.transactional_id, changed).map(Ok);
        outcome.effects.extend(timeout);
        outcome
    }

    fn current(&self, add: &AddPartitions) -> Result<&Transaction, TransactionError> {
        let transaction =
            self.transactions.get(&add.transactional_id).ok_or(TransactionError::InvalidProducerIdMapping)?;
        if transaction.state.prepared().is_some() {
            Err(TransactionError::ConcurrentTransactions)
        } else if transaction.producer_id != add.producer.producer_id {
            Err(TransactionError::InvalidProducerIdMapping)
        } else if transaction.producer_epoch != add.producer.producer_epoch {
            Err(TransactionError::ProducerFenced)
        } else {
            Ok(transaction)
        }
    }

    /// Whether each of the partitions is in the transaction, in the order of the question. Changes nothing.
    pub fn verify_partitions(
        &self,
        verify: &VerifyPartitions,
    ) -> Result<Vec<Result<(), TransactionError>>, TransactionError> {
        let transaction = self
            .transactions
            .get(&verify.transactional_id)
            .ok_or(TransactionError::InvalidProducerIdMapping)?;
        if transaction.producer_id != verify.producer.producer_id {
            return Err(TransactionError::InvalidProducerIdMapping);
        }
        if transaction.producer_epoch != verify.producer.producer_epoch {
            return Err(TransactionError::ProducerFenced);
        }
        if transaction.state.prepared().is_some() {
            return Err(TransactionError::ConcurrentTransactions);
        }
        let verified =
            verify.partitions.iter().map(|partition| match transaction.partitions.contains(partition) {
                true => Ok(()),
                false => Err(TransactionError::TransactionAbortable),
            });
        Ok(verified.collect())
    }
}

fn own_partition(partition: &TopicPartition) -> TopicPartition {
    TopicPartition { topic: own(&partition.topic), partition: partition.partition }
}
