//! DescribeProducers (61) v0 (KIP-664): who writes to a partition, and where its transaction began.

use ottla_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use ottla_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, TopicName};
use ottla_protocol::{ErrorCode, StrBytes};
use ottla_storage::ActiveProducer;

use super::Context;
use super::errors::Code;
use crate::broker::TopicRef;
use crate::metadata::{Image, validate_topic_name};

pub async fn handle(context: Context, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let image = context.broker().image();
    let topics = request.topics.into_iter().map(|topic| {
        let refused = refuse_topic(&context, &image, &topic.name);
        let named = TopicRef::Name(topic.name.0.clone());
        let partitions = topic.partition_indexes.iter().map(|index| {
            let response = PartitionResponse::default().with_partition_index(*index);
            if let Some((code, message)) = &refused {
                let message = StrBytes::from_string(message.clone());
                return response.with_error_code(code.code()).with_error_message(Some(message));
            }
            match producers(&context, &image, &named, *index) {
                Ok(producers) => response.with_active_producers(producers.iter().map(state).collect()),
                Err(code) => response.with_error_code(code.code()),
            }
        });
        TopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}

/// What is wrong with a topic as a whole is said in words.
fn refuse_topic(context: &Context, image: &Image, name: &TopicName) -> Option<(ErrorCode, String)> {
    if let Err(invalid) = validate_topic_name(name) {
        return Some((ErrorCode::InvalidTopicException, invalid.message(name)));
    }
    let error = context.broker().topic(image, &TopicRef::Name(name.0.clone())).err()?;
    Some((error.code(), "This server does not host this topic-partition.".to_owned()))
}

fn producers(
    context: &Context,
    image: &Image,
    topic: &TopicRef,
    index: i32,
) -> Result<Vec<ActiveProducer>, ErrorCode> {
    let topic = context.broker().topic(image, topic).map_err(|error| error.code())?;
    let led = context.broker().led(image, topic, index, -1).map_err(|error| error.code())?;
    led.partition.log().producers().map_err(|error| error.code())
}

fn state(producer: &ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(producer.producer_id.into())
        .with_producer_epoch(i32::from(producer.producer_epoch))
        .with_last_sequence(producer.last_sequence)
        .with_last_timestamp(producer.last_timestamp)
        .with_coordinator_epoch(producer.coordinator_epoch)
        .with_current_txn_start_offset(producer.current_txn_start_offset)
}
