//! The schema registry: what Confluent's does, kept in the topic `_schemas` in its formats.
//!
//! Enters: operations, already read from a request (`model`). Leaves: entities, or an [`Error`] with Confluent's code.
//!
//! | file | what is in it |
//! |---|---|
//! | `model` | entities of requests and answers |
//! | `scalar` | their single values, read as leniently as Jackson does |
//! | `records` | keys and values of the topic's records |
//! | `state` | pure: what the records say, decisions as records to append |
//! | `storage` | the topic: read, written as a client |
//! | `validation` | what the broker asks about the schemas of records |
//! | `rest` | the API over HTTP |
//! | `access` | who may use it |
//!
//! A write is decided, appended, replayed and then answered, one after the other; so is what others write to the topic.

pub mod access;
mod error;
mod guid;
pub mod model;
mod parser;
mod records;
pub mod rest;
mod scalar;
mod state;
mod storage;
mod subject;
mod validation;

use std::sync::Arc;

pub use error::Error;
use model::*;
use parser::Parser;
use state::{Outcome, State};
use storage::Storage;
use validation::Names;

use super::client::Client;

/// How a registry is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryConfig {
    /// `kafkastore.topic`.
    pub topic: String,
    /// `schema.compatibility.level`: where nothing is configured.
    pub compatibility_level: ottla_schema::compatibility::Mode,
    /// `mode.mutability`.
    pub mode_mutability: bool,
    /// `schema.search.max.limit`: entries of one `GET /schemas` at most.
    pub schema_search_max_limit: i32,
}

impl Default for RegistryConfig {
    fn default() -> RegistryConfig {
        RegistryConfig {
            topic: "_schemas".to_owned(),
            compatibility_level: ottla_schema::compatibility::Mode::Backward,
            mode_mutability: true,
            schema_search_max_limit: 1000,
        }
    }
}

/// The registry of one broker. Subjects are given by their names, `orders-value` or `:.context:orders-value`, not by an alias.
pub struct Registry {
    config: RegistryConfig,
    storage: Storage,
    parser: Parser,
    names: Names,
}

/// Subjects and versions in one answer at most; of schemas fewer, as the configuration says.
const MAX_LIST: usize = 1_000_000;

impl Registry {
    pub fn new(config: RegistryConfig, client: Client) -> Arc<Registry> {
        let storage = Storage::new(client, &config.topic);
        Arc::new(Registry { config, storage, parser: Parser::default(), names: Names::default() })
    }

    /// Reads the topic, if it is there: done once after the start, so that the first request need not wait for it.
    pub async fn load(&self) -> Result<(), Error> {
        self.storage.catch_up().await
    }

    /// The subject that is meant by a name, be it an alias: what stands for another is followed once, and before anything is
    /// allowed or done, which then goes by the subject. All others here take subjects as `subject::normalize` writes them.
    pub async fn subject(&self, named: &str) -> Result<String, Error> {
        self.storage.look(|state| state.subject(named)).await
    }

    /// `POST /subjects/{subject}/versions`. The answer has the schema as it is registered now.
    pub async fn register(
        &self,
        subject: &str,
        request: RegisterSchemaRequest,
        normalize: bool,
        format: &Format,
    ) -> Result<Schema, Error> {
        let level = self.config.compatibility_level;
        let known = self
            .storage
            .ponder(|state| state.register(subject, request.clone(), normalize, level, &self.parser));
        // Most registrations are of a schema that is there: those need not wait for a turn.
        let answer = match known.await?? {
            Outcome { answer, records } if records.is_empty() => answer,
            Outcome { .. } => {
                let decide = |state: &State| state.register(subject, request, normalize, level, &self.parser);
                self.storage.write(decide).await?
            }
        };
        self.in_format(subject, answer, format).await
    }

    /// `POST /subjects/{subject}/versions/{version}/tags`.
    pub async fn modify_tags(
        &self,
        subject: &str,
        version: VersionId,
        request: TagSchemaRequest,
    ) -> Result<Schema, Error> {
        let level = self.config.compatibility_level;
        self.storage.write(|state| state.modify_tags(subject, version, request, level, &self.parser)).await
    }

    /// `POST /subjects/{subject}`.
    pub async fn lookup(
        &self,
        subject: &str,
        request: RegisterSchemaRequest,
        normalize: bool,
        deleted: bool,
        format: &Format,
    ) -> Result<Schema, Error> {
        let level = self.config.compatibility_level;
        let look = |state: &State| {
            let normalize = normalize || state.config_in_scope(Some(subject), level).normalize == Some(true);
            state.lookup(subject, request, normalize, deleted, format, &self.parser)
        };
        self.storage.ponder(look).await?
    }

    /// `GET /subjects`, one by one. `prefix`: `:*:` for all contexts, which is the default.
    pub async fn subjects(
        &self,
        prefix: &str,
        deleted: Deleted,
        page: Page,
        each: impl FnMut(String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let look = |state: &State| page.of(state.subjects(prefix, deleted), MAX_LIST).try_for_each(each);
        self.storage.ponder(look).await?
    }

    /// `GET /subjects/{subject}/versions`.
    pub async fn versions(&self, subject: &str, deleted: Deleted, page: Page) -> Result<Vec<i32>, Error> {
        let look = |state: &State| {
            let versions = state.versions(subject, deleted)?;
            Ok(page.of(versions.into_iter(), MAX_LIST).collect())
        };
        self.storage.look(look).await?
    }

    /// `GET /subjects/{subject}/versions/{version}`, and `/schema` after it.
    pub async fn version(
        &self,
        subject: &str,
        version: VersionId,
        deleted: bool,
        format: &Format,
    ) -> Result<Schema, Error> {
        let look = |state: &State| state.version(subject, version, deleted, format, &self.parser);
        self.look_in(format, look).await
    }

    /// `GET /subjects/{subject}/versions/{version}/referencedby`: ids.
    pub async fn referenced_by(
        &self,
        subject: &str,
        version: VersionId,
        page: Page,
    ) -> Result<Vec<i32>, Error> {
        let max = self.max_schemas();
        let look = |state: &State| {
            let ids = state.referenced_by(subject, version)?;
            Ok(page.of(ids.into_iter(), max).collect())
        };
        self.storage.look(look).await?
    }

    /// `GET /subjects/{subject}/metadata?key=..&value=..`: the latest version with these properties.
    pub async fn latest_with_metadata(
        &self,
        subject: &str,
        properties: &[(String, String)],
        deleted: bool,
        format: &Format,
    ) -> Result<Schema, Error> {
        let look =
            |state: &State| state.latest_with_metadata(subject, properties, deleted, format, &self.parser);
        self.look_in(format, look).await
    }

    /// `DELETE /subjects/{subject}`: the versions that are gone.
    pub async fn delete_subject(&self, subject: &str, permanent: bool) -> Result<Vec<i32>, Error> {
        self.storage.write(|state| state.delete_subject(subject, permanent)).await
    }

    /// `DELETE /subjects/{subject}/versions/{version}`: the version that is gone.
    pub async fn delete_version(
        &self,
        subject: &str,
        version: VersionId,
        permanent: bool,
    ) -> Result<i32, Error> {
        self.storage.write(|state| state.delete_version(subject, version, permanent)).await
    }

    /// `GET /schemas/ids/{id}`, and `/schema` after it. `subject`: where to look, or empty.
    pub async fn schema_by_id(
        &self,
        id: i32,
        subject: &str,
        fetch_max_id: bool,
        format: &Format,
    ) -> Result<Schema, Error> {
        let look = |state: &State| state.schema_by_id(id, subject, fetch_max_id, format, &self.parser);
        self.look_in(format, look).await
    }

    /// `GET /schemas/guids/{guid}`.
    pub async fn schema_by_guid(&self, guid: &str, format: &Format) -> Result<Schema, Error> {
        self.look_in(format, |state| state.schema_by_guid(guid, format, &self.parser)).await
    }

    /// `GET /schemas/guids/{guid}/ids`.
    pub async fn ids_of_guid(&self, guid: &str) -> Result<Vec<ContextId>, Error> {
        self.storage.look(|state| state.ids_of_guid(guid)).await
    }

    /// `GET /schemas/ids/{id}/subjects`, `GET /schemas/ids/{id}/versions`, one by one.
    pub async fn versions_of_id(
        &self,
        id: i32,
        subject: &str,
        deleted: bool,
        page: Page,
        each: impl FnMut(SubjectVersion) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let look = |state: &State| {
            let versions = state.versions_of_id(id, subject, deleted)?;
            page.of(versions.into_iter(), MAX_LIST).try_for_each(each)
        };
        self.storage.ponder(look).await?
    }

    /// `GET /schemas`, one by one.
    pub async fn schemas(
        &self,
        query: &SchemasQuery,
        each: impl FnMut(Schema) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let max = self.max_schemas();
        let look = |state: &State| query.page.of(state.schemas(query), max).try_for_each(each);
        self.storage.ponder(look).await?
    }

    /// `GET /contexts`, one by one.
    pub async fn contexts(
        &self,
        page: Page,
        each: impl FnMut(String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.storage.ponder(|state| page.of(state.contexts(), MAX_LIST).try_for_each(each)).await?
    }

    /// `DELETE /contexts/{context}`: only of one without schemas.
    pub async fn delete_context(&self, context: &str) -> Result<(), Error> {
        self.storage.write(|state| state.delete_context(context)).await
    }

    /// `POST /compatibility/subjects/{subject}/versions/{version}`; without a version, against those that the subject's level
    /// asks for. The answer has messages: a check that is not verbose leaves them out.
    pub async fn compatibility(
        &self,
        subject: &str,
        version: Option<VersionId>,
        request: RegisterSchemaRequest,
        normalize: bool,
    ) -> Result<CompatibilityCheckResponse, Error> {
        let level = self.config.compatibility_level;
        let look =
            |state: &State| state.compatibility(subject, version, request, normalize, level, &self.parser);
        self.storage.ponder(look).await?
    }

    /// `GET /config`, `GET /config/{subject}`.
    pub async fn config(&self, subject: Option<&str>, default_to_global: bool) -> Result<Config, Error> {
        let level = self.config.compatibility_level;
        self.storage.look(|state| state.config(subject, default_to_global, level)).await?
    }

    /// `PUT /config`, `PUT /config/{subject}`: answers all that is set there now.
    pub async fn update_config(
        &self,
        subject: Option<&str>,
        request: ConfigUpdateRequest,
    ) -> Result<Config, Error> {
        self.storage.write(|state| state.update_config(subject, request)).await
    }

    /// `DELETE /config`, `DELETE /config/{subject}`: what was configured.
    pub async fn delete_config(&self, subject: Option<&str>) -> Result<Config, Error> {
        let level = self.config.compatibility_level;
        self.storage.write(|state| state.delete_config(subject, level)).await
    }

    /// `GET /mode`, `GET /mode/{subject}`.
    pub async fn mode(&self, subject: Option<&str>, default_to_global: bool) -> Result<Mode, Error> {
        self.storage.look(|state| state.mode(subject, default_to_global)).await?
    }

    /// `PUT /mode`, `PUT /mode/{subject}`: answers what was asked. Null takes the mode away.
    pub async fn update_mode(
        &self,
        subject: Option<&str>,
        request: ModeUpdateRequest,
        force: bool,
    ) -> Result<ModeUpdateRequest, Error> {
        self.check_mode_mutability()?;
        let mode = request.mode.as_deref().map(str::parse).transpose()?;
        self.storage.write(|state| state.update_mode(subject, mode, force)).await?;
        Ok(request)
    }

    /// `DELETE /mode`, `DELETE /mode/{subject}`: the mode that was configured.
    pub async fn delete_mode(&self, subject: Option<&str>) -> Result<Mode, Error> {
        self.check_mode_mutability()?;
        self.storage.write(|state| state.delete_mode(subject)).await
    }

    /// `GET /v1/metadata/id`: the id of the Kafka cluster.
    pub async fn cluster_id(&self) -> Result<String, Error> {
        self.storage.client().cluster_id().await.map_err(|error| Error::store(error.to_string()))
    }

    fn max_schemas(&self) -> usize {
        usize::try_from(self.config.schema_search_max_limit).unwrap_or(0)
    }

    fn check_mode_mutability(&self) -> Result<(), Error> {
        match self.config.mode_mutability {
            true => Ok(()),
            false => Err(Error::not_permitted("Mode changes are not allowed")),
        }
    }

    /// A schema's text in another form, and its tags, take reading it.
    async fn look_in(
        &self,
        format: &Format,
        look: impl FnOnce(&State) -> Result<Schema, Error>,
    ) -> Result<Schema, Error> {
        match format.needs_reading() {
            true => self.storage.ponder(look).await?,
            false => self.storage.look(look).await?,
        }
    }

    /// What was registered, its text in the form that is asked for.
    async fn in_format(&self, subject: &str, registered: Schema, format: &Format) -> Result<Schema, Error> {
        let Some(version) = registered.version.filter(|_| format.of_text().is_some()) else {
            return Ok(registered);
        };
        let formatted = self.version(subject, VersionId::Number(version), true, format).await?;
        Ok(Schema { schema: formatted.schema, ..registered })
    }
}

/// `GET /schemas/types`.
pub fn schema_types() -> [&'static str; 3] {
    ottla_schema::SchemaType::ALL.map(ottla_schema::SchemaType::name)
}
