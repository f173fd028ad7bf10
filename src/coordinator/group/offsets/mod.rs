//! Committed offsets: how they are written, read, deleted, and forgotten.

mod commit;
mod delete;
mod expire;
mod fetch;
mod pending;
#[cfg(test)]
mod simulator;
mod transactional;

pub(super) use delete::tombstone;
pub use pending::{PendingOffset, PendingOffsets};
