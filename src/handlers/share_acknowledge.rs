//! ShareAcknowledge (79) v1-2: what a member of a share group has done with its records (KIP-932). v2: locks are renewed
//! (KIP-1222).

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::ShareAcknowledgeRequest;
use ottla_protocol::messages::share_acknowledge_response::{
    PartitionData, ShareAcknowledgeResponse, ShareAcknowledgeTopicResponse,
};

use super::Context;
use super::errors::Code;
use super::share_acknowledgements::{Acknowledgements, Answer, Batch, acknowledge, session_key};
use crate::broker::share::sessions::FINAL_EPOCH;

pub async fn handle(context: Context, request: ShareAcknowledgeRequest) -> ShareAcknowledgeResponse {
    let Some(key) = session_key(request.group_id.as_deref().map(|id| &**id), request.member_id.as_deref())
    else {
        return refused(ErrorCode::InvalidRequest);
    };
    let share = context.broker().share();
    if let Err(error) = share.sessions.acknowledge(&key, request.share_session_epoch) {
        return refused(error.code());
    }
    let (is_final, is_renew) = (request.share_session_epoch == FINAL_EPOCH, request.is_renew_ack);
    let answers = acknowledge(&context, &key, acknowledgements(request), is_renew).finish().await;
    if is_final {
        share.close_session(&key);
    }
    let lock_duration_ms = share.settings(&key.group_id).deliveries.record_lock_duration_ms;
    response(answers).with_acquisition_lock_timeout_ms(i32::try_from(lock_duration_ms).unwrap_or(i32::MAX))
}

fn refused(code: ErrorCode) -> ShareAcknowledgeResponse {
    ShareAcknowledgeResponse::default().with_error_code(code.code())
}

fn acknowledgements(request: ShareAcknowledgeRequest) -> Acknowledgements {
    let mut acknowledgements = Vec::new();
    for topic in request.topics {
        for partition in topic.partitions {
            let batches = partition.acknowledgement_batches.into_iter().map(Batch::from).collect();
            acknowledgements.push(((topic.topic_id, partition.partition_index), batches));
        }
    }
    acknowledgements
}

fn response(answers: Vec<Answer>) -> ShareAcknowledgeResponse {
    let mut topics: Vec<ShareAcknowledgeTopicResponse> = Vec::new();
    for answer in answers {
        let (topic_id, partition) = answer.target;
        let data = PartitionData::default()
            .with_partition_index(partition)
            .with_error_code(answer.code.code())
            .with_error_message(answer.message());
        match topics.iter_mut().find(|topic| topic.topic_id == topic_id) {
            Some(topic) => topic.partitions.push(data),
            None => topics.push(
                ShareAcknowledgeTopicResponse::default().with_topic_id(topic_id).with_partitions(vec![data]),
            ),
        }
    }
    ShareAcknowledgeResponse::default().with_responses(topics)
}
