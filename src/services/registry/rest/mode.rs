//! `/mode`: whether schemas may be registered, or imported, for all, a context or a subject.

use serde_json::json;

use super::call::{Body, Call, json as answer};
use crate::services::registry::Error;
use crate::services::registry::model::Mode;

pub async fn get(call: Call) -> Result<Body, Error> {
    told(call.registry.mode(call.optional_subject(), call.flag("defaultToGlobal")).await?)
}

pub async fn update(call: Call) -> Result<Body, Error> {
    let subject = call.optional_subject();
    let name = if subject.is_some() { "updateMode.arg2" } else { "updateTopLevelMode.arg1" };
    answer(&call.registry.update_mode(subject, call.body(name)?, call.flag("force")).await?)
}

pub async fn delete(call: Call) -> Result<Body, Error> {
    told(call.registry.delete_mode(call.optional_subject()).await?)
}

fn told(mode: Mode) -> Result<Body, Error> {
    answer(&json!({"mode": mode.name()}))
}
