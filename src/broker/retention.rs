//! Retention: what `retention.ms` and `retention.bytes` no longer keep goes, every `log.retention.check.interval.ms`.
//!
//! Logs that are in use are looked at in each round. Of the others it is known when there may be something to do, in
//! four bytes each, so that a round does not open a hundred thousand logs in vain.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ottla_protocol::Uuid;
use ottla_storage::{RetentionDue, StorageError};
use tracing::warn;

use super::Broker;
use super::partition::Partition;
use crate::metadata::Image;

/// Logs that are not in use and are opened, looked at and put away again by one call.
const LOGS_PER_CALL: usize = 1000;

/// When logs are looked at next.
#[derive(Default)]
pub struct RetentionChecks(Mutex<Checks>);

#[derive(Default)]
struct Checks {
    next_round_ms: Option<i64>,
    /// Of logs that are not in use. Empty until the log directories were listed.
    known: Option<Times>,
    /// Those that this round has to look at.
    due: VecDeque<(Uuid, i32)>,
}

/// When logs have to be looked at, by topic and partition: in seconds since 1970.
#[derive(Default)]
struct Times(HashMap<Uuid, Vec<u32>>);

const NO_LOG: u32 = u32::MAX;
const NEVER: u32 = u32::MAX - 1;
/// Nobody knows, so at once.
const UNKNOWN: u32 = 0;

impl Checks {
    /// The first one comes `initial_ms` after the start, if not earlier.
    fn is_round_due(&mut self, now_ms: i64, initial_ms: i64, interval_ms: i64) -> bool {
        let due_ms = self.next_round_ms;
        if due_ms.is_some_and(|due_ms| now_ms < due_ms) {
            return false;
        }
        let wait_ms = if due_ms.is_none() { interval_ms.min(initial_ms) } else { interval_ms };
        self.next_round_ms = Some(now_ms.saturating_add(wait_ms));
        due_ms.is_some()
    }
}

impl Times {
    fn set(&mut self, topic_id: Uuid, partition: i32, due: RetentionDue) {
        let seconds = match due {
            RetentionDue::NoLog => NO_LOG,
            RetentionDue::Never => NEVER,
            // Rounded up: a second late lets go, a second early looks in vain.
            RetentionDue::At(at_ms) => {
                let seconds = (at_ms.max(0) / 1000).saturating_add(1);
                u32::try_from(seconds).unwrap_or(NEVER).min(NEVER)
            }
        };
        self.set_seconds(topic_id, partition, seconds);
    }

    fn set_seconds(&mut self, topic_id: Uuid, partition: i32, seconds: u32) {
        let Ok(at) = usize::try_from(partition) else { return };
        if seconds == NO_LOG && !self.0.contains_key(&topic_id) {
            return;
        }
        let times = self.0.entry(topic_id).or_default();
        if times.len() <= at {
            times.reserve_exact(at + 1 - times.len());
            times.resize(at + 1, NO_LOG);
        }
        times[at] = seconds;
    }

    /// Their configuration has changed: what was known counts no more.
    fn forget(&mut self, topic_id: Option<Uuid>) {
        let changed = self.0.iter_mut().filter(|(id, _)| topic_id.is_none_or(|topic_id| topic_id == **id));
        for time in changed.flat_map(|(_, times)| times).filter(|time| **time != NO_LOG) {
            *time = UNKNOWN;
        }
    }

    fn due(&self, now_ms: i64) -> impl Iterator<Item = (Uuid, i32)> {
        let now = u32::try_from(now_ms / 1000).unwrap_or(0);
        let due_of = move |(id, times): (&Uuid, &Vec<u32>)| {
            let id = *id;
            let due = (0..).zip(times.clone()).filter(move |(_, time)| *time <= now);
            due.map(move |(partition, _)| (id, partition))
        };
        self.0.iter().flat_map(due_of)
    }
}

impl RetentionChecks {
    /// The log goes out of use.
    pub fn put_away(&self, partition: &Partition) {
        let due = partition.log().retention_due().unwrap_or(RetentionDue::At(0));
        if let Some(known) = &mut self.lock().known {
            known.set(partition.id().topic_id, partition.id().partition, due);
        }
    }

    /// A topic's configuration was altered, or without one, that of all.
    pub fn config_changed(&self, topic_id: Option<Uuid>) {
        if let Some(known) = &mut self.lock().known {
            known.forget(topic_id);
        }
    }

    pub fn topic_deleted(&self, topic_id: Uuid) {
        if let Some(known) = &mut self.lock().known {
            known.0.remove(&topic_id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Checks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Broker {
    /// Drops what is too old or too much, in every log that has files: also in those that nobody has used since the start.
    pub(super) fn apply_retention(&self, now_ms: i64) {
        let config = self.config();
        let (initial_ms, interval_ms) =
            (config.log_initial_task_delay_ms, config.log_retention_check_interval_ms);
        let is_round_due = self.retention_checks.lock().is_round_due(now_ms, initial_ms, interval_ms);
        let image = self.image();
        if is_round_due {
            for partition in self.partitions.all() {
                partition.apply_retention(now_ms);
            }
            if let Err(error) = self.begin_round(&image, now_ms) {
                warn!(%error, "retention could not look at the logs that are not in use");
            }
        }
        let due: Vec<_> = {
            let mut checks = self.retention_checks.lock();
            let count = checks.due.len().min(LOGS_PER_CALL);
            checks.due.drain(..count).collect()
        };
        for (topic_id, index) in due {
            self.retain_unused(&image, topic_id, index, now_ms);
        }
    }

    /// Finds the logs that are not in use and may have something that goes.
    fn begin_round(&self, image: &Image, now_ms: i64) -> Result<(), StorageError> {
        if self.retention_checks.lock().known.is_none() {
            let mut known = Times::default();
            for (name, index) in self.logs().stored()? {
                // Directories of other things, and of topics that are being deleted, are in no image.
                if let Some(topic) = image.topic(&name) {
                    known.set_seconds(topic.id, index, UNKNOWN);
                }
            }
            self.retention_checks.lock().known = Some(known);
        }
        let mut checks = self.retention_checks.lock();
        let Checks { known, due, .. } = &mut *checks;
        if let Some(known) = known
            && due.is_empty()
        {
            due.extend(known.due(now_ms));
        }
        Ok(())
    }

    /// One that came into use meanwhile has been looked at, or is by the next round.
    fn retain_unused(&self, image: &Image, topic_id: Uuid, index: i32, now_ms: i64) {
        let Some(topic) = image.topic_by_id(&topic_id) else {
            return self.retention_checks.topic_deleted(topic_id);
        };
        if self.partitions.is_in_use(topic_id, index) {
            return;
        }
        let Ok(led) = self.led(image, topic, index, -1) else { return };
        led.partition.apply_retention(now_ms);
        self.retention_checks.put_away(&led.partition);
        drop(led);
        self.partitions.put_away(topic_id, index);
    }

    /// Gives back the memory of partitions that nobody uses any more.
    pub(super) fn put_away_unused(&self, now_ms: i64) {
        for partition in self.partitions.put_away_unused(now_ms) {
            self.cleaner.put_away(&partition);
            self.retention_checks.put_away(&partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_check_comes_soon_and_the_others_at_their_interval() {
        let mut checks = Checks::default();
        let due: Vec<_> = [0, 29_999, 30_000, 30_001, 329_999, 330_000]
            .map(|now| checks.is_round_due(now, 30_000, 300_000))
            .into();
        assert_eq!(due, [false, false, true, false, false, true]);
    }

    #[test]
    fn logs_out_of_use_are_looked_at_when_there_may_be_something_to_do() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let mut times = Times::default();
        times.set(one, 3, RetentionDue::At(5_500));
        times.set(one, 1, RetentionDue::Never);
        times.set(other, 0, RetentionDue::NoLog);
        let due = |times: &Times, now_ms| {
            let mut due: Vec<_> = times.due(now_ms).collect();
            due.sort();
            due
        };
        assert_eq!((due(&times, 5_999), due(&times, 6_000)), (vec![], vec![(one, 3)]));
        times.set(other, 0, RetentionDue::At(i64::MAX));
        assert_eq!(due(&times, i64::from(NEVER - 1) * 1000), [(one, 3)]);
        times.forget(Some(other));
        assert_eq!(due(&times, 0), [(other, 0)]);
        times.forget(None);
        assert_eq!(due(&times, 0), [(one, 1), (one, 3), (other, 0)]);
        times.set(one, 3, RetentionDue::NoLog);
        assert_eq!(due(&times, 0), [(one, 1), (other, 0)]);
    }
}
