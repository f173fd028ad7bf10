//! Retention: what `retention.ms` and `retention.bytes` no longer keep goes, every `log.retention.check.interval.ms`.

use std::sync::atomic::{AtomicI64, Ordering};

use tracing::warn;

use super::Broker;

/// Kafka's first check after the start.
const FIRST_CHECK_MS: i64 = 30_000;
const NOT_YET: i64 = i64::MIN;

/// When logs are looked at next.
pub struct RetentionChecks {
    next_ms: AtomicI64,
}

impl Default for RetentionChecks {
    fn default() -> Self {
        Self { next_ms: AtomicI64::new(NOT_YET) }
    }
}

impl RetentionChecks {
    fn are_due(&self, now_ms: i64, interval_ms: i64) -> bool {
        let next_ms = self.next_ms.load(Ordering::Relaxed);
        if next_ms != NOT_YET && now_ms < next_ms {
            return false;
        }
        let wait_ms = if next_ms == NOT_YET { interval_ms.min(FIRST_CHECK_MS) } else { interval_ms };
        self.next_ms.store(now_ms.saturating_add(wait_ms), Ordering::Relaxed);
        next_ms != NOT_YET
    }
}

impl Broker {
    /// Drops what is too old or too much, in every log that has files: also in those that nobody has used since the start.
    pub(super) fn apply_retention(&self, now_ms: i64) {
        if !self.retention_checks.are_due(now_ms, self.config().log_retention_check_interval_ms) {
            return;
        }
        let stored = match self.logs().stored() {
            Ok(stored) => stored,
            Err(error) => {
                warn!(%error, "retention could not look at the logs");
                return;
            }
        };
        let image = self.image();
        for (name, index) in stored {
            // Directories of other things, and of topics that are being deleted, are in no image.
            let Some(topic) = image.topic(&name) else { continue };
            let Ok(led) = self.led(&image, topic, index, -1) else { continue };
            led.partition.apply_retention(now_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_check_comes_soon_and_the_others_at_their_interval() {
        let checks = RetentionChecks::default();
        let due: Vec<_> =
            [0, 29_999, 30_000, 30_001, 329_999, 330_000].map(|now| checks.are_due(now, 300_000)).into();
        assert_eq!(due, [false, false, true, false, false, true]);
    }
}
