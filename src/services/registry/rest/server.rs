//! `/` and `/v1/metadata`: whether it answers, and who it is.

use serde_json::json;

use super::call::{Body, Call, json};
use crate::services::registry::Error;

/// The release of Confluent's registry whose API this is: clients look at it before they use newer parts.
const API_VERSION: &str = "8.1.0";

pub async fn root(_call: Call) -> Result<Body, Error> {
    json(&json!({}))
}

pub async fn id(call: Call) -> Result<Body, Error> {
    let clusters = json!({
        "kafka-cluster": call.registry.cluster_id().await?,
        "schema-registry-cluster": call.server.group_id,
    });
    json(&json!({"scope": {"path": [], "clusters": clusters}}))
}

pub async fn version(_call: Call) -> Result<Body, Error> {
    json(&json!({"version": API_VERSION, "commitId": concat!("ottla-", env!("CARGO_PKG_VERSION"))}))
}
