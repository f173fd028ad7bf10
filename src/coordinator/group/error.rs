//! Why a group refuses. Handlers translate these into wire codes; nothing below them knows a code.

/// A refusal of the group coordinator, named as Kafka names its error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupError {
    /// The group has no member of that id (or instance id); it has to join again.
    UnknownMemberId,
    /// The member has to join again with the id that the answer carries (KIP-394).
    MemberIdRequired,
    /// The request speaks of another generation than the group's.
    IllegalGeneration,
    /// The group is between two generations.
    RebalanceInProgress,
    /// The member shares no protocol with the others, or names another than the group's.
    InconsistentGroupProtocol,
    /// Another process joined with the same instance id since (KIP-345).
    FencedInstanceId,
    /// `group.max.size` members are there already (KIP-389).
    GroupMaxSizeReached,
    /// Outside of `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
    InvalidSessionTimeout,
    /// The group id is empty where it may not be.
    InvalidGroupId,
    /// There is no such group.
    GroupIdNotFound,
    /// The group has members.
    NonEmptyGroup,
    /// A member reads that topic, so its offsets stay.
    GroupSubscribedToTopic,
    /// The commit's metadata is longer than `offset.metadata.max.bytes`.
    OffsetMetadataTooLarge,
    /// The request contradicts itself or leaves out what it must have.
    InvalidRequest,
    /// Only newer versions of the request may be used here.
    UnsupportedVersion,
    /// The member is not in the epoch that it believes in; it has to give everything up and join again (KIP-848).
    FencedMemberEpoch,
    /// The member's epoch has passed, or has not come; it may ask again in the right one (KIP-848).
    StaleMemberEpoch,
    /// Another member still holds the instance id (KIP-848).
    UnreleasedInstanceId,
    /// No assignor of that name (KIP-848).
    UnsupportedAssignor,
    /// The subscription's regular expression cannot be read (KIP-848).
    InvalidRegularExpression,
    /// The application's topology can never work (KIP-1071).
    StreamsInvalidTopology,
    /// A newer instance of the producer has written already (TxnOffsetCommit).
    InvalidProducerEpoch,
    /// The transaction does not go on (any more) (TxnOffsetCommit).
    InvalidTxnState,
    /// The marker is of a transaction coordinator that has been replaced.
    TransactionCoordinatorFenced,
    /// The shard's log could not be read or written just now; the request may be sent again.
    CoordinatorNotAvailable,
    /// The shard was dropped while the request waited; the client looks the coordinator up again.
    NotCoordinator,
}

/// A refusal that explains itself, for the protocols whose answers carry a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub error: GroupError,
    pub message: Option<String>,
}

impl GroupError {
    /// With the message that the client shall see.
    pub fn because(self, message: impl Into<String>) -> Refusal {
        Refusal { error: self, message: Some(message.into()) }
    }
}

impl From<GroupError> for Refusal {
    fn from(error: GroupError) -> Self {
        Refusal { error, message: None }
    }
}
