//! `offsets.retention.minutes`: offsets that nobody needs any more, and groups that are left without any.

use ottla_protocol::StrBytes;

use super::super::{AnyGroup, CommittedOffset, Effect, GroupOutcome, GroupShard, Retention, TimerKey};
use super::delete::tombstone;

impl GroupShard {
    /// Looks through all groups of the shard, and asks to be called again.
    pub(in super::super) fn expire_offsets(&self, now_ms: i64) -> GroupOutcome<()> {
        let mut outcome = GroupOutcome::answer(());
        for (group_id, group) in self.any_groups() {
            self.expire_group(group_id, group, now_ms, &mut outcome);
        }
        outcome.effects.push(self.next_retention_check(now_ms));
        outcome
    }

    pub(in super::super) fn next_retention_check(&self, now_ms: i64) -> Effect {
        Effect::SetTimer(TimerKey::OffsetsRetention, now_ms + self.config.offsets_retention_check_interval_ms)
    }

    fn expire_group(
        &self,
        group_id: &StrBytes,
        group: &dyn AnyGroup,
        now_ms: i64,
        outcome: &mut GroupOutcome<()>,
    ) {
        let retention = group.retention();
        if retention == Retention::Endless {
            return;
        }
        let pending = self.hard_state().pending();
        // A group whose transaction is open stays.
        let mut is_any_left = pending.has_group(group_id);
        for (topic, partitions) in self.hard_state().offsets(group_id).into_iter().flatten() {
            let is_topic_kept = !group.is_empty() && group.is_subscribed_to(topic);
            for (index, offset) in partitions {
                let is_over = !is_topic_kept && self.is_expired(offset, retention, now_ms);
                if is_over && !pending.has(group_id, topic, *index) {
                    outcome.records.push(tombstone(group_id, topic, *index));
                } else {
                    is_any_left = true;
                }
            }
        }
        let is_expecting = self.group(group_id).is_some_and(|group| !group.pending_joins.is_empty());
        // Without members, offsets and members to come, nothing is left of the group.
        if !is_any_left && group.is_empty() && !is_expecting {
            self.end_group(group_id, group, outcome);
        }
    }

    fn is_expired(&self, offset: &CommittedOffset, retention: Retention, now_ms: i64) -> bool {
        let since_ms = match retention {
            Retention::Paused | Retention::Endless => return false,
            Retention::SinceTime(since_ms) => since_ms,
            Retention::SinceCommit => offset.commit_timestamp_ms,
        };
        match offset.expire_timestamp_ms {
            Some(expire_timestamp_ms) => now_ms >= expire_timestamp_ms,
            None => now_ms - since_ms >= self.config.offsets_retention_ms,
        }
    }
}
