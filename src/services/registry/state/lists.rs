//! Lists: subjects, schemas, contexts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{State, Versions};
use crate::services::registry::model::{Deleted, RuleSet, Schema, SchemasQuery};
use crate::services::registry::subject::{self, ALL_CONTEXTS, DEFAULT_CONTEXT, Qualified};

impl State {
    /// `GET /subjects`, in their order. One is deleted when all its versions are.
    pub fn subjects(&self, prefix: &str, deleted: Deleted) -> impl Iterator<Item = String> {
        let named = self.with_prefix(prefix).into_iter();
        let shown = named
            .filter(move |(_, versions)| deleted.includes(versions.values().all(|version| version.deleted)));
        shown.map(|(name, _)| name.to_string())
    }

    /// `GET /schemas`, by subject and version.
    pub fn schemas(&self, query: &SchemasQuery) -> impl Iterator<Item = Schema> {
        let aliases = match query.aliases {
            true => self.aliases(&query.subject_prefix),
            false => BTreeMap::new(),
        };
        let mut subjects = self.with_prefix(&query.subject_prefix);
        // Whom an alias of this prefix stands for belongs to it, too.
        subjects.extend(aliases.keys().filter_map(|aliased| self.subjects.get_key_value(aliased.as_str())));
        subjects.sort_by_key(|(name, _)| *name);
        subjects.dedup_by_key(|(name, _)| *name);
        let (include_deleted, latest_only) = (query.deleted, query.latest_only);
        let versions = subjects.into_iter().flat_map(move |(name, versions)| {
            let shown = versions.iter().filter(move |(_, version)| include_deleted || !version.deleted);
            let count = if latest_only { 1 } else { usize::MAX };
            let mut numbers: Vec<i32> = shown.rev().take(count).map(|(number, _)| *number).collect();
            numbers.reverse();
            numbers.into_iter().map(move |number| (name, number))
        });
        let has_rule = move |found: &super::Found| {
            query.rule_types.is_empty()
                || has_rule_of(found.version.content.rule_set.as_ref(), &query.rule_types)
        };
        let found = versions.filter_map(|(name, number)| self.found(name, number)).filter(has_rule);
        found.map(move |found| Schema {
            aliases: aliases.get(&*found.subject).cloned().unwrap_or_default(),
            ..found.entity()
        })
    }

    /// `GET /contexts`.
    pub fn contexts(&self) -> impl Iterator<Item = String> {
        std::iter::once(DEFAULT_CONTEXT).chain(self.named_contexts()).map(str::to_owned)
    }

    /// The subjects that begin like this, in the context that the prefix names, or in all.
    fn with_prefix(&self, prefix: &str) -> Vec<(&Arc<str>, &Versions)> {
        let is_within = |name: &str| match prefix.strip_prefix(ALL_CONTEXTS) {
            Some("") => true,
            Some(prefix) => Qualified::parse(name).name.starts_with(prefix),
            None => {
                let (asked, own) = (Qualified::parse(prefix), Qualified::parse(name));
                asked.context == own.context && own.name.starts_with(asked.name)
            }
        };
        self.subjects.iter().filter(|(name, _)| is_within(name)).collect()
    }

    /// The subjects that have aliases among those with this prefix, with them.
    fn aliases(&self, prefix: &str) -> BTreeMap<String, Vec<String>> {
        let prefix = prefix.strip_prefix(ALL_CONTEXTS).unwrap_or(prefix);
        let mut aliases: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, config) in &self.configs {
            if let (Some(name), Some(alias)) = (name, &config.alias)
                && (name.starts_with(prefix) || Qualified::parse(name).name.starts_with(prefix))
            {
                aliases.entry(subject::within(name, alias)).or_default().push(name.clone());
            }
        }
        aliases
    }
}

fn has_rule_of(rule_set: Option<&RuleSet>, types: &[String]) -> bool {
    let Some(RuleSet { migration_rules, domain_rules, encoding_rules }) = rule_set else { return false };
    let mut rules = migration_rules.iter().chain(domain_rules).chain(encoding_rules);
    rules.any(|rule| rule.rule_type.as_ref().is_some_and(|of| types.contains(of)))
}
