//! Many partitions: what is asked of all of them goes page by page, and a restart finds them again.

use std::collections::BTreeSet;

use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::describe_topic_partitions_request::Cursor;
use kafka_protocol::messages::{CreateTopicsRequest, DescribeTopicPartitionsRequest};
use ottla::Broker;

use crate::data::{NONE, append, latest_offset, name};
use crate::support::{Client, TempDir};

const TOPICS: i32 = 20;
const PARTITIONS: i32 = 1000;
/// A request may write ten thousand records.
const TOPICS_PER_REQUEST: i32 = 9;
const PAGE: i32 = 777;
const POLICY_VIOLATION: i16 = 44;

fn topic(number: i32) -> String {
    format!("topic-{number:02}")
}

async fn create(client: &mut Client, numbers: &[i32]) -> Vec<i16> {
    let creatable = |number: &i32| {
        CreatableTopic::default()
            .with_name(name(&topic(*number)))
            .with_num_partitions(PARTITIONS)
            .with_replication_factor(1)
    };
    let request = CreateTopicsRequest::default().with_topics(numbers.iter().map(creatable).collect());
    client.call(7, &request).await.topics.iter().map(|topic| topic.error_code).collect()
}

/// Every partition once, in pages of the size that was asked for.
async fn page_through(client: &mut Client) {
    let mut seen = BTreeSet::new();
    let mut request = DescribeTopicPartitionsRequest::default().with_response_partition_limit(PAGE);
    loop {
        let page = client.call(0, &request).await;
        let mut count = 0;
        for topic in page.topics {
            assert_eq!(topic.error_code, NONE);
            for partition in topic.partitions {
                count += 1;
                assert!(seen.insert((topic.name.clone(), partition.partition_index)), "told twice");
            }
        }
        let Some(next) = page.next_cursor else { break };
        assert_eq!(count, PAGE);
        let cursor =
            Cursor::default().with_topic_name(next.topic_name).with_partition_index(next.partition_index);
        request.cursor = Some(cursor);
    }
    assert_eq!(seen.len(), (TOPICS * PARTITIONS) as usize);
}

#[tokio::test]
async fn twenty_thousand_partitions_are_made_told_of_and_found_again() {
    let dir = TempDir::new();
    let running = Broker::builder().data(dir.path()).start().await.unwrap();
    let mut client = Client::connect(&running).await;
    let numbers: Vec<i32> = (0..TOPICS).collect();
    assert_eq!(
        create(&mut client, &numbers[..10]).await,
        [POLICY_VIOLATION; 10],
        "more than one request may"
    );
    for numbers in numbers.chunks(TOPICS_PER_REQUEST as usize) {
        assert!(create(&mut client, numbers).await.iter().all(|error| *error == NONE));
    }
    page_through(&mut client).await;
    assert_eq!(append(&mut client, "topic-07", 999, b"value").await, 0);
    // Nobody but the metadata's log and the one that was written to has files.
    let entries = std::fs::read_dir(dir.path()).unwrap();
    assert_eq!(entries.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count(), 2);
    running.stop().await.unwrap();

    let running = Broker::builder().data(dir.path()).start().await.unwrap();
    let mut client = Client::connect(&running).await;
    page_through(&mut client).await;
    assert_eq!(latest_offset(&mut client, "topic-07", 999).await, 1);
    assert_eq!(running.broker().logs().open_count(), 2);
    running.stop().await.unwrap();
}
