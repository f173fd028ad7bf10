//! Who may commit and fetch a streams group's offsets.

use ottla_protocol::StrBytes;

use super::super::{GroupError, Refusal};
use super::group::StreamsGroup;
use super::member::StreamsMember;

impl StreamsGroup {
    /// Whether somebody may commit. For a member whose epoch has passed since, each partition is to be asked about
    /// with [`LateCommit::check`].
    pub fn check_commit<'a>(
        &'a self,
        group_id: &StrBytes,
        member_id: &StrBytes,
        member_epoch: i32,
    ) -> Result<Option<LateCommit<'a>>, Refusal> {
        if member_epoch < 0 && self.members.is_empty() {
            return Ok(None);
        }
        let member = self.member(group_id, member_id)?;
        let known = member.current.member_epoch;
        if member_epoch > known {
            return Err(GroupError::StaleMemberEpoch.because(format!(
                "Received member epoch {member_epoch} is newer than current member epoch {known}."
            )));
        }
        Ok((member_epoch < known).then_some(LateCommit { group: self, member, member_epoch }))
    }

    /// Whether somebody may fetch offsets: members in their epoch, and those who claim no membership.
    pub fn check_fetch(
        &self,
        group_id: &StrBytes,
        member_id: Option<&StrBytes>,
        member_epoch: i32,
    ) -> Result<(), Refusal> {
        let member_id = match member_id {
            None if member_epoch < 0 => return Ok(()),
            None => &StrBytes::new(),
            Some(member_id) => member_id,
        };
        let known = self.member(group_id, member_id)?.current.member_epoch;
        if member_epoch != known {
            return Err(GroupError::StaleMemberEpoch.because(format!(
                "The received member epoch {member_epoch} does not match the expected member epoch {known}."
            )));
        }
        Ok(())
    }
}

/// A commit of an earlier epoch. It holds for tasks that the member has had since then.
#[derive(Debug, Clone, Copy)]
pub struct LateCommit<'a> {
    group: &'a StreamsGroup,
    member: &'a StreamsMember,
    member_epoch: i32,
}

impl LateCommit<'_> {
    pub fn check(&self, topic: &str, partition: i32) -> Result<(), GroupError> {
        let topology = self.group.topology.as_ref();
        let subtopology = topology.and_then(|topology| topology.subtopology_of(topic));
        let current = &self.member.current;
        let assigned_in = subtopology.and_then(|subtopology| {
            let epoch_in = |tasks: &super::AssignedTasks| {
                tasks.active.get(&subtopology.id).and_then(|epochs| epochs.get(&partition)).copied()
            };
            epoch_in(&current.tasks).or_else(|| epoch_in(&current.pending_revocation))
        });
        match assigned_in {
            Some(epoch) if self.member_epoch >= epoch => Ok(()),
            _ => Err(GroupError::StaleMemberEpoch),
        }
    }
}
