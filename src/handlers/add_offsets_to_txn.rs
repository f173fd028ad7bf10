//! AddOffsetsToTxn (25) v0-4 (KIP-98): a group's partition of `__consumer_offsets` becomes a part of the transaction.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};

use super::Context;
use super::errors::transaction_code;
use crate::coordinator::transaction::commands::AddPartitions;
use crate::coordinator::transaction::{ProducerIdAndEpoch, TransactionVersion};

/// Before it, a client knows no PRODUCER_FENCED.
const FENCED_SINCE: i16 = 2;

pub async fn handle(context: Context, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let broker = context.broker();
    let add = AddPartitions {
        transactional_id: request.transactional_id.0,
        producer: ProducerIdAndEpoch {
            producer_id: request.producer_id.0,
            producer_epoch: request.producer_epoch,
        },
        partitions: vec![broker.offsets_partition(&request.group_id)],
        // Whoever speaks a later one has TxnOffsetCommit add the partition.
        client_version: TransactionVersion::V0,
    };
    let code = match broker.transactions().add_partitions(&add).await {
        Ok(()) => ErrorCode::None,
        Err(error) => transaction_code(error, context.api_version >= FENCED_SINCE),
    };
    AddOffsetsToTxnResponse::default().with_error_code(code.code())
}
