//! A member of a share group as its leader sees it, and what the tests of ShareFetch and ShareAcknowledge share.

use std::time::Duration;

use kafka_protocol::messages::{FindCoordinatorRequest, ResponseHeader};
use kafka_protocol::protocol::{Decodable, StrBytes};
use ottla::Running;
use ottla_protocol::Uuid;
use ottla_protocol::batch::Batches;
use ottla_protocol::messages::initialize_share_group_state_request::{
    InitializeStateData, PartitionData as InitializePartition,
};
use ottla_protocol::messages::share_acknowledge_request::{
    AcknowledgePartition, AcknowledgeTopic, AcknowledgementBatch,
};
use ottla_protocol::messages::share_fetch_request::{
    AcknowledgementBatch as FetchedBatch, FetchPartition, FetchTopic,
};
use ottla_protocol::messages::share_fetch_response::PartitionData;
use ottla_protocol::messages::{
    InitializeShareGroupStateRequest, ShareAcknowledgeRequest, ShareAcknowledgeResponse, ShareFetchRequest,
    ShareFetchResponse,
};
use tokio::time::timeout;

use crate::support::Client;

pub const VERSION: i16 = 2;
pub const SOON: Duration = Duration::from_secs(20);

pub const ACCEPT: i8 = 1;
pub const RELEASE: i8 = 2;
pub const REJECT: i8 = 3;
pub const RENEW: i8 = 4;

/// First and last offset, types.
pub type Said<'a> = (i64, i64, &'a [i8]);

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Has the group begin at an offset, as its coordinator does when a topic is subscribed to.
pub async fn begin(client: &mut Client, group: &str, topic_id: Uuid, partitions: i32, start_offset: i64) {
    let key = text(&format!("{group}:{}:0", ottla_protocol::kafka_id(&topic_id)));
    let find = FindCoordinatorRequest::default().with_key_type(2).with_coordinator_keys(vec![key]);
    assert_eq!(client.call(6, &find).await.coordinators[0].error_code, 0);
    let partitions = (0..partitions)
        .map(|partition| {
            InitializePartition::default()
                .with_partition(partition)
                .with_state_epoch(1)
                .with_start_offset(start_offset)
        })
        .collect();
    let topic = InitializeStateData::default().with_topic_id(topic_id).with_partitions(partitions);
    let request =
        InitializeShareGroupStateRequest::default().with_group_id(text(group)).with_topics(vec![topic]);
    for result in &client.call(0, &request).await.results {
        assert!(result.partitions.iter().all(|partition| partition.error_code == 0), "{result:?}");
    }
}

/// A member, its connection and its session.
pub struct Member {
    pub client: Client,
    pub id: StrBytes,
    pub topic_id: Uuid,
    pub epoch: i32,
}

impl Member {
    pub async fn new(broker: &Running, id: &str, topic_id: Uuid) -> Member {
        Member { client: Client::connect(broker).await, id: text(id), topic_id, epoch: 0 }
    }

    /// Fetches partition 0 without waiting for more than is there.
    pub fn request(&self) -> ShareFetchRequest {
        ShareFetchRequest::default()
            .with_group_id(Some(text("g").into()))
            .with_member_id(Some(self.id.clone()))
            .with_share_session_epoch(self.epoch)
            .with_max_wait_ms(0)
            .with_min_bytes(1)
            .with_max_records(500)
            .with_batch_size(500)
            .with_topics(self.topics(&[]))
    }

    pub fn topics(&self, said: &[Said<'_>]) -> Vec<FetchTopic> {
        let batches = said.iter().map(|(first, last, types)| {
            FetchedBatch::default()
                .with_first_offset(*first)
                .with_last_offset(*last)
                .with_acknowledge_types(types.to_vec())
        });
        let partition = FetchPartition::default().with_acknowledgement_batches(batches.collect());
        vec![FetchTopic::default().with_topic_id(self.topic_id).with_partitions(vec![partition])]
    }

    pub async fn send(&mut self, request: &ShareFetchRequest) -> ShareFetchResponse {
        let answer = timeout(SOON, self.client.call(VERSION, request)).await.expect("an answer in time");
        if answer.error_code == 0 {
            self.epoch += 1;
        }
        answer
    }

    /// What a fetch acquires: first and last offset, deliveries.
    pub async fn fetch(&mut self) -> Vec<(i64, i64, i16)> {
        let request = self.request();
        let answer = self.send(&request).await;
        assert_eq!(answer.error_code, 0);
        acquired(&answer)
    }

    /// The answer to a fetch that was sent and waits.
    pub async fn receive(&mut self) -> ShareFetchResponse {
        let mut answer = timeout(SOON, self.client.receive()).await.expect("it is woken").expect("an answer");
        ResponseHeader::decode(&mut answer, 1).unwrap();
        self.epoch += 1;
        ShareFetchResponse::decode(&mut answer, VERSION).unwrap()
    }

    /// Error of the request and of the partition.
    pub async fn acknowledge(&mut self, said: &[Said<'_>]) -> (i16, Option<i16>) {
        let request = self.acknowledgement(said);
        let answer = self.client.call(VERSION, &request).await;
        if answer.error_code == 0 {
            self.epoch += 1;
        }
        (answer.error_code, error(&answer))
    }

    pub fn acknowledgement(&self, said: &[Said<'_>]) -> ShareAcknowledgeRequest {
        let batches = said.iter().map(|(first, last, types)| {
            AcknowledgementBatch::default()
                .with_first_offset(*first)
                .with_last_offset(*last)
                .with_acknowledge_types(types.to_vec())
        });
        let partition = AcknowledgePartition::default().with_acknowledgement_batches(batches.collect());
        let topic = AcknowledgeTopic::default().with_topic_id(self.topic_id).with_partitions(vec![partition]);
        ShareAcknowledgeRequest::default()
            .with_group_id(Some(text("g").into()))
            .with_member_id(Some(self.id.clone()))
            .with_share_session_epoch(self.epoch)
            .with_is_renew_ack(said.iter().any(|(_, _, types)| types.contains(&RENEW)))
            .with_topics(vec![topic])
    }
}

pub fn error(answer: &ShareAcknowledgeResponse) -> Option<i16> {
    Some(answer.responses.first()?.partitions.first()?.error_code)
}

pub fn partitions(answer: &ShareFetchResponse) -> Vec<&PartitionData> {
    answer.responses.iter().flat_map(|topic| &topic.partitions).collect()
}

pub fn acquired(answer: &ShareFetchResponse) -> Vec<(i64, i64, i16)> {
    let acquired = partitions(answer).into_iter().flat_map(|partition| {
        assert_eq!(partition.error_code, 0, "{:?}", partition.error_message);
        &partition.acquired_records
    });
    acquired.map(|given| (given.first_offset, given.last_offset, given.delivery_count)).collect()
}

/// First and last offset of each batch that came with an answer.
pub fn sent(answer: &ShareFetchResponse) -> Vec<(i64, i64)> {
    let batches =
        partitions(answer).into_iter().flat_map(|partition| Batches::new(partition.records.clone()));
    batches
        .map(|batch| batch.expect("a whole batch"))
        .map(|batch| (batch.base_offset, batch.last_offset()))
        .collect()
}
