//! `/subjects/{subject}/versions`.

use super::call::{Body, Call, json, text as text_of};
use crate::services::registry::Error;
use crate::services::registry::model::{Deleted, Format, Schema};

pub async fn list(call: Call) -> Result<Body, Error> {
    let deleted = Deleted::of(call.flag("deleted"), call.flag("deletedOnly"));
    json(&call.registry.versions(call.subject(), deleted, call.page()?).await?)
}

pub async fn register(call: Call) -> Result<Body, Error> {
    let request = call.schema("register.arg5")?;
    let (normalize, format) = (call.flag("normalize"), call.format());
    json(&call.registry.register(call.subject(), request, normalize, &format).await?)
}

pub async fn modify_tags(call: Call) -> Result<Body, Error> {
    let request = call.body("modifyTags.arg4")?;
    json(&call.registry.modify_tags(call.subject(), call.version()?, request).await?)
}

pub async fn get(call: Call) -> Result<Body, Error> {
    json(&version(&call, &call.format_with_tags()).await?)
}

pub async fn text(call: Call) -> Result<Body, Error> {
    text_of(version(&call, &call.format()).await?.schema)
}

async fn version(call: &Call, format: &Format) -> Result<Schema, Error> {
    call.found(call.registry.version(call.subject(), call.version()?, call.flag("deleted"), format).await?)
}

pub async fn referenced_by(call: Call) -> Result<Body, Error> {
    json(&call.registry.referenced_by(call.subject(), call.version()?, call.page()?).await?)
}

pub async fn delete(call: Call) -> Result<Body, Error> {
    json(&call.registry.delete_version(call.subject(), call.version()?, call.flag("permanent")).await?)
}
