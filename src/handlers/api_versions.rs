//! ApiVersions (18) v0-4. KIP-511: v3 tells the client's software; KIP-584: features. Computed from the API table.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use ottla_protocol::messages::{ApiKey, ApiVersionsRequest};
use ottla_protocol::request::RequestError;

use super::{Context, IntoReply, PendingReply, all};

pub async fn handle(context: Context, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if context.api_version >= 3 && !is_software_name(&request) {
        return ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code());
    }
    table()
}

/// A version that is not served: ApiVersions answers in v0 so that the client can choose another one (KIP-511);
/// for any other API Kafka closes the connection.
pub fn unsupported(key: i16, version: i16, correlation_id: i32) -> Result<PendingReply, RequestError> {
    if key != ApiKey::ApiVersions as i16 {
        return Err(RequestError::UnknownApi { api_key: key, api_version: version });
    }
    // Kafka's answer holds ApiVersions' own window and nothing else.
    let mut response = table().with_error_code(ErrorCode::UnsupportedVersion.code());
    response.api_keys.retain(|api| api.api_key == key);
    Ok(Box::pin(std::future::ready(response.into_reply(0, correlation_id))))
}

/// Kafka's rule for `client.software.name` and `client.software.version`.
fn is_software_name(request: &ApiVersionsRequest) -> bool {
    let is_valid = |text: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        text.chars().all(inner) && edge(text.chars().next()) && edge(text.chars().next_back())
    };
    is_valid(&request.client_software_name) && is_valid(&request.client_software_version)
}

fn table() -> ApiVersionsResponse {
    let api_keys = all()
        .iter()
        .filter(|api| api.is_advertised)
        .map(|api| {
            ApiVersion::default()
                .with_api_key(api.key)
                .with_min_version(api.advertised_from)
                .with_max_version(*api.versions.end())
        })
        .collect();
    ApiVersionsResponse::default().with_api_keys(api_keys)
}
