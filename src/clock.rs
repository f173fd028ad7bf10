//! The one place that asks the system for the time and for random bits.
//!
//! Everything else takes them as arguments, so that a test or a simulator can choose them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

/// Wall-clock time in milliseconds since the epoch, the system's or a test's.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    manual_ms: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn manual(start_ms: i64) -> Clock {
        Clock { manual_ms: Some(Arc::new(AtomicI64::new(start_ms))) }
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn now_ms(&self) -> i64 {
        match &self.manual_ms {
            Some(manual) => manual.load(Ordering::SeqCst),
            None => system_now_ms(),
        }
    }

    /// Moves a manual clock; the system's clock cannot be moved.
    pub fn advance(&self, by_ms: i64) {
        if let Some(manual) = &self.manual_ms {
            manual.fetch_add(by_ms, Ordering::SeqCst);
        }
    }
}

/// A random (version 4) id, as Kafka gives to topics, directories and members.
pub fn random_id() -> Uuid {
    Uuid::new_v4()
}

/// A random number above zero, as a fetch session's id.
pub fn random_positive_i32() -> i32 {
    let [a, b, c, d, ..] = Uuid::new_v4().into_bytes();
    i32::from_be_bytes([a & 0x7f, b, c, d]).max(1)
}

/// For measuring a span, never for a decision that is logged.
#[expect(clippy::disallowed_methods, reason = "the one place that asks")]
pub fn monotonic() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks")]
fn system_now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
