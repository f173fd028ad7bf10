//! Tags in schemas, changed with a registration or by one of their own.

use ottla_schema::compatibility::Mode as Level;
use ottla_schema::tags::Tagged;

use super::draft::{Draft, References};
use super::lookup::CONFLUENT_VERSION;
use super::register::{Registration, merge};
use super::{Outcome, State, validate_rules};
use crate::services::registry::error::Error;
use crate::services::registry::model::{
    RegisterSchemaRequest, Rule, RuleSet, Schema, SchemaTags, TagSchemaRequest, VersionId,
};
use crate::services::registry::parser::Parser;
use crate::services::registry::subject;

/// What a request wants of the tags in its schema.
pub struct TagChanges {
    pub add: Vec<Tagged>,
    pub remove: Vec<Tagged>,
    pub are_propagated: bool,
}

impl TagChanges {
    pub fn of(request: &RegisterSchemaRequest) -> TagChanges {
        TagChanges {
            add: entities(&request.schema_tags_to_add),
            remove: entities(&request.schema_tags_to_remove),
            are_propagated: request.propagate_schema_tags == Some(true),
        }
    }

    pub fn has_own(&self) -> bool {
        !self.add.is_empty() || !self.remove.is_empty()
    }
}

impl State {
    /// `POST /subjects/{subject}/versions/{version}/tags`: a version with other tags, as a new one.
    pub fn modify_tags(
        &self,
        subject: &str,
        version: VersionId,
        request: TagSchemaRequest,
        default_level: Level,
        parser: &Parser,
    ) -> Result<Outcome<Schema>, Error> {
        if !subject::is_valid(subject) {
            return Err(Error::invalid_subject(subject));
        }
        let found = self.version_in_contexts(subject, version, false)?;
        let rule_set = self.rule_set_of(subject, &request)?;
        let new_version = request.new_version.unwrap_or(0);
        let mut draft = Draft { subject: subject.to_owned(), id: None, ..Draft::of(&found) };
        self.change_tags(
            &mut draft,
            &entities(&request.tags_to_add),
            &entities(&request.tags_to_remove),
            parser,
        )?;
        draft.version = new_version;
        let mut metadata = request.metadata.or(draft.metadata).unwrap_or_default();
        metadata.properties.insert(CONFLUENT_VERSION.to_owned(), new_version.to_string());
        (draft.metadata, draft.rule_set) = (Some(metadata), rule_set);
        self.check_register_mode(&draft)?;
        let config = self.config_in_scope(Some(subject), default_level);
        Registration { state: self, config, normalize: false, are_tags_propagated: false, parser }.run(draft)
    }

    /// The rules that come with the tags: given as they are, or as changes to those of the version before.
    fn rule_set_of(&self, subject: &str, request: &TagSchemaRequest) -> Result<Option<RuleSet>, Error> {
        let is_change = request.rules_to_merge.is_some() || request.rules_to_remove.is_some();
        if is_change && request.rule_set.is_some() {
            return Err(Error::invalid_rule_set(
                "ruleSet should be omitted if specifying rulesToMerge or rulesToRemove",
            ));
        }
        validate_rules(request.rules_to_merge.as_ref())?;
        validate_rules(request.rule_set.as_ref())?;
        if !is_change {
            return Ok(request.rule_set.clone());
        }
        let before = match request.new_version {
            Some(new) if new > 1 => VersionId::Number(new - 1),
            _ => VersionId::Latest,
        };
        let before = self.numbered(subject, before, false);
        let rules = before.and_then(|found| found.version.content.rule_set.clone());
        let mut rules = merge(rules, request.rules_to_merge.clone());
        if let (Some(rules), Some(removed)) = (&mut rules, &request.rules_to_remove) {
            let removed: std::collections::HashSet<&str> = removed.iter().map(String::as_str).collect();
            let stays = |rule: &Rule| !rule.name.as_deref().is_some_and(|name| removed.contains(name));
            for list in [&mut rules.migration_rules, &mut rules.domain_rules, &mut rules.encoding_rules] {
                list.retain(stays);
            }
        }
        Ok(rules)
    }

    /// Writes the draft's text with other tags.
    pub(super) fn change_tags(
        &self,
        draft: &mut Draft,
        add: &[Tagged],
        remove: &[Tagged],
        parser: &Parser,
    ) -> Result<(), Error> {
        let parsed = self.canonicalize(draft, false, References::ToAll, parser)?;
        let parsed = parsed.ok_or_else(|| Error::invalid_schema("Empty schema"))?;
        // The name of Java's exception belongs to Confluent's sentence.
        draft.schema = parsed
            .with_tags(add, remove)
            .map_err(|error| Error::invalid_schema(format!("java.lang.IllegalArgumentException: {error}")))?;
        Ok(())
    }
}

fn entities(tags: &Option<Vec<SchemaTags>>) -> Vec<Tagged> {
    tags.iter().flatten().cloned().map(Tagged::from).collect()
}
