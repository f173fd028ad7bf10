//! The IO of the coordinators: shards over partitions of an internal topic, loaded on first use.
//!
//! Enters: commands of handlers. Leaves: answers, once the log has what they rest on; appends. This is the only folder
//! of `coordinator` that awaits, locks, and asks a clock.

mod alarm;
mod log;
mod shard;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use ottla_protocol::{StrBytes, Uuid};

use self::alarm::{Alarm, Listening};
use self::shard::{Shard, Surroundings};
use super::Ticket;
use super::group::commands::*;
use super::group::{Answer, GroupConfig, GroupError};
use crate::clock::Clock;

pub use self::log::{CoordinatorLog, LogError, LogFuture};

/// The group coordinator of this broker: a shard for each partition of `__consumer_offsets`.
pub struct GroupCoordinator {
    surroundings: Arc<Surroundings>,
    /// By partition, as far as they were needed.
    shards: Mutex<Vec<Option<Arc<Shard>>>>,
    last_ticket: AtomicU64,
    alarm_task: Once,
}

impl std::fmt::Debug for GroupCoordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupCoordinator").finish_non_exhaustive()
    }
}

impl GroupCoordinator {
    /// Costs nothing until a group is asked for.
    pub fn new(config: GroupConfig, log: Arc<dyn CoordinatorLog>, clock: Clock) -> Arc<Self> {
        let alarm = Arc::new(Alarm::default());
        let surroundings = Surroundings { config, log, clock, alarm, is_closed: AtomicBool::new(false) };
        Arc::new(GroupCoordinator {
            surroundings: Arc::new(surroundings),
            shards: Mutex::new(Vec::new()),
            last_ticket: AtomicU64::new(0),
            alarm_task: Once::new(),
        })
    }

    /// Makes the topic of the groups, if it is not there.
    pub async fn ensure_topic(&self) -> Result<(), LogError> {
        match self.surroundings.log.partitions() {
            Some(_) => Ok(()),
            None => self.surroundings.log.create().await,
        }
    }

    /// A number for a JoinGroup or SyncGroup.
    pub fn ticket(&self) -> Ticket {
        self.last_ticket.fetch_add(1, Ordering::Relaxed)
    }

    pub async fn join(self: &Arc<Self>, join: Join) -> JoinAnswer {
        let refused = |error| JoinRefused { member_id: join.member_id.clone(), error };
        join.check(&self.surroundings.config).map_err(refused)?;
        let shard = self.shard_of(&join.group_id).map_err(refused)?;
        let answer = shard.run_with_ticket(join.ticket, |machine, now_ms| machine.join(&join, now_ms)).await;
        match answer.map_err(refused)? {
            Answer::Join(answer) => answer,
            Answer::Sync(_) => Err(refused(GroupError::CoordinatorNotAvailable)),
        }
    }

    pub async fn sync(self: &Arc<Self>, sync: Sync) -> SyncAnswer {
        let shard = self.shard_of_member(&sync.group_id)?;
        match shard.run_with_ticket(sync.ticket, |machine, now_ms| machine.sync(&sync, now_ms)).await? {
            Answer::Sync(answer) => answer,
            Answer::Join(_) => Err(GroupError::CoordinatorNotAvailable),
        }
    }

    pub async fn heartbeat(self: &Arc<Self>, heartbeat: Heartbeat) -> Result<(), GroupError> {
        let shard = self.shard_of_member(&heartbeat.group_id)?;
        shard.run(|machine, now_ms| machine.heartbeat(&heartbeat, now_ms)).await?
    }

    pub async fn leave(self: &Arc<Self>, leave: Leave) -> Result<LeaveAnswer, GroupError> {
        let shard = self.shard_of_member(&leave.group_id)?;
        shard.run(|machine, now_ms| machine.leave(&leave, now_ms)).await?
    }

    pub async fn commit(self: &Arc<Self>, commit: &Commit) -> Result<Vec<TopicResults>, GroupError> {
        let shard = self.shard_of(&commit.group_id)?;
        shard.run(|machine, now_ms| machine.commit(commit, now_ms)).await?
    }

    pub async fn fetch_offsets(
        self: &Arc<Self>,
        fetch: FetchOffsets,
    ) -> Result<Vec<FetchedTopic>, GroupError> {
        let shard = self.shard_of(&fetch.group_id)?;
        shard.run(|machine, _| super::Outcome::answer(machine.fetch_offsets(&fetch))).await
    }

    pub async fn delete_offsets(
        self: &Arc<Self>,
        delete: DeleteOffsets,
    ) -> Result<Vec<TopicResults>, GroupError> {
        let shard = self.shard_of(&delete.group_id)?;
        shard.run(|machine, _| machine.delete_offsets(&delete)).await?
    }

    pub async fn describe(self: &Arc<Self>, group_id: &StrBytes) -> Result<DescribedGroup, GroupError> {
        let shard = self.shard_of(group_id)?;
        shard.run(|machine, _| super::Outcome::answer(machine.describe(group_id))).await?
    }

    pub async fn delete(self: &Arc<Self>, group_id: &StrBytes) -> Result<(), GroupError> {
        let shard = self.shard_of(group_id)?;
        shard.run(|machine, _| machine.delete(group_id)).await?
    }

    /// All groups of all shards.
    pub async fn list(self: &Arc<Self>) -> Result<Vec<ListedGroup>, GroupError> {
        let mut groups = Vec::new();
        for partition in 0..self.surroundings.log.partitions().unwrap_or(0) {
            let shard = self.shard(partition);
            groups.extend(shard.run(|machine, _| super::Outcome::answer(machine.list())).await?);
        }
        Ok(groups)
    }

    /// A topic is gone for good: forgets the offsets of all groups in it.
    pub async fn topic_deleted(self: &Arc<Self>, name: &StrBytes, topic_id: Uuid) -> Result<(), GroupError> {
        for partition in 0..self.surroundings.log.partitions().unwrap_or(0) {
            self.shard(partition).run(|machine, _| machine.topic_deleted(name, topic_id)).await?;
        }
        Ok(())
    }

    /// The groups' own topic is gone, and all groups with it.
    pub fn unload(&self) {
        let shards = std::mem::take(&mut *self.shards.lock().unwrap_or_else(PoisonError::into_inner));
        shards.iter().flatten().for_each(|shard| shard.unload());
    }

    /// The broker stops: who waits for other members is told to look elsewhere, nobody else waits any more.
    pub fn close(&self) {
        self.surroundings.is_closed.store(true, Ordering::Release);
        let shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        shards.iter().flatten().for_each(|shard| shard.give_up_waiting());
    }

    /// For what members ask: Kafka looks for the group's name before it asks whether the coordinator is here.
    fn shard_of_member(self: &Arc<Self>, group_id: &StrBytes) -> Result<Arc<Shard>, GroupError> {
        if group_id.is_empty() {
            return Err(GroupError::InvalidGroupId);
        }
        self.shard_of(group_id)
    }

    /// `NotCoordinator` before the topic is made: the client asks for the coordinator, which makes it.
    fn shard_of(self: &Arc<Self>, group_id: &StrBytes) -> Result<Arc<Shard>, GroupError> {
        let partitions = self.surroundings.log.partitions().ok_or(GroupError::NotCoordinator)?;
        Ok(self.shard(partition_of(group_id, partitions)))
    }

    fn shard(self: &Arc<Self>, partition: i32) -> Arc<Shard> {
        self.alarm_task.call_once(|| self.start_alarm());
        let index = usize::try_from(partition).unwrap_or(0);
        let mut shards = self.shards.lock().unwrap_or_else(PoisonError::into_inner);
        if shards.len() <= index {
            shards.resize(index + 1, None);
        }
        let new_shard = || Arc::new(Shard::new(partition, Arc::clone(&self.surroundings)));
        Arc::clone(shards[index].get_or_insert_with(new_shard))
    }

    fn start_alarm(self: &Arc<Self>) {
        let coordinator: Weak<Self> = Arc::downgrade(self);
        let fire = move |partition| match coordinator.upgrade() {
            Some(coordinator) => {
                coordinator.shard(partition).fire();
                Listening::Yes
            }
            None => Listening::No,
        };
        tokio::spawn(Arc::clone(&self.surroundings.alarm).run(self.surroundings.clock.clone(), fire));
    }
}

/// Where Kafka keeps a group: Java's hash of its id, without the sign, modulo the partitions.
pub fn partition_of(group_id: &str, partitions: i32) -> i32 {
    let hash =
        group_id.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.checked_abs().unwrap_or(0) % partitions.max(1)
}
