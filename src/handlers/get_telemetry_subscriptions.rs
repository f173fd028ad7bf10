//! GetTelemetrySubscriptions (71) v0 (KIP-714). Like a Kafka without a metrics reporter: not told by ApiVersions, and
//! a client that asks all the same is given an id and no metrics to push.

use ottla_protocol::messages::{GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse};

use super::Context;
use crate::clock;

/// Kafka's `ClientMetricsConfigs` default, in milliseconds.
const PUSH_INTERVAL_MS: i32 = 300_000;
/// `telemetry.max.bytes`.
const TELEMETRY_MAX_BYTES: i32 = 1024 * 1024;
/// Zstandard, LZ4, gzip, snappy: in Kafka's order of preference.
const COMPRESSION_TYPES: [i8; 4] = [4, 3, 1, 2];
/// What names an empty set of metrics.
const EMPTY_SUBSCRIPTION_ID: i32 = 0;

pub async fn handle(
    _context: Context,
    request: GetTelemetrySubscriptionsRequest,
) -> GetTelemetrySubscriptionsResponse {
    let client = request.client_instance_id;
    GetTelemetrySubscriptionsResponse::default()
        .with_client_instance_id(if client.is_nil() { clock::random_id() } else { client })
        .with_subscription_id(EMPTY_SUBSCRIPTION_ID)
        .with_accepted_compression_types(COMPRESSION_TYPES.to_vec())
        .with_push_interval_ms(PUSH_INTERVAL_MS)
        .with_telemetry_max_bytes(TELEMETRY_MAX_BYTES)
        .with_delta_temporality(true)
}
