//! `/contexts`.

use super::call::{Body, Call, List};
use crate::services::registry::Error;
use crate::services::registry::access::Permission::Read;
use crate::services::registry::subject::qualify;

pub async fn list(call: Call) -> Result<Body, Error> {
    let prefix = call.text("contextPrefix").unwrap_or_default();
    let mut contexts = List::default();
    let each = |context: String| {
        let is_seen = call.user.as_ref().is_none_or(|user| user.may_some_of(Read, &qualify(&context, "")));
        contexts.push_if(context.starts_with(prefix) && is_seen, &context)
    };
    call.registry.contexts(call.page()?, each).await?;
    Ok(contexts.end())
}

pub async fn delete(call: Call) -> Result<Body, Error> {
    call.registry.delete_context(call.parameter("context")).await?;
    Ok(Body::Nothing)
}
