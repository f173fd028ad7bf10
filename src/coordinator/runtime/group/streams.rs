//! What members and administrators ask of streams groups (KIP-1071).

use std::sync::Arc;

use ottla_protocol::StrBytes;

use super::GroupCoordinator;
use crate::coordinator::Outcome;
use crate::coordinator::group::Refusal;
use crate::coordinator::group::streams::{DescribedStreamsGroup, StreamsHeartbeat, StreamsHeartbeatAnswer};

impl GroupCoordinator {
    pub async fn streams_heartbeat(
        self: &Arc<Self>,
        heartbeat: StreamsHeartbeat,
    ) -> Result<StreamsHeartbeatAnswer, Refusal> {
        let shard = self.shard_of(&heartbeat.group_id)?;
        shard.run(|machine, now_ms, view| machine.streams_heartbeat(&heartbeat, now_ms, view)).await?
    }

    pub async fn describe_streams(
        self: &Arc<Self>,
        group_id: &StrBytes,
    ) -> Result<DescribedStreamsGroup, Refusal> {
        let shard = self.shard_of_member(group_id)?;
        shard.run(|machine, _, _| Outcome::answer(machine.describe_streams(group_id))).await?
    }
}
