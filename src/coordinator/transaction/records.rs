//! [`TransactionRecord`] in the bytes of `__transaction_state`, in the version that Kafka 4.3 writes.

use std::collections::BTreeSet;

use bytes::Bytes;
use ottla_protocol::StrBytes;
use ottla_protocol::batch::RecordBatch;
use ottla_protocol::record_formats::RecordError;
use ottla_protocol::record_formats::transaction as formats;
use ottla_protocol::record_formats::transaction::transaction_log_value::PartitionsSchema;
use ottla_protocol::wire::WireError;

use super::super::batches::{self, BatchError};
use super::{
    NO_PRODUCER_EPOCH, TopicPartition, Transaction, TransactionRecord, TransactionState, TransactionVersion,
};

/// TransactionLogValue with tagged fields.
const VALUE_VERSION: i16 = 1;

/// One batch of the records of one decision.
pub fn to_batch(records: &[TransactionRecord], now_ms: i64) -> Result<RecordBatch, WireError> {
    let encoded: Result<Vec<_>, _> = records.iter().map(encode).collect();
    Ok(batches::to_batch(&encoded?, now_ms))
}

/// The records of a batch that are of kinds known here.
pub fn from_batch(batch: &RecordBatch) -> Result<Vec<TransactionRecord>, BatchError> {
    let mut records = Vec::new();
    for (key, value) in batches::from_batch(batch)? {
        records.extend(decode(key, value)?);
    }
    Ok(records)
}

/// Key and value. Fails if a string is longer than the format allows.
pub fn encode(record: &TransactionRecord) -> Result<(Bytes, Option<Bytes>), WireError> {
    let key = formats::TransactionLogKey { transactional_id: record.transactional_id.clone() };
    let value = record.transaction.as_ref().map(to_value);
    let format = formats::TransactionRecord::TransactionLog(key, value);
    Ok((format.encode_key()?, format.encode_value(VALUE_VERSION)?))
}

/// The record, or `None` for one of a kind that is not known here.
pub fn decode(key: Bytes, value: Option<Bytes>) -> Result<Option<TransactionRecord>, BatchError> {
    match formats::TransactionRecord::decode(key, value) {
        Ok(formats::TransactionRecord::TransactionLog(key, value)) => Ok(Some(TransactionRecord {
            transactional_id: key.transactional_id,
            transaction: value.map(from_value).transpose()?,
        })),
        Err(RecordError::UnknownType(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn to_value(transaction: &Transaction) -> formats::TransactionLogValue {
    formats::TransactionLogValue {
        producer_id: transaction.producer_id,
        previous_producer_id: transaction.previous_producer_id,
        next_producer_id: transaction.next_producer_id,
        producer_epoch: transaction.producer_epoch,
        next_producer_epoch: NO_PRODUCER_EPOCH,
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_status: transaction.state.id(),
        transaction_partitions: match transaction.state {
            TransactionState::Empty => None,
            _ => Some(to_partitions(&transaction.partitions)),
        },
        transaction_last_update_timestamp_ms: transaction.last_update_ms,
        transaction_start_timestamp_ms: transaction.start_ms,
        client_transaction_version: transaction.client_version.level(),
    }
}

fn to_partitions(partitions: &BTreeSet<TopicPartition>) -> Vec<PartitionsSchema> {
    let mut topics: Vec<PartitionsSchema> = Vec::new();
    for TopicPartition { topic, partition } in partitions {
        match topics.last_mut() {
            Some(last) if last.topic == *topic => last.partition_ids.push(*partition),
            _ => topics.push(PartitionsSchema { topic: topic.clone(), partition_ids: vec![*partition] }),
        }
    }
    topics
}

fn from_value(value: formats::TransactionLogValue) -> Result<Transaction, BatchError> {
    let state = TransactionState::from_id(value.transaction_status).ok_or(BatchError::Malformed)?;
    let client_version =
        TransactionVersion::from_level(value.client_transaction_version).ok_or(BatchError::Malformed)?;
    let partitions = value.transaction_partitions.into_iter().flatten().flat_map(from_partitions).collect();
    Ok(Transaction {
        producer_id: value.producer_id,
        previous_producer_id: value.previous_producer_id,
        next_producer_id: value.next_producer_id,
        producer_epoch: value.producer_epoch,
        last_producer_epoch: NO_PRODUCER_EPOCH,
        timeout_ms: value.transaction_timeout_ms,
        state,
        partitions,
        start_ms: value.transaction_start_timestamp_ms,
        last_update_ms: value.transaction_last_update_timestamp_ms,
        client_version,
    })
}

fn from_partitions(PartitionsSchema { topic, partition_ids }: PartitionsSchema) -> Vec<TopicPartition> {
    let named = |topic: &StrBytes, partition| TopicPartition { topic: topic.clone(), partition };
    partition_ids.into_iter().map(|partition| named(&topic, partition)).collect()
}
