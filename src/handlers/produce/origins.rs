//! As whom each partition's records are appended: before a transaction begins in a partition its coordinator is asked.

use std::collections::HashMap;
use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_protocol::batch::RecordBatch;
use ottla_protocol::messages::ProduceRequest;
use ottla_storage::Origin;

use super::{BY_ID_SINCE, Context, Refusal};
use crate::broker::{Partition, TopicRef, TransactionalProducer, VerificationError};
use crate::coordinator::transaction::TransactionError;
use crate::handlers::errors::Code;

/// Clients of transaction version 2 leave it to the broker to add partitions to a transaction.
const ADDS_PARTITIONS_SINCE: i16 = 12;
const TRANSACTION_ABORTABLE_SINCE: i16 = 11;

/// The origins of a request's batches, by the places of their topics and partitions in it.
pub struct Origins {
    /// For the whole request.
    refusal: Option<Refusal>,
    /// Of transactional batches.
    verified: HashMap<(usize, usize), Result<Origin, Refusal>>,
}

/// A transactional batch, by its place in the request.
struct Transactional {
    place: (usize, usize),
    topic: TopicRef,
    index: i32,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
}

impl Origins {
    /// Nothing is waited for where no batch is transactional.
    pub async fn of(context: &Context, request: &ProduceRequest) -> Origins {
        let batches = transactional(request, context.api_version);
        let Some(first) = batches.first() else { return Origins::all_clients() };
        let producer = (first.producer_id, first.producer_epoch);
        let Some(transactional_id) = &request.transactional_id else {
            return Origins::refused(ErrorCode::TransactionalIdAuthorizationFailed.into());
        };
        if batches.iter().any(|batch| (batch.producer_id, batch.producer_epoch) != producer) {
            let message = "Transactional records contained more than one producer ID".to_owned();
            let code = ErrorCode::InvalidProducerIdMapping;
            return Origins::refused(Refusal { code, message: Some(message), record_errors: Vec::new() });
        }
        let producer = TransactionalProducer {
            transactional_id: transactional_id.0.clone(),
            producer_id: producer.0,
            producer_epoch: producer.1,
            supports_epoch_bump: context.api_version >= ADDS_PARTITIONS_SINCE,
        };
        Origins { refusal: None, verified: verify(context, &producer, batches).await }
    }

    fn all_clients() -> Origins {
        Origins { refusal: None, verified: HashMap::new() }
    }

    fn refused(refusal: Refusal) -> Origins {
        Origins { refusal: Some(refusal), verified: HashMap::new() }
    }

    /// By the place of the topic in the request, and of the partition in the topic.
    pub fn of_partition(&self, topic: usize, partition: usize) -> Result<Origin, Refusal> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        self.verified.get(&(topic, partition)).cloned().unwrap_or(Ok(Origin::Client))
    }
}

fn transactional(request: &ProduceRequest, api_version: i16) -> Vec<Transactional> {
    let mut found = Vec::new();
    for (at, topic) in request.topic_data.iter().enumerate() {
        for (nth, partition) in topic.partition_data.iter().enumerate() {
            let Some(records) = &partition.records else { continue };
            // What is no batch is refused later.
            let Ok(batch) = RecordBatch::parse(records) else { continue };
            if batch.is_transactional() {
                found.push(Transactional {
                    place: (at, nth),
                    topic: TopicRef::new(api_version >= BY_ID_SINCE, &topic.name.0, topic.topic_id),
                    index: partition.index,
                    producer_id: batch.producer_id,
                    producer_epoch: batch.producer_epoch,
                    base_sequence: batch.base_sequence,
                });
            }
        }
    }
    found
}

async fn verify(
    context: &Context,
    producer: &TransactionalProducer,
    batches: Vec<Transactional>,
) -> HashMap<(usize, usize), Result<Origin, Refusal>> {
    let broker = context.broker();
    let image = broker.image();
    let mut origins = HashMap::with_capacity(batches.len());
    let mut places = Vec::with_capacity(batches.len());
    let mut partitions: Vec<(Arc<Partition>, i32)> = Vec::with_capacity(batches.len());
    for batch in batches {
        let led = broker.topic(&image, &batch.topic);
        match led.and_then(|topic| broker.led(&image, topic, batch.index, -1)) {
            Ok(led) => {
                places.push(batch.place);
                partitions.push((led.partition, batch.base_sequence));
            }
            Err(error) => {
                origins.insert(batch.place, Err(error.into()));
            }
        }
    }
    let verified = broker.verify_transaction(producer, &partitions).await;
    for (place, verified) in places.into_iter().zip(verified) {
        let origin = match verified {
            Ok(None) => Ok(Origin::Client),
            Ok(Some(guard)) => Ok(Origin::VerifiedClient(guard)),
            Err(VerificationError::Storage(error)) => Err(error.code().into()),
            Err(VerificationError::Refused(error)) => Err(refusal(error, context.api_version)),
        };
        origins.insert(place, origin);
    }
    origins
}

/// In words that a producer of this version understands and does the right thing about.
fn refusal(error: TransactionError, api_version: i16) -> Refusal {
    let retry = |error: ErrorCode| Refusal {
        // Unlike the coordinator's errors, it makes no producer ask for metadata first.
        code: ErrorCode::NotEnoughReplicas,
        message: Some(format!(
            "Unable to verify the partition has been added to the transaction. Underlying error: {}",
            error.name()
        )),
        record_errors: Vec::new(),
    };
    match error {
        TransactionError::ProducerFenced => ErrorCode::InvalidProducerEpoch.into(),
        TransactionError::InvalidTxnState => not_added(),
        TransactionError::TransactionAbortable if api_version < TRANSACTION_ABORTABLE_SINCE => not_added(),
        TransactionError::ConcurrentTransactions if api_version < ADDS_PARTITIONS_SINCE => {
            retry(error.code())
        }
        TransactionError::CoordinatorLoadInProgress
        | TransactionError::CoordinatorNotAvailable
        | TransactionError::NotCoordinator => retry(error.code()),
        error => error.code().into(),
    }
}

fn not_added() -> Refusal {
    Refusal {
        code: ErrorCode::InvalidTxnState,
        message: Some("Partition was not added to the transaction".to_owned()),
        record_errors: Vec::new(),
    }
}
