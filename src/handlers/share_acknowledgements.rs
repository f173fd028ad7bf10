//! What ShareFetch and ShareAcknowledge have in common: acknowledgements, checked and done (KIP-932, KIP-1222).

use ottla_protocol::messages::{share_acknowledge_request, share_fetch_request};
use ottla_protocol::{ErrorCode, StrBytes, Uuid};

use super::Context;
use super::errors::Code;
use crate::broker::share::partition::{AcknowledgeError, AcknowledgeType, Acknowledgement, Extent};
use crate::broker::share::sessions::{SessionKey, TopicPartition};
use crate::broker::share::{Acknowledged, ShareFailure};
use crate::broker::{LookupError, TopicRef};

/// The length of a member's id, which is a UUID as text.
const MEMBER_ID_MAX_LENGTH: usize = 36;
/// Accept, release, reject and gap; renew is told of apart.
const TYPES_BEFORE_RENEW: i8 = 3;
const RENEW: i8 = 4;

/// One batch as either request has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub first_offset: i64,
    pub last_offset: i64,
    pub types: Vec<i8>,
}

impl From<share_fetch_request::AcknowledgementBatch> for Batch {
    fn from(batch: share_fetch_request::AcknowledgementBatch) -> Self {
        Batch {
            first_offset: batch.first_offset,
            last_offset: batch.last_offset,
            types: batch.acknowledge_types,
        }
    }
}

impl From<share_acknowledge_request::AcknowledgementBatch> for Batch {
    fn from(batch: share_acknowledge_request::AcknowledgementBatch) -> Self {
        Batch {
            first_offset: batch.first_offset,
            last_offset: batch.last_offset,
            types: batch.acknowledge_types,
        }
    }
}

/// What a request says of the records of each partition that it names.
pub type Acknowledgements = Vec<(TopicPartition, Vec<Batch>)>;

/// Whose session a request speaks of; None when it names nobody that could have one.
pub fn session_key(group_id: Option<&str>, member_id: Option<&str>) -> Option<SessionKey> {
    let (group_id, member_id) = (group_id?, member_id?);
    let length = member_id.encode_utf16().count();
    let is_valid = (1..=MEMBER_ID_MAX_LENGTH).contains(&length);
    is_valid.then(|| SessionKey { group_id: group_id.into(), member_id: member_id.into() })
}

/// What became of one partition's acknowledgements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub target: TopicPartition,
    pub code: ErrorCode,
    /// Kafka has one for what it tried to do, none for what it refused to try.
    pub message: Option<&'static str>,
}

impl Answer {
    pub fn message(&self) -> Option<StrBytes> {
        self.message.map(StrBytes::from_static_str)
    }
}

/// A partition whose acknowledgements have been done or refused.
enum Done {
    Refused(ErrorCode),
    /// There was nothing to do.
    Empty,
    Tried(Result<Acknowledged, ShareFailure>),
}

/// Acknowledgements under way. All of them are done before anything is waited for.
pub struct UnderWay(Vec<(TopicPartition, Done)>);

/// Does all that is right, and refuses the rest partition by partition.
pub fn acknowledge(
    context: &Context,
    key: &SessionKey,
    acknowledgements: Acknowledgements,
    is_renew: bool,
) -> UnderWay {
    let share = context.broker().share();
    let is_renew_known = context.api_version >= 2;
    let done = acknowledgements.into_iter().map(|(target, batches)| {
        let done = match parse(&batches, is_renew_known, is_renew) {
            _ if !is_known(context, target.0) => Done::Refused(ErrorCode::UnknownTopicId),
            None => Done::Refused(ErrorCode::InvalidRequest),
            Some(_) if !is_led(context, target) => Done::Refused(ErrorCode::UnknownTopicOrPartition),
            Some(parsed) if parsed.is_empty() => Done::Empty,
            Some(parsed) => Done::Tried(share.acknowledge(key, target, &parsed)),
        };
        (target, done)
    });
    UnderWay(done.collect())
}

impl UnderWay {
    /// Waits until all is written.
    pub async fn finish(self) -> Vec<Answer> {
        let has_tried = self.0.iter().any(|(_, done)| matches!(done, Done::Tried(_)));
        let mut answers = Vec::with_capacity(self.0.len());
        for (target, done) in self.0 {
            let failure = match done {
                Done::Refused(code) => {
                    answers.push(Answer { target, code, message: None });
                    continue;
                }
                // Kafka leaves them out when it did nothing for any partition.
                Done::Empty if !has_tried => continue,
                Done::Empty => None,
                Done::Tried(Ok(acknowledged)) => acknowledged.written().await.err(),
                Done::Tried(Err(failure)) => Some(failure),
            };
            answers.push(match failure {
                None => Answer { target, code: ErrorCode::None, message: None },
                Some(failure) => Answer { target, code: failure.code(), message: Some(message(failure)) },
            });
        }
        answers
    }
}

/// What Kafka says of it.
fn message(failure: ShareFailure) -> &'static str {
    let ShareFailure::Acknowledge(error) = failure else { return failure.code().message() };
    match error {
        AcknowledgeError::NotAcquired(Extent::Batch) => {
            "The batch cannot be acknowledged. The batch is not in the acquired state."
        }
        AcknowledgeError::NotAcquired(Extent::Offset) => {
            "The offset cannot be acknowledged. The offset is not acquired."
        }
        AcknowledgeError::NotOwner(Extent::Batch) => "Member is not the owner of batch record",
        AcknowledgeError::NotOwner(Extent::Offset) => "Member is not the owner of offset",
        AcknowledgeError::RenewDisabled => "Renewing acquisition locks is not enabled for the group.",
        AcknowledgeError::NotInFlight => {
            "Batch record not found. The request batch offsets are not found in the cache."
        }
        AcknowledgeError::FirstIsPast => {
            "Batch record not found. The first offset in request is past acquired records."
        }
        AcknowledgeError::LastIsPast => {
            "Batch record not found. The last offset in request is past acquired records."
        }
    }
}

fn is_known(context: &Context, topic_id: Uuid) -> bool {
    context.broker().image().topic_by_id(&topic_id).is_some()
}

fn is_led(context: &Context, (topic_id, partition): TopicPartition) -> bool {
    let (broker, image) = (context.broker(), context.broker().image());
    let topic = broker.topic(&image, &TopicRef::Id(topic_id));
    let led = topic.and_then(|topic| broker.led(&image, topic, partition, -1));
    !matches!(led, Err(LookupError::UnknownTopicOrPartition | LookupError::UnknownTopicId))
}

/// None where a batch is wrong: they stand in order, each with one type or one for each offset.
fn parse(batches: &[Batch], is_renew_known: bool, is_renew: bool) -> Option<Vec<Acknowledgement>> {
    let mut last_offset = -1;
    let mut parsed = Vec::with_capacity(batches.len());
    for batch in batches {
        let span = batch.last_offset.checked_sub(batch.first_offset)?;
        let is_per_offset = batch.types.len() > 1;
        let is_whole = usize::try_from(span).is_ok_and(|span| span == batch.types.len().wrapping_sub(1));
        if span < 0 || batch.first_offset < last_offset || batch.types.is_empty() {
            return None;
        }
        if is_per_offset && !is_whole {
            return None;
        }
        let most = if is_renew_known { RENEW } else { TYPES_BEFORE_RENEW };
        let is_allowed = |id: &i8| (0..=most).contains(id) && (*id != RENEW || is_renew);
        if !batch.types.iter().all(is_allowed) {
            return None;
        }
        last_offset = batch.last_offset;
        let types: Option<Vec<AcknowledgeType>> =
            batch.types.iter().map(|id| AcknowledgeType::from_id(*id)).collect();
        parsed.push(Acknowledgement {
            first_offset: batch.first_offset,
            last_offset: batch.last_offset,
            types: types?,
        });
    }
    Some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_stand_in_order_with_as_many_types_as_they_need() {
        let batch = |first_offset, last_offset, types: &[i8]| Batch {
            first_offset,
            last_offset,
            types: types.to_vec(),
        };
        let right: [&[Batch]; 5] = [
            &[],
            &[batch(0, 9, &[1])],
            &[batch(0, 2, &[0, 1, 3]), batch(5, 5, &[2])],
            // Kafka lets a batch begin where the one before ended.
            &[batch(0, 2, &[1]), batch(2, 3, &[1])],
            &[batch(0, 0, &[1]), batch(1, 1, &[1])],
        ];
        for batches in right {
            let parsed = parse(batches, true, false).unwrap_or_else(|| panic!("{batches:?}"));
            assert_eq!(parsed.len(), batches.len());
        }
        let wrong: [&[Batch]; 8] = [
            &[batch(3, 2, &[1])],
            &[batch(i64::MIN, i64::MAX, &[1])],
            &[batch(0, 2, &[])],
            &[batch(0, 2, &[1, 1])],
            &[batch(0, 0, &[5])],
            &[batch(0, 0, &[-1])],
            &[batch(0, 0, &[4])],
            &[batch(5, 6, &[1]), batch(0, 1, &[1])],
        ];
        for batches in wrong {
            assert_eq!(parse(batches, true, false), None, "{batches:?}");
        }
        assert!(parse(&[batch(0, 0, &[4])], true, true).is_some());
        assert!(parse(&[batch(0, 0, &[4])], false, true).is_none());
    }

    #[test]
    fn members_have_ids_of_the_length_of_a_uuid() {
        let long = "a".repeat(37);
        for (group_id, member_id, is_valid) in [
            (Some("g"), Some("m"), true),
            (Some(""), Some(&long[1..]), true),
            (Some("g"), Some(&long[..]), false),
            (Some("g"), Some(""), false),
            (Some("g"), None, false),
            (None, Some("m"), false),
        ] {
            assert_eq!(session_key(group_id, member_id).is_some(), is_valid, "{group_id:?} {member_id:?}");
        }
    }
}
