//! ShareFetch (78) v1-2: records for a member of a share group, and what it has done with those before (KIP-932). v2:
//! never more records than asked for (KIP-1206), locks are renewed (KIP-1222).

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_protocol::messages::ShareFetchRequest;
use ottla_protocol::messages::share_fetch_response::{
    AcquiredRecords, LeaderIdAndEpoch, NodeEndpoint, PartitionData, ShareFetchResponse,
    ShareFetchableTopicResponse,
};
use ottla_protocol::{ErrorCode, StrBytes};

use super::errors::Code;
use super::reply::{IntoReply, Reply};
use super::share_acknowledgements::{Acknowledgements, Answer, Batch, UnderWay, acknowledge, session_key};
use super::{Context, topic_answers};
use crate::broker::share::partition::AcquireMode;
use crate::broker::share::sessions::{
    FINAL_EPOCH, Opened, SessionError, SessionKey, SessionRequest, Told, TopicPartition,
};
use crate::broker::share::{FetchFailure, FetchedRecords, Results, ShareFetch};
use crate::broker::{Held, LookupError};

/// `ShareAcquireMode` on the wire.
const RECORD_LIMIT: i8 = 1;

pub async fn handle(context: Context, request: ShareFetchRequest) -> ShareFetched {
    let mut held = context.broker().fetch_memory.hold_nothing();
    let response = match fetch(&context, request, &mut held).await {
        Ok(response) => response,
        Err(code) => ShareFetchResponse::default().with_error_code(code.code()),
    };
    ShareFetched { response, held }
}

/// An answer, and its share of the memory for such answers.
pub struct ShareFetched {
    response: ShareFetchResponse,
    held: Held,
}

impl IntoReply for ShareFetched {
    fn into_reply(self, api_version: i16, correlation_id: i32) -> Reply {
        match self.response.into_reply(api_version, correlation_id) {
            Reply::Respond(mut frame) => {
                frame.parts.push(self.held.into_part());
                Reply::Respond(frame)
            }
            other => other,
        }
    }
}

async fn fetch(
    context: &Context,
    request: ShareFetchRequest,
    held: &mut Held,
) -> Result<ShareFetchResponse, ErrorCode> {
    let key = session_key(request.group_id.as_deref().map(|id| &**id), request.member_id.as_deref())
        .ok_or(ErrorCode::InvalidRequest)?;
    let is_renew = request.is_renew_ack;
    if is_renew && !asks_for_nothing(&request) {
        return Err(ErrorCode::InvalidRequest);
    }
    let share = context.broker().share();
    let max_wait = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
    let limits = share_fetch(context, &key, &request, max_wait);
    let (session, acknowledgements) = split(context, &key, request);
    let (is_final, has_acknowledgements) = (session.epoch == FINAL_EPOCH, session.has_acknowledgements);
    let opened = match share.sessions.open(session) {
        Ok(opened) => opened,
        Err(error) => {
            if error == SessionError::LimitReached {
                // The client would ask again at once.
                tokio::time::sleep(max_wait).await;
            }
            return Err(error.code());
        }
    };
    let under_way = has_acknowledgements.then(|| acknowledge(context, &key, acknowledgements, is_renew));
    let (results, answers) = tokio::join!(
        async {
            match &opened {
                Opened::New(targets) | Opened::Resumed(targets) if !is_renew => {
                    limits.run(context.broker(), share, targets, held).await
                }
                _ => Vec::new(),
            }
        },
        finish(under_way),
    );
    let lock_duration_ms = share.settings(&key.group_id).deliveries.record_lock_duration_ms;
    let mut response = respond(context, &key, &opened, results);
    add_answers(&mut response, answers);
    if is_final {
        share.close_session(&key);
    }
    response.acquisition_lock_timeout_ms = i32::try_from(lock_duration_ms).unwrap_or(i32::MAX);
    Ok(response)
}

async fn finish(under_way: Option<UnderWay>) -> Vec<Answer> {
    match under_way {
        Some(under_way) => under_way.finish().await,
        None => Vec::new(),
    }
}

/// Who only renews its locks fetches nothing.
fn asks_for_nothing(request: &ShareFetchRequest) -> bool {
    [request.max_bytes, request.min_bytes, request.max_records, request.max_wait_ms] == [0; 4]
}

fn share_fetch(
    context: &Context,
    key: &SessionKey,
    request: &ShareFetchRequest,
    max_wait: Duration,
) -> ShareFetch {
    let bytes = |number: i32| usize::try_from(number).unwrap_or(0);
    let max_bytes = bytes(request.max_bytes).min(bytes(context.broker().config().fetch_max_bytes));
    ShareFetch {
        key: key.clone(),
        settings: context.broker().share().settings(&key.group_id),
        mode: if request.share_acquire_mode == RECORD_LIMIT {
            AcquireMode::RecordLimit
        } else {
            AcquireMode::BatchOptimized
        },
        max_wait,
        min_bytes: bytes(request.min_bytes).min(max_bytes),
        max_bytes,
        max_records: request.max_records.into(),
        batch_size: request.batch_size.into(),
    }
}

/// What the request says of the session, and what it says of records.
fn split(
    context: &Context,
    key: &SessionKey,
    request: ShareFetchRequest,
) -> (SessionRequest, Acknowledgements) {
    let mut acknowledgements: Acknowledgements = Vec::new();
    for topic in request.topics {
        for partition in topic.partitions {
            let batches = partition.acknowledgement_batches.into_iter().map(Batch::from).collect();
            acknowledgements.push(((topic.topic_id, partition.partition_index), batches));
        }
    }
    let forgotten = request
        .forgotten_topics_data
        .into_iter()
        .flat_map(|topic| topic.partitions.into_iter().map(move |partition| (topic.topic_id, partition)));
    let session = SessionRequest {
        key: key.clone(),
        epoch: request.share_session_epoch,
        targets: acknowledgements.iter().map(|(target, _)| *target).collect(),
        forgotten: forgotten.collect(),
        has_acknowledgements: acknowledgements.iter().any(|(_, batches)| !batches.is_empty()),
        connection: context.client.share.id,
    };
    (session, acknowledgements)
}

fn respond(context: &Context, key: &SessionKey, opened: &Opened, results: Results) -> ShareFetchResponse {
    let told: Vec<Told> = results
        .iter()
        .map(|(target, result)| Told {
            target: *target,
            has_records: result.as_ref().is_ok_and(|fetched| !fetched.records.is_empty()),
            has_error: result.is_err(),
        })
        .collect();
    let is_told = match opened {
        Opened::Resumed(_) => context.broker().share().sessions.tell(key, &told),
        Opened::New(_) | Opened::Final => vec![true; told.len()],
    };
    let mut response = ShareFetchResponse::default();
    for ((target, result), is_told) in results.into_iter().zip(is_told) {
        if is_told {
            let data = match result {
                Ok(fetched) => fetched_data(target.1, fetched),
                Err(failure) => failed_data(context, &mut response, target.1, &failure),
            };
            partitions_of(&mut response, target).push(data);
        }
    }
    response
}

fn fetched_data(partition: i32, fetched: FetchedRecords) -> PartitionData {
    let acquired = fetched.acquired.iter().map(|given| {
        AcquiredRecords::default()
            .with_first_offset(given.first_offset)
            .with_last_offset(given.last_offset)
            .with_delivery_count(given.delivery_count)
    });
    PartitionData::default()
        .with_partition_index(partition)
        .with_acquired_records(acquired.collect())
        .with_records(joined(fetched.records))
}

fn failed_data(
    context: &Context,
    response: &mut ShareFetchResponse,
    partition: i32,
    failure: &FetchFailure,
) -> PartitionData {
    let code = failure.code();
    let mut data = PartitionData::default().with_partition_index(partition).with_error_code(code.code());
    if let FetchFailure::Share(_) = failure {
        data.error_message = Some(StrBytes::from_static_str(code.message()));
    }
    if let FetchFailure::Lookup(LookupError::NotLeader { leader_id, leader_epoch }) = failure {
        data.current_leader =
            LeaderIdAndEpoch::default().with_leader_id(*leader_id).with_leader_epoch(*leader_epoch);
        add_endpoint(context, response, *leader_id);
    }
    data
}

/// Where the leader is, so that the client need not ask.
fn add_endpoint(context: &Context, response: &mut ShareFetchResponse, leader_id: i32) {
    let image = context.broker().image();
    let leader = image.brokers().find(|broker| broker.id == leader_id);
    let is_listed = response.node_endpoints.iter().any(|node| *node.node_id == leader_id);
    if let Some(leader) = leader
        && !is_listed
        && let Some((host, port)) = topic_answers::address(context, leader)
    {
        let node = NodeEndpoint::default().with_node_id(leader_id.into()).with_host(host).with_port(port);
        response.node_endpoints.push(node.with_rack(leader.rack.clone()));
    }
}

/// The answers stand beside what was fetched of the same partition.
fn add_answers(response: &mut ShareFetchResponse, answers: Vec<Answer>) {
    for answer in answers {
        let partitions = partitions_of(response, answer.target);
        let at = partitions.iter().position(|data| data.partition_index == answer.target.1);
        let at = at.unwrap_or_else(|| {
            partitions.push(PartitionData::default().with_partition_index(answer.target.1));
            partitions.len() - 1
        });
        partitions[at].acknowledge_error_code = answer.code.code();
        partitions[at].acknowledge_error_message = answer.message();
    }
}

fn partitions_of(response: &mut ShareFetchResponse, target: TopicPartition) -> &mut Vec<PartitionData> {
    let topics = &mut response.responses;
    let at = topics.iter().position(|topic| topic.topic_id == target.0).unwrap_or_else(|| {
        topics.push(ShareFetchableTopicResponse::default().with_topic_id(target.0));
        topics.len() - 1
    });
    &mut topics[at].partitions
}

fn joined(mut records: Vec<Bytes>) -> Bytes {
    if records.len() == 1 {
        return records.remove(0);
    }
    let mut whole = BytesMut::with_capacity(records.iter().map(Bytes::len).sum());
    records.iter().for_each(|batch| whole.extend_from_slice(batch));
    whole.freeze()
}
