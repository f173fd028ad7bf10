//! InitProducerId (22) v0-5, for idempotent and for transactional producers (KIP-98). v3: a producer goes on after an
//! error (KIP-360).

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use super::Context;
use super::errors::{Code, transaction_code};
use crate::coordinator::transaction::commands::InitProducerId;
use crate::coordinator::transaction::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, ProducerIdAndEpoch};

/// Before it, a client knows no PRODUCER_FENCED.
const FENCED_SINCE: i16 = 4;

pub async fn handle(context: Context, request: InitProducerIdRequest) -> InitProducerIdResponse {
    let (code, producer) = match initialized(&context, request).await {
        Ok(producer) => (ErrorCode::None, producer),
        Err(code) => (code, ProducerIdAndEpoch::NONE),
    };
    InitProducerIdResponse::default()
        .with_error_code(code.code())
        .with_producer_id(producer.producer_id.into())
        .with_producer_epoch(producer.producer_epoch)
}

async fn initialized(
    context: &Context,
    request: InitProducerIdRequest,
) -> Result<ProducerIdAndEpoch, ErrorCode> {
    let expected = expected(&request)?;
    let Some(transactional_id) = request.transactional_id else {
        // Kafka, too, gives a new id to a producer without a transactional id, whatever it says of its old one.
        let producer_id = context.broker().next_producer_id().await.map_err(|error| error.code())?;
        return Ok(ProducerIdAndEpoch { producer_id, producer_epoch: 0 });
    };
    let init = InitProducerId {
        transactional_id: transactional_id.0,
        timeout_ms: request.transaction_timeout_ms,
        expected,
        new_producer_id: None,
    };
    let knows_fenced = context.api_version >= FENCED_SINCE;
    let initialized = context.broker().transactions().init_producer_id(init).await;
    initialized.map_err(|error| transaction_code(error, knows_fenced))
}

/// Who the producer says it was: both of id and epoch, or none.
fn expected(request: &InitProducerIdRequest) -> Result<Option<ProducerIdAndEpoch>, ErrorCode> {
    match (request.producer_id.0, request.producer_epoch) {
        (NO_PRODUCER_ID, NO_PRODUCER_EPOCH) => Ok(None),
        (NO_PRODUCER_ID, _) | (_, NO_PRODUCER_EPOCH) => Err(ErrorCode::InvalidRequest),
        (producer_id, producer_epoch) => Ok(Some(ProducerIdAndEpoch { producer_id, producer_epoch })),
    }
}
