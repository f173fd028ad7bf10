//! InitProducerId (22) v0-5, for idempotent producers (KIP-98). Transactional ids come with the transaction APIs.

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use super::Context;
use super::errors::Code;

pub async fn handle(context: Context, request: InitProducerIdRequest) -> InitProducerIdResponse {
    match producer_id(&context, &request).await {
        Ok(producer_id) => {
            InitProducerIdResponse::default().with_producer_id(producer_id.into()).with_producer_epoch(0)
        }
        Err(code) => InitProducerIdResponse::default()
            .with_error_code(code.code())
            .with_producer_id((-1).into())
            .with_producer_epoch(-1),
    }
}

async fn producer_id(context: &Context, request: &InitProducerIdRequest) -> Result<i64, ErrorCode> {
    match &request.transactional_id {
        // Kafka, too, gives a new id to a producer without a transactional id, whatever it says of its old one.
        None => context.broker().next_producer_id().await.map_err(|error| error.code()),
        Some(id) if id.is_empty() => Err(ErrorCode::InvalidRequest),
        Some(_) => Err(ErrorCode::CoordinatorNotAvailable),
    }
}
