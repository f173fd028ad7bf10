//! One sleeping task for the timers of all shards: it sleeps until the nearest deadline, or until a nearer one is set.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::Clock;

/// When to look at which partition next.
#[derive(Debug, Default)]
pub struct Alarm {
    wake_ups: Mutex<BinaryHeap<Reverse<(i64, i32)>>>,
    is_nearer: Notify,
}

impl Alarm {
    /// Asks for `partition` to be looked at, at `at_ms`.
    pub fn set(&self, partition: i32, at_ms: i64) {
        let mut wake_ups = self.wake_ups.lock().unwrap_or_else(PoisonError::into_inner);
        let is_nearest = wake_ups.peek().is_none_or(|Reverse((nearest_ms, _))| at_ms < *nearest_ms);
        wake_ups.push(Reverse((at_ms, partition)));
        if is_nearest {
            self.is_nearer.notify_one();
        }
    }

    /// Calls `fire` for each partition that is due; ends when `fire` says that nobody listens any more.
    pub async fn run(self: Arc<Self>, clock: Clock, fire: impl Fn(i32) -> Listening) {
        loop {
            while let Some(partition) = self.pop_due(clock.now_ms()) {
                if fire(partition) == Listening::No {
                    return;
                }
            }
            match self.next_ms() {
                None => self.is_nearer.notified().await,
                Some(at_ms) => {
                    let sleep_ms = at_ms.saturating_sub(clock.now_ms()).clamp(1, LONGEST_SLEEP_MS);
                    let sleep = tokio::time::sleep(Duration::from_millis(sleep_ms as u64));
                    tokio::select! {
                        () = sleep => {}
                        () = self.is_nearer.notified() => {}
                    }
                }
            }
        }
    }

    fn next_ms(&self) -> Option<i64> {
        let wake_ups = self.wake_ups.lock().unwrap_or_else(PoisonError::into_inner);
        wake_ups.peek().map(|Reverse((at_ms, _))| *at_ms)
    }

    fn pop_due(&self, now_ms: i64) -> Option<i32> {
        let mut wake_ups = self.wake_ups.lock().unwrap_or_else(PoisonError::into_inner);
        let Reverse((at_ms, partition)) = *wake_ups.peek()?;
        if at_ms > now_ms {
            return None;
        }
        wake_ups.pop();
        Some(partition)
    }
}

/// Whether the owner of the timers is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    Yes,
    No,
}

/// The wall clock can be set, so no sleep is trusted for longer; this also ends the task of a dropped coordinator.
const LONGEST_SLEEP_MS: i64 = 60_000;
