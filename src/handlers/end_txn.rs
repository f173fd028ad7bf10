//! EndTxn (26) v0-5 (KIP-98). From v5 on each transaction has an epoch of its own, and the answer has the next (KIP-890).

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{EndTxnRequest, EndTxnResponse};

use super::Context;
use super::errors::transaction_code;
use crate::coordinator::transaction::commands::EndTxn;
use crate::coordinator::transaction::{ProducerIdAndEpoch, TransactionResult, TransactionVersion};

/// From this version on the client speaks transaction.version 2.
const EPOCH_BUMP_SINCE: i16 = 5;
/// Before it, a client knows no PRODUCER_FENCED.
const FENCED_SINCE: i16 = 2;

pub async fn handle(context: Context, request: EndTxnRequest) -> EndTxnResponse {
    let bumps_epoch = context.api_version >= EPOCH_BUMP_SINCE;
    let end = EndTxn {
        transactional_id: request.transactional_id.0,
        producer: ProducerIdAndEpoch {
            producer_id: request.producer_id.0,
            producer_epoch: request.producer_epoch,
        },
        result: if request.committed { TransactionResult::Commit } else { TransactionResult::Abort },
        client_version: if bumps_epoch { TransactionVersion::V2 } else { TransactionVersion::V0 },
        new_producer_id: None,
    };
    let (code, producer) = match context.broker().transactions().end(end).await {
        Ok(producer) => (ErrorCode::None, producer),
        Err(error) => {
            (transaction_code(error, context.api_version >= FENCED_SINCE), ProducerIdAndEpoch::NONE)
        }
    };
    EndTxnResponse::default()
        .with_error_code(code.code())
        .with_producer_id(producer.producer_id.into())
        .with_producer_epoch(producer.producer_epoch)
}
