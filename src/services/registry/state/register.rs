//! A registration: what is taken over from the version before, whether it may follow, which version and id it gets.

use std::sync::Arc;

use ottla_schema::ParsedSchema;
use ottla_schema::compatibility::Mode as Level;

use super::draft::{Draft, References};
use super::lookup::{CONFLUENT_VERSION, Match, told};
use super::tags::TagChanges;
use super::{Content, Found, Outcome, State, validate_rules};
use crate::services::registry::error::Error;
use crate::services::registry::model::{
    Config, Metadata, Mode, RegisterSchemaRequest, Rule, RuleSet, Schema, VersionId,
};
use crate::services::registry::parser::Parser;
use crate::services::registry::records::Record;
use crate::services::registry::subject::{self, Qualified};

impl State {
    /// `POST /subjects/{subject}/versions`. A schema that is there already is answered without records.
    pub fn register(
        &self,
        subject: &str,
        request: RegisterSchemaRequest,
        normalize: bool,
        default_level: Level,
        parser: &Parser,
    ) -> Result<Outcome<Schema>, Error> {
        validate_rules(request.rule_set.as_ref())?;
        if !subject::is_valid(subject) {
            return Err(Error::invalid_subject(subject));
        }
        let config = self.config_in_scope(Some(subject), default_level);
        let normalize = normalize || config.normalize == Some(true);
        let tags = TagChanges::of(&request);
        let version = request.version;
        let mut draft = Draft::new(subject, request);
        if tags.has_own() {
            self.change_tags(&mut draft, &tags.add, &tags.remove, parser)?;
            // So that the metadata tell the version.
            draft.version = version.unwrap_or(-1);
        }
        if !tags.has_own()
            && !tags.are_propagated
            && !has_defaults_or_overrides(&config)
            && let Some(matched) = self.registered(&draft, normalize, parser)?
        {
            let answer = match matched {
                Match::Same(found) => told(answer_of(&found)),
                Match::Like(found) => answer_of(&found),
            };
            return Ok(Outcome { answer, records: Vec::new() });
        }
        self.check_register_mode(&draft)?;
        Registration { state: self, config, normalize, are_tags_propagated: tags.are_propagated, parser }
            .run(draft)
    }

    /// The version that the draft would be, if it is one.
    fn registered(&self, draft: &Draft, normalize: bool, parser: &Parser) -> Result<Option<Match>, Error> {
        let matched = match draft.version {
            -1 => {
                let mut read = draft.clone();
                let parsed = self.canonicalize(&mut read, normalize, References::ToAll, parser)?;
                let latest = self.latest(&draft.subject).filter(|latest| {
                    parsed.is_some_and(|parsed| self.is_found_by(&read, &parsed, latest, parser))
                });
                latest.map(Match::Like)
            }
            _ => self.look_up_draft(draft.clone(), normalize, false, parser)?,
        };
        let Some(matched) = matched else { return Ok(None) };
        let (Match::Same(found) | Match::Like(found)) = &matched;
        let has_the_id = draft.id == Some(found.version.id);
        Ok(match draft.version {
            0 | -1 => Some(matched).filter(|_| draft.id.is_none() || has_the_id),
            number if has_the_id && number == found.number => Some(matched),
            // Imported twice, it may have an older version.
            number if has_the_id => {
                let older = self.numbered(&draft.subject, VersionId::Number(number), false);
                let older = older.filter(|older| {
                    older.version.id == found.version.id
                        && older.version.content.guid == found.version.content.guid
                });
                older.map(Match::Like)
            }
            _ => None,
        })
    }

    pub(super) fn check_register_mode(&self, draft: &Draft) -> Result<(), Error> {
        self.check_writable(Some(&draft.subject))?;
        let (subject, context) = (&draft.subject, subject::context_prefix(&draft.subject));
        let mode = self.mode_in_scope(Some(subject));
        match draft.id {
            Some(_) if !self.is_importing(subject) => Err(Error::not_permitted(format!(
                "Subject {subject} in context {context} is not in import mode"
            ))),
            None if mode != Mode::ReadWrite => Err(Error::not_permitted(format!(
                "Subject {subject} in context {context} is not in read-write mode"
            ))),
            _ => Ok(()),
        }
    }

    /// Metadata and rules: those of the draft or else of the version before, between the configured defaults and overrides.
    pub(super) fn populate_contract(
        &self,
        draft: &mut Draft,
        previous: Option<&Content>,
        new_version: Option<i32>,
    ) {
        let config = self.config_in_scope(Some(&draft.subject), Level::default());
        let own = draft.metadata.clone().or_else(|| previous?.metadata.clone());
        let mut metadata = merge(merge(config.default_metadata, own), config.override_metadata);
        let own = draft.rule_set.clone().or_else(|| previous?.rule_set.clone());
        let rule_set = merge(merge(config.default_rule_set, own), config.override_rule_set);
        let has_version =
            metadata.as_ref().is_some_and(|metadata| metadata.properties.contains_key(CONFLUENT_VERSION));
        if let Some(version) = new_version
            && (draft.version != 0 || has_version)
        {
            let properties = &mut metadata.get_or_insert_default().properties;
            properties.insert(CONFLUENT_VERSION.to_owned(), version.to_string());
        }
        if metadata.is_some() || rule_set.is_some() {
            (draft.metadata, draft.rule_set) = (metadata, rule_set);
        }
    }
}

/// A registration that is under way.
pub(super) struct Registration<'a> {
    pub state: &'a State,
    pub config: Config,
    pub normalize: bool,
    pub are_tags_propagated: bool,
    pub parser: &'a Parser,
}

impl Registration<'_> {
    pub fn run(self, mut draft: Draft) -> Result<Outcome<Schema>, Error> {
        let newest = self.state.versions_of(&draft.subject).next_back().map_or(0, |(number, _)| number);
        let new_version = newest.checked_add(1).ok_or_else(|| Error::store("There are no more versions"))?;
        let is_importing = self.state.is_importing(&draft.subject);
        if !is_importing {
            self.populate(&mut draft, new_version)?;
        }
        // With an id it is a copy of what was registered elsewhere.
        let references = if draft.id.is_none() { References::ToUndeleted } else { References::ToAll };
        let parsed = self.state.canonicalize(&mut draft, self.normalize, references, self.parser)?;
        let parsed = parsed.ok_or_else(|| Error::invalid_schema("Empty schema"))?;
        if self.normalize {
            parsed.check_defaults().map_err(|error| draft.invalid(&error.0))?;
        }
        let known = match self.same_elsewhere(&draft) {
            Same::Here(found) => {
                return Ok(Outcome { answer: told(answer_of(&found)), records: Vec::new() });
            }
            Same::Elsewhere(id) => Some(id),
            Same::Nowhere => draft.id,
        };
        if let Some(found) = self.found_by(&draft, &parsed, known) {
            return Ok(Outcome { answer: told(answer_of(&found)), records: Vec::new() });
        }
        if !is_importing {
            let earlier = self.state.undeleted(&draft.subject);
            let lines = self.state.incompatibilities(&draft, &parsed, earlier, &self.config, self.parser)?;
            if !lines.is_empty() {
                return Err(Error::incompatible(&draft.subject, &lines));
            }
        }
        if draft.version <= 0 {
            draft.version = new_version;
        } else if draft.version != new_version && !is_importing {
            return Err(Error::invalid_schema("Version is not one more than previous version"));
        }
        self.decide(draft, known)
    }

    fn populate(&self, draft: &mut Draft, new_version: i32) -> Result<(), Error> {
        let latest = self.state.latest(&draft.subject);
        let previous = latest.as_ref().map(|found| Arc::clone(&found.version.content));
        if draft.is_blank() {
            let previous = previous.as_deref().ok_or_else(|| Error::invalid_schema("Empty schema"))?;
            draft.schema = previous.schema.to_string();
            draft.schema_type = previous.schema_type.to_string();
            draft.references.clone_from(&previous.references);
        }
        if let Some(latest) = latest.filter(|_| self.are_tags_propagated) {
            let tags =
                self.state.parse(&latest.subject, &latest.version.content, self.parser)?.tagged_entities();
            if !tags.is_empty() {
                self.state.change_tags(draft, &tags, &[], self.parser)?;
            }
        }
        self.state.populate_contract(draft, previous.as_deref(), Some(new_version));
        Ok(())
    }

    /// Where the context has the very same schema.
    fn same_elsewhere(&self, draft: &Draft) -> Same {
        let Some((id, number)) = self.state.same_in_context(draft) else { return Same::Nowhere };
        if draft.id.is_some_and(|given| given != id) {
            return Same::Nowhere;
        }
        let here = number.and_then(|number| self.state.found(&draft.subject, number));
        match here.filter(|found| draft.version == 0 && !found.version.deleted) {
            Some(found) => Same::Here(found),
            None => Same::Elsewhere(id),
        }
    }

    /// A version that the draft stands for without being the same.
    fn found_by(&self, draft: &Draft, parsed: &ParsedSchema, id: Option<i32>) -> Option<Found> {
        if draft.version != 0 {
            return None;
        }
        self.state.found_by(draft, parsed, self.parser, |version| {
            !version.deleted && id.is_none_or(|id| id == version.id)
        })
    }

    /// The records of a new version. An earlier one with the same id that is deleted is not needed any more, unless another
    /// schema refers to it.
    fn decide(&self, draft: Draft, known: Option<i32>) -> Result<Outcome<Schema>, Error> {
        let context = Qualified::parse(&draft.subject).context.to_owned();
        let of_context = self.state.contexts.get(&context);
        let id = match known {
            Some(id) => self.check_id(&draft, id)?,
            None => of_context.map_or(0, |context| context.max_id).checked_add(1).ok_or_else(|| {
                Error::store(
                    "Error while registering the schema due to generating an ID that is already in use.",
                )
            })?,
        };
        let mut records = Vec::new();
        let is_recorded = of_context.is_some_and(|context| context.is_recorded);
        if !Qualified::parse(&draft.subject).is_default() && !is_recorded {
            records.push(Record::Context { context, is_set: true });
        }
        let has_had_it = of_context.and_then(|context| context.by_id.get(&id)?.version_of(&draft.subject));
        let versions = has_had_it.map(|_| self.state.versions_of(&draft.subject));
        let replaced = versions.into_iter().flatten().filter(|(number, version)| {
            version.deleted
                && version.id == id
                && *number < draft.version
                && self.state.referrers(&draft.subject, *number).is_empty()
        });
        records.extend(replaced.map(|(number, _)| Record::Schema {
            subject: draft.subject.clone(),
            version: number,
            value: None,
        }));
        let answer = Schema { subject: None, ..entity_of(&draft, id) };
        records.push(Record::version(draft.into_value(id)));
        Ok(Outcome { answer, records })
    }

    /// An id that is taken may be given to the same schema only.
    fn check_id(&self, draft: &Draft, id: i32) -> Result<i32, Error> {
        match self.state.holder_of(&draft.subject, id) {
            Some(content) if !draft.says_the_same_as(&content) => Err(Error::not_permitted(format!(
                "Overwrite new schema with id {id} in context {} is not permitted.",
                subject::context_prefix(&draft.subject)
            ))),
            _ => Ok(id),
        }
    }
}

enum Same {
    /// As a version of the subject that is not deleted.
    Here(Found),
    /// With this id.
    Elsewhere(i32),
    Nowhere,
}

fn has_defaults_or_overrides(config: &Config) -> bool {
    config.default_metadata.is_some()
        || config.override_metadata.is_some()
        || config.default_rule_set.is_some()
        || config.override_rule_set.is_some()
}

/// What is answered for a version that is there.
fn answer_of(found: &Found) -> Schema {
    Schema { subject: None, ..found.entity() }
}

fn entity_of(draft: &Draft, id: i32) -> Schema {
    let draft = draft.clone();
    Schema {
        version: Some(draft.version),
        id: Some(id),
        guid: Some(draft.guid().to_string()),
        schema_type: Some(draft.schema_type),
        references: draft.references,
        metadata: draft.metadata,
        rule_set: draft.rule_set,
        schema: Some(draft.schema),
        ..Schema::default()
    }
}

/// Two of which the second counts where both say something.
pub(super) trait Merge {
    fn merge(self, newer: Self) -> Self;
}

impl Merge for Metadata {
    fn merge(mut self, newer: Metadata) -> Metadata {
        self.tags.extend(newer.tags);
        self.properties.extend(newer.properties);
        self.sensitive.extend(newer.sensitive);
        self
    }
}

impl Merge for RuleSet {
    fn merge(self, newer: RuleSet) -> RuleSet {
        RuleSet {
            migration_rules: merge_rules(self.migration_rules, newer.migration_rules),
            domain_rules: merge_rules(self.domain_rules, newer.domain_rules),
            encoding_rules: merge_rules(self.encoding_rules, newer.encoding_rules),
        }
    }
}

/// A rule gives way to a newer one of its name.
fn merge_rules(older: Vec<Rule>, newer: Vec<Rule>) -> Vec<Rule> {
    let names: std::collections::HashSet<_> = newer.iter().map(|rule| rule.name.clone()).collect();
    let kept = older.into_iter().filter(|rule| !names.contains(&rule.name));
    kept.chain(newer).collect()
}

pub(super) fn merge<T: Merge>(older: Option<T>, newer: Option<T>) -> Option<T> {
    match (older, newer) {
        (Some(older), Some(newer)) => Some(older.merge(newer)),
        (older, newer) => newer.or(older),
    }
}
