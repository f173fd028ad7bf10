//! DescribeTransactions (65) v0 (KIP-664).

use ottla_protocol::StrBytes;
use ottla_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use ottla_protocol::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse, TransactionalId};

use super::Context;
use super::errors::Code;
use crate::coordinator::transaction::commands::DescribedTransaction;

pub async fn handle(context: Context, request: DescribeTransactionsRequest) -> DescribeTransactionsResponse {
    let mut states = Vec::with_capacity(request.transactional_ids.len());
    for transactional_id in request.transactional_ids {
        let described = context.broker().transactions().describe(&transactional_id).await;
        states.push(match described {
            Ok(described) => state(transactional_id, described),
            Err(error) => TransactionState::default()
                .with_transactional_id(transactional_id)
                .with_error_code(error.code().code()),
        });
    }
    DescribeTransactionsResponse::default().with_transaction_states(states)
}

fn state(transactional_id: TransactionalId, described: DescribedTransaction) -> TransactionState {
    let topic = |(name, partitions): (StrBytes, Vec<i32>)| {
        TopicData::default().with_topic(name.into()).with_partitions(partitions)
    };
    TransactionState::default()
        .with_transactional_id(transactional_id)
        .with_transaction_state(StrBytes::from_static_str(described.state))
        .with_transaction_timeout_ms(described.timeout_ms)
        .with_transaction_start_time_ms(described.start_ms)
        .with_producer_id(described.producer.producer_id.into())
        .with_producer_epoch(described.producer.producer_epoch)
        .with_topics(described.topics.into_iter().map(topic).collect())
}
