//! Streams groups (KIP-1071). Pure.

use super::hard::Existence;

/// What the log has of a group of this kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamsGroup {}

impl StreamsGroup {
    /// Applies one record.
    pub fn replay(&mut self, record: &StreamsRecord) -> Existence {
        match *record {}
    }
}

/// A record of a group of this kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamsRecord {}
