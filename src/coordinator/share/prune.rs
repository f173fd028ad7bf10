//! How much of a shard's log says nothing any more, so that it can be deleted: the log is not compacted.

use std::collections::HashMap;

use super::{SharePartitionKey, ShareRecord};

/// Sees the records of a log in their order.
#[derive(Debug, Default)]
pub struct Redundancy {
    /// Where each share partition's last snapshot is. Updates before it are in it.
    snapshots: HashMap<SharePartitionKey, i64>,
    next_offset: i64,
}

impl Redundancy {
    /// Records of a batch at `base_offset`, which ends before `next_offset`.
    pub fn observe(&mut self, records: &[ShareRecord], base_offset: i64, next_offset: i64) {
        for record in records {
            match record {
                ShareRecord::Snapshot { key, state: Some(_) } => {
                    self.snapshots.insert(key.clone(), base_offset);
                }
                ShareRecord::Snapshot { key, state: None } => {
                    self.snapshots.remove(key);
                }
                // Its snapshot has been seen; without one (nothing writes that) it has to stay.
                ShareRecord::Update { key, .. } => {
                    self.snapshots.entry(key.clone()).or_insert(base_offset);
                }
            }
        }
        self.next_offset = next_offset;
    }

    /// Nothing before this offset is needed.
    pub fn end(&self) -> i64 {
        self.snapshots.values().copied().min().unwrap_or(self.next_offset)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ShareState, ShareUpdate};
    use super::*;
    use ottla_protocol::{StrBytes, Uuid};

    /// `a` a snapshot, `a+` an update and `a-` a tombstone of a share partition, at the offsets 0, 1, 2 ...
    #[track_caller]
    fn check(log: &str, expected: i64) {
        let mut redundancy = Redundancy::default();
        for (offset, word) in log.split_whitespace().enumerate() {
            let (name, kind) = word.split_at(1);
            let group_id = StrBytes::from_string(name.to_owned());
            let key = SharePartitionKey { group_id, topic_id: Uuid::nil(), partition: 0 };
            let update = ShareUpdate {
                snapshot_epoch: 0,
                leader_epoch: 0,
                start_offset: -1,
                delivery_complete_count: -1,
                batches: Vec::new(),
            };
            let record = match kind {
                "" => ShareRecord::Snapshot { key, state: Some(ShareState::from_update(&update)) },
                "+" => ShareRecord::Update { key, update },
                _ => ShareRecord::Snapshot { key, state: None },
            };
            let offset = offset as i64;
            redundancy.observe(&[record], offset, offset + 1);
        }
        assert_eq!(redundancy.end(), expected, "{log}");
    }

    #[test]
    fn what_comes_before_the_oldest_last_snapshot_is_not_needed() {
        check("", 0);
        check("a", 0);
        check("a a+ a+", 0);
        check("a a+ a", 2);
        check("a b a a b+ a", 1);
        check("a b a a b a", 4);
        check("a b a- b", 3);
        check("a b a- b-", 4);
        check("a+ b a", 1);
    }
}
