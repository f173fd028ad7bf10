//! What administrators ask of groups: ListGroups, DescribeGroups, DeleteGroups.

use std::sync::Arc;

use ottla_protocol::StrBytes;

use super::GroupCoordinator;
use crate::coordinator::Outcome;
use crate::coordinator::group::commands::*;
use crate::coordinator::group::{GroupError, Refusal};

impl GroupCoordinator {
    pub async fn describe(self: &Arc<Self>, group_id: &StrBytes) -> Result<DescribedGroup, Refusal> {
        let shard = self.shard_of(group_id)?;
        let described = shard.run(|machine, _, _| Outcome::answer(machine.describe(group_id)));
        described.await.map_err(GroupError::from)?
    }

    pub async fn delete(self: &Arc<Self>, group_id: &StrBytes) -> Result<(), GroupError> {
        self.forget_share_group(group_id).await?;
        let shard = self.shard_of(group_id)?;
        shard.run(|machine, _, _| machine.delete(group_id)).await?
    }

    /// All groups of all shards.
    pub async fn list(self: &Arc<Self>) -> Result<Vec<ListedGroup>, GroupError> {
        let mut groups = Vec::new();
        for shard in self.shards.all() {
            groups.extend(shard.run(|machine, _, _| Outcome::answer(machine.list())).await?);
        }
        Ok(groups)
    }
}
