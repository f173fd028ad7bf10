use ottla_protocol::messages::OffsetDeleteRequest;
use ottla_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};

use crate::groups::*;

fn delete(group: &str, topics: &[(&str, &[i32])]) -> OffsetDeleteRequest {
    let partition = |index: &i32| OffsetDeleteRequestPartition::default().with_partition_index(*index);
    let topic = |(name, partitions): &(&str, &[i32])| {
        let partitions = partitions.iter().map(partition).collect();
        OffsetDeleteRequestTopic::default().with_name(text(name).into()).with_partitions(partitions)
    };
    let topics = topics.iter().map(topic).collect();
    OffsetDeleteRequest::default().with_group_id(text(group).into()).with_topics(topics)
}

#[tokio::test]
async fn refusals_of_the_group() {
    let (broker, mut client) = start().await;
    for (group, code) in [("nowhere", GROUP_ID_NOT_FOUND), ("", INVALID_GROUP_ID)] {
        let answer = client.call(0, &delete(group, &[("t", &[0])])).await;
        assert_eq!((answer.error_code, answer.topics.len()), (code, 0));
    }
    broker.stop().await.unwrap();
}

#[tokio::test]
async fn results_of_the_partitions() {
    let (broker, mut client) = start().await;
    client.call(9, &commit("simple", 5)).await;
    let answer = client.call(0, &delete("simple", &[("t", &[0, 9]), ("nope", &[0])])).await;
    let codes: Vec<Vec<(i32, i16)>> = answer
        .topics
        .iter()
        .map(|topic| topic.partitions.iter().map(|each| (each.partition_index, each.error_code)).collect())
        .collect();
    let unknown = UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(codes, [vec![(9, unknown), (0, 0)], vec![(0, unknown)]]);

    stable_member(&mut client).await;
    let answer = client.call(0, &delete("g", &[("t", &[0])])).await;
    assert_eq!(answer.topics[0].partitions[0].error_code, 86, "GROUP_SUBSCRIBED_TO_TOPIC");
    broker.stop().await.unwrap();
}
