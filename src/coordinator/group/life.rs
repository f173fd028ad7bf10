//! What all groups have in common, whatever protocol their members speak: they are listed, their offsets expire, and
//! they can be deleted.

use ottla_protocol::StrBytes;

use super::commands::{MemberClaim, TransactionalCommit};
use super::hard::HardGroup;
use super::{ClassicGroup, ConsumerGroup, GroupError, GroupRecord, GroupShard, State};

/// A group of any kind.
pub trait AnyGroup {
    /// The type in ListGroups.
    fn group_type(&self) -> &'static str;

    /// The protocol type in ListGroups; empty for a group that only commits offsets.
    fn protocol_type(&self) -> StrBytes;

    /// The state in ListGroups.
    fn state_name(&self) -> &'static str;

    /// Nobody is in it, so that it may be deleted.
    fn is_empty(&self) -> bool;

    /// Whether a member reads that topic, so that its offsets stay.
    fn is_subscribed_to(&self, topic: &StrBytes) -> bool;

    fn retention(&self) -> Retention;

    /// Whether OffsetDelete may be asked of it.
    fn check_offset_delete(&self) -> Result<(), GroupError> {
        Ok(())
    }

    /// Whether offsets may be committed in a transaction by who says that it is that member. The first versions of
    /// TxnOffsetCommit have nobody.
    fn check_transactional_commit(&self, commit: &TransactionalCommit) -> Result<(), GroupError> {
        if commit.claim.is_nobody() { Ok(()) } else { Err(GroupError::UnknownMemberId) }
    }

    /// What ends it in the log, without its offsets.
    fn tombstones(&self, group_id: &StrBytes) -> Vec<GroupRecord>;
}

/// From when on the retention of a group's offsets runs (KIP-211).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// The members left at that time.
    SinceTime(i64),
    /// Each offset's own commit.
    SinceCommit,
    /// The members may need them.
    Paused,
    /// Time ends neither its offsets nor itself.
    Endless,
}

impl GroupShard {
    /// A group of any kind.
    pub fn any_group(&self, group_id: &StrBytes) -> Option<&dyn AnyGroup> {
        let modern = self.hard.group(group_id).and_then(modern);
        modern.or_else(|| self.group(group_id).map(|group| group as &dyn AnyGroup))
    }

    /// All groups, in any order.
    pub fn any_groups(&self) -> impl Iterator<Item = (&StrBytes, &dyn AnyGroup)> {
        let classic = self.live.iter().map(|(group_id, group)| (group_id, group as &dyn AnyGroup));
        classic.chain(self.hard.groups().filter_map(|(group_id, group)| Some((group_id, modern(group)?))))
    }
}

/// A group that is wholly in the log.
fn modern(group: &HardGroup) -> Option<&dyn AnyGroup> {
    match group {
        HardGroup::Classic(_) => None,
        HardGroup::Consumer(group) => Some(&**group),
        HardGroup::Share(group) => Some(&**group),
        HardGroup::Streams(group) => Some(&**group),
    }
}

impl AnyGroup for ClassicGroup {
    fn group_type(&self) -> &'static str {
        "classic"
    }

    fn protocol_type(&self) -> StrBytes {
        self.protocol_type.clone().unwrap_or_default()
    }

    fn state_name(&self) -> &'static str {
        self.state.name()
    }

    fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    fn is_subscribed_to(&self, topic: &StrBytes) -> bool {
        ClassicGroup::is_subscribed_to(self, topic)
    }

    fn retention(&self) -> Retention {
        match self.state {
            _ if self.protocol_type.is_none() => Retention::SinceCommit,
            State::Empty => self.state_timestamp_ms.map_or(Retention::SinceCommit, Retention::SinceTime),
            State::Stable if self.is_consumer_protocol() && self.subscribed_topics.is_some() => {
                Retention::SinceCommit
            }
            State::Stable | State::PreparingRebalance | State::CompletingRebalance => Retention::Paused,
        }
    }

    fn check_offset_delete(&self) -> Result<(), GroupError> {
        if self.state != State::Empty && !self.is_consumer_protocol() {
            // What the members read is known of consumers only.
            return Err(GroupError::NonEmptyGroup);
        }
        Ok(())
    }

    fn check_transactional_commit(&self, commit: &TransactionalCommit) -> Result<(), GroupError> {
        let claim = &commit.claim;
        let is_no_member = claim.generation_id < 0 && self.state == State::Empty;
        if is_no_member || claim.is_nobody() {
            return Ok(());
        }
        self.check_member(&claim.member_id, claim.group_instance_id.as_ref())?;
        if claim.generation_id == self.generation { Ok(()) } else { Err(GroupError::IllegalGeneration) }
    }

    fn tombstones(&self, group_id: &StrBytes) -> Vec<GroupRecord> {
        // Also for a group that was never logged, as Kafka does.
        vec![GroupRecord::Group { group_id: group_id.clone(), group: None }]
    }
}

impl AnyGroup for ConsumerGroup {
    fn group_type(&self) -> &'static str {
        "consumer"
    }

    fn protocol_type(&self) -> StrBytes {
        StrBytes::from_static_str("consumer")
    }

    fn state_name(&self) -> &'static str {
        self.state().name()
    }

    fn is_empty(&self) -> bool {
        ConsumerGroup::is_empty(self)
    }

    fn is_subscribed_to(&self, topic: &StrBytes) -> bool {
        ConsumerGroup::is_subscribed_to(self, topic)
    }

    fn retention(&self) -> Retention {
        Retention::SinceCommit
    }

    fn check_transactional_commit(&self, commit: &TransactionalCommit) -> Result<(), GroupError> {
        let MemberClaim { member_id, group_instance_id, generation_id } = &commit.claim;
        let instance_id = group_instance_id.as_ref();
        let claim = ConsumerGroup::check_transactional_commit(self, member_id, instance_id, *generation_id)?;
        commit.partitions().try_for_each(|(topic, partition)| claim.check(topic.topic_id, partition.index))
    }

    fn tombstones(&self, group_id: &StrBytes) -> Vec<GroupRecord> {
        ConsumerGroup::tombstones(self, group_id)
    }
}
