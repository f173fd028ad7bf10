//! ApiVersions (18) v0-4. KIP-511: v3 tells the client's software; KIP-584: features. Computed from the API table.

use ottla_protocol::messages::api_versions_response::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use ottla_protocol::messages::{ApiKey, ApiVersionsRequest};
use ottla_protocol::request::RequestError;
use ottla_protocol::{ErrorCode, StrBytes};

use crate::metadata::{FEATURES, Feature, Image};

use super::{Context, IntoReply, PendingReply, all};

pub async fn handle(context: Context, request: ApiVersionsRequest) -> ApiVersionsResponse {
    if context.api_version >= 3 && !is_software_name(&request) {
        return ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code());
    }
    with_features(table(), &context.broker().image(), context.api_version)
}

/// A version that is not served: ApiVersions answers in v0 so that the client can choose another one (KIP-511);
/// for any other API Kafka closes the connection.
pub fn unsupported(key: i16, version: i16, correlation_id: i32) -> Result<PendingReply, RequestError> {
    if key != ApiKey::ApiVersions as i16 {
        return Err(RequestError::UnsupportedVersion { api_version: version });
    }
    // Kafka's answer holds ApiVersions' own window and nothing else.
    let mut response = table().with_error_code(ErrorCode::UnsupportedVersion.code());
    response.api_keys.retain(|api| api.api_key == key);
    Ok(Box::pin(std::future::ready(response.into_reply(0, correlation_id))))
}

const KRAFT_VERSION: &str = "kraft.version";
/// Before it, a client cannot read a lowest level of 0; Kafka leaves such features out.
const LEVEL_ZERO_SINCE: i16 = 4;

/// KIP-584: what the broker can do, and what the cluster has agreed on.
fn with_features(response: ApiVersionsResponse, image: &Image, version: i16) -> ApiVersionsResponse {
    let supported = FEATURES
        .iter()
        .filter(|feature| version >= LEVEL_ZERO_SINCE || feature.min_level > 0)
        .map(|feature| {
            SupportedFeatureKey::default()
                .with_name(StrBytes::from_static_str(feature.name))
                .with_min_version(feature.min_level)
                .with_max_version(feature.max_level)
        })
        .collect();
    let finalized = FEATURES
        .iter()
        .filter_map(|feature| Some((feature.name, finalized_level(feature, image)?)))
        .map(|(name, level)| {
            FinalizedFeatureKey::default()
                .with_name(StrBytes::from_static_str(name))
                .with_max_version_level(level)
                .with_min_version_level(level)
        })
        .collect();
    response
        .with_supported_features(supported)
        .with_finalized_features_epoch(image.offset)
        .with_finalized_features(finalized)
}

/// The quorum's own level stands in its log's control records.
fn finalized_level(feature: &Feature, image: &Image) -> Option<i16> {
    match feature.name {
        KRAFT_VERSION => Some(image.kraft_version).filter(|level| *level > 0),
        name => image.feature(name),
    }
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
