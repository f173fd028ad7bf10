//! What the tests of the transaction APIs share: a broker with a topic of three partitions and a coordinator, and requests.

use kafka_protocol::protocol::StrBytes;
use ottla::{Broker, Running};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use ottla_protocol::messages::add_partitions_to_txn_response::AddPartitionsToTxnTopicResult;
use ottla_protocol::messages::describe_transactions_response::TransactionState;
use ottla_protocol::messages::*;

use crate::data::create;
use crate::support::Client;

pub const NONE: i16 = ErrorCode::None.code();
pub const UNKNOWN_TOPIC_OR_PARTITION: i16 = ErrorCode::UnknownTopicOrPartition.code();
pub const INVALID_REQUEST: i16 = ErrorCode::InvalidRequest.code();
pub const INVALID_PRODUCER_EPOCH: i16 = ErrorCode::InvalidProducerEpoch.code();
pub const INVALID_TXN_STATE: i16 = ErrorCode::InvalidTxnState.code();
pub const INVALID_PRODUCER_ID_MAPPING: i16 = ErrorCode::InvalidProducerIdMapping.code();
pub const INVALID_TRANSACTION_TIMEOUT: i16 = ErrorCode::InvalidTransactionTimeout.code();
pub const CONCURRENT_TRANSACTIONS: i16 = ErrorCode::ConcurrentTransactions.code();
pub const OPERATION_NOT_ATTEMPTED: i16 = ErrorCode::OperationNotAttempted.code();
pub const PRODUCER_FENCED: i16 = ErrorCode::ProducerFenced.code();
pub const TRANSACTIONAL_ID_NOT_FOUND: i16 = ErrorCode::TransactionalIdNotFound.code();
pub const TRANSACTION_ABORTABLE: i16 = ErrorCode::TransactionAbortable.code();
pub const INVALID_REGULAR_EXPRESSION: i16 = ErrorCode::InvalidRegularExpression.code();
pub const NOT_COORDINATOR: i16 = ErrorCode::NotCoordinator.code();

/// A producer's id and epoch.
pub type Producer = (i64, i16);

/// A broker in memory with the topic `t` of three partitions, whose transaction coordinator has been asked for.
pub async fn start() -> (Running, Client) {
    let builder = Broker::builder().set("transaction.state.log.num.partitions", 3);
    let broker = builder.start().await.expect("a broker in memory starts");
    let mut client = Client::connect(&broker).await;
    create(&mut client, "t", 3, &[]).await;
    find(&mut client, "a").await;
    (broker, client)
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Asks for the coordinator of a transactional id.
pub async fn find(client: &mut Client, id: &str) {
    let request = FindCoordinatorRequest::default().with_key(text(id)).with_key_type(1);
    assert_eq!(client.call(3, &request).await.error_code, NONE);
}

pub fn init(id: &str, expected: Producer) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(Some(text(id).into()))
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(expected.0.into())
        .with_producer_epoch(expected.1)
}

/// A new producer.
pub async fn begin(client: &mut Client, id: &str) -> Producer {
    loop {
        let answer = client.call(5, &init(id, (-1, -1))).await;
        if answer.error_code != CONCURRENT_TRANSACTIONS {
            assert_eq!(answer.error_code, NONE);
            return (answer.producer_id.0, answer.producer_epoch);
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

pub fn topics(topics: &[(&str, &[i32])]) -> Vec<AddPartitionsToTxnTopic> {
    let topic = |(name, partitions): &(&str, &[i32])| {
        AddPartitionsToTxnTopic::default().with_name(text(name).into()).with_partitions(partitions.to_vec())
    };
    topics.iter().map(topic).collect()
}

/// As a client asks.
pub fn add(id: &str, producer: Producer, named: &[(&str, &[i32])]) -> AddPartitionsToTxnRequest {
    AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(text(id).into())
        .with_v3_and_below_producer_id(producer.0.into())
        .with_v3_and_below_producer_epoch(producer.1)
        .with_v3_and_below_topics(topics(named))
}

/// One of the transactions that a broker asks of.
pub fn transaction(id: &str, producer: Producer, named: &[(&str, &[i32])]) -> AddPartitionsToTxnTransaction {
    AddPartitionsToTxnTransaction::default()
        .with_transactional_id(text(id).into())
        .with_producer_id(producer.0.into())
        .with_producer_epoch(producer.1)
        .with_topics(topics(named))
}

/// `t-0:0` for partition 0 of `t` and no error.
pub fn codes(results: &[AddPartitionsToTxnTopicResult]) -> Vec<String> {
    let of_topic = |topic: &AddPartitionsToTxnTopicResult| {
        let name = topic.name.to_string();
        let code = move |(index, code)| format!("{name}-{index}:{code}");
        let partitions = topic.results_by_partition.iter();
        partitions.map(|each| (each.partition_index, each.partition_error_code)).map(code).collect::<Vec<_>>()
    };
    results.iter().flat_map(of_topic).collect()
}

/// Adds partition 0 of `t` and so begins a transaction.
pub async fn begin_transaction(client: &mut Client, id: &str, producer: Producer) {
    let added = client.call(3, &add(id, producer, &[("t", &[0])])).await;
    assert_eq!(codes(&added.results_by_topic_v3_and_below), [format!("t-0:{NONE}")]);
}

pub fn end(id: &str, producer: Producer, committed: bool) -> EndTxnRequest {
    EndTxnRequest::default()
        .with_transactional_id(text(id).into())
        .with_producer_id(producer.0.into())
        .with_producer_epoch(producer.1)
        .with_committed(committed)
}

pub async fn describe(client: &mut Client, id: &str) -> TransactionState {
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![text(id).into()]);
    client.call(0, &request).await.transaction_states.remove(0)
}

/// Waits until the transaction has come to a state.
pub async fn until(client: &mut Client, id: &str, state: &str) -> TransactionState {
    let reached = async {
        loop {
            let described = describe(client, id).await;
            if described.transaction_state.as_str() == state {
                return described;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), reached).await.expect("the state is reached")
}
