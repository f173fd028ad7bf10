//! DeleteShareGroupOffsets (92) v0 (KIP-932): of a group without members.

use ottla_protocol::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic;
use ottla_protocol::messages::{DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse};
use ottla_protocol::{ErrorCode, StrBytes, Uuid};

use super::Context;
use super::errors::Code;
use crate::coordinator::group::share::commands::NoOffsets;

pub async fn handle(
    context: Context,
    request: DeleteShareGroupOffsetsRequest,
) -> DeleteShareGroupOffsetsResponse {
    let names: Vec<StrBytes> = request.topics.into_iter().map(|topic| topic.topic_name.0).collect();
    let groups = context.broker().groups();
    let deleted = match groups.delete_share_offsets(&request.group_id.0, &names).await {
        Ok(deleted) => deleted,
        Err(refusal) => {
            let code = refusal.error.code();
            let message = refusal.message.unwrap_or_else(|| code.message().to_owned());
            return DeleteShareGroupOffsetsResponse::default()
                .with_error_code(code.code())
                .with_error_message(Some(StrBytes::from_string(message)));
        }
    };
    // What was deleted comes first, then what could not be.
    let (forgotten, failed): (Vec<_>, Vec<_>) =
        deleted.topics.into_iter().partition(|(_, _, result)| result.is_ok());
    let forgotten = forgotten
        .into_iter()
        .map(|(topic_id, name, _)| topic(name).with_topic_id(topic_id).with_error_message(None));
    let refused = deleted.refused.into_iter().map(|(name, why)| {
        let code = ErrorCode::UnknownTopicOrPartition;
        let message = match why {
            NoOffsets::UnknownTopic => code.message(),
            NoOffsets::NotInitialized => "There is no offset information to delete.",
        };
        failure(topic(name), code, message)
    });
    let failed = failed.into_iter().filter_map(|(topic_id, name, result)| {
        let code = result.err()?.code();
        Some(failure(topic(name).with_topic_id(topic_id), code, code.message()))
    });
    let responses = forgotten.chain(refused).chain(failed).collect();
    DeleteShareGroupOffsetsResponse::default().with_error_message(None).with_responses(responses)
}

fn topic(name: StrBytes) -> DeleteShareGroupOffsetsResponseTopic {
    DeleteShareGroupOffsetsResponseTopic::default().with_topic_name(name.into()).with_topic_id(Uuid::nil())
}

fn failure(
    topic: DeleteShareGroupOffsetsResponseTopic,
    code: ErrorCode,
    message: &'static str,
) -> DeleteShareGroupOffsetsResponseTopic {
    topic.with_error_code(code.code()).with_error_message(Some(StrBytes::from_static_str(message)))
}
