//! How fast all threads of the cleaner together may read and write (`log.cleaner.io.max.bytes.per.second`).

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes are paid for after they were moved: no burst is saved up while nothing is compacted.
#[derive(Default)]
pub struct Throttle(Mutex<Debt>);

#[derive(Default)]
struct Debt {
    bytes: f64,
    as_of: Option<Instant>,
}

/// What is owed for less than this is carried on.
const SHORTEST_NAP: Duration = Duration::from_millis(1);
/// What a thread sleeps at most before it looks again whether it is to stop, or the rate was altered.
const NAP: Duration = Duration::from_millis(100);

impl Throttle {
    /// So much was read or written.
    pub fn took(&self, bytes: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes += bytes as f64;
    }

    /// How long to sleep now before the next look; nothing when the way is free. A rate of zero stops whoever asks, as
    /// Kafka's does; one below zero is none.
    pub fn nap(&self, bytes_per_second: f64, now: Instant) -> Option<Duration> {
        let mut debt = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed =
            debt.as_of.replace(now).map_or(Duration::ZERO, |then| now.saturating_duration_since(then));
        if bytes_per_second < 0.0 {
            debt.bytes = 0.0;
            return None;
        }
        debt.bytes = (debt.bytes - bytes_per_second * elapsed.as_secs_f64()).max(0.0);
        if debt.bytes <= bytes_per_second * SHORTEST_NAP.as_secs_f64() {
            return None;
        }
        let seconds = debt.bytes / bytes_per_second;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(NAP).min(NAP))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sleeps as told, at a rate; how long until the way is free (looking no longer than ten seconds).
    fn waits(throttle: &Throttle, rate: f64, now: &mut Instant) -> u128 {
        let began = *now;
        while let Some(nap) = throttle.nap(rate, *now) {
            *now += nap;
            if *now - began > Duration::from_secs(10) {
                break;
            }
        }
        (*now - began).as_millis()
    }

    #[test]
    fn what_was_moved_is_paid_for_at_the_rate() {
        let (throttle, mut now) = (Throttle::default(), crate::clock::monotonic());
        assert_eq!(waits(&throttle, 1000.0, &mut now), 0, "nothing was moved");
        throttle.took(500);
        assert_eq!(waits(&throttle, 1000.0, &mut now), 500);
        now += Duration::from_secs(60);
        throttle.took(200);
        assert_eq!(waits(&throttle, 1000.0, &mut now), 0, "the minute before paid for it");
        throttle.took(1000);
        throttle.took(1000);
        assert_eq!(waits(&throttle, 1000.0, &mut now), 2000, "of two threads");
        throttle.took(u64::MAX);
        assert_eq!(waits(&throttle, f64::MAX, &mut now), 0, "Kafka's default");
        assert!(waits(&throttle, 0.0, &mut now) > 10_000, "nothing may be moved");
        assert_eq!(waits(&throttle, -1.0, &mut now), 0, "no rate");
    }
}
