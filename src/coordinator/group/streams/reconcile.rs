//! How a member comes from what it has to its target, heartbeat by heartbeat: first it gives up what it shall not have
//! (its epoch stays), then it is given what others have given up, in the target's epoch.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::StrBytes;

use super::member::{CurrentAssignment, MemberState, StreamsMember};
use super::owners::Owners;
use super::tasks::{ActiveTasks, AssignedTasks, TaskSet, Tasks};

/// A target and the epoch that it is of.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    pub epoch: i32,
    pub tasks: &'a TaskSet,
}

/// The member may not go on from its state; it has to give everything up and join again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownState;

/// What the member has next, if that is other than what it has. `owned` is what it says that it has; it says so when that changed.
pub fn reconcile(
    member: &StreamsMember,
    target: Target<'_>,
    owned: Option<&TaskSet>,
    owners: &Owners,
) -> Result<Option<CurrentAssignment>, UnknownState> {
    let current = &member.current;
    let step = |member_epoch: i32| Step { member, target, owned, owners, member_epoch }.next();
    let next = match current.state {
        MemberState::Stable if current.member_epoch == target.epoch => return Ok(None),
        MemberState::Stable | MemberState::UnreleasedTasks => step(current.member_epoch),
        MemberState::UnrevokedTasks => match owned {
            Some(owned) if !owned.meets(&current.pending_revocation) => step(current.member_epoch + 1),
            _ => return Ok(None),
        },
        MemberState::Unknown => match owned {
            Some(owned) if owned.is_empty() => step(target.epoch),
            _ => return Err(UnknownState),
        },
    };
    Ok((next != *current).then_some(next))
}

struct Step<'a> {
    member: &'a StreamsMember,
    target: Target<'a>,
    owned: Option<&'a TaskSet>,
    owners: &'a Owners,
    /// The epoch that the member stays in if it has something to give up.
    member_epoch: i32,
}

/// What becomes of the tasks of one kind.
struct Difference<T> {
    kept: T,
    revoked: T,
    added: T,
    /// Some of the target could not be added: another has it still.
    is_waiting: bool,
}

impl Step<'_> {
    fn next(&self) -> CurrentAssignment {
        let process_id = &self.member.metadata.process_id;
        let has = &self.member.current.tasks;
        let target = self.target.tasks;
        let active = self.active_difference(|subtopology, partition| {
            self.owners.active(subtopology, partition).is_some()
                || self.owners.has_copy(process_id, subtopology, partition)
        });
        let is_here = |subtopology: &StrBytes, partition: i32| {
            self.owners.active(subtopology, partition) == Some(process_id)
                || self.owners.has_copy(process_id, subtopology, partition)
        };
        let standby = difference(&has.standby, &target.standby, is_here);
        let warmup = difference(&has.warmup, &target.warmup, is_here);

        let is_waiting = active.is_waiting || standby.is_waiting || warmup.is_waiting;
        let kept = AssignedTasks { active: active.kept, standby: standby.kept, warmup: warmup.kept };
        let revoked =
            AssignedTasks { active: active.revoked, standby: standby.revoked, warmup: warmup.revoked };
        let added = AssignedTasks { active: active.added, standby: standby.added, warmup: warmup.added };

        let must_revoke = !revoked.is_empty() && self.owned.is_none_or(|owned| owned.meets(&revoked));
        let (state, member_epoch) = match (must_revoke, is_waiting) {
            (true, _) => (MemberState::UnrevokedTasks, self.member_epoch),
            (false, true) => (MemberState::UnreleasedTasks, self.target.epoch),
            (false, false) => (MemberState::Stable, self.target.epoch),
        };
        CurrentAssignment {
            member_epoch,
            previous_member_epoch: self.member.current.member_epoch,
            state,
            tasks: if must_revoke { kept } else { kept.merge(added) },
            pending_revocation: if must_revoke { revoked } else { AssignedTasks::default() },
        }
    }

    /// As [`difference`], with epochs: what is added is added in the target's.
    fn active_difference(&self, is_owned: impl Fn(&StrBytes, i32) -> bool) -> Difference<ActiveTasks> {
        let has = &self.member.current.tasks.active;
        let partitions: Tasks =
            has.iter().map(|(id, epochs)| (id.clone(), epochs.keys().copied().collect())).collect();
        let plain = difference(&partitions, &self.target.tasks.active, is_owned);
        let with_epochs = |tasks: Tasks, epoch_of: &dyn Fn(&StrBytes, i32) -> i32| -> ActiveTasks {
            let with_epoch = |(id, partitions): (StrBytes, BTreeSet<i32>)| {
                let epochs: BTreeMap<i32, i32> =
                    partitions.into_iter().map(|partition| (partition, epoch_of(&id, partition))).collect();
                (id, epochs)
            };
            tasks.into_iter().map(with_epoch).collect()
        };
        let old_epoch = |id: &StrBytes, partition: i32| {
            has.get(id).and_then(|epochs| epochs.get(&partition)).copied().unwrap_or(self.target.epoch)
        };
        Difference {
            kept: with_epochs(plain.kept, &old_epoch),
            revoked: with_epochs(plain.revoked, &old_epoch),
            added: with_epochs(plain.added, &|_, _| self.target.epoch),
            is_waiting: plain.is_waiting,
        }
    }
}

/// From `has` to `target`; what `is_owned` elsewhere, or in another role by the same process, is waited for.
fn difference(has: &Tasks, target: &Tasks, is_owned: impl Fn(&StrBytes, i32) -> bool) -> Difference<Tasks> {
    let nothing = BTreeSet::new();
    let mut result =
        Difference { kept: Tasks::new(), revoked: Tasks::new(), added: Tasks::new(), is_waiting: false };
    let ids: BTreeSet<&StrBytes> = has.keys().chain(target.keys()).collect();
    for id in ids {
        let here = has.get(id).unwrap_or(&nothing);
        let wanted = target.get(id).unwrap_or(&nothing);
        let missing = wanted - here;
        let added: BTreeSet<i32> =
            missing.iter().copied().filter(|partition| !is_owned(id, *partition)).collect();
        result.is_waiting |= added.len() < missing.len();
        for (tasks, partitions) in [
            (&mut result.kept, here & wanted),
            (&mut result.revoked, here - wanted),
            (&mut result.added, added),
        ] {
            if !partitions.is_empty() {
                tasks.insert(id.clone(), partitions);
            }
        }
    }
    result
}
