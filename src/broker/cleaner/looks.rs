//! Which compacted logs need a look, and which stay as they are until they are written to: a round costs little for logs
//! that nobody uses, and opens none of them twice.

use std::collections::{HashMap, HashSet};

use ottla_protocol::Uuid;

/// A log, by topic id and partition.
pub type Key = (Uuid, i32);

#[derive(Default)]
pub struct Looks {
    settled: HashMap<Key, Settled>,
    /// Of the configuration: what was found before it changed is not noted after it.
    version: u64,
}

/// A log in which nothing was to do.
struct Settled {
    /// Where it ended then.
    end_offset: i64,
    /// When it was first found so.
    since_ms: i64,
    /// When time alone may have changed it.
    due_ms: i64,
}

/// The times of a topic after which records may or must be compacted (`min.compaction.lag.ms`, `max.compaction.lag.ms`).
#[derive(Clone, Copy, Debug)]
pub struct Lags {
    pub min_ms: i64,
    pub max_ms: i64,
}

impl Looks {
    /// Whether the log needs no look: it ends where it ended, or it is closed (no offset), and no time has passed that
    /// counts.
    pub fn is_settled(&self, key: Key, end_offset: Option<i64>, now_ms: i64) -> bool {
        self.settled.get(&key).is_some_and(|settled| {
            now_ms < settled.due_ms && end_offset.is_none_or(|end_offset| end_offset == settled.end_offset)
        })
    }

    /// To be asked before a log is looked at, and shown when it is settled.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Nothing is to do in the log as it was when it ended at `end_offset`.
    pub fn settle(&mut self, key: Key, end_offset: i64, lags: Lags, now_ms: i64, version: u64) {
        let before = self.settled.get(&key).filter(|before| before.end_offset == end_offset);
        let since_ms = before.map_or(now_ms, |before| before.since_ms);
        let due = [lags.min_ms, lags.max_ms].map(|lag_ms| since_ms.saturating_add(lag_ms));
        let due_ms = due.into_iter().filter(|due_ms| *due_ms > now_ms).min().unwrap_or(i64::MAX);
        self.note(key, Settled { end_offset, since_ms, due_ms }, version);
    }

    /// Nothing can be done in the log before `due_ms`.
    pub fn postpone(&mut self, key: Key, end_offset: i64, due_ms: i64, now_ms: i64, version: u64) {
        self.note(key, Settled { end_offset, since_ms: now_ms, due_ms }, version);
    }

    /// The configuration of a topic, or of all of them, changed.
    pub fn config_changed(&mut self, topic_id: Option<Uuid>) {
        self.version += 1;
        match topic_id {
            Some(topic_id) => self.settled.retain(|(id, _), _| *id != topic_id),
            None => self.settled.clear(),
        }
    }

    /// Forgets the logs of other topics.
    pub fn keep_only(&mut self, topic_ids: &HashSet<Uuid>) {
        self.settled.retain(|(id, _), _| topic_ids.contains(id));
    }

    fn note(&mut self, key: Key, settled: Settled, version: u64) {
        if version == self.version {
            self.settled.insert(key, settled);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LAGS: Lags = Lags { min_ms: 0, max_ms: i64::MAX };
    const LOG: Key = (Uuid::from_u128(7), 0);

    /// A log that was looked at when it ended at 100, at time 1,000.
    fn looked(lags: Lags) -> Looks {
        let mut looks = Looks::default();
        looks.settle(LOG, 100, lags, 1000, looks.version());
        looks
    }

    #[test]
    fn a_log_is_looked_at_again_when_it_was_written_to() {
        let looks = looked(NO_LAGS);
        let other = (LOG.0, 1);
        let settled = |looks: &Looks| {
            [(LOG, Some(100)), (LOG, None), (LOG, Some(101)), (other, None)]
                .map(|(key, end)| looks.is_settled(key, end, i64::MAX - 1))
        };
        assert_eq!(settled(&looks), [true, true, false, false]);
    }

    #[test]
    fn a_lag_that_passes_brings_one_look_more() {
        let lags = Lags { min_ms: 10, max_ms: 50 };
        let mut looks = looked(lags);
        let mut dues = Vec::new();
        for now_ms in 1000..2000 {
            if !looks.is_settled(LOG, None, now_ms) {
                dues.push(now_ms);
                looks.settle(LOG, 100, lags, now_ms, looks.version());
            }
        }
        assert_eq!(dues, [1010, 1050]);
    }

    #[test]
    fn what_was_found_before_the_configuration_changed_does_not_count_after_it() {
        let mut looks = looked(NO_LAGS);
        looks.config_changed(Some(Uuid::from_u128(8)));
        assert!(looks.is_settled(LOG, Some(100), 1000), "of another topic");
        let before = looks.version();
        looks.config_changed(Some(LOG.0));
        looks.settle(LOG, 100, NO_LAGS, 1000, before);
        assert!(!looks.is_settled(LOG, Some(100), 1000));
        looks.postpone(LOG, 100, 1010, 1000, looks.version());
        assert!(looks.is_settled(LOG, Some(100), 1009) && !looks.is_settled(LOG, Some(100), 1010));
        looks.keep_only(&HashSet::from([LOG.0]));
        assert!(looks.is_settled(LOG, Some(100), 1009));
        looks.keep_only(&HashSet::new());
        assert!(!looks.is_settled(LOG, Some(100), 1009));
    }
}
