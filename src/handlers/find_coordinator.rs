//! FindCoordinator (10) v0-6. v1: kinds of coordinators; v4: several keys (KIP-699); v6: share groups (KIP-932).

use ottla_protocol::messages::find_coordinator_response::Coordinator;
use ottla_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use ottla_protocol::{ErrorCode, StrBytes, parse_kafka_id};
use tracing::warn;

use super::Context;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

pub async fn handle(context: Context, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let key_type = request.key_type;
    let is_known = match key_type {
        GROUP | TRANSACTION => true,
        SHARE => context.api_version >= 6,
        _ => false,
    };
    if context.api_version >= 4 {
        let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
        for key in request.coordinator_keys {
            let found =
                if is_known { find(&context, key_type, &key).await } else { Err(ErrorCode::InvalidRequest) };
            // Kafka has no words for a single key, but for a kind of key that it does not know.
            let message = if is_known { "" } else { ErrorCode::InvalidRequest.message() };
            coordinators.push(coordinator(&context, key, found, message));
        }
        return FindCoordinatorResponse::default().with_coordinators(coordinators);
    }
    let found =
        if is_known { find(&context, key_type, &request.key).await } else { Err(ErrorCode::InvalidRequest) };
    let message = found.as_ref().map_or_else(|code| code.message(), |()| "NONE");
    let Coordinator { node_id, host, port, error_code, error_message, .. } =
        coordinator(&context, request.key, found, message);
    FindCoordinatorResponse::default()
        .with_error_code(error_code)
        .with_error_message(error_message)
        .with_node_id(node_id)
        .with_host(host)
        .with_port(port)
}

/// One broker coordinates everything here; a coordinator's topic is made when it is first asked for.
async fn find(context: &Context, key_type: i8, key: &StrBytes) -> Result<(), ErrorCode> {
    match key_type {
        GROUP => context.broker().groups().ensure_topic().await.map_err(|error| {
            warn!(%error, "no group coordinator");
            ErrorCode::CoordinatorNotAvailable
        }),
        SHARE if !is_share_partition(key) => Err(ErrorCode::InvalidRequest),
        SHARE => context.broker().share_states().ensure_topic().await.map_err(|error| {
            warn!(%error, "no share coordinator");
            ErrorCode::CoordinatorNotAvailable
        }),
        TRANSACTION => context.broker().transactions().ensure_topic().await.map_err(|error| {
            warn!(%error, "no transaction coordinator");
            ErrorCode::CoordinatorNotAvailable
        }),
        _ => Err(ErrorCode::CoordinatorNotAvailable),
    }
}

/// Whether a key is `group:topic id:partition`, where the group may have colons of its own.
fn is_share_partition(key: &str) -> bool {
    let mut parts = key.trim_end_matches(':').rsplitn(3, ':');
    let partition = parts.next().and_then(|partition| partition.parse::<i32>().ok());
    let topic_id = parts.next().and_then(parse_kafka_id);
    let group_id = parts.next().filter(|group_id| !group_id.trim().is_empty());
    partition.is_some() && topic_id.is_some() && group_id.is_some()
}

fn coordinator(
    context: &Context,
    key: StrBytes,
    found: Result<(), ErrorCode>,
    message: &'static str,
) -> Coordinator {
    let answer =
        Coordinator::default().with_key(key).with_error_message(Some(StrBytes::from_static_str(message)));
    match found {
        Ok(()) => answer
            .with_node_id(context.broker().node_id().into())
            .with_host(StrBytes::from_string(context.advertised().host.clone()))
            .with_port(context.advertised().port.into()),
        Err(code) => answer.with_node_id((-1).into()).with_port(-1).with_error_code(code.code()),
    }
}
