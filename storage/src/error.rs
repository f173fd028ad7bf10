//! What can go wrong in a log. Wire codes are the handlers' business.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::local::{Meaning, Offline};

/// Why a log could not do what it was asked. Cheap to clone, since one failed write may fail many waiting appends.
#[derive(Debug, Clone)]
pub enum StorageError {
    /// The offset asked for is not in `start..=end`.
    OffsetOutOfRange { offset: i64, start: i64, end: i64 },
    /// Bytes on the disk are not what was written there.
    Corrupt { what: String },
    /// The operating system refused: full disk, broken disk, permissions.
    Io { what: String, error: Arc<io::Error> },
    /// The topic was deleted while the call was on its way.
    Deleted,
    /// Another process holds the directory's `.lock`.
    Locked { dir: String },
    /// What was written before is not on the disk, though it was to be: nothing is taken until it is.
    NotDurable { log: String },
    /// `log.dirs` has the directory twice.
    Duplicate { dir: String },
    /// The log directory has failed: until a restart nothing in it can be read or written.
    Offline { dir: String },
}

impl StorageError {
    pub(crate) fn io(action: &str, path: &Path, error: io::Error) -> Self {
        if let Some(offline) = error.get_ref().and_then(|inner| inner.downcast_ref::<Offline>()) {
            return offline.clone().into();
        }
        Self::Io { what: format!("{action} {}", path.display()), error: Arc::new(error) }
    }

    /// Whether the log directory has told of it, which it does once and not for each call that fails.
    pub fn is_told(&self) -> bool {
        match self {
            Self::Offline { .. } | Self::NotDurable { .. } => true,
            Self::Io { error, .. } => Meaning::of(error) != Meaning::OneFile,
            _ => false,
        }
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OffsetOutOfRange { offset, start, end } => {
                write!(f, "offset {offset} is out of the log's range {start} to {end}")
            }
            Self::Corrupt { what } => write!(f, "corrupt: {what}"),
            Self::Io { what, error } if error.kind() == io::ErrorKind::PermissionDenied => {
                write!(
                    f,
                    "{what}: {error}; the user that runs this process must be able to read and write it"
                )
            }
            Self::Io { what, error } => write!(f, "{what}: {error}"),
            Self::Deleted => write!(f, "the log was deleted"),
            Self::Locked { dir } => write!(f, "another process is using {dir}"),
            Self::NotDurable { log } => {
                write!(f, "{log} takes nothing until the disk has what was written to it before")
            }
            Self::Duplicate { dir } => write!(f, "log.dirs has {dir} more than once"),
            Self::Offline { dir } => write!(f, "the log directory {dir} is offline"),
        }
    }
}

impl std::error::Error for StorageError {}

impl From<Offline> for StorageError {
    fn from(offline: Offline) -> Self {
        Self::Offline { dir: offline.dir.display().to_string() }
    }
}

/// Why an append was refused. Nothing of it is in the log then.
#[derive(Debug, Clone)]
pub enum AppendError {
    /// OUT_OF_ORDER_SEQUENCE_NUMBER: a gap between this batch and the producer's last one.
    OutOfOrderSequence {
        message: String,
    },
    /// INVALID_PRODUCER_EPOCH: a newer instance of the producer has written already.
    InvalidProducerEpoch {
        message: String,
    },
    /// INVALID_TXN_STATE: the batch's transaction does not go on here, or another one does.
    InvalidTxnState {
        message: String,
    },
    /// TRANSACTION_COORDINATOR_FENCED: the marker is of a coordinator that has been replaced.
    TransactionCoordinatorFenced {
        message: String,
    },
    /// RECORD_LIST_TOO_LARGE: more bytes than a segment may hold (segment.bytes).
    LargerThanSegment {
        message: String,
    },
    Storage(StorageError),
}

impl From<StorageError> for AppendError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfOrderSequence { message }
            | Self::InvalidProducerEpoch { message }
            | Self::InvalidTxnState { message }
            | Self::TransactionCoordinatorFenced { message }
            | Self::LargerThanSegment { message } => f.write_str(message),
            Self::Storage(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for AppendError {}
