//! What requests and answers are made of: Confluent's entities, with their names and the order of their fields.
//! What is empty is left out, as there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use ottla_schema::tags::{Entity, EntityKind, Tagged};
use serde::{Deserialize, Deserializer, Serialize};

use super::error::Error;
use super::scalar::{given_scalar, scalar, scalar_or_default, texts};

/// A schema that another one refers to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SchemaReference {
    #[serde(deserialize_with = "scalar_or_default")]
    pub name: String,
    #[serde(deserialize_with = "scalar_or_default")]
    pub subject: String,
    #[serde(deserialize_with = "scalar_or_default")]
    pub version: i32,
}

/// Tags by path, properties, and which of these are secret.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_as_default")]
    pub tags: BTreeMap<String, BTreeSet<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "texts")]
    pub properties: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty", deserialize_with = "null_as_default")]
    pub sensitive: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RuleKind {
    #[default]
    Transform,
    Condition,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RuleMode {
    Upgrade,
    Downgrade,
    Updown,
    Write,
    Read,
    #[default]
    WriteRead,
}

/// A rule of a data contract: stored and given back, carried out by clients.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Rule {
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "scalar")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "scalar")]
    pub doc: Option<String>,
    #[serde(deserialize_with = "null_as_default")]
    pub kind: RuleKind,
    #[serde(deserialize_with = "null_as_default")]
    pub mode: RuleMode,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none", deserialize_with = "scalar")]
    pub rule_type: Option<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty", deserialize_with = "null_as_default")]
    pub tags: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "texts")]
    pub params: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "scalar")]
    pub expr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "scalar")]
    pub on_success: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "scalar")]
    pub on_failure: Option<String>,
    #[serde(deserialize_with = "scalar_or_default")]
    pub disabled: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RuleSet {
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub migration_rules: Vec<Rule>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub domain_rules: Vec<Rule>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub encoding_rules: Vec<Rule>,
}

/// The body of a registration, a lookup and a compatibility check.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RegisterSchemaRequest {
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "scalar")]
    pub version: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "scalar")]
    pub id: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "scalar")]
    pub schema_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub references: Option<Vec<SchemaReference>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_set: Option<RuleSet>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "scalar")]
    pub schema: Option<String>,
    /// Of a registration: the schema gets these tags before it is anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_tags_to_add: Option<Vec<SchemaTags>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_tags_to_remove: Option<Vec<SchemaTags>>,
    /// Of a registration: the schema gets the tags of the version before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagate_schema_tags: Option<bool>,
}

/// The body of `POST /subjects/{subject}/versions/{version}/tags`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TagSchemaRequest {
    pub new_version: Option<i32>,
    pub tags_to_add: Option<Vec<SchemaTags>>,
    pub tags_to_remove: Option<Vec<SchemaTags>>,
    pub metadata: Option<Metadata>,
    pub rule_set: Option<RuleSet>,
    pub rules_to_merge: Option<RuleSet>,
    /// By their names.
    pub rules_to_remove: Option<Vec<String>>,
}

/// Tags of a part of a schema.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SchemaTags {
    #[serde(deserialize_with = "null_as_default")]
    pub schema_entity: SchemaEntity,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_as_default")]
    pub tags: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SchemaEntity {
    #[serde(deserialize_with = "null_as_default")]
    pub entity_path: String,
    #[serde(deserialize_with = "null_as_default")]
    pub entity_type: EntityType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum EntityType {
    #[serde(rename = "sr_record")]
    Record,
    #[default]
    #[serde(rename = "sr_field")]
    Field,
}

impl From<Tagged> for SchemaTags {
    fn from(Tagged { entity, tags }: Tagged) -> SchemaTags {
        let entity_type = match entity.kind {
            EntityKind::Record => EntityType::Record,
            EntityKind::Field => EntityType::Field,
        };
        SchemaTags { schema_entity: SchemaEntity { entity_path: entity.path, entity_type }, tags }
    }
}

impl From<SchemaTags> for Tagged {
    fn from(SchemaTags { schema_entity, tags }: SchemaTags) -> Tagged {
        let kind = match schema_entity.entity_type {
            EntityType::Record => EntityKind::Record,
            EntityType::Field => EntityKind::Field,
        };
        // A point before the path says nothing.
        let path = schema_entity.entity_path;
        let path = path.strip_prefix('.').map(str::to_owned).unwrap_or(path);
        Tagged { entity: Entity { path, kind }, tags }
    }
}

/// A schema as a version of a subject: `GET /subjects/{subject}/versions/{version}`, a lookup, an entry of `GET /schemas`; with
/// fields left empty, the answer to a registration and of `GET /schemas/ids/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Schema {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_type: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<SchemaReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_set: Option<RuleSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Of what is asked for with `findTags`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schema_tags: Vec<SchemaTags>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<bool>,
    /// Of `GET /schemas` with aliases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Of `GET /schemas/ids/{id}?fetchMaxId=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_id: Option<i32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectVersion {
    pub subject: String,
    pub version: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContextId {
    pub context: String,
    pub id: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompatibilityCheckResponse {
    pub is_compatible: bool,
    /// Only of a verbose check.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub messages: Vec<String>,
}

/// `GET /config`: what is set for a subject, a context or all.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalize: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_fields: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_names: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validate_rules: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatibility_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatibility_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatibility_group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub override_metadata: Option<Metadata>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_rule_set: Option<RuleSet>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub override_rule_set: Option<RuleSet>,
}

/// `PUT /config`: a field that is not there stays as it is, one that is null is taken away. The answer has the same names.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ConfigUpdateRequest {
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given_scalar")]
    pub alias: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given_scalar")]
    pub normalize: Option<Option<bool>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given_scalar")]
    pub validate_fields: Option<Option<bool>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given_scalar")]
    pub validate_names: Option<Option<bool>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given_scalar")]
    pub validate_rules: Option<Option<bool>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given_scalar")]
    pub compatibility: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given_scalar")]
    pub compatibility_policy: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given_scalar")]
    pub compatibility_group: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub default_metadata: Option<Option<Metadata>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub override_metadata: Option<Option<Metadata>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub default_rule_set: Option<Option<RuleSet>>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "given")]
    pub override_rule_set: Option<Option<RuleSet>>,
}

impl From<Config> for ConfigUpdateRequest {
    fn from(config: Config) -> ConfigUpdateRequest {
        ConfigUpdateRequest {
            alias: config.alias.map(Some),
            normalize: config.normalize.map(Some),
            validate_fields: config.validate_fields.map(Some),
            validate_names: config.validate_names.map(Some),
            validate_rules: config.validate_rules.map(Some),
            compatibility: config.compatibility_level.map(Some),
            compatibility_policy: config.compatibility_policy.map(Some),
            compatibility_group: config.compatibility_group.map(Some),
            default_metadata: config.default_metadata.map(Some),
            override_metadata: config.override_metadata.map(Some),
            default_rule_set: config.default_rule_set.map(Some),
            override_rule_set: config.override_rule_set.map(Some),
        }
    }
}

/// What may be done with a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mode {
    #[default]
    #[serde(rename = "READWRITE")]
    ReadWrite,
    #[serde(rename = "READONLY")]
    ReadOnly,
    #[serde(rename = "READONLY_OVERRIDE")]
    ReadOnlyOverride,
    Import,
    Forward,
}

impl Mode {
    const ALL: [(Mode, &'static str); 5] = [
        (Mode::ReadWrite, "READWRITE"),
        (Mode::ReadOnly, "READONLY"),
        (Mode::ReadOnlyOverride, "READONLY_OVERRIDE"),
        (Mode::Import, "IMPORT"),
        (Mode::Forward, "FORWARD"),
    ];

    pub fn name(self) -> &'static str {
        Mode::ALL.iter().find(|(mode, _)| *mode == self).map_or("", |(_, name)| name)
    }
}

impl FromStr for Mode {
    type Err = Error;

    fn from_str(name: &str) -> Result<Mode, Error> {
        let found = Mode::ALL.into_iter().find(|(_, of)| of.eq_ignore_ascii_case(name));
        found.map(|(mode, _)| mode).ok_or_else(Error::invalid_mode)
    }
}

/// `GET /mode`, `PUT /mode` and its answer. A string, since what is no mode has an error of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ModeUpdateRequest {
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "scalar")]
    pub mode: Option<String>,
}

/// Which version of a subject: a number from 1 on, or the latest (`latest`, `-1`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VersionId {
    Number(i32),
    Latest,
}

impl FromStr for VersionId {
    type Err = Error;

    fn from_str(text: &str) -> Result<VersionId, Error> {
        let trimmed = text.trim();
        if trimmed.eq_ignore_ascii_case("latest") {
            return Ok(VersionId::Latest);
        }
        match trimmed.parse() {
            Ok(-1) => Ok(VersionId::Latest),
            Ok(number) if number > 0 => Ok(VersionId::Number(number)),
            Ok(number) => Err(Error::invalid_version(&number.to_string())),
            Err(_) => Err(Error::invalid_version(text)),
        }
    }
}

/// As the messages have it: the latest is -1.
impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VersionId::Number(number) => number.fmt(f),
            VersionId::Latest => f.write_str("-1"),
        }
    }
}

/// A part of a list. `limit`: anything below 1 means all that may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub offset: i32,
    pub limit: i32,
}

impl Page {
    /// This part of a list, of which `max` entries are given at most.
    pub fn of<T>(self, all: impl Iterator<Item = T>, max: usize) -> impl Iterator<Item = T> {
        let offset = usize::try_from(self.offset).unwrap_or(0);
        let limit = usize::try_from(self.limit).ok().filter(|limit| (1..=max).contains(limit)).unwrap_or(max);
        all.skip(offset).take(limit)
    }
}

impl Default for Page {
    fn default() -> Page {
        Page { offset: 0, limit: -1 }
    }
}

/// Whether what was soft deleted belongs to the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deleted {
    #[default]
    Hidden,
    Included,
    Only,
}

impl Deleted {
    /// From `deleted` and `deletedOnly`, of which the second wins.
    pub fn of(deleted: bool, deleted_only: bool) -> Deleted {
        match (deleted, deleted_only) {
            (_, true) => Deleted::Only,
            (true, false) => Deleted::Included,
            (false, false) => Deleted::Hidden,
        }
    }

    /// Whether something that `is_deleted` or not belongs to the answer.
    pub fn includes(self, is_deleted: bool) -> bool {
        match self {
            Deleted::Hidden => !is_deleted,
            Deleted::Included => true,
            Deleted::Only => is_deleted,
        }
    }
}

/// How a schema is to be given: its text (`format`), and the entities that have one of some tags (`findTags`; `*` is any).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Format {
    pub format: Option<String>,
    pub find_tags: Vec<String>,
}

impl Format {
    /// The form of the text, if there is to be another than the one that is kept.
    pub fn of_text(&self) -> Option<&str> {
        self.format.as_deref().filter(|format| !format.trim().is_empty())
    }

    /// Whether the schema must be read for it.
    pub fn needs_reading(&self) -> bool {
        self.of_text().is_some() || !self.find_tags.is_empty()
    }
}

/// `GET /schemas`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemasQuery {
    /// `:*:` looks in all contexts.
    pub subject_prefix: String,
    pub aliases: bool,
    pub deleted: bool,
    pub latest_only: bool,
    /// Only schemas with a rule of one of these types.
    pub rule_types: Vec<String>,
    pub page: Page,
}

impl Default for SchemasQuery {
    fn default() -> SchemasQuery {
        SchemasQuery {
            subject_prefix: ":*:".to_owned(),
            aliases: false,
            deleted: false,
            latest_only: false,
            rule_types: Vec::new(),
            page: Page::default(),
        }
    }
}

fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Tells null, which is given, from what is not there.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(from).map(Some)
}
