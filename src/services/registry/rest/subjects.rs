//! `/subjects`, and what is asked of a subject as a whole.

use super::call::{Body, Call, List, json};
use crate::services::registry::Error;
use crate::services::registry::access::Permission::Read;
use crate::services::registry::model::Deleted;
use crate::services::registry::subject::ALL_CONTEXTS;

pub async fn list(call: Call) -> Result<Body, Error> {
    let prefix = call.text("subjectPrefix").unwrap_or(ALL_CONTEXTS);
    let deleted = Deleted::of(call.flag("deleted"), call.flag("deletedOnly"));
    let mut subjects = List::default();
    let each = |subject: String| subjects.push_if(call.may(Read, &subject), &subject);
    call.registry.subjects(prefix, deleted, call.page()?, each).await?;
    Ok(subjects.end())
}

pub async fn lookup(call: Call) -> Result<Body, Error> {
    let request = call.schema("lookUpSchemaUnderSubject.arg5")?;
    let (normalize, deleted) = (call.flag("normalize"), call.flag("deleted"));
    let format = call.format();
    json(&call.found(call.registry.lookup(call.subject(), request, normalize, deleted, &format).await?)?)
}

pub async fn delete(call: Call) -> Result<Body, Error> {
    json(&call.registry.delete_subject(call.subject(), call.flag("permanent")).await?)
}

/// The latest version that has all the properties: `key=..&value=..`, again for each.
pub async fn latest_with_metadata(call: Call) -> Result<Body, Error> {
    let (keys, values) = (call.query.all("key"), call.query.all("value"));
    let properties: Vec<(String, String)> =
        keys.zip(values).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let deleted = call.flag("deleted");
    json(&call.registry.latest_with_metadata(call.subject(), &properties, deleted, &call.format()).await?)
}
