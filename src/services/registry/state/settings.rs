//! Configurations and modes: of a subject, of its context, of all.

use ottla_schema::compatibility::Mode as Level;

use super::{Outcome, State, validate_rules};
use crate::services::registry::error::Error;
use crate::services::registry::model::{Config, ConfigUpdateRequest, Mode};
use crate::services::registry::records::Record;
use crate::services::registry::subject::{self, GLOBAL, Qualified};

impl State {
    /// `GET /config/{subject}`: what is set for just this; for all, what holds there.
    pub fn config(
        &self,
        subject: Option<&str>,
        default_to_global: bool,
        default_level: Level,
    ) -> Result<Config, Error> {
        if default_to_global || is_default_context(subject) {
            return Ok(self.config_in_scope(subject, default_level));
        }
        let own = self.configs.get(&key(subject)).cloned();
        own.ok_or_else(|| Error::no_config_of(subject.unwrap_or_default()))
    }

    /// What holds for a subject: its own settings, or its context's, or those of all.
    pub fn config_in_scope(&self, subject: Option<&str>, default_level: Level) -> Config {
        let mut set = scopes(subject).into_iter().filter_map(|scope| self.configs.get(&scope));
        let mut config = set.next().cloned().unwrap_or_default();
        if config.compatibility_level.is_none() {
            let level = set.find_map(|outer| outer.compatibility_level.clone());
            config.compatibility_level = Some(level.unwrap_or_else(|| default_level.name().to_owned()));
        }
        config
    }

    /// Whether the names of fields are looked at, and those that are reserved.
    pub(super) fn validates_fields(&self, subject: &str) -> bool {
        let mut set = scopes(Some(subject)).into_iter().filter_map(|scope| self.configs.get(&scope));
        set.next().is_some_and(|config| config.validate_fields == Some(true))
    }

    /// The subject that a name means: written in the one way, an alias followed once. Whoever has followed it asks for no more.
    pub fn subject(&self, subject: &str) -> String {
        let subject = subject::normalize(subject);
        let config = self.configs.get(&Some(subject.clone()));
        match config.and_then(|config| config.alias.as_deref()).filter(|alias| !alias.is_empty()) {
            Some(alias) => subject::within(&subject, alias),
            None => subject,
        }
    }

    pub fn update_config(
        &self,
        subject: Option<&str>,
        request: ConfigUpdateRequest,
    ) -> Result<Outcome<Config>, Error> {
        let level = match &request.compatibility {
            Some(Some(name)) => {
                Some(name.parse::<Level>().map_err(|_| Error::invalid_compatibility_level())?)
            }
            _ => None,
        };
        check_subject(subject)?;
        validate_rules(request.default_rule_set.iter().flatten().next())?;
        validate_rules(request.override_rule_set.iter().flatten().next())?;
        self.check_writable(subject)?;
        let mut config = self.configs.get(&key(subject)).cloned().unwrap_or_default();
        // The level is kept by its name, however it was written.
        let name = request.compatibility.map(|_| level.map(|level| level.name().to_owned()));
        update(&mut config.compatibility_level, name);
        update(&mut config.alias, request.alias);
        update(&mut config.normalize, request.normalize);
        update(&mut config.validate_fields, request.validate_fields);
        update(&mut config.validate_names, request.validate_names);
        update(&mut config.validate_rules, request.validate_rules);
        update(&mut config.compatibility_policy, request.compatibility_policy);
        update(&mut config.compatibility_group, request.compatibility_group);
        update(&mut config.default_metadata, request.default_metadata);
        update(&mut config.override_metadata, request.override_metadata);
        update(&mut config.default_rule_set, request.default_rule_set);
        update(&mut config.override_rule_set, request.override_rule_set);
        let value = Some(Box::new(config.clone()));
        Ok(Outcome { answer: config, records: vec![Record::Config { subject: key(subject), value }] })
    }

    pub fn delete_config(
        &self,
        subject: Option<&str>,
        default_level: Level,
    ) -> Result<Outcome<Config>, Error> {
        let own = self.configs.get(&key(subject)).cloned();
        let answer = match (own, is_default_context(subject)) {
            (Some(config), _) => config,
            (None, true) => return Ok(nothing(self.config_in_scope(None, default_level))),
            (None, false) => return Err(Error::subject_not_found(subject.unwrap_or_default())),
        };
        self.check_writable(subject)?;
        Ok(Outcome { answer, records: vec![Record::Config { subject: key(subject), value: None }] })
    }

    /// `GET /mode/{subject}`.
    pub fn mode(&self, subject: Option<&str>, default_to_global: bool) -> Result<Mode, Error> {
        if default_to_global || is_default_context(subject) {
            return Ok(self.mode_in_scope(subject));
        }
        let own = self.read_only_override().or_else(|| self.modes.get(&key(subject)).copied());
        own.ok_or_else(|| Error::no_mode_of(subject.unwrap_or_default()))
    }

    pub fn mode_in_scope(&self, subject: Option<&str>) -> Mode {
        let set = || scopes(subject).into_iter().find_map(|scope| self.modes.get(&scope).copied());
        self.read_only_override().or_else(set).unwrap_or_default()
    }

    pub fn update_mode(
        &self,
        subject: Option<&str>,
        mode: Option<Mode>,
        force: bool,
    ) -> Result<Outcome<()>, Error> {
        check_subject(subject)?;
        let mut records = Vec::new();
        if mode == Some(Mode::Import) && self.mode_in_scope(subject) != Mode::Import && !force {
            records = self.make_room(subject)?;
        }
        records.push(Record::Mode { subject: key(subject), value: mode });
        Ok(Outcome { answer: (), records })
    }

    pub fn delete_mode(&self, subject: Option<&str>) -> Result<Outcome<Mode>, Error> {
        let own = self.modes.get(&key(subject)).copied();
        match (own, is_default_context(subject)) {
            (Some(answer), _) => {
                Ok(Outcome { answer, records: vec![Record::Mode { subject: key(subject), value: None }] })
            }
            (None, true) => Ok(nothing(self.mode_in_scope(subject))),
            (None, false) => Err(Error::subject_not_found(subject.unwrap_or_default())),
        }
    }

    pub(super) fn check_writable(&self, subject: Option<&str>) -> Result<(), Error> {
        match self.mode_in_scope(subject) {
            Mode::ReadOnly | Mode::ReadOnlyOverride => Err(Error::not_permitted(format!(
                "Subject {} in context {} is in read-only mode",
                subject.unwrap_or("null"),
                subject.map(subject::context_prefix).unwrap_or_default(),
            ))),
            Mode::ReadWrite | Mode::Import | Mode::Forward => Ok(()),
        }
    }

    /// Schemas with ids of their own come only where there are none: what is deleted is forgotten.
    fn make_room(&self, asked: Option<&str>) -> Result<Vec<Record>, Error> {
        if self.has_subjects(asked, false) {
            return Err(Error::not_permitted("Cannot import since found existing subjects"));
        }
        let mut records = Vec::new();
        for name in self.subjects.keys().filter(|name| subject::matches(asked, name)) {
            for (version, _) in self.versions_of(name) {
                self.check_unreferenced(name, version)?;
                records.push(Record::Schema { subject: name.to_string(), version, value: None });
            }
        }
        records.push(Record::ClearSubject { subject: key(asked), is_set: true });
        Ok(records)
    }

    /// Set for all, this mode is stronger than any that a subject has.
    fn read_only_override(&self) -> Option<Mode> {
        let mut global =
            [None, Some(GLOBAL.to_owned())].into_iter().filter_map(|scope| self.modes.get(&scope));
        global.find(|mode| **mode == Mode::ReadOnlyOverride).copied()
    }
}

/// Where the settings of a subject are looked for, one after the other. A context does not take those of the default one.
fn scopes(subject: Option<&str>) -> Vec<Option<String>> {
    let mut scopes = Vec::with_capacity(3);
    if let Some(subject) = subject {
        let context = subject::context_prefix(subject);
        if !Qualified::parse(subject).name.is_empty() {
            scopes.push(Some(subject.to_owned()));
        }
        scopes.push(Some(context).filter(|context| !context.is_empty()));
    } else {
        scopes.push(None);
    }
    scopes.push(Some(GLOBAL.to_owned()));
    scopes
}

fn is_default_context(subject: Option<&str>) -> bool {
    subject.is_none_or(str::is_empty)
}

fn key(subject: Option<&str>) -> Option<String> {
    subject.filter(|subject| !subject.is_empty()).map(str::to_owned)
}

fn check_subject(subject: Option<&str>) -> Result<(), Error> {
    match subject {
        Some(subject) if !subject::is_valid_for_settings(subject) => Err(Error::invalid_subject(subject)),
        _ => Ok(()),
    }
}

fn update<T>(value: &mut Option<T>, request: Option<Option<T>>) {
    if let Some(new) = request {
        *value = new;
    }
}

fn nothing<T>(answer: T) -> Outcome<T> {
    Outcome { answer, records: Vec::new() }
}
