//! Transcripts, and a simulation that holds the state against a plain model.

mod simulator;
mod transcripts;

use bytes::Bytes;

use super::{Outcome, State};
use crate::services::registry::error::Error;
use crate::services::registry::records::Record;

/// A topic in memory, and what it says.
#[derive(Default)]
pub struct Registry {
    pub state: State,
    pub log: Vec<(Bytes, Option<Bytes>)>,
}

impl Registry {
    /// Appends and replays; each batch is written as a whole.
    pub fn write<T>(&mut self, decided: Result<Outcome<T>, Error>) -> Result<T, Error> {
        let Outcome { answer, records } = decided?;
        for record in &records {
            self.append(record.encode());
        }
        Ok(answer)
    }

    pub fn append(&mut self, (key, value): (Bytes, Option<Bytes>)) {
        let ts = self.log.len() as i64;
        if let Ok(record) = Record::decode(&key, value.as_deref()) {
            // What is skipped counts for nothing.
            let _ = self.state.replay(record, ts);
        }
        self.log.push((key, value));
    }

    /// What a start finds.
    pub fn reloaded(&self) -> Registry {
        let mut registry = Registry::default();
        self.log.iter().for_each(|record| registry.append(record.clone()));
        registry
    }
}
