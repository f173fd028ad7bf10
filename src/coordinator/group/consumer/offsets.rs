//! Who may commit offsets to a group of this kind, and fetch them.

use ottla_protocol::StrBytes;
use uuid::Uuid;

use super::super::GroupError;
use super::{ConsumerGroup, Member};

/// Which partitions a committer may commit.
#[derive(Debug, Clone, Copy)]
pub enum OffsetClaim<'a> {
    /// All of them.
    Any,
    /// Those that the member has had since that epoch or longer: it is in a later one, and does not know it yet.
    HeldSince(&'a Member, i32),
}

impl OffsetClaim<'_> {
    pub fn check(&self, topic_id: Uuid, partition: i32) -> Result<(), GroupError> {
        match self {
            OffsetClaim::Any => Ok(()),
            OffsetClaim::HeldSince(member, epoch) => match member.current.epoch_of(topic_id, partition) {
                Some(assigned_in) if *epoch >= assigned_in => Ok(()),
                _ => Err(stale(member)),
            },
        }
    }
}

impl ConsumerGroup {
    /// OffsetCommit. `api_version` matters for members of the consumer protocol, which use 9 or above.
    pub fn check_commit(
        &self,
        member_id: &StrBytes,
        member_epoch: i32,
        api_version: i16,
    ) -> Result<OffsetClaim<'_>, GroupError> {
        // By an administrator's tool, or by a consumer that keeps its offsets here without being a member.
        if member_epoch < 0 && self.is_empty() {
            return Ok(OffsetClaim::Any);
        }
        let member = self.member(member_id).ok_or(GroupError::UnknownMemberId)?;
        if api_version < 9 && !member.uses_classic_protocol() {
            return Err(GroupError::UnsupportedVersion);
        }
        claim(member, member_epoch)
    }

    /// TxnOffsetCommit, whose version says nothing about the protocol, and whose producer need not be a member.
    pub fn check_transactional_commit(
        &self,
        member_id: &StrBytes,
        instance_id: Option<&StrBytes>,
        member_epoch: i32,
    ) -> Result<OffsetClaim<'_>, GroupError> {
        let is_no_member = member_id.is_empty() && instance_id.is_none();
        if member_epoch < 0 && (self.is_empty() || (member_epoch == -1 && is_no_member)) {
            return Ok(OffsetClaim::Any);
        }
        claim(self.member(member_id).ok_or(GroupError::UnknownMemberId)?, member_epoch)
    }

    /// OffsetFetch, by a member if it says so.
    pub fn check_fetch(&self, member_id: Option<&StrBytes>, member_epoch: i32) -> Result<(), GroupError> {
        if member_id.is_none() && member_epoch < 0 {
            return Ok(());
        }
        let member =
            member_id.and_then(|member_id| self.member(member_id)).ok_or(GroupError::UnknownMemberId)?;
        if member.current.member_epoch == member_epoch { Ok(()) } else { Err(stale(member)) }
    }
}

fn claim(member: &Member, member_epoch: i32) -> Result<OffsetClaim<'_>, GroupError> {
    let present = member.current.member_epoch;
    if member_epoch == present {
        Ok(OffsetClaim::Any)
    } else if member_epoch > present {
        Err(stale(member))
    } else {
        Ok(OffsetClaim::HeldSince(member, member_epoch))
    }
}

fn stale(member: &Member) -> GroupError {
    match member.uses_classic_protocol() {
        true => GroupError::IllegalGeneration,
        false => GroupError::StaleMemberEpoch,
    }
}
