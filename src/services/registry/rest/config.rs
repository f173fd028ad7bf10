//! `/config`: compatibility levels and what else is set, for all, a context or a subject.

use super::call::{Body, Call, json};
use crate::services::registry::Error;
use crate::services::registry::model::ConfigUpdateRequest;

pub async fn get(call: Call) -> Result<Body, Error> {
    json(&call.registry.config(call.optional_subject(), call.flag("defaultToGlobal")).await?)
}

pub async fn update(call: Call) -> Result<Body, Error> {
    let subject = call.optional_subject();
    let name = if subject.is_some() { "updateSubjectLevelConfig.arg2" } else { "updateTopLevelConfig.arg1" };
    let config = call.registry.update_config(subject, call.body(name)?).await?;
    json(&ConfigUpdateRequest::from(config))
}

pub async fn delete(call: Call) -> Result<Body, Error> {
    json(&call.registry.delete_config(call.optional_subject()).await?)
}
