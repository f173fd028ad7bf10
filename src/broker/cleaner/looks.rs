//! Which compacted logs need a look, and which stay as they are until they are written to: a round costs little for logs
//! that nobody uses, and opens none of them in vain. Sixteen bytes a log.

use std::collections::{HashMap, HashSet};

use ottla_protocol::Uuid;

/// A log, by topic id and partition.
pub type Key = (Uuid, i32);

#[derive(Default)]
pub struct Looks {
    /// By partition.
    settled: HashMap<Uuid, Vec<Settled>>,
    /// Of the configuration: what was found before it changed is not noted after it.
    version: u64,
}

/// A log in which nothing was to do. Times are seconds since 1970, rounded up.
#[derive(Clone, Copy)]
struct Settled {
    /// Where it ended then.
    end_offset: i64,
    /// When it was first found so.
    since_s: u32,
    /// When time alone may have changed it.
    due_s: u32,
}

/// Of a log that was not looked at.
const NOT_SETTLED: Settled = Settled { end_offset: -1, since_s: 0, due_s: 0 };

/// The times of a topic after which records may or must be compacted (`min.compaction.lag.ms`, `max.compaction.lag.ms`).
#[derive(Clone, Copy, Debug)]
pub struct Lags {
    pub min_ms: i64,
    pub max_ms: i64,
}

impl Looks {
    /// Whether the log needs no look: it ends where it ended, or it is not in use (no offset), and no time has passed
    /// that counts.
    pub fn is_settled(&self, (topic_id, partition): Key, end_offset: Option<i64>, now_ms: i64) -> bool {
        let now_s = u32::try_from(now_ms / 1000).unwrap_or(u32::MAX);
        let settled = usize::try_from(partition).ok().and_then(|at| self.settled.get(&topic_id)?.get(at));
        settled.is_some_and(|settled| {
            now_s < settled.due_s && end_offset.is_none_or(|end_offset| end_offset == settled.end_offset)
        })
    }

    /// To be asked before a log is looked at, and shown when it is settled.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Nothing is to do in the log as it was when it ended at `end_offset`.
    pub fn settle(&mut self, key: Key, end_offset: i64, lags: Lags, now_ms: i64, version: u64) {
        let (Some(settled), now_s) = (self.noted(key, version), seconds(now_ms)) else { return };
        if settled.end_offset != end_offset {
            settled.since_s = now_s;
        }
        let since_ms = i64::from(settled.since_s) * 1000;
        let due = [lags.min_ms, lags.max_ms].map(|lag_ms| seconds(since_ms.saturating_add(lag_ms)));
        settled.due_s = due.into_iter().filter(|due_s| *due_s > now_s).min().unwrap_or(u32::MAX);
        settled.end_offset = end_offset;
    }

    /// Nothing can be done in the log before `due_ms`.
    pub fn postpone(&mut self, key: Key, end_offset: i64, due_ms: i64, now_ms: i64, version: u64) {
        if let Some(settled) = self.noted(key, version) {
            *settled = Settled { end_offset, since_s: seconds(now_ms), due_s: seconds(due_ms) };
        }
    }

    /// The log goes out of use. It is looked at once more when it does not end where it was looked at last.
    pub fn put_away(&mut self, (topic_id, partition): Key, end_offset: i64) {
        let settled =
            usize::try_from(partition).ok().and_then(|at| self.settled.get_mut(&topic_id)?.get_mut(at));
        if let Some(settled) = settled
            && settled.end_offset != end_offset
        {
            *settled = NOT_SETTLED;
        }
    }

    /// The configuration of a topic, or of all of them, changed.
    pub fn config_changed(&mut self, topic_id: Option<Uuid>) {
        self.version += 1;
        self.settled.retain(|id, _| topic_id.is_some_and(|topic_id| topic_id != *id));
    }

    /// Forgets the logs of other topics.
    pub fn keep_only(&mut self, topic_ids: &HashSet<Uuid>) {
        self.settled.retain(|id, _| topic_ids.contains(id));
    }

    /// Where to note what was found, unless the configuration changed meanwhile.
    fn noted(&mut self, (topic_id, partition): Key, version: u64) -> Option<&mut Settled> {
        let at = usize::try_from(partition).ok().filter(|_| version == self.version)?;
        let settled = self.settled.entry(topic_id).or_default();
        if settled.len() <= at {
            settled.resize(at + 1, NOT_SETTLED);
        }
        settled.get_mut(at)
    }
}

/// Rounded up: a second late finds what a second early would not.
fn seconds(ms: i64) -> u32 {
    u32::try_from(ms / 1000 + i64::from(ms % 1000 > 0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LAGS: Lags = Lags { min_ms: 0, max_ms: i64::MAX };
    const LOG: Key = (Uuid::from_u128(7), 1);

    /// A log that was looked at when it ended at 100, at time 1,000.
    fn looked(lags: Lags) -> Looks {
        let mut looks = Looks::default();
        looks.settle(LOG, 100, lags, 1000, looks.version());
        looks
    }

    #[test]
    fn a_log_is_looked_at_again_when_it_was_written_to() {
        let mut looks = looked(NO_LAGS);
        let settled = |looks: &Looks| {
            let (before, behind) = ((LOG.0, 0), (LOG.0, 2));
            [(LOG, Some(100)), (LOG, None), (LOG, Some(101)), (before, None), (behind, None)]
                .map(|(key, end)| looks.is_settled(key, end, 1_000_000_000_000))
        };
        assert_eq!(settled(&looks), [true, true, false, false, false]);
        looks.put_away(LOG, 100);
        assert_eq!(settled(&looks), [true, true, false, false, false], "put away as it was");
        looks.put_away(LOG, 101);
        assert_eq!(settled(&looks), [false; 5], "written to and put away between two looks");
    }

    #[test]
    fn a_lag_that_passes_brings_one_look_more() {
        let lags = Lags { min_ms: 10_000, max_ms: 50_500 };
        let mut looks = looked(lags);
        let mut dues = Vec::new();
        for now_ms in (1000..200_000).step_by(100) {
            if !looks.is_settled(LOG, None, now_ms) {
                dues.push(now_ms);
                looks.settle(LOG, 100, lags, now_ms, looks.version());
            }
        }
        assert_eq!(dues, [11_000, 52_000]);
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
        looks.postpone(LOG, 100, 3000, 1000, looks.version());
        assert!(looks.is_settled(LOG, Some(100), 2999) && !looks.is_settled(LOG, Some(100), 3000));
        looks.keep_only(&HashSet::from([LOG.0]));
        assert!(looks.is_settled(LOG, Some(100), 2999));
        looks.keep_only(&HashSet::new());
        assert!(!looks.is_settled(LOG, Some(100), 2999));
        looks.settle(LOG, 100, NO_LAGS, 1000, looks.version());
        looks.config_changed(None);
        assert!(!looks.is_settled(LOG, Some(100), 1000));
    }
}
