//! Is this schema there? By what it says, by its id, by its guid.

use std::collections::HashSet;
use std::sync::Arc;

use ottla_protocol::batch::SchemaId;
use ottla_schema::ParsedSchema;

use super::draft::{Draft, References};
use super::{Found, Holder, State, Version};
use crate::services::registry::error::Error;
use crate::services::registry::guid::Guid;
use crate::services::registry::model::{
    ContextId, Deleted, Format, Metadata, Mode, RegisterSchemaRequest, Schema, SchemaTags, SubjectVersion,
    VersionId,
};
use crate::services::registry::parser::Parser;
use crate::services::registry::subject::{self, DEFAULT_CONTEXT, Qualified};

/// A version that was asked for by what it says.
pub(super) enum Match {
    /// It says just the same.
    Same(Found),
    Like(Found),
}

/// The property that keeps a version apart from one that says the same.
pub(super) const CONFLUENT_VERSION: &str = "confluent:version";

impl State {
    /// `POST /subjects/{subject}`.
    pub fn lookup(
        &self,
        subject: &str,
        request: RegisterSchemaRequest,
        normalize: bool,
        deleted: bool,
        format: &Format,
        parser: &Parser,
    ) -> Result<Schema, Error> {
        let matched = match self.look_up(subject, &request, normalize, deleted, parser)? {
            Some(matched) => Some(matched),
            None if !Qualified::parse(subject).is_default() => None,
            None => self.named_contexts().find_map(|context| {
                let qualified = subject::qualify(context, Qualified::parse(subject).name);
                // There may be very many contexts: the schema is read only where there is such a subject.
                if !self.subjects.contains_key(qualified.as_str()) {
                    return None;
                }
                // A schema that cannot be read in another context is not there.
                self.look_up(&qualified, &request, normalize, deleted, parser).ok().flatten()
            }),
        };
        match matched {
            Some(Match::Same(found)) => Ok(told(self.formatted(&found, format, parser)?)),
            Some(Match::Like(found)) => self.formatted(&found, format, parser),
            None if !self.has_subjects(Some(subject), deleted) => Err(Error::subject_not_found(subject)),
            None => Err(Error::schema_not_found()),
        }
    }

    fn look_up(
        &self,
        subject: &str,
        request: &RegisterSchemaRequest,
        normalize: bool,
        deleted: bool,
        parser: &Parser,
    ) -> Result<Option<Match>, Error> {
        let draft = Draft::new(subject, request.clone());
        if let Some(matched) = self.look_up_draft(draft.clone(), normalize, deleted, parser)? {
            return Ok(Some(matched));
        }
        // As a registration takes metadata and rules over from the version before, so does this.
        let Some(latest) = self.latest(subject) else { return Ok(None) };
        let mut next = draft.clone();
        self.populate_contract(&mut next, Some(&latest.version.content), None);
        match next == draft {
            true => Ok(None),
            false => self.look_up_draft(next, normalize, deleted, parser),
        }
    }

    /// The version of the draft's subject that says the same, or that it stands for.
    pub(super) fn look_up_draft(
        &self,
        mut draft: Draft,
        normalize: bool,
        deleted: bool,
        parser: &Parser,
    ) -> Result<Option<Match>, Error> {
        let Some(parsed) = self.canonicalize(&mut draft, normalize, References::ToAll, parser)? else {
            return Ok(None);
        };
        if let Some((_, Some(number))) = self.same_in_context(&draft)
            && let Some(found) = self.found(&draft.subject, number)
            && (deleted || !found.version.deleted)
        {
            return Ok(Some(Match::Same(found)));
        }
        let found = self.found_by(&draft, &parsed, parser, |version| deleted || !version.deleted);
        Ok(found.map(Match::Like))
    }

    /// The newest version that the draft stands for although it does not say the same, of those that count.
    pub(super) fn found_by(
        &self,
        draft: &Draft,
        parsed: &ParsedSchema,
        parser: &Parser,
        counts: impl Fn(&Version) -> bool,
    ) -> Option<Found> {
        let is_it = |found: &Found| counts(&found.version) && self.is_found_by(draft, parsed, found, parser);
        let special = self.special.get(draft.subject.as_str()).into_iter().flatten();
        let newest = special.rev().filter_map(|number| self.found(&draft.subject, *number)).find(is_it);
        let asked = confluent_version(draft.metadata.as_ref());
        let asked = asked.and_then(|number| self.found(&draft.subject, number)).filter(is_it);
        newest.into_iter().chain(asked).max_by_key(|found| found.number)
    }

    /// The id that the draft has in its context, and the version of its subject that has it.
    pub(super) fn same_in_context(&self, draft: &Draft) -> Option<(i32, Option<i32>)> {
        let context = self.context_of(&draft.subject)?;
        let id = *context.by_guid.get(&draft.guid())?;
        Some((id, context.by_id.get(&id)?.version_of(&draft.subject)))
    }

    /// Whether the draft stands for a version although it does not say the same: it has its references resolved, or one of the
    /// two lacks the version that is in the metadata.
    pub(super) fn is_found_by(
        &self,
        draft: &Draft,
        parsed: &ParsedSchema,
        found: &Found,
        parser: &Parser,
    ) -> bool {
        let kept = &*found.version.content;
        let is_same_text = draft.references == kept.references && *draft.schema == *kept.schema;
        let may_be_resolved = draft.references.is_empty() && !kept.references.is_empty();
        if !(is_same_text || may_be_resolved)
            || draft.schema_type != kept.schema_type
            || draft.rule_set != kept.rule_set
            || !is_same_metadata(draft.metadata.as_ref(), kept.metadata.as_ref(), found.number)
        {
            return false;
        }
        if is_same_text {
            return true;
        }
        let resolved = self.parse(&draft.subject, kept, parser).and_then(|kept| {
            let text = kept.formatted("resolved").map_err(|error| Error::invalid_schema(error.0))?;
            parser.parse(&draft.schema_type, &text, &[])
        });
        resolved.is_ok_and(|resolved| resolved.canonical() == parsed.canonical())
    }

    /// `GET /subjects/{subject}/versions/{version}`.
    pub fn version(
        &self,
        subject: &str,
        version: VersionId,
        deleted: bool,
        format: &Format,
        parser: &Parser,
    ) -> Result<Schema, Error> {
        self.formatted(&self.version_in_contexts(subject, version, deleted)?, format, parser)
    }

    pub(super) fn version_in_contexts(
        &self,
        subject: &str,
        version: VersionId,
        deleted: bool,
    ) -> Result<Found, Error> {
        if let Some(found) = self.numbered(subject, version, deleted) {
            return Ok(found);
        }
        let own = Qualified::parse(subject);
        let elsewhere = own.is_default().then(|| {
            let mut names = self.named_contexts().map(|context| subject::qualify(context, own.name));
            names.find_map(|name| self.numbered(&name, version, deleted))
        });
        elsewhere.flatten().ok_or_else(|| self.no_such_version(subject, version, deleted))
    }

    pub(super) fn no_such_version(&self, subject: &str, version: VersionId, deleted: bool) -> Error {
        match (self.has_subjects(Some(subject), deleted), version) {
            (false, _) => Error::subject_not_found(subject),
            (true, VersionId::Latest) => Error::version_not_found(-1),
            (true, VersionId::Number(number)) => Error::version_not_found(number),
        }
    }

    /// A version of just this subject. The latest is never a deleted one.
    pub(super) fn numbered(&self, subject: &str, version: VersionId, deleted: bool) -> Option<Found> {
        match version {
            VersionId::Latest => self.latest(subject),
            VersionId::Number(number) => {
                self.found(subject, number).filter(|found| deleted || !found.version.deleted)
            }
        }
    }

    /// `GET /subjects/{subject}/metadata`.
    pub fn latest_with_metadata(
        &self,
        subject: &str,
        properties: &[(String, String)],
        deleted: bool,
        format: &Format,
        parser: &Parser,
    ) -> Result<Schema, Error> {
        let has_them = |metadata: &Metadata| {
            properties.iter().all(|(key, value)| metadata.properties.get(key) == Some(value))
        };
        let mut versions = self.versions_of(subject).rev();
        let number = versions.find(|(_, version)| {
            (deleted || !version.deleted) && version.content.metadata.as_ref().is_some_and(has_them)
        });
        match number.and_then(|(number, _)| self.found(subject, number)) {
            Some(found) => self.formatted(&found, format, parser),
            None if !self.has_subjects(Some(subject), deleted) => Err(Error::subject_not_found(subject)),
            None => Err(Error::schema_not_found()),
        }
    }

    /// `GET /schemas/ids/{id}`.
    pub fn schema_by_id(
        &self,
        id: i32,
        subject: &str,
        fetch_max_id: bool,
        format: &Format,
        parser: &Parser,
    ) -> Result<Schema, Error> {
        let found = self.holder_in_contexts(id, subject).ok_or_else(|| Error::schema_not_found_by(id))?;
        let mut schema = self.formatted(&found, format, parser)?;
        schema.id = None;
        if subject.is_empty() {
            (schema.subject, schema.version) = (None, None);
        }
        if fetch_max_id {
            schema.max_id = self.context_of(&found.subject).map(|context| context.max_id);
        }
        Ok(schema)
    }

    /// `GET /schemas/guids/{guid}`.
    pub fn schema_by_guid(&self, guid: &str, format: &Format, parser: &Parser) -> Result<Schema, Error> {
        let not_found = || Error::schema_not_found_by(guid);
        let of = Guid::parse(guid).ok_or_else(not_found)?;
        let (context, id) = self.ids_with(of).next().ok_or_else(not_found)?;
        let found = self.holder_in(context, id).ok_or_else(not_found)?;
        let schema = self.formatted(&found, format, parser)?;
        Ok(Schema { subject: None, version: None, id: None, ..schema })
    }

    /// `GET /schemas/guids/{guid}/ids`.
    pub fn ids_of_guid(&self, guid: &str) -> Vec<ContextId> {
        let Some(guid) = Guid::parse(guid) else { return Vec::new() };
        let ids = self.ids_with(guid).map(|(context, id)| ContextId { context: context.to_owned(), id });
        ids.collect()
    }

    /// `GET /schemas/ids/{id}/versions`.
    pub fn versions_of_id(
        &self,
        id: i32,
        subject: &str,
        deleted: bool,
    ) -> Result<Vec<SubjectVersion>, Error> {
        let found = self.holder_in_contexts(id, subject).ok_or_else(Error::schema_not_found)?;
        let holders = self.context_of(&found.subject).and_then(|context| context.by_id.get(&id));
        let holders = holders.map_or(&[][..], |holders| &holders.0);
        let versions = holders.iter().filter(|holder| {
            let found = self.found(&holder.subject, holder.version);
            deleted || found.is_some_and(|found| !found.version.deleted)
        });
        let of =
            |holder: &Holder| SubjectVersion { subject: holder.subject.to_string(), version: holder.version };
        Ok(versions.map(of).collect())
    }

    /// Whether a record of this subject may carry this id: it is one of its versions', deleted or not.
    pub fn holds(&self, subject: &str, id: i32) -> bool {
        let holders = self.context_of(subject).and_then(|context| context.by_id.get(&id));
        holders.is_some_and(|holders| holders.version_of(subject).is_some())
    }

    /// The same by guid.
    pub fn holds_guid(&self, subject: &str, guid: Guid) -> bool {
        let id = self.context_of(subject).and_then(|context| context.by_guid.get(&guid).copied());
        id.is_some_and(|id| self.holds(subject, id))
    }

    /// What a record's schema is known by, in the default context.
    pub fn guid_of(&self, id: SchemaId) -> Option<Guid> {
        self.named_by(id).map(|found| found.version.content.guid)
    }

    /// Reads that schema; with the bytes of its text.
    pub fn parse_by_id(&self, id: SchemaId, parser: &Parser) -> Option<(Arc<ParsedSchema>, usize)> {
        let found = self.named_by(id)?;
        let content = &found.version.content;
        Some((self.parse(&found.subject, content, parser).ok()?, content.schema.len()))
    }

    fn named_by(&self, id: SchemaId) -> Option<Found> {
        let id = match id {
            SchemaId::Id(id) => id,
            SchemaId::Guid(guid) => {
                *self.contexts.get(DEFAULT_CONTEXT)?.by_guid.get(&Guid::of_bytes(guid))?
            }
        };
        self.holder_in(DEFAULT_CONTEXT, id)
    }

    fn ids_with(&self, guid: Guid) -> impl Iterator<Item = (&str, i32)> {
        self.contexts
            .iter()
            .filter_map(move |(name, context)| Some((name.as_str(), *context.by_guid.get(&guid)?)))
    }

    /// A version with this id: of the subject, or of that subject in any context, or of any subject in its context.
    fn holder_in_contexts(&self, id: i32, asked: &str) -> Option<Found> {
        let own = Qualified::parse(asked);
        if own.name.is_empty() {
            return self.holder_in(own.context, id);
        }
        let held = |context: &str, name: &str| {
            let subject = subject::qualify(context, name);
            let number = self.contexts.get(context)?.by_id.get(&id)?.version_of(&subject)?;
            self.found(&subject, number)
        };
        if let Some(found) = held(own.context, own.name) {
            return Some(found);
        }
        if !own.is_default() {
            return None;
        }
        let elsewhere = self.named_contexts().find_map(|context| held(context, own.name));
        elsewhere.or_else(|| self.holder_in(own.context, id))
    }

    pub(super) fn holder_in(&self, context: &str, id: i32) -> Option<Found> {
        let holder = self.contexts.get(context)?.by_id.get(&id)?.0.first()?;
        self.found(&holder.subject, holder.version)
    }

    /// What was found, its text in the form that is asked for.
    pub(super) fn formatted(&self, found: &Found, format: &Format, parser: &Parser) -> Result<Schema, Error> {
        let mut entity = found.entity();
        if !format.needs_reading() {
            return Ok(entity);
        }
        let parsed = self.parse(&found.subject, &found.version.content, parser)?;
        if let Some(format) = format.of_text() {
            let text = parsed.formatted(format).map_err(|error| Error::invalid_schema(error.0))?;
            entity.schema = Some(text);
        }
        if !format.find_tags.is_empty() {
            let asked: HashSet<&String> = format.find_tags.iter().collect();
            let is_any = format.find_tags.iter().any(|tag| tag == "*");
            let tagged = parsed.tagged_entities().into_iter();
            let found = tagged.filter(|of| is_any || of.tags.iter().any(|tag| asked.contains(tag)));
            entity.schema_tags = found.map(SchemaTags::from).collect();
        }
        Ok(entity)
    }

    /// Whether there is a version of this subject, of a subject of this context, or at all.
    pub fn has_subjects(&self, asked: Option<&str>, deleted: bool) -> bool {
        let is_there = |(_, version): (i32, &Version)| deleted || !version.deleted;
        match asked {
            Some(subject) if !Qualified::parse(subject).name.is_empty() => {
                self.versions_of(subject).any(is_there)
            }
            _ => {
                let mut names = self.subjects.keys().filter(|name| subject::matches(asked, name));
                names.any(|name| self.versions_of(name).any(is_there))
            }
        }
    }

    /// The ids of the schemas that refer to a version and are not deleted.
    pub fn referenced_by(&self, asked: &str, version: VersionId) -> Result<Vec<i32>, Error> {
        let found = self.version_in_contexts(asked, version, true)?;
        Ok(self.referrers(&found.subject, found.number))
    }

    pub(super) fn referrers(&self, subject: &str, number: i32) -> Vec<i32> {
        let referrers = self.referenced.get(&(subject.to_owned(), number));
        let mut ids: Vec<i32> = referrers.into_iter().flatten().map(|((_, id), _)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// `GET /subjects/{subject}/versions`.
    pub fn versions(&self, subject: &str, deleted: Deleted) -> Result<Vec<i32>, Error> {
        if !self.has_subjects(Some(subject), deleted != Deleted::Hidden) {
            return Err(Error::subject_not_found(subject));
        }
        let versions = self.versions_of(subject).filter(|(_, version)| deleted.includes(version.deleted));
        Ok(versions.map(|(number, _)| number).collect())
    }

    pub(super) fn is_importing(&self, subject: &str) -> bool {
        matches!(self.mode_in_scope(Some(subject)), Mode::Import | Mode::Forward)
    }
}

/// What says the same as a request is answered as that had it: without what only the record knows.
pub(super) fn told(schema: Schema) -> Schema {
    Schema { ts: None, deleted: None, ..schema }
}

fn confluent_version(metadata: Option<&Metadata>) -> Option<i32> {
    metadata?.properties.get(CONFLUENT_VERSION)?.parse().ok()
}

/// A version in the metadata counts only where both have one; a draft's must otherwise be the number of the version that is kept.
/// Where one is left out, no metadata is the same as empty ones.
fn is_same_metadata(draft: Option<&Metadata>, kept: Option<&Metadata>, number: i32) -> bool {
    match (confluent_version(draft), confluent_version(kept)) {
        (None, Some(_)) => {}
        (Some(wanted), None) if wanted == number => {}
        (Some(_), None) => return false,
        _ => return draft == kept,
    }
    let without_version = |of: Option<&Metadata>| {
        let mut of = of.cloned().unwrap_or_default();
        of.properties.remove(CONFLUENT_VERSION);
        of
    };
    without_version(draft) == without_version(kept)
}
