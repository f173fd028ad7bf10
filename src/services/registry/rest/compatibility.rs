//! `/compatibility`: whether a schema might follow those that are there.

use super::call::{Body, Call, json};
use crate::services::registry::Error;
use crate::services::registry::model::{CompatibilityCheckResponse, VersionId};

pub async fn with_one(call: Call) -> Result<Body, Error> {
    let version = call.version()?;
    check(call, Some(version), "testCompatibilityBySubjectName.arg6").await
}

pub async fn with_all(call: Call) -> Result<Body, Error> {
    check(call, None, "testCompatibilityForSubject.arg5").await
}

async fn check(call: Call, version: Option<VersionId>, body: &str) -> Result<Body, Error> {
    let request = call.schema(body)?;
    let (normalize, verbose) = (call.flag("normalize"), call.flag("verbose"));
    match call.registry.compatibility(call.subject(), version, request, normalize).await {
        Ok(found) if verbose => json(&found),
        Ok(found) => json(&CompatibilityCheckResponse { messages: Vec::new(), ..found }),
        // What is no schema goes with nothing: whoever asks for the reasons is told why.
        Err(error) if verbose && error.is_invalid_schema() => {
            json(&CompatibilityCheckResponse { is_compatible: false, messages: vec![error.message] })
        }
        Err(error) => Err(error),
    }
}
