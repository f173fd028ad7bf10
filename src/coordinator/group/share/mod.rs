//! Share groups: their members and what they are given (KIP-932). Pure.

use super::hard::Existence;

/// What the log has of a group of this kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShareGroup {}

impl ShareGroup {
    /// Applies one record.
    pub fn replay(&mut self, record: &ShareRecord) -> Existence {
        match *record {}
    }
}

/// A record of a group of this kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareRecord {}
