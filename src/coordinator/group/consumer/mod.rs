//! Groups of the consumer protocol (KIP-848). Pure.

use super::hard::Existence;

/// What the log has of a group of this kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumerGroup {}

impl ConsumerGroup {
    /// Applies one record.
    pub fn replay(&mut self, record: &ConsumerRecord) -> Existence {
        match *record {}
    }
}

/// A record of a group of this kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsumerRecord {}
