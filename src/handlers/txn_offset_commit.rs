//! TxnOffsetCommit (28) v0-5. v3: the member of the group (KIP-447); v4: TRANSACTION_ABORTABLE, v5: adds the group's
//! partition to the transaction (KIP-890).

use std::sync::Arc;

use ottla_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use ottla_protocol::messages::{TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use ottla_protocol::{ErrorCode, StrBytes, Uuid};

use super::Context;
use super::errors::{Code, code_of};
use crate::broker::{TopicRef, TransactionalProducer, VerificationError};
use crate::coordinator::group::Producer;
use crate::coordinator::group::commands::{
    CommitPartition, CommitTopic, MemberClaim, TopicResults, TransactionalCommit,
};
use crate::coordinator::runtime::Voucher;
use crate::coordinator::transaction::TransactionError;
use crate::metadata::Topic;

const ADDS_PARTITIONS_SINCE: i16 = 5;
const TRANSACTION_ABORTABLE_SINCE: i16 = 4;
/// Older producers could crash when they were told that a coordinator loads.
const KNOWS_LOADING_SINCE: i16 = 2;

pub async fn handle(context: Context, request: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
    let image = context.broker().image();
    let (mut refused, mut topics) = (Vec::new(), Vec::with_capacity(request.topics.len()));
    for topic in request.topics {
        let known = context.broker().topic(&image, &TopicRef::Name(topic.name.0.clone()));
        take_partitions(topic, known.ok(), &mut topics, &mut refused);
    }
    if topics.is_empty() {
        return TxnOffsetCommitResponse::default().with_topics(refused);
    }
    let producer = TransactionalProducer {
        transactional_id: request.transactional_id.0,
        producer_id: request.producer_id.0,
        producer_epoch: request.producer_epoch,
        supports_epoch_bump: context.api_version >= ADDS_PARTITIONS_SINCE,
    };
    let commit = TransactionalCommit {
        group_id: request.group_id.0,
        producer: Producer { id: producer.producer_id, epoch: producer.producer_epoch },
        claim: MemberClaim {
            member_id: request.member_id,
            group_instance_id: request.group_instance_id,
            generation_id: request.generation_id,
        },
        topics,
    };
    let results = match commit_offsets(&context, &producer, &commit).await {
        Ok(results) => results.into_iter().map(answer).collect(),
        Err(code) => commit.topics.into_iter().map(|topic| refuse_all(topic, code)).collect(),
    };
    TxnOffsetCommitResponse::default().with_topics(merge(refused, results))
}

async fn commit_offsets(
    context: &Context,
    producer: &TransactionalProducer,
    commit: &TransactionalCommit,
) -> Result<Vec<TopicResults>, ErrorCode> {
    if commit.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let voucher = verify(context, producer, &commit.group_id).await?;
    let committed = context.broker().groups().commit_transactional(commit, voucher).await;
    committed.map_err(|error| error.code())
}

/// Asks whether the transaction goes on, and has the group's partition in it.
async fn verify(
    context: &Context,
    producer: &TransactionalProducer,
    group_id: &StrBytes,
) -> Result<Voucher, ErrorCode> {
    let broker = context.broker();
    let image = broker.image();
    let place = broker.offsets_partition(group_id);
    let topic = image.topic(&place.topic).ok_or(ErrorCode::NotCoordinator)?;
    let led = broker.led(&image, topic, place.partition, -1).map_err(|_| ErrorCode::NotCoordinator)?;
    let partitions = [(led.partition, ottla_protocol::batch::NO_SEQUENCE)];
    match broker.verify_transaction(producer, &partitions).await.pop() {
        None | Some(Ok(None)) => Ok(Voucher::Ongoing),
        Some(Ok(Some(guard))) => Ok(Voucher::Verified(guard.number())),
        Some(Err(VerificationError::Storage(_))) => Err(ErrorCode::NotCoordinator),
        Some(Err(VerificationError::Refused(error))) => Err(refusal(error, context.api_version)),
    }
}

/// In words that a producer of this version understands.
fn refusal(error: TransactionError, api_version: i16) -> ErrorCode {
    match error {
        TransactionError::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        TransactionError::TransactionAbortable if api_version < TRANSACTION_ABORTABLE_SINCE => {
            ErrorCode::InvalidTxnState
        }
        TransactionError::CoordinatorLoadInProgress if api_version < KNOWS_LOADING_SINCE => {
            ErrorCode::CoordinatorNotAvailable
        }
        error => error.code(),
    }
}

/// Partitions that exist go to the group; the others are answered here.
fn take_partitions(
    topic: TxnOffsetCommitRequestTopic,
    known: Option<&Arc<Topic>>,
    topics: &mut Vec<CommitTopic>,
    refused: &mut Vec<TxnOffsetCommitResponseTopic>,
) {
    let exists = |each: &TxnOffsetCommitRequestPartition| {
        known.is_some_and(|known| known.partition(each.partition_index).is_some())
    };
    let (found, missing): (Vec<_>, Vec<_>) = topic.partitions.into_iter().partition(exists);
    if !missing.is_empty() {
        let code = ErrorCode::UnknownTopicOrPartition.code();
        let partitions = missing.iter().map(|each| partition(each.partition_index, code)).collect();
        refused.push(response(topic.name.0.clone(), partitions));
    }
    if !found.is_empty() {
        let partition = |each: TxnOffsetCommitRequestPartition| CommitPartition {
            index: each.partition_index,
            offset: each.committed_offset,
            leader_epoch: each.committed_leader_epoch,
            metadata: each.committed_metadata.unwrap_or_default(),
        };
        topics.push(CommitTopic {
            name: topic.name.0,
            topic_id: known.map_or_else(Uuid::nil, |known| known.id),
            partitions: found.into_iter().map(partition).collect(),
        });
    }
}

fn answer(topic: TopicResults) -> TxnOffsetCommitResponseTopic {
    let partitions = topic.partitions.into_iter().map(|(index, result)| partition(index, code_of(result)));
    response(topic.name, partitions.collect())
}

fn refuse_all(topic: CommitTopic, code: ErrorCode) -> TxnOffsetCommitResponseTopic {
    let partitions = topic.partitions.iter().map(|each| partition(each.index, code.code()));
    response(topic.name, partitions.collect())
}

fn partition(index: i32, code: i16) -> TxnOffsetCommitResponsePartition {
    TxnOffsetCommitResponsePartition::default().with_partition_index(index).with_error_code(code)
}

fn response(
    name: StrBytes,
    partitions: Vec<TxnOffsetCommitResponsePartition>,
) -> TxnOffsetCommitResponseTopic {
    TxnOffsetCommitResponseTopic::default().with_name(name.into()).with_partitions(partitions)
}

/// A topic stands once in the answer: what was refused first, as in Kafka's.
fn merge(
    refused: Vec<TxnOffsetCommitResponseTopic>,
    results: Vec<TxnOffsetCommitResponseTopic>,
) -> Vec<TxnOffsetCommitResponseTopic> {
    let mut merged = refused;
    for topic in results {
        match merged.iter_mut().find(|each| each.name == topic.name) {
            Some(present) => present.partitions.extend(topic.partitions),
            None => merged.push(topic),
        }
    }
    merged
}
