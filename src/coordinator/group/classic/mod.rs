//! The classic group protocol: a live group and the moves between its states.
//!
//! A [`ClassicGroup`] is soft state. Only the end of a rebalance is logged (members, protocol, assignment); who is
//! joining, who waits for an answer and which generation is being formed is lost with the broker, and the members join
//! again, exactly as with Kafka.
//!
//! ```text
//!   Empty --join--> PreparingRebalance --all joined, or time is up--> CompletingRebalance --leader syncs--> Stable
//!     ^                  |      ^                                             |                                |
//!     +---- all left ----+      +---------------- a member joins, leaves or dies ------------------------------+
//! ```

mod expire;
mod group;
mod heartbeat;
mod join;
mod leave;
mod member;
mod rebalance;
mod sync;

pub use group::{ClassicGroup, InitialDelay, State};
pub(super) use heartbeat::restart_session;
pub use member::Member;
pub(super) use rebalance::Transition;
