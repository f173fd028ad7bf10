//! ListTransactions (66) v0-2 (KIP-664). v1: by duration (KIP-994); v2: by a pattern of ids (KIP-1152).

use ottla_protocol::messages::list_transactions_response::TransactionState as ListedState;
use ottla_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse};
use ottla_protocol::{ErrorCode, StrBytes};

use super::Context;
use super::errors::Code;
use crate::coordinator::pattern::NamePattern;
use crate::coordinator::transaction::TransactionState;
use crate::coordinator::transaction::commands::{ListTransactions, ListedTransaction};

pub async fn handle(context: Context, request: ListTransactionsRequest) -> ListTransactionsResponse {
    let pattern = request.transactional_id_pattern.filter(|pattern| !pattern.is_empty());
    let Ok(pattern) = pattern.map(|pattern| NamePattern::new(&pattern)).transpose() else {
        return ListTransactionsResponse::default()
            .with_error_code(ErrorCode::InvalidRegularExpression.code());
    };
    let unknown = unknown(&request.state_filters);
    let list = ListTransactions {
        producer_ids: request.producer_id_filters.into_iter().map(|id| id.0).collect(),
        states: request.state_filters,
        longer_than_ms: Some(request.duration_filter).filter(|duration_ms| *duration_ms >= 0),
        pattern,
    };
    match context.broker().transactions().list(&list).await {
        Ok(listed) => ListTransactionsResponse::default()
            .with_unknown_state_filters(unknown)
            .with_transaction_states(listed.into_iter().map(row).collect()),
        Err(error) => ListTransactionsResponse::default().with_error_code(error.code().code()),
    }
}

/// States that there are not, each once; they let nothing through.
fn unknown(states: &[StrBytes]) -> Vec<StrBytes> {
    let mut unknown: Vec<StrBytes> = Vec::new();
    for state in states {
        if !TransactionState::is_name(state) && !unknown.contains(state) {
            unknown.push(state.clone());
        }
    }
    unknown
}

fn row(listed: ListedTransaction) -> ListedState {
    ListedState::default()
        .with_transactional_id(listed.transactional_id.into())
        .with_producer_id(listed.producer_id.into())
        .with_transaction_state(StrBytes::from_static_str(listed.state))
}
