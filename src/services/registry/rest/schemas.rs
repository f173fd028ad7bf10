//! `/schemas`: by their ids and guids, and all of them.

use serde::Serialize;

use super::call::{Body, Call, List, forbidden, json, text};
use crate::services::registry::access::Permission::Read;
use crate::services::registry::model::{Format, Page, Schema, SchemasQuery, SubjectVersion};
use crate::services::registry::subject::qualify;
use crate::services::registry::{Error, schema_types};

pub async fn list(call: Call) -> Result<Body, Error> {
    let query = SchemasQuery {
        // Without one it lists the default context, where `/subjects` lists all of them.
        subject_prefix: call.text("subjectPrefix").unwrap_or_default().to_owned(),
        aliases: call.flag("aliases"),
        deleted: call.flag("deleted"),
        latest_only: call.flag("latestOnly"),
        rule_types: call.query.all("ruleType").filter(|kind| !kind.is_empty()).map(str::to_owned).collect(),
        page: call.page()?,
    };
    let mut schemas = List::default();
    let each = |schema: Schema| {
        schemas.push_if(call.may(Read, schema.subject.as_deref().unwrap_or_default()), &schema)
    };
    call.registry.schemas(&query, each).await?;
    Ok(schemas.end())
}

pub async fn types(_call: Call) -> Result<Body, Error> {
    json(&schema_types())
}

pub async fn by_id(call: Call) -> Result<Body, Error> {
    json(&schema_by_id(&call, call.flag("fetchMaxId"), &call.format_with_tags()).await?)
}

pub async fn text_by_id(call: Call) -> Result<Body, Error> {
    text(schema_by_id(&call, false, &call.format()).await?.schema)
}

async fn schema_by_id(call: &Call, fetch_max_id: bool, format: &Format) -> Result<Schema, Error> {
    let (id, subject) = (call.id()?, call.text("subject").unwrap_or_default());
    let schema = call.registry.schema_by_id(id, subject, fetch_max_id, format).await?;
    if call.user.is_some() && !may_see(call, id, subject).await? {
        return Err(forbidden());
    }
    Ok(schema)
}

/// Whether one of the subjects that have this schema may be seen.
async fn may_see(call: &Call, id: i32, subject: &str) -> Result<bool, Error> {
    let mut is_seen = false;
    let each = |version: SubjectVersion| {
        is_seen |= call.may(Read, &version.subject);
        Ok(())
    };
    call.registry.versions_of_id(id, subject, true, Page::default(), each).await?;
    Ok(is_seen)
}

pub async fn subjects(call: Call) -> Result<Body, Error> {
    holders(&call, |version| version.subject).await
}

pub async fn versions(call: Call) -> Result<Body, Error> {
    holders(&call, |version| version).await
}

/// What is to be told of each version with an id that may be seen.
async fn holders<T: Serialize>(
    call: &Call,
    told_of: impl Fn(SubjectVersion) -> T + Send,
) -> Result<Body, Error> {
    let (id, subject) = (call.id()?, call.text("subject").unwrap_or_default());
    let mut told = List::default();
    let each = |version: SubjectVersion| told.push_if(call.may(Read, &version.subject), &told_of(version));
    call.registry.versions_of_id(id, subject, call.flag("deleted"), call.page()?, each).await?;
    Ok(told.end())
}

pub async fn by_guid(call: Call) -> Result<Body, Error> {
    let guid = call.parameter("guid");
    let schema = call.registry.schema_by_guid(guid, &call.format()).await?;
    if call.user.is_some() {
        let mut is_seen = false;
        for found in call.registry.ids_of_guid(guid).await? {
            is_seen |= may_see(&call, found.id, &qualify(&found.context, "")).await?;
        }
        if !is_seen {
            return Err(forbidden());
        }
    }
    json(&schema)
}

pub async fn ids_of_guid(call: Call) -> Result<Body, Error> {
    json(&call.registry.ids_of_guid(call.parameter("guid")).await?)
}
