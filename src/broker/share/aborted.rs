//! Which batches of a read belong to transactions that were aborted: members of a group that reads committed records
//! only must not be given them.

use std::collections::HashSet;

use ottla_protocol::batch::RecordBatch;
use ottla_storage::AbortedTransaction;

use super::partition::LogBatch;

/// The ranges of offsets in `batches`, in order. `aborted` is what the log says of the same range, by first offset.
pub fn aborted_ranges(batches: &[RecordBatch], aborted: &[AbortedTransaction]) -> Vec<(i64, i64)> {
    let mut upcoming = aborted.iter().peekable();
    let mut producers = HashSet::new();
    let mut ranges = Vec::new();
    for batch in batches.iter().filter(|batch| batch.has_producer_id()) {
        while let Some(transaction) = upcoming.next_if(|next| next.first_offset <= batch.last_offset()) {
            producers.insert(transaction.producer_id);
        }
        if batch.is_control() {
            // The marker ends the transaction. A commit's finds nothing to remove.
            producers.remove(&batch.producer_id);
        } else if batch.is_transactional() && producers.contains(&batch.producer_id) {
            ranges.push((batch.base_offset, batch.last_offset()));
        }
    }
    ranges
}

pub fn log_batches(batches: &[RecordBatch]) -> Vec<LogBatch> {
    let of =
        |batch: &RecordBatch| LogBatch { base_offset: batch.base_offset, last_offset: batch.last_offset() };
    batches.iter().map(of).collect()
}
