//! Who may commit and fetch a streams group's offsets.

use ottla_protocol::StrBytes;

use super::super::GroupError;
use super::AssignedTasks;
use super::group::StreamsGroup;
use super::member::StreamsMember;

/// Which partitions a committer may commit.
#[derive(Debug, Clone, Copy)]
pub enum TaskClaim<'a> {
    /// All of them.
    Any,
    /// Those of tasks that the member has had since that epoch or longer: it is in a later one, and does not know it
    /// yet.
    HeldSince(&'a StreamsGroup, &'a StreamsMember, i32),
}

impl StreamsGroup {
    /// OffsetCommit. Members use version 9 or above.
    pub fn check_commit(
        &self,
        member_id: &StrBytes,
        member_epoch: i32,
        api_version: i16,
    ) -> Result<TaskClaim<'_>, GroupError> {
        // By an administrator's tool, or by a consumer that keeps its offsets here without being a member.
        if member_epoch < 0 && self.members.is_empty() {
            return Ok(TaskClaim::Any);
        }
        let member = self.members.get(member_id).ok_or(GroupError::UnknownMemberId)?;
        if api_version < 9 {
            return Err(GroupError::UnsupportedVersion);
        }
        self.claim(member, member_epoch)
    }

    /// TxnOffsetCommit, whose version says nothing about the protocol, and whose producer need not be a member.
    pub fn check_transactional_commit(
        &self,
        member_id: &StrBytes,
        instance_id: Option<&StrBytes>,
        member_epoch: i32,
    ) -> Result<TaskClaim<'_>, GroupError> {
        let is_no_member = member_id.is_empty() && instance_id.is_none();
        if member_epoch < 0 && (self.members.is_empty() || (member_epoch == -1 && is_no_member)) {
            return Ok(TaskClaim::Any);
        }
        self.claim(self.members.get(member_id).ok_or(GroupError::UnknownMemberId)?, member_epoch)
    }

    /// OffsetFetch, by a member if it says so.
    pub fn check_fetch(&self, member_id: Option<&StrBytes>, member_epoch: i32) -> Result<(), GroupError> {
        if member_id.is_none() && member_epoch < 0 {
            return Ok(());
        }
        let member = member_id.and_then(|member_id| self.members.get(member_id));
        let known = member.ok_or(GroupError::UnknownMemberId)?.current.member_epoch;
        if member_epoch == known { Ok(()) } else { Err(GroupError::StaleMemberEpoch) }
    }

    fn claim<'a>(&'a self, member: &'a StreamsMember, epoch: i32) -> Result<TaskClaim<'a>, GroupError> {
        match epoch.cmp(&member.current.member_epoch) {
            std::cmp::Ordering::Equal => Ok(TaskClaim::Any),
            std::cmp::Ordering::Less => Ok(TaskClaim::HeldSince(self, member, epoch)),
            std::cmp::Ordering::Greater => Err(GroupError::StaleMemberEpoch),
        }
    }
}

impl TaskClaim<'_> {
    pub fn check(&self, topic: &str, partition: i32) -> Result<(), GroupError> {
        let (group, member, epoch) = match self {
            TaskClaim::Any => return Ok(()),
            TaskClaim::HeldSince(group, member, epoch) => (group, member, *epoch),
        };
        let topology = group.topology.as_ref();
        let subtopology = topology.and_then(|topology| topology.subtopology_of(topic));
        let assigned_in = subtopology.and_then(|subtopology| {
            let epoch_in = |tasks: &AssignedTasks| {
                tasks.active.get(&subtopology.id).and_then(|epochs| epochs.get(&partition)).copied()
            };
            let current = &member.current;
            epoch_in(&current.tasks).or_else(|| epoch_in(&current.pending_revocation))
        });
        match assigned_in {
            Some(assigned_in) if epoch >= assigned_in => Ok(()),
            _ => Err(GroupError::StaleMemberEpoch),
        }
    }
}
