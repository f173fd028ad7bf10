//! Typed requests to an in-process broker, one file per Kafka API; one test binary for all.

mod data;
mod groups;
mod support;
mod transactions;

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod api_versions;
mod configs;
mod delete_groups;
mod delete_records;
mod describe_groups;
mod describe_transactions;
mod end_txn;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod metadata_log;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod retention;
mod share_group_state;
mod sync_group;
mod topics;
