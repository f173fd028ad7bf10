//! THE API TABLE: key, versions, handler and required permission of every Kafka API that Ottla serves.
//!
//! Enters: a [`Context`] and one typed request. Leaves: one typed response, or a future of it. Handlers keep no
//! state of their own and never touch a socket. ApiVersions is computed from this table; what is not in it does
//! not exist. One more API is one more file here, one row, one file in `tests/`.

mod context;
mod reply;

mod config_changes;
mod errors;
mod share_state;
mod topic_answers;

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_configs;
mod alter_share_group_offsets;
mod api_versions;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_share_group_offsets;
mod delete_share_group_state;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_share_group_offsets;
mod describe_topic_partitions;
mod describe_transactions;
mod end_txn;
mod fetch;
mod find_coordinator;
mod get_telemetry_subscriptions;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod initialize_share_group_state;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod read_share_group_state;
mod read_share_group_state_summary;
mod share_acknowledge;
mod share_acknowledgements;
mod share_fetch;
mod share_group_describe;
mod share_group_heartbeat;
mod streams_group_describe;
mod streams_group_heartbeat;
mod sync_group;
mod txn_offset_commit;
mod write_share_group_state;
mod write_txn_markers;

use std::future::Future;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use bytes::Bytes;
use ottla_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterConfigsRequest, AlterShareGroupOffsetsRequest,
    ApiVersionsRequest, ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest, DeleteShareGroupOffsetsRequest,
    DeleteShareGroupStateRequest, DeleteTopicsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeGroupsRequest, DescribeLogDirsRequest, DescribeProducersRequest,
    DescribeShareGroupOffsetsRequest, DescribeTopicPartitionsRequest, DescribeTransactionsRequest,
    EndTxnRequest, FetchRequest, FindCoordinatorRequest, GetTelemetrySubscriptionsRequest, HeartbeatRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, InitializeShareGroupStateRequest,
    JoinGroupRequest, LeaveGroupRequest, ListConfigResourcesRequest, ListGroupsRequest, ListOffsetsRequest,
    ListTransactionsRequest, MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    OffsetForLeaderEpochRequest, ProduceRequest, ReadShareGroupStateRequest,
    ReadShareGroupStateSummaryRequest, Request, ShareAcknowledgeRequest, ShareFetchRequest,
    ShareGroupDescribeRequest, ShareGroupHeartbeatRequest, StreamsGroupDescribeRequest,
    StreamsGroupHeartbeatRequest, SyncGroupRequest, TxnOffsetCommitRequest, WriteShareGroupStateRequest,
    WriteTxnMarkersRequest,
};
use ottla_protocol::request::{self, RequestError};
use ottla_protocol::shapes;

pub use context::{Client, Context};
pub use reply::{IntoReply, PendingReply, Reply};

/// What a principal must be allowed before a handler runs; the authorizer is a later row of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acl {
    /// Anyone may ask.
    Nothing,
    /// Checked by the handler for each topic, group or id that the request names.
    PerResource,
    /// One operation on the cluster.
    Cluster,
}

/// One row of the table.
pub struct Api {
    pub key: i16,
    pub name: &'static str,
    /// The versions that are served.
    pub versions: RangeInclusive<i16>,
    pub acl: Acl,
    /// The lowest version that ApiVersions tells of, where it is not the lowest that is served.
    pub advertised_from: i16,
    /// Whether ApiVersions tells of it at all.
    pub is_advertised: bool,
    /// Whether the next request of the connection may be handed over before this one is answered.
    pub pipelined: bool,
    handler: Handler,
}

type Handler = Box<dyn Fn(Context, Bytes) -> Result<PendingReply, RequestError> + Send + Sync>;

impl Api {
    /// Decodes the body and starts the handler; nothing has run before the reply is polled.
    pub fn call(&self, context: Context, body: Bytes) -> Result<PendingReply, RequestError> {
        (self.handler)(context, body)
    }

    fn pipelined(mut self) -> Api {
        self.pipelined = true;
        self
    }

    fn advertised_from(mut self, version: i16) -> Api {
        self.advertised_from = version;
        self
    }

    fn not_advertised(mut self) -> Api {
        self.is_advertised = false;
        self
    }
}

/// The row of an API, if it is served.
pub fn find(key: i16) -> Option<&'static Api> {
    TABLE.iter().find(|api| api.key == key)
}

/// All rows, by key.
pub fn all() -> &'static [Api] {
    &TABLE
}

static TABLE: LazyLock<Vec<Api>> = LazyLock::new(|| {
    use Acl::*;
    vec![
        // Told from 0 although 3 is the first that is served, as Kafka does: old librdkafka looks for it (KIP-896).
        row::<ProduceRequest, _, _>(3..=13, PerResource, produce::handle).pipelined().advertised_from(0),
        row::<FetchRequest, _, _>(4..=18, PerResource, fetch::handle),
        row::<ListOffsetsRequest, _, _>(1..=11, PerResource, list_offsets::handle),
        row::<MetadataRequest, _, _>(0..=13, PerResource, metadata::handle),
        row::<OffsetCommitRequest, _, _>(2..=10, PerResource, offset_commit::handle),
        row::<OffsetFetchRequest, _, _>(1..=10, PerResource, offset_fetch::handle),
        row::<FindCoordinatorRequest, _, _>(0..=6, PerResource, find_coordinator::handle),
        row::<JoinGroupRequest, _, _>(0..=9, PerResource, join_group::handle),
        row::<HeartbeatRequest, _, _>(0..=4, PerResource, heartbeat::handle),
        row::<LeaveGroupRequest, _, _>(0..=5, PerResource, leave_group::handle),
        row::<SyncGroupRequest, _, _>(0..=5, PerResource, sync_group::handle),
        row::<DescribeGroupsRequest, _, _>(0..=6, PerResource, describe_groups::handle),
        row::<ListGroupsRequest, _, _>(0..=5, PerResource, list_groups::handle),
        row::<ApiVersionsRequest, _, _>(0..=4, Nothing, api_versions::handle),
        row::<CreateTopicsRequest, _, _>(2..=7, PerResource, create_topics::handle),
        row::<DeleteTopicsRequest, _, _>(1..=6, PerResource, delete_topics::handle),
        row::<DeleteRecordsRequest, _, _>(0..=2, PerResource, delete_records::handle),
        row::<InitProducerIdRequest, _, _>(0..=5, PerResource, init_producer_id::handle),
        row::<OffsetForLeaderEpochRequest, _, _>(2..=4, PerResource, offset_for_leader_epoch::handle),
        row::<AddPartitionsToTxnRequest, _, _>(0..=5, PerResource, add_partitions_to_txn::handle),
        row::<AddOffsetsToTxnRequest, _, _>(0..=4, PerResource, add_offsets_to_txn::handle),
        row::<EndTxnRequest, _, _>(0..=5, PerResource, end_txn::handle),
        row::<WriteTxnMarkersRequest, _, _>(1..=2, Cluster, write_txn_markers::handle),
        row::<TxnOffsetCommitRequest, _, _>(0..=5, PerResource, txn_offset_commit::handle),
        row::<DescribeConfigsRequest, _, _>(1..=4, PerResource, describe_configs::handle),
        row::<AlterConfigsRequest, _, _>(0..=2, PerResource, alter_configs::handle),
        row::<DescribeLogDirsRequest, _, _>(1..=5, Cluster, describe_log_dirs::handle),
        row::<CreatePartitionsRequest, _, _>(0..=3, PerResource, create_partitions::handle),
        row::<IncrementalAlterConfigsRequest, _, _>(0..=1, PerResource, incremental_alter_configs::handle),
        row::<DescribeClusterRequest, _, _>(0..=2, Cluster, describe_cluster::handle),
        row::<DeleteGroupsRequest, _, _>(0..=2, PerResource, delete_groups::handle),
        row::<OffsetDeleteRequest, _, _>(0..=0, PerResource, offset_delete::handle),
        row::<DescribeProducersRequest, _, _>(0..=0, PerResource, describe_producers::handle),
        row::<DescribeTransactionsRequest, _, _>(0..=0, PerResource, describe_transactions::handle),
        row::<ListTransactionsRequest, _, _>(0..=2, PerResource, list_transactions::handle),
        row::<ConsumerGroupHeartbeatRequest, _, _>(0..=1, PerResource, consumer_group_heartbeat::handle),
        row::<ConsumerGroupDescribeRequest, _, _>(0..=1, PerResource, consumer_group_describe::handle),
        row::<GetTelemetrySubscriptionsRequest, _, _>(0..=0, Nothing, get_telemetry_subscriptions::handle)
            .not_advertised(),
        row::<ListConfigResourcesRequest, _, _>(0..=1, Cluster, list_config_resources::handle),
        row::<DescribeTopicPartitionsRequest, _, _>(0..=0, PerResource, describe_topic_partitions::handle),
        row::<ShareGroupHeartbeatRequest, _, _>(1..=1, PerResource, share_group_heartbeat::handle),
        row::<ShareGroupDescribeRequest, _, _>(1..=1, PerResource, share_group_describe::handle),
        row::<ShareFetchRequest, _, _>(1..=2, PerResource, share_fetch::handle),
        row::<ShareAcknowledgeRequest, _, _>(1..=2, PerResource, share_acknowledge::handle),
        row::<InitializeShareGroupStateRequest, _, _>(0..=0, Cluster, initialize_share_group_state::handle),
        row::<ReadShareGroupStateRequest, _, _>(0..=0, Cluster, read_share_group_state::handle),
        row::<WriteShareGroupStateRequest, _, _>(0..=1, Cluster, write_share_group_state::handle),
        row::<DeleteShareGroupStateRequest, _, _>(0..=0, Cluster, delete_share_group_state::handle),
        row::<ReadShareGroupStateSummaryRequest, _, _>(
            0..=1,
            Cluster,
            read_share_group_state_summary::handle,
        ),
        row::<StreamsGroupHeartbeatRequest, _, _>(0..=0, PerResource, streams_group_heartbeat::handle),
        row::<StreamsGroupDescribeRequest, _, _>(0..=0, PerResource, streams_group_describe::handle),
        row::<DescribeShareGroupOffsetsRequest, _, _>(
            0..=1,
            PerResource,
            describe_share_group_offsets::handle,
        ),
        row::<AlterShareGroupOffsetsRequest, _, _>(0..=0, PerResource, alter_share_group_offsets::handle),
        row::<DeleteShareGroupOffsetsRequest, _, _>(0..=0, PerResource, delete_share_group_offsets::handle),
    ]
});

fn row<R, H, F>(versions: RangeInclusive<i16>, acl: Acl, handle: H) -> Api
where
    R: Request + Send + 'static,
    H: Fn(Context, R) -> F + Copy + Send + Sync + 'static,
    F: Future + Send + 'static,
    F::Output: IntoReply,
{
    let served = versions.clone();
    let handler: Handler = Box::new(move |context, body| {
        let (version, correlation_id) = (context.api_version, context.correlation_id);
        if !served.contains(&version) {
            return api_versions::unsupported(R::KEY, version, correlation_id);
        }
        let request = request::decode_body::<R>(R::KEY, version, body)?;
        Ok(Box::pin(async move { handle(context, request).await.into_reply(version, correlation_id) }))
    });
    let name = shapes::request(R::KEY).map_or("?", |shape| shape.name);
    let advertised_from = *versions.start();
    Api { key: R::KEY, name, versions, acl, advertised_from, is_advertised: true, pipelined: false, handler }
}
