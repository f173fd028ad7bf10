//! What the five APIs of share partitions' state (InitializeShareGroupState and its sisters) have in common: errors and their words.

use ottla_protocol::{ErrorCode, StrBytes};

use super::errors::Code;
use crate::coordinator::share::ShareError;

impl Code for ShareError {
    fn code(&self) -> ErrorCode {
        match self {
            ShareError::NegativePartition
            | ShareError::ReadOfUninitialized
            | ShareError::WriteOfUninitialized => ErrorCode::InvalidRequest,
            ShareError::FencedLeaderEpoch => ErrorCode::FencedLeaderEpoch,
            ShareError::FencedStateEpoch => ErrorCode::FencedStateEpoch,
            ShareError::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
            ShareError::CoordinatorNotAvailable => ErrorCode::CoordinatorNotAvailable,
            ShareError::NotCoordinator => ErrorCode::NotCoordinator,
        }
    }
}

/// Error code and message; `purpose` is what could not be done, such as "read share group state".
pub fn error_of(error: ShareError, purpose: &str) -> (i16, Option<StrBytes>) {
    let code = error.code();
    let message = match error {
        ShareError::NegativePartition => "The partition id cannot be a negative number.".to_owned(),
        ShareError::ReadOfUninitialized => {
            "Read operation on uninitialized share partition not allowed.".to_owned()
        }
        ShareError::WriteOfUninitialized => {
            "Write operation on uninitialized share partition not allowed.".to_owned()
        }
        ShareError::FencedLeaderEpoch
        | ShareError::FencedStateEpoch
        | ShareError::UnknownTopicOrPartition => code.message().to_owned(),
        ShareError::CoordinatorNotAvailable | ShareError::NotCoordinator => {
            format!("Unable to {purpose}: {}", code.message())
        }
    };
    (code.code(), Some(StrBytes::from_string(message)))
}
