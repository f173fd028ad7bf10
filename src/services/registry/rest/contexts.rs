//! `/contexts`.

use super::call::{Body, Call, json};
use crate::services::registry::Error;
use crate::services::registry::access::Permission::Read;
use crate::services::registry::subject::qualify;

pub async fn list(call: Call) -> Result<Body, Error> {
    let prefix = call.text("contextPrefix").unwrap_or_default();
    let mut contexts = call.registry.contexts(call.page()?).await?;
    contexts.retain(|context| {
        let is_seen = call.user.as_ref().is_none_or(|user| user.may_some_of(Read, &qualify(context, "")));
        context.starts_with(prefix) && is_seen
    });
    json(&contexts)
}

pub async fn delete(call: Call) -> Result<Body, Error> {
    call.registry.delete_context(call.parameter("context")).await?;
    Ok(Body::Nothing)
}
