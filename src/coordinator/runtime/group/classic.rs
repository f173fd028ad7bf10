//! What members of the classic protocol ask: JoinGroup, SyncGroup, Heartbeat, LeaveGroup.

use std::sync::Arc;

use super::GroupCoordinator;
use crate::coordinator::group::commands::*;
use crate::coordinator::group::{Answer, GroupError};

impl GroupCoordinator {
    pub async fn join(self: &Arc<Self>, join: Join) -> JoinAnswer {
        let refused = |error| JoinRefused { member_id: join.member_id.clone(), error };
        join.check(self.shards.config()).map_err(refused)?;
        let shard = self.shard_of(&join.group_id).map_err(refused)?;
        let answer = shard
            .run_with_ticket(join.ticket, |machine, now_ms, view| machine.join(&join, now_ms, view))
            .await;
        match answer.map_err(|error| refused(error.into()))? {
            Answer::Join(answer) => answer,
            Answer::Sync(_) => Err(refused(GroupError::CoordinatorNotAvailable)),
        }
    }

    pub async fn sync(self: &Arc<Self>, sync: Sync) -> SyncAnswer {
        let shard = self.shard_of_member(&sync.group_id)?;
        match shard
            .run_with_ticket(sync.ticket, |machine, now_ms, view| machine.sync(&sync, now_ms, view))
            .await?
        {
            Answer::Sync(answer) => answer,
            Answer::Join(_) => Err(GroupError::CoordinatorNotAvailable),
        }
    }

    pub async fn heartbeat(self: &Arc<Self>, heartbeat: Heartbeat) -> Result<(), GroupError> {
        let shard = self.shard_of_member(&heartbeat.group_id)?;
        shard.run(|machine, now_ms, _| machine.heartbeat(&heartbeat, now_ms)).await?
    }

    pub async fn leave(self: &Arc<Self>, leave: Leave) -> Result<LeaveAnswer, GroupError> {
        let shard = self.shard_of_member(&leave.group_id)?;
        shard.run(|machine, now_ms, view| machine.leave(&leave, now_ms, view)).await?
    }
}
