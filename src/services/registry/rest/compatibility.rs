//! `/compatibility`: whether a schema might follow those that are there.

use super::call::{Body, Call, json};
use crate::services::registry::Error;
use crate::services::registry::model::VersionId;

pub async fn with_one(call: Call) -> Result<Body, Error> {
    let version = call.version()?;
    check(call, Some(version), "testCompatibilityBySubjectName.arg6").await
}

pub async fn with_all(call: Call) -> Result<Body, Error> {
    check(call, None, "testCompatibilityForSubject.arg5").await
}

async fn check(call: Call, version: Option<VersionId>, body: &str) -> Result<Body, Error> {
    let request = call.schema(body)?;
    let normalize = call.flag("normalize");
    let mut found = call.registry.compatibility(call.subject(), version, request, normalize).await?;
    if !call.flag("verbose") {
        found.messages.clear();
    }
    json(&found)
}
