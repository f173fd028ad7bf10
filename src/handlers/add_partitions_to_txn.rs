//! AddPartitionsToTxn (24) v0-5 (KIP-98). v0-3: a client's one transaction; v4, v5: brokers' batches, to add or only to
//! verify (KIP-890).

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use ottla_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use ottla_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};

use super::Context;
use super::errors::{Code, transaction_code};
use crate::coordinator::transaction::commands::{AddPartitions, VerifyPartitions};
use crate::coordinator::transaction::{
    ProducerIdAndEpoch, TopicPartition, TransactionError, TransactionVersion,
};
use crate::metadata::Image;

/// From this version on brokers ask, for many transactions at once.
const BATCHED_SINCE: i16 = 4;
/// Before it, a client knows no PRODUCER_FENCED.
const FENCED_SINCE: i16 = 2;

pub async fn handle(context: Context, request: AddPartitionsToTxnRequest) -> AddPartitionsToTxnResponse {
    if context.api_version >= BATCHED_SINCE {
        let mut results = Vec::with_capacity(request.transactions.len());
        for transaction in request.transactions {
            let codes = codes(&context, &transaction).await;
            results.push(
                AddPartitionsToTxnResult::default()
                    .with_transactional_id(transaction.transactional_id)
                    .with_topic_results(topic_results(&transaction.topics, codes)),
            );
        }
        return AddPartitionsToTxnResponse::default().with_results_by_transaction(results);
    }
    let transaction = AddPartitionsToTxnTransaction::default()
        .with_transactional_id(request.v3_and_below_transactional_id)
        .with_producer_id(request.v3_and_below_producer_id)
        .with_producer_epoch(request.v3_and_below_producer_epoch)
        .with_topics(request.v3_and_below_topics);
    let codes = codes(&context, &transaction).await;
    AddPartitionsToTxnResponse::default()
        .with_results_by_topic_v3_and_below(topic_results(&transaction.topics, codes))
}

/// A code for each partition, in the order of the request. All partitions are added or none.
async fn codes(context: &Context, transaction: &AddPartitionsToTxnTransaction) -> Vec<ErrorCode> {
    let partitions: Vec<TopicPartition> = partitions(&transaction.topics).collect();
    let image = context.broker().image();
    if partitions.iter().any(|partition| !exists(&image, partition)) {
        let code = |partition| match exists(&image, partition) {
            true => ErrorCode::OperationNotAttempted,
            false => ErrorCode::UnknownTopicOrPartition,
        };
        return partitions.iter().map(code).collect();
    }
    let asked = partitions.len();
    let transactional_id = transaction.transactional_id.0.clone();
    let producer = ProducerIdAndEpoch {
        producer_id: transaction.producer_id.0,
        producer_epoch: transaction.producer_epoch,
    };
    let coordinator = context.broker().transactions();
    let version = context.api_version;
    if transaction.verify_only {
        let verify = VerifyPartitions { transactional_id, producer, partitions };
        return match coordinator.verify(&verify).await {
            Ok(results) => results.into_iter().map(code_of).collect(),
            Err(error) => vec![error.code(); asked],
        };
    }
    let client_version =
        if version >= BATCHED_SINCE { TransactionVersion::V2 } else { TransactionVersion::V0 };
    let add = AddPartitions { transactional_id, producer, partitions, client_version };
    let code = match coordinator.add_partitions(&add).await {
        Ok(()) => ErrorCode::None,
        Err(error) => transaction_code(error, version >= FENCED_SINCE),
    };
    vec![code; asked]
}

fn code_of(verified: Result<(), TransactionError>) -> ErrorCode {
    verified.map_or_else(|error| error.code(), |()| ErrorCode::None)
}

fn partitions(topics: &[AddPartitionsToTxnTopic]) -> impl Iterator<Item = TopicPartition> {
    topics.iter().flat_map(|topic| {
        let named = |partition: &i32| TopicPartition { topic: topic.name.0.clone(), partition: *partition };
        topic.partitions.iter().map(named)
    })
}

fn exists(image: &Image, partition: &TopicPartition) -> bool {
    image.topic(&partition.topic).is_some_and(|topic| topic.partition(partition.partition).is_some())
}

fn topic_results(
    topics: &[AddPartitionsToTxnTopic],
    codes: Vec<ErrorCode>,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let mut codes = codes.into_iter();
    let mut results = Vec::with_capacity(topics.len());
    for topic in topics {
        let partition = |(index, code): (&i32, ErrorCode)| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(code.code())
        };
        results.push(
            AddPartitionsToTxnTopicResult::default().with_name(topic.name.clone()).with_results_by_partition(
                topic.partitions.iter().zip(codes.by_ref()).map(partition).collect(),
            ),
        );
    }
    results
}
