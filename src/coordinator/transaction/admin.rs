//! What administrators ask: DescribeTransactions, ListTransactions.

use ottla_protocol::StrBytes;

use super::commands::{DescribedTransaction, ListTransactions, ListedTransaction};
use super::{Transaction, TransactionError, TransactionShard};

impl TransactionShard {
    pub fn describe(&self, transactional_id: &StrBytes) -> Result<DescribedTransaction, TransactionError> {
        let transaction =
            self.transactions.get(transactional_id).ok_or(TransactionError::TransactionalIdNotFound)?;
        let mut topics: Vec<(StrBytes, Vec<i32>)> = Vec::new();
        for partition in &transaction.partitions {
            match topics.last_mut() {
                Some((topic, partitions)) if *topic == partition.topic => {
                    partitions.push(partition.partition)
                }
                _ => topics.push((partition.topic.clone(), vec![partition.partition])),
            }
        }
        Ok(DescribedTransaction {
            producer: transaction.identity(),
            state: transaction.state.name(),
            timeout_ms: transaction.timeout_ms,
            start_ms: transaction.start_ms,
            topics,
        })
    }

    /// Those that every filter lets through, in no order.
    pub fn list(&self, list: &ListTransactions, now_ms: i64) -> Vec<ListedTransaction> {
        let is_named = |id: &StrBytes| list.pattern.as_ref().is_none_or(|pattern| pattern.matches(id));
        let listed = self
            .transactions
            .iter()
            .filter(|(id, transaction)| is_named(id) && is_listed(transaction, list, now_ms));
        let row = |(transactional_id, transaction): (&StrBytes, &Transaction)| ListedTransaction {
            transactional_id: transactional_id.clone(),
            producer_id: transaction.producer_id,
            state: transaction.state.name(),
        };
        listed.map(row).collect()
    }
}

fn is_listed(transaction: &Transaction, list: &ListTransactions, now_ms: i64) -> bool {
    let state = transaction.state.name();
    let is_state = list.states.is_empty() || list.states.iter().any(|name| name.as_str() == state);
    let is_producer = list.producer_ids.is_empty() || list.producer_ids.contains(&transaction.producer_id);
    // Kafka counts from -1 where no transaction has begun, which is longer than anything.
    let has_taken_ms = now_ms.saturating_sub(transaction.start_ms);
    is_state && is_producer && list.longer_than_ms.is_none_or(|longest_ms| has_taken_ms > longest_ms)
}
