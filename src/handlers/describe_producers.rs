//! DescribeProducers (61) v0 (KIP-664): who writes to a partition, and where its transaction began.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use ottla_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};
use ottla_storage::ActiveProducer;

use super::Context;
use super::errors::Code;
use crate::broker::TopicRef;
use crate::metadata::Image;

pub async fn handle(context: Context, request: DescribeProducersRequest) -> DescribeProducersResponse {
    let image = context.broker().image();
    let topics = request.topics.into_iter().map(|topic| {
        let named = TopicRef::Name(topic.name.0.clone());
        let partitions = topic.partition_indexes.iter().map(|index| {
            let response = PartitionResponse::default().with_partition_index(*index);
            match producers(&context, &image, &named, *index) {
                Ok(producers) => response.with_active_producers(producers.iter().map(state).collect()),
                Err(code) => response.with_error_code(code.code()),
            }
        });
        TopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
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
