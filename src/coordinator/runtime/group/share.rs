//! What is asked of share groups: ShareGroupHeartbeat, ShareGroupDescribe, offsets altered and deleted; and their errands
//! to the share coordinator.

use std::sync::Arc;

use ottla_protocol::{StrBytes, Uuid};
use tracing::warn;

use super::GroupCoordinator;
use crate::coordinator::Outcome;
use crate::coordinator::group::assignors::TopicPartitions;
use crate::coordinator::group::share::ShareErrand;
use crate::coordinator::group::share::commands::*;
use crate::coordinator::group::{GroupError, Refusal};
use crate::coordinator::share::{InitializeState, ShareError, SharePartitionKey};

/// What became of each share partition that the share coordinator was asked about.
pub type ShareResults = Vec<(SharePartitionKey, Result<(), ShareError>)>;

impl GroupCoordinator {
    pub async fn share_heartbeat(
        self: &Arc<Self>,
        heartbeat: ShareHeartbeat,
    ) -> Result<ShareHeartbeatAnswer, Refusal> {
        heartbeat.check()?;
        let shard = self.shard_of(&heartbeat.group_id)?;
        let decided = shard.run(|machine, now_ms, view| machine.share_heartbeat(&heartbeat, now_ms, view));
        decided.await.map_err(GroupError::from)?
    }

    pub async fn describe_share_group(
        self: &Arc<Self>,
        group_id: &StrBytes,
    ) -> Result<DescribedShareGroup, Refusal> {
        if group_id.is_empty() {
            return Err(GroupError::InvalidGroupId.into());
        }
        let shard = self.shard_of(group_id)?;
        let described =
            shard.run(|machine, _, view| Outcome::answer(machine.describe_share_group(group_id, view)));
        described.await.map_err(GroupError::from)?
    }

    /// The partitions whose offsets a share group has.
    pub async fn initialized_share_partitions(
        self: &Arc<Self>,
        group_id: &StrBytes,
    ) -> Result<TopicPartitions, GroupError> {
        let shard = self.shard_of(group_id)?;
        Ok(shard.run(|machine, _, _| Outcome::answer(machine.initialized_share_partitions(group_id))).await?)
    }

    /// Lets share partitions begin elsewhere; tells which there are, and what the share coordinator said of those.
    pub async fn alter_share_offsets(
        self: &Arc<Self>,
        request: &AlterShareOffsets,
    ) -> Result<(Vec<AlteredShareTopic>, ShareResults), Refusal> {
        if request.group_id.is_empty() {
            return Err(GroupError::InvalidGroupId.into());
        }
        let shard = self.shard_of(&request.group_id)?;
        let altered = shard.run(|machine, now_ms, view| machine.alter_share_offsets(request, now_ms, view));
        let altered = altered.await.map_err(GroupError::from)??;
        let results = self.initialize_share_states(altered.initialize).await;
        // Where one fails the others are not assigned yet either: the next heartbeat begins them once more.
        if !results.is_empty() && results.iter().all(|(_, result)| result.is_ok()) {
            let partitions = by_topic(results.iter().map(|(key, _)| key));
            let group_id = &request.group_id;
            let done = shard.run(|machine, _, view| machine.share_initialized(group_id, &partitions, view));
            done.await.map_err(GroupError::from)?;
        }
        Ok((altered.topics, results))
    }

    /// Forgets a share group's offsets in topics: what became of each, those first that could be asked for.
    pub async fn delete_share_offsets(
        self: &Arc<Self>,
        group_id: &StrBytes,
        names: &[StrBytes],
    ) -> Result<DeletedShareOffsets, Refusal> {
        if group_id.is_empty() {
            return Err(GroupError::InvalidGroupId.into());
        }
        let shard = self.shard_of(group_id)?;
        let deletion = shard.run(|machine, _, view| machine.delete_share_offsets(group_id, names, view));
        let DeleteShareOffsets { delete, refused } = deletion.await.map_err(GroupError::from)??;
        let mut topics = Vec::with_capacity(delete.len());
        for topic in delete {
            let key = |partition: &i32| SharePartitionKey {
                group_id: group_id.clone(),
                topic_id: topic.topic_id,
                partition: *partition,
            };
            let results = self.delete_share_states(topic.partitions.iter().map(key).collect()).await;
            let result = results.into_iter().try_for_each(|(_, result)| result);
            topics.push((topic.topic_id, topic.name, result));
        }
        let forgotten: Vec<Uuid> =
            topics.iter().filter(|(_, _, result)| result.is_ok()).map(|(topic_id, _, _)| *topic_id).collect();
        if !forgotten.is_empty() {
            let done =
                shard.run(|machine, _, view| machine.share_offsets_deleted(group_id, &forgotten, view));
            done.await.map_err(GroupError::from)?;
        }
        Ok(DeletedShareOffsets { topics, refused })
    }

    /// Has the share coordinator forget a share group, before the group itself is deleted. Groups of other kinds have
    /// nothing there.
    pub(super) async fn forget_share_group(self: &Arc<Self>, group_id: &StrBytes) -> Result<(), GroupError> {
        let shard = self.shard_of(group_id)?;
        let keys = shard.run(|machine, _, view| machine.begin_share_deletion(group_id, view)).await??;
        for (key, result) in self.delete_share_states(keys).await {
            if let Err(error) = result {
                warn!(?key, ?error, "a share group's state could not be deleted");
                return Err(match error {
                    ShareError::NotCoordinator => GroupError::NotCoordinator,
                    _ => GroupError::CoordinatorNotAvailable,
                });
            }
        }
        Ok(())
    }

    /// Tells the share coordinator of new share partitions, and the group what it answered.
    pub(super) async fn run_share_errand(self: &Arc<Self>, errand: ShareErrand) {
        let ShareErrand { group_id, initialize } = errand;
        let results = self.initialize_share_states(initialize).await;
        let partitions = by_topic(results.iter().map(|(key, _)| key));
        let failed = results.iter().find_map(|(key, result)| Some((key, result.err()?)));
        if let Some((key, error)) = failed {
            warn!(?key, ?error, "a share partition could not be initialized; it is tried again");
        }
        let is_done = failed.is_none();
        let Ok(shard) = self.shard_of(&group_id) else {
            return;
        };
        let told = shard.run(|machine, _, view| match is_done {
            true => machine.share_initialized(&group_id, &partitions, view),
            false => machine.share_not_initialized(&group_id, &partitions, view),
        });
        if let Err(error) = told.await {
            // A heartbeat asks again when `group.share.initialize.retry.interval.ms` is over.
            warn!(%group_id, ?error, "a share group could not be told of its state");
        }
    }

    async fn initialize_share_states(&self, initialize: Vec<InitializeState>) -> ShareResults {
        let topic = self.share_states.ensure_topic().await;
        let mut results = Vec::with_capacity(initialize.len());
        for each in initialize {
            let key = each.key.clone();
            let result = match topic {
                Ok(()) => self.share_states.initialize(each).await,
                Err(_) => Err(ShareError::CoordinatorNotAvailable),
            };
            results.push((key, result));
        }
        results
    }

    async fn delete_share_states(&self, keys: Vec<SharePartitionKey>) -> ShareResults {
        if keys.is_empty() {
            return Vec::new();
        }
        let topic = self.share_states.ensure_topic().await;
        let mut results = Vec::with_capacity(keys.len());
        for key in keys {
            let result = match topic {
                Ok(()) => self.share_states.delete(key.clone()).await,
                Err(_) => Err(ShareError::CoordinatorNotAvailable),
            };
            results.push((key, result));
        }
        results
    }
}

/// What became of DeleteShareGroupOffsets.
#[derive(Debug)]
pub struct DeletedShareOffsets {
    pub topics: Vec<(Uuid, StrBytes, Result<(), ShareError>)>,
    pub refused: Vec<(StrBytes, NoOffsets)>,
}

fn by_topic<'a>(keys: impl Iterator<Item = &'a SharePartitionKey>) -> TopicPartitions {
    let mut topics = TopicPartitions::new();
    for key in keys {
        topics.entry(key.topic_id).or_default().insert(key.partition);
    }
    topics
}
