//! The schema registry: what Confluent's does, kept in the topic `_schemas` in its formats.
//!
//! Enters: operations, already read from a request (`model`). Leaves: entities, or an [`Error`] with Confluent's code.
//!
//! | file | what is in it |
//! |---|---|
//! | `model` | entities of requests and answers |
//! | `records` | keys and values of the topic's records |
//! | `state` | pure: what the records say, decisions as records to append |
//! | `storage` | the topic: read, written as a client |
//!
//! A write is decided, appended, replayed and then answered, one after the other; so is what others write to the topic.

mod error;
pub mod model;

use std::sync::Arc;

pub use error::Error;
use model::*;

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

/// The registry of one broker. Subjects are given as they stand in the path, decoded: `orders-value`, `:.context:orders-value`.
pub struct Registry {
    config: RegistryConfig,
    client: Client,
}

impl Registry {
    pub fn new(config: RegistryConfig, client: Client) -> Arc<Registry> {
        Arc::new(Registry { config, client })
    }

    /// Reads the topic, if it is there: done once after the start, so that the first request need not wait for it.
    pub async fn load(&self) -> Result<(), Error> {
        todo_yet()
    }

    /// `POST /subjects/{subject}/versions`. The answer's `id` is set; the rest is when the request did not say all of it.
    pub async fn register(
        &self,
        _subject: &str,
        _request: RegisterSchemaRequest,
        _normalize: bool,
        _format: &Format,
    ) -> Result<Schema, Error> {
        todo_yet()
    }

    /// `POST /subjects/{subject}`.
    pub async fn lookup(
        &self,
        _subject: &str,
        _request: RegisterSchemaRequest,
        _normalize: bool,
        _deleted: bool,
        _format: &Format,
    ) -> Result<Schema, Error> {
        todo_yet()
    }

    /// `GET /subjects`. `prefix`: `:*:` for all contexts, which is the default.
    pub async fn subjects(
        &self,
        _prefix: &str,
        _deleted: Deleted,
        _page: Page,
    ) -> Result<Vec<String>, Error> {
        todo_yet()
    }

    /// `GET /subjects/{subject}/versions`.
    pub async fn versions(&self, _subject: &str, _deleted: Deleted, _page: Page) -> Result<Vec<i32>, Error> {
        todo_yet()
    }

    /// `GET /subjects/{subject}/versions/{version}`, and `/schema` after it.
    pub async fn version(
        &self,
        _subject: &str,
        _version: VersionId,
        _deleted: bool,
        _format: &Format,
    ) -> Result<Schema, Error> {
        todo_yet()
    }

    /// `GET /subjects/{subject}/versions/{version}/referencedby`: ids.
    pub async fn referenced_by(&self, _subject: &str, _version: VersionId) -> Result<Vec<i32>, Error> {
        todo_yet()
    }

    /// `GET /subjects/{subject}/metadata?key=..&value=..`: the latest version with these properties.
    pub async fn latest_with_metadata(
        &self,
        _subject: &str,
        _properties: &[(String, String)],
        _deleted: bool,
        _format: &Format,
    ) -> Result<Schema, Error> {
        todo_yet()
    }

    /// `DELETE /subjects/{subject}`: the versions that are gone.
    pub async fn delete_subject(&self, _subject: &str, _permanent: bool) -> Result<Vec<i32>, Error> {
        todo_yet()
    }

    /// `DELETE /subjects/{subject}/versions/{version}`: the version that is gone. `version` as it stands in the path.
    pub async fn delete_version(
        &self,
        _subject: &str,
        _version: VersionId,
        _permanent: bool,
    ) -> Result<i32, Error> {
        todo_yet()
    }

    /// `GET /schemas/ids/{id}`, and `/schema` after it. `subject`: where to look, or empty.
    pub async fn schema_by_id(
        &self,
        _id: i32,
        _subject: &str,
        _fetch_max_id: bool,
        _format: &Format,
    ) -> Result<Schema, Error> {
        todo_yet()
    }

    /// `GET /schemas/guids/{guid}`.
    pub async fn schema_by_guid(&self, _guid: &str, _format: &Format) -> Result<Schema, Error> {
        todo_yet()
    }

    /// `GET /schemas/guids/{guid}/ids`.
    pub async fn ids_of_guid(&self, _guid: &str) -> Result<Vec<ContextId>, Error> {
        todo_yet()
    }

    /// `GET /schemas/ids/{id}/subjects`.
    pub async fn subjects_of_id(
        &self,
        _id: i32,
        _subject: &str,
        _deleted: bool,
        _page: Page,
    ) -> Result<Vec<String>, Error> {
        todo_yet()
    }

    /// `GET /schemas/ids/{id}/versions`.
    pub async fn versions_of_id(
        &self,
        _id: i32,
        _subject: &str,
        _deleted: bool,
        _page: Page,
    ) -> Result<Vec<SubjectVersion>, Error> {
        todo_yet()
    }

    /// `GET /schemas`.
    pub async fn schemas(&self, _query: &SchemasQuery) -> Result<Vec<Schema>, Error> {
        todo_yet()
    }

    /// `GET /contexts`.
    pub async fn contexts(&self, _page: Page) -> Result<Vec<String>, Error> {
        todo_yet()
    }

    /// `DELETE /contexts/{context}`: only of one without schemas.
    pub async fn delete_context(&self, _context: &str) -> Result<(), Error> {
        todo_yet()
    }

    /// `POST /compatibility/subjects/{subject}/versions/{version}`; without a version, against those that the subject's level
    /// asks for. The answer has messages: a check that is not verbose leaves them out.
    pub async fn compatibility(
        &self,
        _subject: &str,
        _version: Option<VersionId>,
        _request: RegisterSchemaRequest,
        _normalize: bool,
    ) -> Result<CompatibilityCheckResponse, Error> {
        todo_yet()
    }

    /// `GET /config`, `GET /config/{subject}`.
    pub async fn config(&self, _subject: Option<&str>, _default_to_global: bool) -> Result<Config, Error> {
        todo_yet()
    }

    /// `PUT /config`, `PUT /config/{subject}`: answers what was asked.
    pub async fn update_config(
        &self,
        _subject: Option<&str>,
        _request: ConfigUpdateRequest,
    ) -> Result<ConfigUpdateRequest, Error> {
        todo_yet()
    }

    /// `DELETE /config`, `DELETE /config/{subject}`: what was configured.
    pub async fn delete_config(&self, _subject: Option<&str>) -> Result<Config, Error> {
        todo_yet()
    }

    /// `GET /mode`, `GET /mode/{subject}`.
    pub async fn mode(&self, _subject: Option<&str>, _default_to_global: bool) -> Result<Mode, Error> {
        todo_yet()
    }

    /// `PUT /mode`, `PUT /mode/{subject}`: answers what was asked.
    pub async fn update_mode(
        &self,
        _subject: Option<&str>,
        _request: ModeUpdateRequest,
        _force: bool,
    ) -> Result<ModeUpdateRequest, Error> {
        todo_yet()
    }

    /// `DELETE /mode`, `DELETE /mode/{subject}`: the mode that was configured.
    pub async fn delete_mode(&self, _subject: Option<&str>) -> Result<Mode, Error> {
        todo_yet()
    }

    /// `GET /v1/metadata/id`: the id of the Kafka cluster.
    pub async fn cluster_id(&self) -> Result<String, Error> {
        self.client.cluster_id().await.map_err(|error| Error::store(error.to_string()))
    }
}

/// `GET /schemas/types`.
pub fn schema_types() -> [&'static str; 3] {
    ottla_schema::SchemaType::ALL.map(ottla_schema::SchemaType::name)
}

fn todo_yet<T>() -> Result<T, Error> {
    Err(Error::store("This operation is not there yet"))
}
