//! What is asked of groups of the consumer protocol: ConsumerGroupHeartbeat, ConsumerGroupDescribe.

use std::sync::Arc;

use ottla_protocol::StrBytes;

use super::GroupCoordinator;
use crate::coordinator::Outcome;
use crate::coordinator::group::consumer::{
    ConsumerHeartbeat, DescribedConsumerGroup, HeartbeatAnswer, check_heartbeat,
};
use crate::coordinator::group::{GroupError, Refusal};

impl GroupCoordinator {
    pub async fn consumer_heartbeat(
        self: &Arc<Self>,
        heartbeat: &ConsumerHeartbeat,
    ) -> Result<HeartbeatAnswer, Refusal> {
        check_heartbeat(heartbeat, &self.shards.config().consumer)?;
        let shard = self.shard_of(&heartbeat.group_id)?;
        let decided = shard.run(|machine, now_ms, view| machine.consumer_heartbeat(heartbeat, now_ms, view));
        decided.await.map_err(GroupError::from)?
    }

    pub async fn consumer_describe(
        self: &Arc<Self>,
        group_id: &StrBytes,
    ) -> Result<DescribedConsumerGroup, Refusal> {
        let shard = self.shard_of_member(group_id)?;
        let described =
            shard.run(|machine, _, view| Outcome::answer(machine.consumer_describe(group_id, view))).await;
        described.map_err(GroupError::from)?
    }
}
