//! The IO of the coordinators: shards over partitions of an internal topic, loaded on first use.
//!
//! Enters: commands of handlers. Leaves: answers, once the log has what they rest on; appends; errands. This is the
//! only folder of `coordinator` that awaits, locks, and asks a clock.
//!
//! | file | what |
//! |---|---|
//! | `shard.rs` | one machine over one partition: commands one by one, answers in the log's order |
//! | `shards.rs` | all shards of a coordinator |
//! | `alarm.rs` | the one sleeper for all timers |
//! | `log.rs` | what the broker lends: the partitions of an internal topic |
//! | `group/` | the group coordinator, as handlers call it |
//! | `share.rs` | the share coordinator |
//! | `transaction/` | the transaction coordinator, as handlers and the produce path call it |

mod alarm;
mod group;
mod log;
mod shard;
mod shards;
mod share;
mod transaction;

#[cfg(test)]
mod test_log;
#[cfg(test)]
mod tests;

pub use self::alarm::{Alarm, Listening};
pub use self::group::GroupCoordinator;
pub use self::log::{CoordinatorLog, LogError, LogFuture, Voucher};
pub use self::shard::ShardError;
pub use self::shards::partition_of;
pub use self::share::ShareCoordinator;
pub use self::transaction::{PeerFuture, TransactionCoordinator, TransactionPeers};
