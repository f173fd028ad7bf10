//! A member's way from what it has to what it shall have.
//!
//! A member that has to give up partitions stays in its epoch until it says, by what it owns, that it has; then it comes
//! into the target's epoch with what others have released already, and gets the rest when they have.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::super::assignors::TopicPartitions;
use super::super::{GroupError, Refusal};
use super::{CurrentAssignment, MemberState, PartitionEpochs};

/// Where a member is, and all that its next step depends on.
pub struct Reconciliation<'a> {
    pub current: &'a CurrentAssignment,
    pub target_epoch: i32,
    pub target: &'a TopicPartitions,
    /// The topics that the member subscribes to, as long as they exist: it gets no others, whatever its target.
    pub subscribed_topics: &'a dyn Fn() -> BTreeSet<Uuid>,
    pub has_subscription_changed: bool,
    /// What the member says that it owns; `None` if it says nothing.
    pub owned: Option<&'a [(Uuid, Vec<i32>)]>,
    /// Whether another member may still own a partition.
    pub is_held_by_another: &'a dyn Fn(Uuid, i32) -> bool,
}

impl Reconciliation<'_> {
    /// The member's next step, which may be the place where it is.
    pub fn next(&self) -> Result<CurrentAssignment, Refusal> {
        let current = self.current;
        match current.state {
            MemberState::Stable if current.member_epoch != self.target_epoch => {
                Ok(self.advance(current.member_epoch))
            }
            MemberState::UnrevokedPartitions if !self.owns_any_of(&current.pending_revocation) => {
                Ok(self.advance(current.member_epoch))
            }
            MemberState::UnreleasedPartitions => Ok(self.advance(current.member_epoch)),
            MemberState::Stable | MemberState::UnrevokedPartitions if self.has_subscription_changed => {
                Ok(self.give_up_unsubscribed())
            }
            MemberState::Stable | MemberState::UnrevokedPartitions => Ok(current.clone()),
            MemberState::Unknown if self.owned.is_some_and(<[_]>::is_empty) => {
                Ok(self.advance(self.target_epoch))
            }
            MemberState::Unknown => Err(GroupError::FencedMemberEpoch.because(
                "The consumer group member is in a unknown state. \
                 The member must abandon all its partitions and rejoin.",
            )),
        }
    }

    fn advance(&self, member_epoch: i32) -> CurrentAssignment {
        let Split { kept, revoked, free, is_any_unreleased } = self.split();
        if !revoked.is_empty() && self.owns_any_of(&revoked) {
            return CurrentAssignment {
                member_epoch,
                previous_member_epoch: self.current.member_epoch,
                state: MemberState::UnrevokedPartitions,
                assigned: kept,
                pending_revocation: revoked,
            };
        }
        let mut assigned = kept;
        for (topic_id, partition) in free {
            assigned.entry(topic_id).or_default().insert(partition, self.target_epoch);
        }
        CurrentAssignment {
            member_epoch: self.target_epoch,
            previous_member_epoch: self.current.member_epoch,
            state: match is_any_unreleased {
                true => MemberState::UnreleasedPartitions,
                false => MemberState::Stable,
            },
            assigned,
            pending_revocation: PartitionEpochs::new(),
        }
    }

    /// Compares what the member has with its target.
    fn split(&self) -> Split {
        let subscribed_topics = (self.subscribed_topics)();
        let mut split = Split::default();
        for (topic_id, partitions) in &self.current.assigned {
            let target = self.target.get(topic_id).filter(|_| subscribed_topics.contains(topic_id));
            for (partition, epoch) in partitions {
                let is_kept = target.is_some_and(|target| target.contains(partition));
                let side = if is_kept { &mut split.kept } else { &mut split.revoked };
                side.entry(*topic_id).or_default().insert(*partition, *epoch);
            }
        }
        for (topic_id, partitions) in self.target.iter().filter(|(id, _)| subscribed_topics.contains(*id)) {
            let has = |partition: &&i32| {
                self.current.assigned.get(topic_id).is_some_and(|assigned| assigned.contains_key(*partition))
            };
            for partition in partitions.iter().filter(|partition| !has(partition)) {
                if (self.is_held_by_another)(*topic_id, *partition) {
                    split.is_any_unreleased = true;
                } else {
                    split.free.push((*topic_id, *partition));
                }
            }
        }
        split
    }

    /// The member no longer subscribes to some of its topics, and its target is not ready: it gives them up already.
    fn give_up_unsubscribed(&self) -> CurrentAssignment {
        let subscribed_topics = (self.subscribed_topics)();
        let mut next = self.current.clone();
        next.assigned.retain(|topic_id, _| subscribed_topics.contains(topic_id));
        if next.assigned == self.current.assigned {
            return next;
        }
        for (topic_id, partitions) in
            self.current.assigned.iter().filter(|(topic_id, _)| !subscribed_topics.contains(*topic_id))
        {
            next.pending_revocation.entry(*topic_id).or_default().extend(partitions);
        }
        next.previous_member_epoch = self.current.member_epoch;
        if self.owns_any_of(&next.pending_revocation) {
            next.state = MemberState::UnrevokedPartitions;
        } else {
            next.pending_revocation = self.current.pending_revocation.clone();
        }
        next
    }

    /// Whether the member may own any of them: it does not say that it does not.
    fn owns_any_of(&self, partitions: &PartitionEpochs) -> bool {
        let Some(owned) = self.owned else {
            return true;
        };
        owned.iter().any(|(topic_id, owned)| {
            let among = partitions.get(topic_id);
            among
                .is_some_and(|among: &BTreeMap<i32, i32>| owned.iter().any(|index| among.contains_key(index)))
        })
    }
}

#[derive(Default)]
struct Split {
    kept: PartitionEpochs,
    revoked: PartitionEpochs,
    /// To be had at once.
    free: Vec<(Uuid, i32)>,
    is_any_unreleased: bool,
}
