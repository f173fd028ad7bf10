//! The one place where the layers' errors become Kafka's codes.

use ottla_protocol::ErrorCode;
use ottla_protocol::batch::InvalidBatchKind;
use ottla_storage::{AppendError, StorageError};
use tracing::error;

use crate::broker::cluster::ClusterError;
use crate::broker::fetch_session::SessionError;
use crate::broker::share::partition::AcknowledgeError;
use crate::broker::share::sessions::SessionError as ShareSessionError;
use crate::broker::share::{FetchFailure, ShareFailure};
use crate::broker::{LookupError, MarkerError, ProducerIdError};
use crate::coordinator::group::GroupError;
use crate::coordinator::transaction::TransactionError;

/// What a client is told of an error.
pub trait Code {
    fn code(&self) -> ErrorCode;
}

impl Code for LookupError {
    fn code(&self) -> ErrorCode {
        match self {
            LookupError::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
            LookupError::UnknownTopicId => ErrorCode::UnknownTopicId,
            LookupError::NotLeader { .. } => ErrorCode::NotLeaderOrFollower,
            LookupError::FencedLeaderEpoch => ErrorCode::FencedLeaderEpoch,
            LookupError::UnknownLeaderEpoch => ErrorCode::UnknownLeaderEpoch,
            LookupError::Storage(error) => error.code(),
        }
    }
}

impl Code for MarkerError {
    fn code(&self) -> ErrorCode {
        match self {
            MarkerError::Lookup(error) => error.code(),
            MarkerError::Append(error) => error.code(),
            // A transaction coordinator expects nothing else of a partition that is not ready.
            MarkerError::Group(GroupError::CoordinatorNotAvailable | GroupError::NotCoordinator) => {
                ErrorCode::NotLeaderOrFollower
            }
            MarkerError::Group(error) => error.code(),
        }
    }
}

impl Code for StorageError {
    fn code(&self) -> ErrorCode {
        match self {
            StorageError::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            StorageError::Deleted => ErrorCode::UnknownTopicOrPartition,
            // A full disk would be full of lines about it.
            error if error.is_told() => ErrorCode::KafkaStorageError,
            error => {
                error!(%error, "the log cannot be used");
                ErrorCode::KafkaStorageError
            }
        }
    }
}

impl Code for AppendError {
    fn code(&self) -> ErrorCode {
        match self {
            AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
            AppendError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
            AppendError::InvalidTxnState { .. } => ErrorCode::InvalidTxnState,
            AppendError::TransactionCoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
            AppendError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
            AppendError::Storage(error) => error.code(),
        }
    }
}

impl Code for InvalidBatchKind {
    fn code(&self) -> ErrorCode {
        match self {
            InvalidBatchKind::CorruptMessage => ErrorCode::CorruptMessage,
            InvalidBatchKind::MessageTooLarge => ErrorCode::MessageTooLarge,
            InvalidBatchKind::InvalidTimestamp => ErrorCode::InvalidTimestamp,
            InvalidBatchKind::UnsupportedCompressionType => ErrorCode::UnsupportedCompressionType,
            InvalidBatchKind::InvalidRecord => ErrorCode::InvalidRecord,
            InvalidBatchKind::UnknownServerError => ErrorCode::UnknownServerError,
        }
    }
}

impl Code for SessionError {
    fn code(&self) -> ErrorCode {
        match self {
            SessionError::IdNotFound => ErrorCode::FetchSessionIdNotFound,
            SessionError::InvalidEpoch => ErrorCode::InvalidFetchSessionEpoch,
            SessionError::TopicIdError => ErrorCode::FetchSessionTopicIdError,
        }
    }
}

impl Code for ShareSessionError {
    fn code(&self) -> ErrorCode {
        match self {
            ShareSessionError::NotFound => ErrorCode::ShareSessionNotFound,
            ShareSessionError::InvalidEpoch => ErrorCode::InvalidShareSessionEpoch,
            ShareSessionError::LimitReached => ErrorCode::ShareSessionLimitReached,
            ShareSessionError::AcknowledgesAtOnce => ErrorCode::InvalidRequest,
        }
    }
}

impl Code for ShareFailure {
    fn code(&self) -> ErrorCode {
        match self {
            ShareFailure::Fenced => ErrorCode::NotLeaderOrFollower,
            ShareFailure::CoordinatorNotAvailable => ErrorCode::CoordinatorNotAvailable,
            ShareFailure::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
            ShareFailure::OffsetNotAvailable => ErrorCode::OffsetNotAvailable,
            ShareFailure::Acknowledge(AcknowledgeError::FirstIsPast | AcknowledgeError::LastIsPast) => {
                ErrorCode::InvalidRequest
            }
            ShareFailure::Acknowledge(_) => ErrorCode::InvalidRecordState,
            ShareFailure::Unknown => ErrorCode::UnknownServerError,
        }
    }
}

impl Code for FetchFailure {
    fn code(&self) -> ErrorCode {
        match self {
            FetchFailure::Lookup(error) => error.code(),
            FetchFailure::Share(failure) => failure.code(),
            FetchFailure::Storage(error) => error.code(),
        }
    }
}

impl Code for ProducerIdError {
    fn code(&self) -> ErrorCode {
        match self {
            ProducerIdError::Exhausted => ErrorCode::UnknownServerError,
            // The producer asks again: a block that was given twice over is only lost.
            ProducerIdError::Cluster(_) => ErrorCode::CoordinatorLoadInProgress,
        }
    }
}

impl Code for ClusterError {
    fn code(&self) -> ErrorCode {
        match self {
            ClusterError::Fenced => ErrorCode::NotController,
            ClusterError::Unavailable(_) => ErrorCode::BrokerNotAvailable,
            ClusterError::Unknown(_) => ErrorCode::RequestTimedOut,
        }
    }
}

impl Code for GroupError {
    fn code(&self) -> ErrorCode {
        match self {
            GroupError::UnknownMemberId => ErrorCode::UnknownMemberId,
            GroupError::MemberIdRequired => ErrorCode::MemberIdRequired,
            GroupError::IllegalGeneration => ErrorCode::IllegalGeneration,
            GroupError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
            GroupError::InconsistentGroupProtocol => ErrorCode::InconsistentGroupProtocol,
            GroupError::FencedInstanceId => ErrorCode::FencedInstanceId,
            GroupError::GroupMaxSizeReached => ErrorCode::GroupMaxSizeReached,
            GroupError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
            GroupError::InvalidGroupId => ErrorCode::InvalidGroupId,
            GroupError::GroupIdNotFound => ErrorCode::GroupIdNotFound,
            GroupError::NonEmptyGroup => ErrorCode::NonEmptyGroup,
            GroupError::GroupSubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
            GroupError::OffsetMetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
            GroupError::InvalidRequest => ErrorCode::InvalidRequest,
            GroupError::UnsupportedVersion => ErrorCode::UnsupportedVersion,
            GroupError::FencedMemberEpoch => ErrorCode::FencedMemberEpoch,
            GroupError::StaleMemberEpoch => ErrorCode::StaleMemberEpoch,
            GroupError::UnreleasedInstanceId => ErrorCode::UnreleasedInstanceId,
            GroupError::UnsupportedAssignor => ErrorCode::UnsupportedAssignor,
            GroupError::InvalidRegularExpression => ErrorCode::InvalidRegularExpression,
            GroupError::StreamsInvalidTopology => ErrorCode::StreamsInvalidTopology,
            GroupError::InvalidProducerEpoch => ErrorCode::InvalidProducerEpoch,
            GroupError::InvalidTxnState => ErrorCode::InvalidTxnState,
            GroupError::TransactionCoordinatorFenced => ErrorCode::TransactionCoordinatorFenced,
            GroupError::CoordinatorNotAvailable => ErrorCode::CoordinatorNotAvailable,
            GroupError::NotCoordinator => ErrorCode::NotCoordinator,
        }
    }
}

impl Code for TransactionError {
    fn code(&self) -> ErrorCode {
        match self {
            TransactionError::InvalidRequest => ErrorCode::InvalidRequest,
            TransactionError::InvalidTransactionTimeout => ErrorCode::InvalidTransactionTimeout,
            TransactionError::InvalidProducerIdMapping => ErrorCode::InvalidProducerIdMapping,
            TransactionError::ProducerFenced => ErrorCode::ProducerFenced,
            TransactionError::ConcurrentTransactions => ErrorCode::ConcurrentTransactions,
            TransactionError::InvalidTxnState => ErrorCode::InvalidTxnState,
            TransactionError::TransactionAbortable => ErrorCode::TransactionAbortable,
            TransactionError::TransactionalIdNotFound => ErrorCode::TransactionalIdNotFound,
            // Kafka gives no thought to it either.
            TransactionError::EpochExhausted => ErrorCode::UnknownServerError,
            TransactionError::CoordinatorLoadInProgress => ErrorCode::CoordinatorLoadInProgress,
            TransactionError::CoordinatorNotAvailable => ErrorCode::CoordinatorNotAvailable,
            TransactionError::NotCoordinator => ErrorCode::NotCoordinator,
        }
    }
}

/// A refusal of the transaction coordinator in the words of a client that may be too old to know PRODUCER_FENCED.
pub fn transaction_code(error: TransactionError, knows_fenced: bool) -> ErrorCode {
    match error {
        TransactionError::ProducerFenced if !knows_fenced => ErrorCode::InvalidProducerEpoch,
        error => error.code(),
    }
}

/// The wire's number for a result: 0 for none.
pub fn code_of<T, E: Code>(result: Result<T, E>) -> i16 {
    result.err().map_or(ErrorCode::None, |error| error.code()).code()
}
