//! Transactions as the partitions that this broker leads see them: how they begin (`verification`) and how they end
//! (`markers`).
//!
//! Enters: calls of handlers and of the transaction coordinator. Leaves: guards for appends, control batches.

mod markers;
mod verification;

pub use markers::MarkerError;
pub use verification::{TransactionalProducer, VerificationError};
