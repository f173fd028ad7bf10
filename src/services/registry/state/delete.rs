//! Deletions: soft ones hide, permanent ones forget. What others refer to stays.

use super::draft::Draft;
use super::{Outcome, State};
use crate::services::registry::error::Error;
use crate::services::registry::model::VersionId;
use crate::services::registry::records::{Record, SchemaValue};
use crate::services::registry::subject;

impl State {
    /// `DELETE /subjects/{subject}/versions/{version}`.
    pub fn delete_version(
        &self,
        subject: &str,
        version: VersionId,
        permanent: bool,
    ) -> Result<Outcome<i32>, Error> {
        if let VersionId::Number(number) = version
            && !permanent
            && self.found(subject, number).is_some_and(|found| found.version.deleted)
        {
            return Err(Error::version_soft_deleted(subject, number));
        }
        let found = self
            .numbered(subject, version, true)
            .ok_or_else(|| self.no_such_version(subject, version, true))?;
        self.check_writable(Some(subject))?;
        self.check_unreferenced(subject, found.number)?;
        if permanent && !found.version.deleted {
            return Err(Error::version_not_soft_deleted(subject, found.number));
        }
        let record = match permanent {
            true => Record::Schema { subject: subject.to_owned(), version: found.number, value: None },
            false => {
                let value = Draft::of(&found).into_value(found.version.id);
                Record::version(SchemaValue { deleted: true, ..value })
            }
        };
        let mut records = vec![record];
        if permanent && self.versions_of(subject).nth(1).is_none() {
            records.extend(self.forget_settings(subject));
        }
        Ok(Outcome { answer: found.number, records })
    }

    /// `DELETE /subjects/{subject}`.
    pub fn delete_subject(&self, subject: &str, permanent: bool) -> Result<Outcome<Vec<i32>>, Error> {
        if !self.has_subjects(Some(subject), true) {
            return Err(Error::subject_not_found(subject));
        }
        if !permanent && !self.has_subjects(Some(subject), false) {
            return Err(Error::subject_soft_deleted(subject));
        }
        self.check_writable(Some(subject))?;
        let mut answer = Vec::new();
        for (number, version) in
            self.versions_of(subject).filter(|(_, version)| permanent || !version.deleted)
        {
            self.check_unreferenced(subject, number)?;
            if permanent && !version.deleted {
                return Err(Error::subject_not_soft_deleted(subject));
            }
            answer.push(number);
        }
        let subject_name = || subject.to_owned();
        let mut records = Vec::new();
        if permanent {
            records.extend(answer.iter().map(|number| Record::Schema {
                subject: subject_name(),
                version: *number,
                value: None,
            }));
            records.extend(self.forget_settings(subject));
        } else {
            let version = answer.last().copied();
            records.push(Record::DeleteSubject { subject: subject_name(), version });
        }
        Ok(Outcome { answer, records })
    }

    /// `DELETE /contexts/{context}`.
    pub fn delete_context(&self, context: &str) -> Result<Outcome<()>, Error> {
        let name = subject::context_name(context);
        let prefix = subject::qualify(&name, "");
        if self.has_subjects(Some(&prefix), true) {
            return Err(Error::context_not_empty(&name));
        }
        let is_recorded = self.contexts.get(&name).is_some_and(|context| context.is_recorded);
        let records = is_recorded.then_some(Record::Context { context: name, is_set: false });
        Ok(Outcome { answer: (), records: records.into_iter().collect() })
    }

    pub(super) fn check_unreferenced(&self, subject: &str, number: i32) -> Result<(), Error> {
        match self.referrers(subject, number).is_empty() {
            true => Ok(()),
            false => Err(Error::reference_exists(subject, number)),
        }
    }

    /// A subject that is gone leaves no settings behind.
    fn forget_settings(&self, subject: &str) -> Vec<Record> {
        let of = Some(subject.to_owned());
        let mode = self.modes.contains_key(&of).then(|| Record::Mode { subject: of.clone(), value: None });
        let config =
            self.configs.contains_key(&of).then(|| Record::Config { subject: of.clone(), value: None });
        mode.into_iter().chain(config).collect()
    }
}
