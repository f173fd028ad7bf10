//! Whether a schema may follow the versions before it, and whether its rules are rules.

use std::collections::BTreeSet;

use ottla_schema::ParsedSchema;
use ottla_schema::compatibility::{self, Earlier, Mode as Level};

use super::draft::{Draft, References};
use super::{Found, State};
use crate::services::registry::error::Error;
use crate::services::registry::model::{
    CompatibilityCheckResponse, Config, Metadata, RegisterSchemaRequest, Rule, RuleMode, RuleSet, VersionId,
};
use crate::services::registry::parser::Parser;

/// The property that lists names, with commas between them, which no field may have.
const CONFLUENT_RESERVED: &str = "confluent:reserved";

impl State {
    /// `POST /compatibility/...`: against one version, or against those that the level asks for.
    pub fn compatibility(
        &self,
        subject: &str,
        version: Option<VersionId>,
        request: RegisterSchemaRequest,
        normalize: bool,
        default_level: Level,
        parser: &Parser,
    ) -> Result<CompatibilityCheckResponse, Error> {
        let one = match version {
            None => None,
            Some(VersionId::Latest) => self.latest(subject),
            Some(VersionId::Number(number)) => {
                let found = self.numbered(subject, VersionId::Number(number), false);
                Some(found.ok_or_else(|| Error::version_not_found(number))?)
            }
        };
        let config = self.config_in_scope(Some(subject), default_level);
        let mut draft = Draft::new(subject, request);
        let normalize = normalize || config.normalize == Some(true);
        let parsed = self.canonicalize(&mut draft, normalize, References::ToUndeleted, parser)?;
        let parsed = parsed.ok_or_else(|| Error::invalid_schema("Empty schema"))?;
        let messages = match version {
            None => self.incompatibilities(&draft, &parsed, self.undeleted(subject), &config, parser)?,
            Some(_) => self.incompatibilities(&draft, &parsed, one.into_iter(), &config, parser)?,
        };
        Ok(CompatibilityCheckResponse { is_compatible: messages.is_empty(), messages })
    }

    /// The versions of a subject that are not deleted, newest first.
    pub(super) fn undeleted(&self, subject: &str) -> impl Iterator<Item = Found> {
        let numbers = self.versions_of(subject).rev().filter(|(_, version)| !version.deleted);
        numbers.filter_map(|(number, _)| self.found(subject, number))
    }

    /// Why the draft may not follow these versions, which come newest first: Confluent's lines; none when it may.
    pub(super) fn incompatibilities(
        &self,
        draft: &Draft,
        parsed: &ParsedSchema,
        earlier: impl Iterator<Item = Found>,
        config: &Config,
        parser: &Parser,
    ) -> Result<Vec<String>, Error> {
        let level: Level =
            config.compatibility_level.as_deref().unwrap_or_default().parse().unwrap_or_default();
        let policy = config.compatibility_policy.as_deref().unwrap_or_default().parse().unwrap_or_default();
        let group = config.compatibility_group.as_deref();
        let group_of =
            |metadata: Option<&Metadata>| group.and_then(|group| metadata?.properties.get(group).cloned());
        let own_group = group_of(draft.metadata.as_ref());
        let mut earlier = earlier.peekable();
        let validate_fields = config.validate_fields == Some(true);
        let mut lines = match validate_fields {
            true => reserved_lines(draft, parsed, earlier.peek()),
            false => Vec::new(),
        };
        let held = earlier.filter(|found| group_of(found.version.content.metadata.as_ref()) == own_group);
        let held = held.map(|found| {
            let schema = self.parse(&found.subject, &found.version.content, parser)?;
            Ok(Earlier { version: found.number, schema })
        });
        lines.extend(compatibility::check(parsed, held, level, policy)?);
        if !lines.is_empty() {
            lines.push(format!("{{validateFields: '{validate_fields}', compatibility: '{level}'}}"));
        }
        Ok(lines)
    }
}

/// What is wrong with the fields that the metadata reserve: they stay reserved, and no field is called so.
fn reserved_lines(draft: &Draft, parsed: &ParsedSchema, latest: Option<&Found>) -> Vec<String> {
    let reserved = reserved_fields(draft.metadata.as_ref());
    let before = latest.map(|found| reserved_fields(found.version.content.metadata.as_ref()));
    let before = before.unwrap_or_default();
    let removed = before.difference(&reserved).map(|field| {
        format!(
            "The new schema has reserved field {field} removed from its metadata which is present in the old schema's metadata."
        )
    });
    let mut lines: Vec<String> = removed.collect();
    if !reserved.is_empty() {
        let fields = parsed.top_level_fields();
        let taken = reserved.iter().filter(|field| fields.contains(**field));
        lines.extend(taken.map(|field| {
            format!("The new schema has field that conflicts with the reserved field {field}.")
        }));
    }
    lines
}

fn reserved_fields(metadata: Option<&Metadata>) -> BTreeSet<&str> {
    let list = metadata.and_then(|metadata| metadata.properties.get(CONFLUENT_RESERVED));
    let names = list.into_iter().flat_map(|list| list.split(',')).map(str::trim);
    names.filter(|name| !name.is_empty()).collect()
}

/// The rules of a request, if they are rules.
pub fn validate_rules(rule_set: Option<&RuleSet>) -> Result<(), Error> {
    let Some(RuleSet { migration_rules, domain_rules, encoding_rules }) = rule_set else { return Ok(()) };
    let is_migration = |mode| matches!(mode, RuleMode::Upgrade | RuleMode::Downgrade | RuleMode::Updown);
    validate(migration_rules, is_migration, "Migration rules can only be UPGRADE, DOWNGRADE, UPDOWN")?;
    let is_domain = |mode| !is_migration(mode);
    validate(domain_rules, is_domain, "Domain rules can only be WRITE, READ, WRITEREAD")?;
    validate(encoding_rules, is_domain, "Encoding rules can only be WRITE, READ, WRITEREAD")
}

fn validate(rules: &[Rule], fits: impl Fn(RuleMode) -> bool, which: &str) -> Result<(), Error> {
    let mut names = std::collections::HashSet::new();
    for rule in rules {
        let name = rule.name.as_deref();
        if let Some(name) = name
            && !names.insert(name)
        {
            return Err(Error::invalid_rule_set(format!("Found rule with duplicate name '{name}'")));
        }
        validate_name(name)?;
        if rule.rule_type.is_none() {
            return Err(Error::invalid_rule_set("Missing rule type"));
        }
        if !fits(rule.mode) {
            return Err(Error::invalid_rule_set(which));
        }
    }
    Ok(())
}

fn validate_name(name: Option<&str>) -> Result<(), Error> {
    let name = name.ok_or_else(|| Error::invalid_rule_set("Missing rule name"))?;
    let mut chars = name.chars();
    let first = chars.next().ok_or_else(|| Error::invalid_rule_set("Empty rule name"))?;
    if !(first.is_alphabetic() || first == '_') {
        return Err(Error::invalid_rule_set(format!("Illegal initial character in rule name: {name}")));
    }
    if !chars.all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
        return Err(Error::invalid_rule_set(format!("Illegal character in rule name: {name}")));
    }
    Ok(())
}
