//! The checkpoint table: what the next start must know of each log, so that it need not look. All of it can be rebuilt.
//!
//! Enters and leaves: [`Checkpoint`] by [`LogId`].

use crate::error::StorageError;
use crate::options::LogId;

/// One log, as it was when it was last looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub start_offset: i64,
    /// Everything before it is on the disk.
    pub recovery_point: i64,
    pub end_offset: i64,
}

/// Where checkpoints are kept.
pub(crate) trait CheckpointStore: Send + Sync {
    fn get(&self, log: &LogId) -> Result<Option<Checkpoint>, StorageError>;
    fn put(&self, log: &LogId, checkpoint: Checkpoint) -> Result<(), StorageError>;
    fn remove(&self, log: &LogId) -> Result<(), StorageError>;
    /// Calls `visit` for every log, in the order of their names.
    fn each(&self, visit: &mut dyn FnMut(LogId, Checkpoint)) -> Result<(), StorageError>;
}
