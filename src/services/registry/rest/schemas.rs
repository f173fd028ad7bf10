//! `/schemas`: by their ids and guids, and all of them.

use super::call::{Body, Call, json, text};
use crate::services::registry::access::Permission::Read;
use crate::services::registry::model::{Format, Page, Schema, SchemasQuery};
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
    let mut schemas = call.registry.schemas(&query).await?;
    schemas.retain(|schema| call.may(Read, schema.subject.as_deref().unwrap_or_default()));
    json(&schemas)
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
    if call.user.is_some() {
        call.may_see_one(&call.registry.subjects_of_id(id, subject, true, Page::default()).await?)?;
    }
    Ok(schema)
}

pub async fn subjects(call: Call) -> Result<Body, Error> {
    let (id, subject) = (call.id()?, call.text("subject").unwrap_or_default());
    let mut subjects = call.registry.subjects_of_id(id, subject, call.flag("deleted"), call.page()?).await?;
    subjects.retain(|subject| call.may(Read, subject));
    json(&subjects)
}

pub async fn versions(call: Call) -> Result<Body, Error> {
    let (id, subject) = (call.id()?, call.text("subject").unwrap_or_default());
    let mut versions = call.registry.versions_of_id(id, subject, call.flag("deleted"), call.page()?).await?;
    versions.retain(|version| call.may(Read, &version.subject));
    json(&versions)
}

pub async fn by_guid(call: Call) -> Result<Body, Error> {
    let guid = call.parameter("guid");
    let schema = call.registry.schema_by_guid(guid, &call.format()).await?;
    if call.user.is_some() {
        let mut subjects = Vec::new();
        for found in call.registry.ids_of_guid(guid).await? {
            let context = qualify(&found.context, "");
            subjects.extend(call.registry.subjects_of_id(found.id, &context, true, Page::default()).await?);
        }
        call.may_see_one(&subjects)?;
    }
    json(&schema)
}

pub async fn ids_of_guid(call: Call) -> Result<Body, Error> {
    json(&call.registry.ids_of_guid(call.parameter("guid")).await?)
}
