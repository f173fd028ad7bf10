//! Consumers' own messages in the commands of the classic protocol: `topics=t,u owned=t:0+1`, `assign=a#1:t/0+1;u/2`.

use bytes::Bytes;
use ottla_protocol::record_formats::consumer_protocol::consumer_protocol_assignment::TopicPartition;
use ottla_protocol::record_formats::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, consumer_protocol_subscription,
};

use super::text;

/// A subscription of version 0, or of version 1 if it tells what the member owns.
pub fn subscription(topics: &str, owned: Option<&str>) -> Bytes {
    let owned_topic = |part: &str| {
        let (topic, partitions) = topic_partitions(part, ':');
        consumer_protocol_subscription::TopicPartition { topic: text(topic), partitions }
    };
    let parts = owned.unwrap_or("").split(',').filter(|part| !part.is_empty());
    let subscription = ConsumerProtocolSubscription {
        topics: topics.split(',').map(text).collect(),
        user_data: Some(Bytes::new()),
        owned_partitions: parts.map(owned_topic).collect(),
        ..ConsumerProtocolSubscription::default()
    };
    subscription.encode(owned.is_some().into()).expect("bytes")
}

/// An assignment if it has the form of one, else just bytes.
pub fn assignment(text: &str) -> Bytes {
    if !text.contains('/') {
        return Bytes::copy_from_slice(text.as_bytes());
    }
    let topic = |part: &str| {
        let (topic, partitions) = topic_partitions(part, '/');
        TopicPartition { topic: super::text(topic), partitions }
    };
    let assigned_partitions = text.split(';').map(topic).collect();
    ConsumerProtocolAssignment { assigned_partitions, user_data: None }.encode(0).expect("bytes")
}

pub fn show(assignment: &Bytes) -> String {
    let Ok(assignment) = ConsumerProtocolAssignment::decode(assignment.clone()) else {
        return format!("{assignment:?}");
    };
    let topic = |topic: &TopicPartition| {
        let partitions: Vec<String> = topic.partitions.iter().map(i32::to_string).collect();
        format!("{}/{}", topic.topic, partitions.join("+"))
    };
    let topics: Vec<String> = assignment.assigned_partitions.iter().map(topic).collect();
    if topics.is_empty() { "nothing".to_owned() } else { topics.join(";") }
}

fn topic_partitions(part: &str, separator: char) -> (&str, Vec<i32>) {
    let (topic, partitions) = part.split_once(separator).expect("a topic and its partitions");
    (topic, partitions.split('+').map(|index| index.parse().expect("a partition")).collect())
}
