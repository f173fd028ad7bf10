//! Produce (0) v3-13; told as v0-13, as Kafka does for old librdkafka. v13: topic ids (KIP-516); v12: adds partitions to
//! the transaction, v11: TRANSACTION_ABORTABLE (KIP-890); v8: record errors (KIP-467).
//!
//! Everything up to the append happens when the reply is first polled, so that records stand in the log in the order
//! of the connection's requests; only the wait for the commit is left to later polls. Where a transaction begins its
//! coordinator is asked before, and where a topic validates schemas the registry is: the connection's later requests then
//! wait for their turn.

use std::sync::Arc;

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::batch::{InvalidBatch, RecordCheck, ValidationRules, validate};
use ottla_protocol::messages::ProduceRequest;
use ottla_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use ottla_protocol::{StrBytes, Uuid};
use ottla_storage::{AppendContext, Appended, Origin};

use tracing::debug;

mod origins;
mod schemas;

use self::origins::Origins;
use self::schemas::Registry;
use super::Context;
use super::errors::Code;
use super::reply::{IntoReply, Reply};
use crate::broker::{
    Led, LookupError, Partition, SchemaIdCheck, SchemaRegistry, TopicRef, in_place, validation_rules,
};
use crate::config::{Compression, TopicConfig};
use crate::metadata::{Image, Topic, is_internal};

const BY_ID_SINCE: i16 = 13;
/// The only client that Kafka lets write to internal topics by Produce.
const ADMIN_CLIENT_ID: &str = "__admin_client";
const ACKS_ALL: i16 = -1;

/// The answer, which a client with acks=0 does not get.
pub enum Produced {
    Answered(ProduceResponse),
    Unanswered { failed: bool },
}

impl IntoReply for Produced {
    fn into_reply(self, api_version: i16, correlation_id: i32) -> Reply {
        match self {
            Produced::Answered(response) => response.into_reply(api_version, correlation_id),
            Produced::Unanswered { failed: false } => Reply::Nothing,
            // With acks=0 a closed connection is the only way to tell the producer (Kafka does the same).
            Produced::Unanswered { failed: true } => Reply::Close,
        }
    }
}

pub async fn handle(context: Context, request: ProduceRequest) -> Produced {
    let acks = request.acks;
    let mut topics = {
        // The order in which requests ask for their turn must not depend on how busy the task has been.
        let _turn = tokio::task::unconstrained(context.client.produce_turn.lock()).await;
        let origins = Origins::of(&context, &request).await;
        append_all(&context, request, &origins).await
    };
    let mut failed = false;
    let mut responses = Vec::with_capacity(topics.len());
    for topic in &mut topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for appended in topic.partitions.drain(..) {
            let response = appended.response().await;
            failed |= response.error_code != 0;
            partitions.push(response);
        }
        responses.push(
            TopicProduceResponse::default()
                .with_name(topic.name.clone().into())
                .with_topic_id(topic.id)
                .with_partition_responses(partitions),
        );
    }
    if acks == 0 {
        return Produced::Unanswered { failed };
    }
    Produced::Answered(ProduceResponse::default().with_responses(responses))
}

/// A topic of the answer, named as the request named it.
struct ProducedTopic {
    name: StrBytes,
    id: Uuid,
    partitions: Vec<ProducedPartition>,
}

/// A partition of the answer, which may still wait for its commit.
struct ProducedPartition {
    response: PartitionProduceResponse,
    pending: Option<(Arc<Partition>, Appended)>,
}

impl ProducedPartition {
    async fn response(self) -> PartitionProduceResponse {
        match self.pending {
            None => self.response,
            Some((partition, appended)) => match partition.committed(appended).await {
                Ok(()) => self.response,
                Err(error) => Refusal::from(error.code()).response(self.response.index),
            },
        }
    }
}

async fn append_all(context: &Context, request: ProduceRequest, origins: &Origins) -> Vec<ProducedTopic> {
    let mut registry = Registry::default();
    let image = context.broker().image();
    let by_id = context.api_version >= BY_ID_SINCE;
    let acks = request.acks;
    let mut topics = Vec::with_capacity(request.topic_data.len());
    for data in request.topic_data {
        let topic_ref = TopicRef::new(by_id, &data.name.0, data.topic_id);
        let topic = context.broker().topic(&image, &topic_ref);
        let mut partitions = Vec::with_capacity(data.partition_data.len());
        for partition in data.partition_data {
            let index = partition.index;
            let appended = match (&topic, origins.of_partition(topics.len(), partitions.len())) {
                (Ok(topic), Ok(origin)) => {
                    let records = partition.records.unwrap_or_default();
                    let given = Given { index, records, acks, origin };
                    append(context, &image, topic, given, &mut registry).await
                }
                (_, Err(refusal)) => Err(refusal),
                (Err(error), _) => Err(Refusal::from(error.code())),
            };
            partitions.push(appended.unwrap_or_else(|refusal| ProducedPartition {
                response: refusal.response(index),
                pending: None,
            }));
        }
        topics.push(ProducedTopic { name: data.name.0, id: data.topic_id, partitions });
    }
    topics
}

/// What a request has for a partition.
struct Given {
    index: i32,
    records: Bytes,
    acks: i16,
    origin: Origin,
}

async fn append(
    context: &Context,
    image: &Image,
    topic: &Topic,
    given: Given,
    registry: &mut Registry,
) -> Result<ProducedPartition, Refusal> {
    let led = context.broker().led(image, topic, given.index, -1)?;
    let config = led.partition.config();
    check_request(context, topic, &led, given.acks, config.min_insync_replicas)?;
    let registry = match config.schema_validation.is_on() {
        true => Some(registry.get(context, &topic.name).await?),
        false => None,
    };
    append_to(context, topic, led, given, registry.as_deref())
}

fn append_to(
    context: &Context,
    topic: &Topic,
    led: Led,
    given: Given,
    registry: Option<&dyn SchemaRegistry>,
) -> Result<ProducedPartition, Refusal> {
    let Given { index, records, acks, origin } = given;
    let config = led.partition.config();
    let now_ms = context.broker().clock.now_ms();
    let check = registry.map(|known| SchemaIdCheck::new(known, &topic.name, config.schema_validation));
    let rules = ValidationRules {
        record_check: check.as_ref().map(|check| check as &dyn RecordCheck),
        ..validation_rules(&config, &topic.name, index, context.api_version, now_ms)
    };
    let records = unpinned(records, context.request_bytes);
    let validated = if takes_long(&records, &config) {
        in_place(|| validate(records, &rules))
    } else {
        validate(records, &rules)
    };
    let batches = match validated {
        Ok(batches) => batches,
        Err(invalid) if invalid.is_of_log => return Ok(refused_by_log(&led, index, invalid.into())),
        Err(invalid) => return Err(invalid.into()),
    };
    let append_context = AppendContext { leader_epoch: led.leader_epoch, now_ms, origin };
    let appended = match led.partition.append(batches, append_context) {
        Ok(appended) => appended,
        Err(error) => {
            debug!(%error, log = %led.partition.id(), "append refused");
            return Ok(refused_by_log(&led, index, error.code().into()));
        }
    };
    let response = PartitionProduceResponse::default()
        .with_index(index)
        .with_base_offset(appended.base_offset)
        .with_log_append_time_ms(appended.log_append_time_ms)
        .with_log_start_offset(appended.log_start_offset);
    // With acks=0 nobody waits; the commit goes on by itself.
    let pending = (acks != 0).then_some((led.partition, appended));
    Ok(ProducedPartition { response, pending })
}

/// Kafka's answer to a batch that the log refuses: with the log's start, but for some errors.
fn refused_by_log(led: &Led, index: i32, refusal: Refusal) -> ProducedPartition {
    use ErrorCode::{CorruptMessage, KafkaStorageError, MessageTooLarge, RecordListTooLarge};
    let has_start =
        !matches!(refusal.code, CorruptMessage | KafkaStorageError | MessageTooLarge | RecordListTooLarge);
    let start = if has_start { led.partition.log().start_offset().unwrap_or(-1) } else { -1 };
    ProducedPartition { response: refusal.response(index).with_log_start_offset(start), pending: None }
}

/// Records as the log may keep them. A small part of a request would keep all of it in memory for as long.
fn unpinned(records: Bytes, request_bytes: usize) -> Bytes {
    const SMALL_PART: usize = 4;
    if records.len() * SMALL_PART < request_bytes { Bytes::copy_from_slice(&records) } else { records }
}

/// Compressed records are inflated to be checked: a large batch of them keeps a thread busy for many milliseconds.
fn takes_long(records: &Bytes, config: &TopicConfig) -> bool {
    const LONG_BYTES: usize = 32 * 1024;
    const ATTRIBUTES_AT: usize = 22;
    const COMPRESSION_MASK: u8 = 0b111;
    let is_compressed = records.get(ATTRIBUTES_AT).is_some_and(|low| low & COMPRESSION_MASK != 0);
    records.len() >= LONG_BYTES && (is_compressed || config.compression != Compression::Producer)
}

fn check_request(
    context: &Context,
    topic: &Topic,
    led: &Led,
    acks: i16,
    min_insync_replicas: i32,
) -> Result<(), Refusal> {
    if !(-1..=1).contains(&acks) {
        return Err(ErrorCode::InvalidRequiredAcks.into());
    }
    if is_internal(&topic.name) && context.client_id() != ADMIN_CLIENT_ID {
        return Err(ErrorCode::InvalidTopicException.into());
    }
    if acks == ACKS_ALL && led.isr < usize::try_from(min_insync_replicas).unwrap_or(0).min(led.replicas) {
        return Err(ErrorCode::NotEnoughReplicas.into());
    }
    Ok(())
}

/// Why a partition's records are not in the log.
#[derive(Clone)]
struct Refusal {
    code: ErrorCode,
    message: Option<String>,
    record_errors: Vec<BatchIndexAndErrorMessage>,
}

impl Refusal {
    fn response(self, index: i32) -> PartitionProduceResponse {
        PartitionProduceResponse::default()
            .with_index(index)
            .with_error_code(self.code.code())
            .with_base_offset(-1)
            .with_log_append_time_ms(-1)
            .with_log_start_offset(-1)
            .with_record_errors(self.record_errors)
            .with_error_message(self.message.map(StrBytes::from_string))
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Refusal { code, message: None, record_errors: vec![] }
    }
}

impl From<LookupError> for Refusal {
    fn from(error: LookupError) -> Self {
        error.code().into()
    }
}

impl From<InvalidBatch> for Refusal {
    fn from(invalid: InvalidBatch) -> Self {
        let record_errors = invalid
            .record_errors
            .into_iter()
            .map(|error| {
                BatchIndexAndErrorMessage::default()
                    .with_batch_index(error.batch_index)
                    .with_batch_index_error_message(error.message.map(StrBytes::from_string))
            })
            .collect();
        Refusal { code: invalid.kind.code(), message: invalid.message, record_errors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_part_of_a_request_does_not_keep_it() {
        let request = Bytes::from(vec![0; 1000]);
        let keeps = |length: usize| {
            let kept = unpinned(request.slice(..length), request.len());
            kept.as_ptr() == request.as_ptr()
        };
        assert!(!keeps(100));
        assert!(keeps(250));
        assert!(keeps(1000));
    }
}
